"""Large texts without an object an event: one pass over the bytes, compiled, columns out."""
