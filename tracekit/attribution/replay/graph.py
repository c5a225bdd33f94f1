"""The dependence graph of a trace: points in time, and what each of them waits for.

A point is the start or the end of GPU work, of a call that launches or waits, or of a stage's
marker. An edge says that its target comes no sooner than its source and some time. The time of a
point is the latest that its edges allow:

    when[v] = max(floor[v], max over edges (u, v) of when[u] + ns)

Of some kinds a change may scale what it takes (a kernel's length, the host's own time), of the
others it stays (gaps, latencies). Edges that a trace does not record are inferred, and counted.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.columns.numbers import narrow
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.scan.graphs import walked
from tracekit.trace.scan.graphs.walked import Block, Kinds
from tracekit.trace.scan.layout import NEVER
from tracekit.trace.trace import I32, I64, Ints, Mask


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


SCALED = (
    Kind.HOST, Kind.LAUNCH, Kind.LOADING, Kind.FULL, Kind.CALL, Kind.COPY_CALL, Kind.RUN,
)  # fmt: skip


class Edges(walked.Sorted, frozen=True, eq=False):
    """E edges, by target, and what each takes. Of a large trace they take what room there is."""

    def __len__(self) -> int:
        return len(self.src)

    @property
    def dst(self) -> I32:
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))

    def targets(self, rows: Ints) -> I64:
        """`dst` of some of them."""
        wanted = np.asarray(rows, self.first.dtype)  # else the column is copied
        return np.searchsorted(self.first, wanted, side="right") - 1

    def of(self, *kinds: Kind, rows: Ints | slice = slice(None)) -> Mask:
        """Which edges, or which of some rows, are of these kinds."""
        wanted = np.zeros(len(Kind), bool)
        wanted[list(kinds)] = True
        return wanted[self.kind[rows]]

    def changed(self, factor: npt.NDArray[np.float64]) -> Ints:
        """[E] ns, where what can be scaled takes `factor` [E] times as long."""
        rows = np.flatnonzero(factor != 1.0)
        rows = rows[self.of(*SCALED, rows=rows)]
        after = narrow(np.rint(self.ns[rows] * factor[rows]).astype(np.int64))
        wide = np.promote_types(self.ns.dtype, after.dtype) if len(after) else self.ns.dtype
        out: Ints = self.ns.astype(wide)  # a copy in any case
        out[rows] = after
        return out


class Drawing:
    """Edges as they are found, block by block."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []

    def add(
        self, kind: Kind | Kinds, src: Ints, dst: Ints, ns: Ints | int = 0
    ) -> None:  # fmt: skip
        """Edges of one kind, or of a kind each; scalars hold for all of them."""
        size = len(src)
        lengths = np.full(size, ns) if isinstance(ns, int) else ns
        kinds = np.full(size, int(kind), np.uint8) if isinstance(kind, Kind) else kind
        one, two = (np.ascontiguousarray(end, np.int32) for end in (src, dst))
        self._blocks.append(Block(one, two, np.ascontiguousarray(narrow(lengths)), kinds))

    def edges(self, points: int, run: Kernel | None) -> Edges:
        """All of them. The blocks are given up, one after another."""
        made = walked.placed(run, self._blocks, points) if run else placed(self._blocks, points)
        return Edges(made.first, made.src, made.ns, made.kind)


def placed(blocks: list[Block], points: int) -> walked.Sorted:
    """As `walked.placed`, which is faster and takes less room."""
    dst = np.concatenate([block.dst for block in blocks])
    order = np.argsort(dst, kind="stable")
    first = np.zeros(points + 1, np.int32)
    np.cumsum(np.bincount(dst, minlength=points), out=first[1:])
    width = walked.width_of(blocks)
    return walked.Sorted(
        first,
        np.concatenate([block.src for block in blocks])[order],
        np.concatenate([block.ns.astype(width, copy=False) for block in blocks])[order],
        np.concatenate([block.kind for block in blocks])[order],
    )


class Places(Record, frozen=True):
    """Which points are which: R calls begin, submit and return, G rows of `links.work` start and
    end, M markers open and close, in this order. Each name is the first of such points.
    """

    calls: int
    work: int
    marks: int

    @property
    def submit(self) -> int:
        return self.calls

    @property
    def back(self) -> int:
        return 2 * self.calls

    @property
    def start(self) -> int:
        return 3 * self.calls

    @property
    def end(self) -> int:
        return self.start + self.work

    @property
    def opens(self) -> int:
        return self.end + self.work

    @property
    def closes(self) -> int:
        return self.opens + self.marks

    @property
    def count(self) -> int:
        return self.closes + self.marks


class Graph(Record, frozen=True, eq=False):
    """V points of a trace and the edges between them."""

    when: I64  # [V] as recorded
    edges: Edges
    places: Places
    pinned: I64  # rows of `links.work` that start when they started, whatever changes
    inferred: tuple[tuple[int, int], ...]  # rows of `links.work`: the second waits for the first
    lagging: I64  # [L] edges that stay and take time that no rule explains, ascending
    lag: I64  # [L] how much

    @property
    def floor(self) -> I64:
        """[V] no sooner than this, whatever changes; NEVER: no bound of its own."""
        first = self.edges.first
        found = np.where(first[1:] == first[:-1], self.when, NEVER)
        found[self.places.start + self.pinned] = self.when[self.places.start + self.pinned]
        return found

    @property
    def start(self) -> I32:
        """[G] the points at which `links.work` starts."""
        return np.arange(self.places.start, self.places.end, dtype=np.int32)

    @property
    def end(self) -> I32:
        """[G] and ends."""
        return np.arange(self.places.end, self.places.opens, dtype=np.int32)

    @property
    def opens(self) -> I32:
        """[M] the points at which the stages' markers begin."""
        return np.arange(self.places.opens, self.places.closes, dtype=np.int32)

    @property
    def closes(self) -> I32:
        """[M] and end."""
        return np.arange(self.places.closes, self.places.count, dtype=np.int32)

    def runs(self) -> tuple[I64, I64]:
        """Edges of the kind RUN, and the rows of `links.work` whose time each is."""
        edges, places = self.edges, self.places
        rows = np.flatnonzero(edges.kind == int(Kind.RUN))
        row = edges.src[rows].astype(np.int64) - places.start
        tail = row >= places.work  # from an end to a later one, which is of its time
        row[tail] = edges.targets(rows[tail]) - places.end
        return rows, row
