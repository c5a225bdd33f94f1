"""The version, for whoever states it; pyproject.toml has the same, and a test holds them equal."""

__version__ = "0.1.0"
