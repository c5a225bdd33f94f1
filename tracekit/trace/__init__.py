"""A trace in memory, and how a Kineto file becomes one.

kineto      the way in: a path to a Trace
trace       the columns, read-only
json/       the text: source (plain, gzip, standard input, an address), outline (what stands before
            and after the list of events), pieces (the list, cut where one event ends), repair
columns/    decode (a piece to structs), slices and numbers (structs to numpy columns, exactly),
            side_tables, workers (pieces over processes), assemble (all pieces to one Trace)
parquet     the same columns on disk
run_facts   what a trace says of the run behind it
redact      what must not leave the machine
perfetto/   what Perfetto needs, and showing a trace there
spans/      arithmetic of intervals
"""
