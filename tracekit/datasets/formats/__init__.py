"""Files that data sets come in, read one way for all."""
