"""OneLLM."""
