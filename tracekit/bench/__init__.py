"""Stage times on the wall clock, no profiler near: run, file, statistics, tables."""
