"""LLaSA."""
