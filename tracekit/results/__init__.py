"""What an analysis is, how it is run over traces, and its answer as data."""
