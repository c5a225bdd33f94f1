"""Arithmetic of intervals: unions, nesting, segments."""
