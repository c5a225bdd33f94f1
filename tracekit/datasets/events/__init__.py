"""Data sets of event cameras."""
