"""torch.profiler: what it is to record, how it is stopped, and the file that it writes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tracekit.errors import TracekitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiling:
    """What torch.profiler is to record beside names and times."""

    record_shapes: bool = False
    with_stack: bool = False
    profile_memory: bool = False


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """What is being finished is not lost to a Ctrl-C or SIGTERM: the first one only says so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # a handler that is not Python's (None) could not be put back
    before = {
        number: handler for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }  # fmt: skip

    def once(number: int, _frame: FrameType | None) -> None:
        _handle(before)
        again = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        # not print: the signal may have come in the middle of one
        os.write(2, f"\nwriting what is complete; {again} again to abandon it\n".encode())

    _handle(dict.fromkeys(before, once))
    try:
        yield
    finally:
        _handle(before)


def _handle(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def export(profiler: Any, path: Path) -> None:
    """torch's own file, on the way to ours. Raises: TracekitError where it has no room."""
    hint = "free some space there, or set TMPDIR to another place"
    try:
        profiler.export_chrome_trace(str(path))
        whole = path.stat().st_size > 0
    except (OSError, RuntimeError) as fault:
        raise TracekitError(
            f"the profiler could not write its trace ({fault})", where=path.parent, hint=hint
        ) from fault
    if not whole:
        raise TracekitError("the profiler's trace is empty", where=path.parent, hint=hint)


@contextlib.contextmanager
def without_tracepoints() -> Iterator[None]:
    """Kineto prints `USDT:` lines on stderr, whatever its log level; all else still gets there."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            os.write(2, b"".join(line for line in caught if not line.startswith(b"USDT:")))
