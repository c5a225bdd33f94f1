"""Several traces side by side."""
