"""Data sets of human activity recognition."""
