"""FLOPs and least bytes of ops, a file for each family; `registry` finds the one of an op."""
