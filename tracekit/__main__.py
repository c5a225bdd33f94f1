"""`python -m tracekit` is `tracekit`, and ends as any program does: a profiler may watch it."""

import sys

from tracekit.cli.app import run

if __name__ == "__main__":
    sys.exit(run())
