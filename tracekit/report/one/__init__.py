"""The first screen of one trace."""
