"""Pieces over processes.

Every process opens the file for itself and finds the pieces for itself, so nothing but columns
passes between them. Which piece is whose is drawn from a pipe of numbers: whoever is free takes
the next.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from tracekit.records import Record
from tracekit.trace.columns.cores import cores
from tracekit.trace.columns.decode import shapes
from tracekit.trace.columns.slices import Read, read_piece
from tracekit.trace.json.pieces import SIZE, Cutter
from tracekit.trace.json.source import Text

_TICKET = struct.Struct("<I")
_TICKETS = 16_000  # a pipe holds 64 KiB; pieces beyond are read by the caller alone
_SMALL = 32 << 20  # a text below this is read before another process has started
_SHORT = 8 << 20  # one below this is read before the compiled scanner is loaded
_RATIO = 12  # of text to gzip in traces, about
_MOST = 8
_BOOT = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from tracekit.trace.columns.workers import serve; serve()"
)


class Job(Record, frozen=True):
    """What a process needs to know of the file."""

    path: str
    first: int  # offset of the first event
    size: int  # of pieces
    tables: frozenset[str]
    tickets: int  # file descriptor


def is_large(text: Text) -> bool:
    """Whether a text takes long enough to read that the compiled scanner is worth its loading."""
    return _likely(text) >= _SHORT


def _likely(text: Text) -> int:
    """About how long the text is."""
    return text.stored * (_RATIO if text.compressed else 1)


def processes_for(text: Text) -> int:
    """How many processes read this text fastest."""
    likely = _likely(text)
    if likely < _SMALL or os.name != "posix":
        return 1
    return min(cores(), _MOST, max(likely // _SMALL, 1) + 1)


def reads(
    text: Text, first: int, tables: frozenset[str], processes: int = 1, size: int = SIZE
) -> Iterator[Read]:
    """All pieces of a text, in no fixed order; perhaps some after the end of the list too."""
    if processes < 2:
        yield from _in_order(Cutter(text, first, size), tables)
        return
    seen: dict[int, bool] = {}
    for read in _shared(text, first, tables, processes, size):
        seen[read.index] = read.last or read.end is not None
        yield read
    yield from _missing(text, first, tables, size, seen)


def _in_order(cutter: Cutter, tables: frozenset[str]) -> Iterator[Read]:
    shape = shapes(tables)
    index = 0
    while (piece := cutter.piece(index)) is not None:
        read = read_piece(piece, shape, tables)
        yield read
        if read.end is not None:
            return
        index += 1


def _missing(
    text: Text, first: int, tables: frozenset[str], size: int, seen: dict[int, bool]
) -> Iterator[Read]:
    """What no process delivered: one that was killed takes its pieces with it."""
    shape = shapes(tables)
    cutter: Cutter | None = None
    index = 0
    again: Text | None = None
    while not seen.get(index, False):
        if index not in seen:
            if cutter is None:
                again = Text(text.path, text.name)
                cutter = Cutter(again, first, size)
            piece = cutter.piece(index)
            if piece is None:
                break
            read = read_piece(piece, shape, tables)
            seen[index] = read.last or read.end is not None
            yield read
        index += 1
    if again is not None:
        again.close()


def _shared(
    text: Text, first: int, tables: frozenset[str], processes: int, size: int
) -> Iterator[Read]:
    take, give = os.pipe()
    os.write(give, b"".join(map(_TICKET.pack, range(_TICKETS))))
    os.close(give)
    job = pickle.dumps(Job(text.path, first, size, tables, take))
    inbox: list[Read] = []
    others = [_Other(job, take, inbox) for _ in range(processes - 1)]
    try:
        for read in _drawn(Cutter(text, first, size), take, tables):
            yield read
            while inbox:
                yield inbox.pop()
        for other in others:
            other.thread.join()
        yield from inbox
    finally:
        os.close(take)
        for other in others:
            other.stop()


def _drawn(cutter: Cutter, take: int, tables: frozenset[str]) -> Iterator[Read]:
    """The pieces whose numbers this process draws."""
    shape = shapes(tables)
    while len(ticket := os.read(take, _TICKET.size)) == _TICKET.size:
        piece = cutter.piece(_TICKET.unpack(ticket)[0])
        if piece is None:
            return
        yield read_piece(piece, shape, tables)
        if piece.last:
            return


class _Other:
    """A process that reads pieces, and the thread that takes them in."""

    def __init__(self, job: bytes, take: int, inbox: list[Read]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what fails there is read again here, and fails here
            pass_fds=(take,),
        )
        self.inbox = inbox
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(job)
            self.process.stdin.close()

    def _receive(self) -> None:
        stream: IO[bytes] | None = self.process.stdout
        assert stream is not None
        # a killed process ends in the middle of a message
        with suppress(EOFError, pickle.UnpicklingError, OSError, ValueError):
            while True:
                self.inbox.append(pickle.load(stream))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()
        if self.process.stdout is not None:
            self.process.stdout.close()


def serve() -> None:
    """What a process runs: draws numbers, writes what it read."""
    job: Job = pickle.load(sys.stdin.buffer)
    out: Any = sys.stdout.buffer
    text = Text(job.path)
    with suppress(BrokenPipeError, KeyboardInterrupt):
        for read in _drawn(Cutter(text, job.first, job.size), job.tickets, job.tables):
            pickle.dump(read, out, protocol=5)
            out.flush()
