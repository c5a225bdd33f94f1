"""Graphs of what waits for what: put in order, and walked."""
