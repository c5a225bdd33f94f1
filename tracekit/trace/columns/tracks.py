"""Where the slices of a large trace lie, in two bytes each, and other columns in few.

A slice lies on a track, of which a trace has a few hundred: a process, thread, device and stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.spans import compiled, segments
from tracekit.trace.tables.packed import Packed
from tracekit.trace.trace import I64, Ints

PLACE = ("pid", "tid", "device", "stream")
_WIDTH = {"device": np.int32}  # as the columns of a trace have it; others have 64 bits

MANY = 1_000_000  # slices: of fewer, what is saved is little
_AT_ONCE = 1 << 20  # slices, so that what is made meanwhile is small
_MOST = 1 << 15  # tracks


class Tracks(Record, frozen=True, eq=False):
    """What stands for the columns `names` of N slices."""

    track: npt.NDArray[np.int16]  # [N] row of `places`
    places: I64  # [T, 4] PLACE of each track; each is met
    correlation: Packed  # [N]

    names: ClassVar[frozenset[str]] = frozenset({*PLACE, "correlation", "id"})

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.track.nbytes + self.places.nbytes + self.correlation.nbytes

    def column(self, name: str, rows: Ints | None = None) -> npt.NDArray[Any]:
        """[N] a column as a trace has it, or [K] at these rows; `id` is the row itself."""
        if name == "id":
            chosen = np.arange(len(self.track)) if rows is None else rows
            return chosen.astype(np.int32)
        if name == "correlation":
            return (self.correlation if rows is None else self.correlation.at(rows)).values()
        values = self.places[:, PLACE.index(name)].astype(_WIDTH.get(name, np.int64))
        return np.take(values, self.track if rows is None else np.take(self.track, rows))


def tracks(
    columns: Mapping[str, npt.NDArray[Any]],
) -> tuple[npt.NDArray[np.int16], I64] | None:
    """[N] the track of each slice, and [T, 4] the PLACE of each; None where it is not worth it."""
    count = len(columns["pid"])
    if count < MANY or compiled.of(count) is None:
        return None  # without the loops, finding the distinct ones takes longer than it saves
    known: dict[tuple[int, ...], int] = {}
    track = np.empty(count, np.int16)
    for begin in range(0, count, _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        found, which = segments.distinct([columns[name][some] for name in PLACE])
        if len(known) + len(found) > _MOST:
            return None
        codes = [known.setdefault(tuple(row), len(known)) for row in found.tolist()]
        track[some] = np.take(np.array(codes, np.int16), which)
    return track, np.array(list(known), np.int64)
