"""The text of a Kineto file: opened, cut into pieces, repaired."""
