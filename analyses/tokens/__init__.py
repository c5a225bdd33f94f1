"""What each token cost."""
