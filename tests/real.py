"""The real traces of the reference material, each read, and asked everything, once by a worker.

Tests of one trace run in one worker (tests/conftest.py), so in the whole suite that is once.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.conftest import SHARED, shared
from tracekit.results import engine
from tracekit.results.answers import Answers
from tracekit.trace import graph_captures, kineto
from tracekit.trace.trace import Trace

# each trace that is one file
EVERY = sorted(path.name.split(".")[0] for path in (SHARED / "traces").glob("*.json*"))
# those with figures of their own, computed by other means
NAMES = sorted(
    path.stem
    for path in (SHARED / "traces" / "expected").glob("*.json")
    if "multirank" not in path.stem
)


def trace_file(name: str) -> Path:
    """The file of a trace by its name; the test is skipped without it."""
    shared("traces")
    for ending in (".json.gz", ".json"):
        path = SHARED / "traces" / f"{name}{ending}"
        if path.exists():
            return path
    pytest.skip(f"no single trace behind {name}")


@cache
def loaded(name: str) -> Trace:
    """The trace, shared with all tests of the worker: it keeps what was computed of it."""
    return kineto.load(trace_file(name), tables=engine.tables() | graph_captures.OWN)


@cache
def answers(name: str) -> Answers:
    """What `engine.answers` gives of its file, the captures of its graphs beside it included."""
    trace = graph_captures.attached(loaded(name), ())
    return engine.of_trace(trace, path=str(trace_file(name)))
