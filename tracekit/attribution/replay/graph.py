"""The dependence graph of a trace: points in time, and what each of them waits for.

A point is the start or the end of GPU work, of a call that launches or waits, or of a stage's
marker. An edge says that its target comes no sooner than its source and some time. The time of a
point is the latest that its edges allow:

    when[v] = max(floor[v], max over edges (u, v) of when[u] + fixed + work)

`work` is what a change may scale (a kernel's length, the host's own time), `fixed` is what stays
(gaps, latencies). Edges that a trace does not record are inferred, and counted.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I32, I64, Ints

NEVER = -(1 << 60)  # no bound


class Kind(IntEnum):
    """What the time of an edge is."""

    HOST = 0  # a thread between calls, or its own work inside one
    LAUNCH = 1  # inside a launch call, from the submission to the return
    LOADING = 2  # inside a launch call before the submission: loading of a module, mostly
    FULL = 3  # inside a launch call: the queue of launches was full
    CALL = 4  # inside a call that waits: what it takes where there is nothing to wait for
    COPY_CALL = 5  # the same of a copy that blocks
    WAIT = 6  # from the end of work to the return of a call that waited for it
    COPY_WAIT = 7  # the same of a copy that blocks
    LATENCY = 8  # from a submission to the start of the work
    GAP = 9  # from the end of work to the next of its stream
    RUN = 10  # a kernel, copy or memset itself
    EVENT = 11  # a recorded wait of one stream for another
    INFERRED = 12  # a wait between streams that no record says
    NODE = 13  # between nodes of one graph launch
    SLOT = 14  # a launch waits until an earlier one has left the queue
    FORK = 15  # a thread begins, or goes on, where another one says so
    ANCHOR = 16  # a marker's end inside a wait moves with the wait's end


class Edges(Record, frozen=True, eq=False):
    """E edges. Times in ns."""

    src: I32
    dst: I32
    fixed: I64
    work: I64
    kind: npt.NDArray[np.uint8]
    owner: I32  # row of `links.work` (RUN and what scales with it) or of `links.calls`; -1

    def __len__(self) -> int:
        return len(self.src)


_DST = 1  # the place of that column of Edges
_WIDTHS: tuple[Any, ...] = (np.int32, np.int32, np.int64, np.int64, np.uint8, np.int32)


class Drawing:
    """Edges as they are found, block by block."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        # as those of Edges: of each block a column, or what holds for all of it
        self._columns: tuple[list[npt.NDArray[Any] | int], ...] = tuple([] for _ in _WIDTHS)

    def add(
        self, kind: Kind, src: Ints, dst: Ints, *, fixed: I64 | int = 0, work: I64 | int = 0,
        owner: Ints | int = -1,
    ) -> None:  # fmt: skip
        """Edges of one kind; scalars hold for all of them."""
        self._counts.append(len(src))
        for blocks, width, values in zip(
            self._columns, _WIDTHS, (src, dst, fixed, work, int(kind), owner), strict=True
        ):
            # of who calls, who may go on to change it
            blocks.append(values if isinstance(values, int) else np.array(values, width))

    def edges(self, points: int) -> Edges:
        """All of them, by target. The blocks are given up, one column after another."""
        order = segments.grouped(self._joined(_DST), points)
        columns: list[npt.NDArray[Any]] = []
        for place in range(len(self._columns)):
            columns.append(self._joined(place)[order])
            self._columns[place].clear()
        return Edges(*columns)

    def _joined(self, place: int) -> npt.NDArray[Any]:
        out: npt.NDArray[Any] = np.empty(sum(self._counts), _WIDTHS[place])
        begin = 0
        for values, count in zip(self._columns[place], self._counts, strict=True):
            out[begin : begin + count] = values
            begin += count
        return out


class Graph(Record, frozen=True, eq=False):
    """V points of a trace and the edges between them."""

    when: I64  # [V] as recorded
    floor: I64  # [V] no sooner than this, whatever changes; NEVER: no bound of its own
    edges: Edges
    start: I64  # [G] the point at which each row of `links.work` starts
    end: I64  # [G] and ends
    opens: I64  # [M] the points at which the stages' markers begin
    closes: I64  # [M] and end
    pinned: I64  # rows of `links.work` that start when they started, whatever changes
    inferred: tuple[tuple[int, int], ...]  # rows of `links.work`: the second waits for the first
    thread: I32  # [V] of a point of the host, a value of `links.thread`; -1 for the rest
    lagging: I64  # [L] edges with fixed time that no rule explains, ascending
    lag: I64  # [L] how much
