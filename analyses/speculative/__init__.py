"""Rounds of speculative decoding, and what they gain."""
