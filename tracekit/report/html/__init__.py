"""The page and its pieces."""
