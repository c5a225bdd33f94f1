"""Which framework ops the host spent its time in, by phase."""
