"""What the arguments of a command name: files, folders of traces, patterns, archives of ranks."""
