"""A causal language model of transformers as prefill and decode steps."""
