"""Two runs: are they the same work, and what is the change of time made of."""
