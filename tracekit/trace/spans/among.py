"""How some slices of a trace are nested among themselves; answers are rows of the trace."""

from __future__ import annotations

import numpy as np

from tracekit.trace.spans import compiled
from tracekit.trace.spans.nesting import Nest
from tracekit.trace.trace import I32, I64, Mask


class Among:
    """The slices that a mask keeps, made ready to be asked which of them is around what.

    It is kept as long as a trace: four bytes a slice where loops are compiled. So slices and mask
    are given again with each question.
    """

    def __init__(self, slices: compiled.Slices, kept: Mask) -> None:
        loops = compiled.of(len(kept))
        found = loops.enclosed(_of(slices, kept), [[1]]) if loops else None
        self._above: I32 | None = found.above if found else None
        self._nest: tuple[I64, Nest] | None = None
        if found is None:
            rows = np.flatnonzero(kept)
            self._nest = rows, Nest(slices.track[rows], slices.begin[rows], slices.end[rows])

    def tops(self, kept: Mask) -> Mask:
        """[N] those with no other around them."""
        if self._above is not None:
            return kept & (self._above < 0)
        assert self._nest
        rows, nest = self._nest
        found = np.zeros(len(kept), bool)
        found[rows[nest.parents < 0]] = True
        return found

    def around(self, slices: compiled.Slices, kept: Mask, track: I64, start: I64, end: I64) -> I64:
        """[S] the row of the innermost of them around each of these spans, or -1."""
        loops = compiled.of(len(kept))
        if self._above is not None and loops:
            by_start = np.argsort(start, kind="stable")
            out = np.empty(len(track), np.int64)
            out[by_start] = loops.inside(
                _of(slices, kept), self._above, track[by_start], start[by_start], end[by_start]
            )
            return out
        assert self._nest
        rows, nest = self._nest
        found = nest.around(track, start, end)
        return np.where(found >= 0, rows[found], -1) if len(rows) else found


def _of(slices: compiled.Slices, kept: Mask) -> compiled.Slices:
    """Slices that are kept as those of category 1."""
    return compiled.Slices(slices.track, slices.begin, slices.end, kept.view(np.uint8))
