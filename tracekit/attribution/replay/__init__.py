"""The trace as a graph of what waits for what, and its times after a change."""
