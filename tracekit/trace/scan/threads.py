"""Pieces over threads: the kernel needs no interpreter, so one process is enough."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from tracekit.trace.columns.decode import shapes
from tracekit.trace.columns.slices import Read, read_piece
from tracekit.trace.columns.texts import Texts
from tracekit.trace.json.pieces import Cutter, Piece
from tracekit.trace.json.source import Text
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.scan.memory import PADDING
from tracekit.trace.scan.rows import Rows
from tracekit.trace.scan.scanner import Scanner

if TYPE_CHECKING:
    from queue import SimpleQueue

# of a piece: with smaller ones the work on each piece tells; of large files more at a time, since
# that work needs the interpreter
SIZE, _PIECES, _MOST = 4 << 20, 256, 24 << 20
_PROBED = 4  # pieces that show whether a text is in the usual form


class UnusualFormError(Exception):
    """Most of a text is not in the form that the kernel reads."""


class Shared:
    """Hands the pieces of a text to threads, in order."""

    def __init__(self, text: Text, first: int, size: int) -> None:
        self.text = text
        self.cutter = Cutter(text, first, size)
        self.lock = Lock()
        self.index = 0
        self.over = False

    def next(self, rows: Rows) -> tuple[int, int, int, bool] | None:
        """Number, place, length and whether it is the last of a piece, which `rows` now has."""
        with self.lock:
            bounds = None if self.over else self.cutter.bounds(self.index)
            if bounds is None:
                self.over = True
                return None
            index = self.index
            self.index += 1
            start, stop = bounds
            last = stop is None
            self.over = last
            if stop is None:
                raw = self.text.read(start)
                rows.scanner.room(len(raw))[:] = np.frombuffer(raw, np.uint8)
                return index, start, len(raw), last
            length = max(stop - start, 0)
            if self.text.compressed:  # unpacked by one thread at a time
                if length:
                    own = rows.scanner.text.data
                    given = self.text.handed(start, length, PADDING, own)
                    rows.scanner.over(np.frombuffer(given, np.uint8))
                else:  # of a long event that covers it
                    rows.scanner.room(length)
                return index, start, length, last
        self.text.into(rows.scanner.room(length), start)
        return index, start, length, last


class Reader:
    """Reads pieces on one thread."""

    def __init__(
        self, shared: Shared, kernel: Kernel, tables: frozenset[str], texts: Texts
    ) -> None:
        self.shared, self.tables = shared, tables
        self.rows = Rows(Scanner(kernel, tables, texts), tables)
        self.refused = 0

    def read(self) -> Read | None:
        """The next piece; None where there is none."""
        piece = self.shared.next(self.rows)
        if piece is None:
            return None
        index, at, length, last = piece
        read = self.rows.read(index, at, length, last)
        if read is None:
            self.refused += not last
            text = self.rows.scanner.text[:length].tobytes()
            read = read_piece(Piece(index, at, text, last), shapes(self.tables), self.tables)
        if read.end is not None:
            self.shared.over = True
        return read

    def all(self, out: SimpleQueue[Read | None]) -> None:
        """Every piece that is left; None at the end."""
        try:
            while (read := self.read()) is not None:
                out.put(read)
        finally:
            out.put(None)


def reads(
    text: Text, first: int, tables: frozenset[str], kernel: Kernel, texts: Texts,
    threads: int = 1, size: int | None = None,
) -> Iterator[Read]:  # fmt: skip
    """All pieces of a text, in no fixed order; perhaps some after the end of the list too.

    Raises: UnusualFormError, where the pieces would be read faster by other means.
    """
    usual = min(max(SIZE, text.stored // _PIECES), _MOST)
    shared = Shared(text, first, usual if size is None else size)
    readers = [Reader(shared, kernel, tables, texts) for _ in range(max(threads, 1))]
    with closing(_by(readers)) as found:
        for count, read in enumerate(found, 1):
            yield read
            if count == _PROBED and 2 * sum(reader.refused for reader in readers) > _PROBED:
                raise UnusualFormError


def _by(readers: Sequence[Reader]) -> Generator[Read, None, None]:
    """All pieces, as they are read."""
    if len(readers) < 2:
        while (read := readers[0].read()) is not None:
            yield read
        return
    from concurrent.futures import ThreadPoolExecutor  # not for small traces
    from queue import SimpleQueue

    out: SimpleQueue[Read | None] = SimpleQueue()
    with ThreadPoolExecutor(len(readers)) as pool:
        running = [pool.submit(reader.all, out) for reader in readers]
        try:
            ended = 0
            while ended < len(readers):
                read = out.get()
                if read is None:
                    ended += 1
                else:
                    yield read
        finally:
            readers[0].shared.over = True
        for one in running:
            one.result()  # raises what went wrong there
