"""Memory that torch's allocator handed out: over time, at most in each stage, largest pieces."""
