"""The place of each kernel in a layer, prefill beside decode."""
