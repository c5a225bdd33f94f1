"""Data sets of sensor readings with text."""
