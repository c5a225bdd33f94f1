"""One question a trace can answer per file; found by name, see tracekit/registry.py."""
