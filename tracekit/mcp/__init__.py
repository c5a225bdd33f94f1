"""The answers of tracekit as tools of the Model Context Protocol, for agents and editors."""
