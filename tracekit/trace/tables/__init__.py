"""Side tables: rarer fields of slices, and events that are no slices."""
