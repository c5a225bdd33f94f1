"""What may make a trace's numbers mislead."""
