"""What several models use: weights, tokenizers, prompts, windows, the LLaMA."""
