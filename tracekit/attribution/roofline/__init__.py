"""Floating-point operations, least bytes, device peaks, and the bounds they give."""
