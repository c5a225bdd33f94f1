"""The real traces of the reference material, each read once by a worker."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.conftest import SHARED, shared
from tracekit.trace import kineto
from tracekit.trace.trace import Trace

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
    return kineto.load(trace_file(name))
