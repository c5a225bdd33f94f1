"""What the nodes of replayed graphs are, by the trace in which the graph was captured."""
