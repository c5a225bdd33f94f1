"""The list of events, cut into pieces that start and end where an event does.

Piece k holds the events that start from `first + k * SIZE` on and before `first + (k + 1) * SIZE`.
Where that is follows from the text alone, so processes that share nothing agree on it.
"""

from __future__ import annotations

from tracekit.records import Record
from tracekit.trace.json.scanning import BOUNDARY, is_event
from tracekit.trace.json.source import Text

SIZE = 2 << 20
_WINDOW = 1 << 16  # to look for a boundary in
_WIDEST = 1 << 24  # an event longer than this is no place to cut


class Piece(Record, frozen=True):
    """A run of whole events, as text, without the comma after the last."""

    index: int
    at: int  # offset in the text
    text: bytes
    last: bool  # nothing but what follows the events comes after; `text` includes that


class _Cut(Record, frozen=True):
    end: int  # after the event before
    start: int  # of the event after


class Cutter:
    """Pieces of one text, in ascending order only."""

    def __init__(self, text: Text, first: int, size: int = SIZE) -> None:
        self.text = text
        self.first = first  # offset of the first event
        self.size = size
        self._known: dict[int, _Cut | None] = {}

    def piece(self, index: int) -> Piece | None:
        """Piece `index`, empty where a long event covers it; None past the last."""
        bounds = self.bounds(index)
        if bounds is None:
            return None
        start, stop = bounds
        if stop is None:
            return Piece(index, start, self.text.read(start), last=True)
        return Piece(index, start, self.text.read(start, max(stop - start, 0)), last=False)

    def bounds(self, index: int) -> tuple[int, int | None] | None:
        """Where piece `index` starts and stops (None: with the text); None past the last."""
        start = self.first
        self.text.forget(self.first + index * self.size)
        if index:
            cut = self._cut(index)
            if cut is None:
                return None
            start = cut.start
        stop = self._cut(index + 1)
        return start, None if stop is None else stop.end

    def _cut(self, index: int) -> _Cut | None:
        """The first boundary from where piece `index` should start; None where there is none."""
        if index not in self._known:
            # one long event covers several pieces: its end is looked for once
            start, last = self.first + index * self.size, self._known.get(index - 1)
            if last is not None and last.end > start:
                self._known[index] = last
                return last
            self._known = {k: cut for k, cut in self._known.items() if k >= index - 1}
            self._known[index] = self._find(self.first + index * self.size)
        return self._known[index]

    def _find(self, start: int) -> _Cut | None:
        at, width = start, _WINDOW
        while True:
            window = self.text.read(at, width)
            for found in BOUNDARY.finditer(window):
                opens = window.index(b"{", found.start())
                if is_event(window, opens):
                    return _Cut(at + found.start() + 1, at + opens)
            if len(window) < width:
                return None
            if width < _WIDEST:
                width *= 4
            else:
                # half a window stays: an event that goes on after it is seen again, whole
                at += width // 2
