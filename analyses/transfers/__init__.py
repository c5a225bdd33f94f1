"""What was copied and filled, between which memories, how fast, where, and what waited for it."""
