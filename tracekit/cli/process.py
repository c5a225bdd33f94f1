"""A command as a process: all of its output or an error, signals heard, one exit code.

Exit codes: 0 done, 1 the user can act on it, 2 wrong usage, 3 slower than allowed,
130 Ctrl-C, 141 nobody read on (`| head`), 143 SIGTERM.
"""

from __future__ import annotations

import contextvars
import errno
import io
import locale
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO, cast

from tracekit import plain
from tracekit.cli import verbosity
from tracekit.errors import TracekitError, UsageError

WRONG_USAGE = 2  # Typer's own for what it refuses itself
HUNG_UP = 141  # what a shell says of a process that SIGPIPE ended
_STOPS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def run(command: Callable[[], object]) -> int:
    """The exit code of a command that ends by returning one, by SystemExit or by a fault.

    A TracekitError is one line on stderr. Bugs keep their traceback.
    """
    with _streams(), _signals() as heard:
        try:
            # what a command sets for itself (-q, -v) ends with it
            code = contextvars.copy_context().run(_code, command)
            if sys.stdout is not None:
                sys.stdout.flush()
        except UnwrittenError as fault:
            code = _unwritten(fault)
        return _signalled(code, heard)


def _code(command: Callable[[], object]) -> int:
    try:
        returned = command()
    except SystemExit as end:
        returned = end.code
        if isinstance(returned, str):
            complain(returned)
            returned = 1
    except TracekitError as error:
        complain(f"error: {error}")
        if verbosity.verbose() and sys.stderr is not None:
            sys.stderr.write(plain.lines("".join(traceback.format_exception(error))))
        returned = WRONG_USAGE if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        returned = 128 + signal.SIGINT
    return returned if isinstance(returned, int) else 0


def say(text: str) -> None:
    """Lines on standard output, nothing in them that a terminal would obey."""
    if sys.stdout is not None:
        sys.stdout.write(f"{plain.lines(text)}\n")


def say_json(value: object, *, indent: int | None = None) -> None:
    """JSON on standard output; only ASCII where that cannot write everything."""
    if sys.stdout is not None:
        everything = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        sys.stdout.write(plain.dumps(value, indent=indent, ascii_only=not everything) + "\n")


def hint(text: str, say: Callable[[str], None] = say) -> None:
    """What a reader may want next; not with -q."""
    if not verbosity.quiet():
        say(text)


def complain(text: str) -> None:
    """One line on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"{plain.line(text)}\n")


def _unwritten(fault: UnwrittenError) -> int:
    """Says that standard output is not whole; nothing more goes there."""
    sys.stdout = cast(TextIO, open(os.devnull, "w"))  # noqa: SIM115
    if fault.number == errno.EPIPE:
        return HUNG_UP
    complain(f"error: standard output: cannot be written ({fault}); what came of it is not whole")
    return 1


# ---------------------------------------------------------------- streams


class UnwrittenError(Exception):
    """Standard output did not take a byte. No OSError: those are caught in too many places."""

    def __init__(self, fault: OSError) -> None:
        super().__init__(fault.strerror or str(fault))
        self.number = fault.errno


class _Descriptor(io.RawIOBase):
    """Writes every byte or raises; Python's own raw file writes what fits, and says how much."""

    def __init__(self, number: int, *, closed: bool, faults: bool) -> None:
        self.number, self.none, self.faults = number, closed, faults

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return not self.none and os.isatty(self.number)

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        whole = len(left)
        try:
            if self.none:
                raise OSError(errno.EBADF, "it is closed")
            while left:
                left = left[self._some(left) :]
        except OSError as fault:
            if self.faults:
                raise UnwrittenError(fault) from None
        return whole

    def _some(self, data: memoryview) -> int:
        try:
            return os.write(self.number, data)
        except BlockingIOError:  # a pipe that somebody set to return at once
            select.select([], [self.number], [])
            return 0


@contextmanager
def _streams() -> Iterator[None]:
    """Standard output and errors that are whole, or a fault; what they cannot encode is `?`.

    Streams that somebody has put in their place (a test, a notebook) are left alone.
    """
    before = sys.stdout, sys.stderr
    closed = {number for number in (0, 1, 2) if not _is_open(number)}
    for number in sorted(closed):
        # a file that is opened next must not become standard output
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1, closed, faults=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2, closed, faults=False)
    ours = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for stream in ours:
            with suppress(UnwrittenError, ValueError):
                stream.flush()
        # Python's own flush at the end must find nothing that can still fail
        sys.stdout, sys.stderr = before


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _stream(before: TextIO | None, number: int, closed: set[int], *, faults: bool) -> TextIO:
    if before is not None:
        before.flush()
    encoding = getattr(before, "encoding", None) or locale.getpreferredencoding(False)
    raw = _Descriptor(number, closed=number in closed, faults=faults)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="replace" if number == 1 else "backslashreplace",
        line_buffering=number == 2 or raw.isatty(),
    )


# ---------------------------------------------------------------- signals


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGTERM, and a terminal that hangs up, do what Ctrl-C does; gives those that came."""
    heard: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    # what was asked to be ignored (nohup, a job in the background) stays ignored
    plainly = (signal.SIG_DFL, signal.default_int_handler)
    kept = {one: signal.getsignal(one) for one in _STOPS if signal.getsignal(one) in plainly}
    for number in kept:
        signal.signal(number, stop)
    try:
        yield heard
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _signalled(code: int, heard: list[int]) -> int:
    """128 + the first signal, where that is why the command ended."""
    if not heard or code not in (0, 1, 128 + signal.SIGINT):
        return code
    # `open` serves until Ctrl-C: that is its end, not a failure
    return code if code == 0 and heard[0] == signal.SIGINT else 128 + heard[0]
