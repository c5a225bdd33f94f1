"""Speculative decoding: a draft and a target, token by token."""
