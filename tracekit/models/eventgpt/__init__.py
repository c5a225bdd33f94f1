"""EventGPT."""
