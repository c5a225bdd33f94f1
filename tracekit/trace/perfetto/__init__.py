"""What Perfetto needs of a trace, and showing it there."""
