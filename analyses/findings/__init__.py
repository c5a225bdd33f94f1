"""What to look at first, drawn from the answers of all analyses."""
