"""What each stage's wall time went to."""
