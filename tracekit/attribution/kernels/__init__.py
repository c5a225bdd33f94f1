"""Kernels by category, by name and by module."""
