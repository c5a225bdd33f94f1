"""The queue of launches: how deep it is, and which launches waited for room in it.

A launch call returns at once while the queue of its stream has room; CUDA's holds about 1,022.
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I32, I64, Mask, Trace

DEPTH = 1022  # launches; measured on NVIDIA devices, where nothing says it
NEARLY = 900  # a long launch call with as many before it waited for room
AT_ONCE_NS = 50_000


class Slots(Record, frozen=True, eq=False):
    """Of G rows of `links.work`."""

    row: I32  # [G] the work whose start makes room for its launch; -1 where there was room always
    full: Mask  # [R] calls that may have waited for room, where some did
    ns: int  # from that start to the submission


def slots(trace: Trace, submitted: I64, launch: I64, long: Mask) -> Slots:
    """Who lets whom into the queue. `long` says which calls did more than launch ([R])."""
    gpu, stream = links.work(trace), links.stream(trace)
    row = np.full(len(gpu), -1, np.int32)
    full = np.zeros(len(long), bool)
    waits: list[I64] = []
    for one in segments.sorted_unique(stream[launch >= 0]):
        mine = _firsts(np.flatnonzero((stream == one) & (launch >= 0)), launch)
        mine = mine[np.argsort(submitted[mine], kind="stable")]
        started = np.sort(gpu.ts[mine])
        ahead = np.arange(len(mine)) - segments.below(started, submitted[mine] + 1)
        blocked = np.flatnonzero(long[launch[mine]] & (ahead >= NEARLY))
        depth = max(DEPTH, int(ahead.max()) + 1)  # with itself
        if len(blocked):
            seen = round(float(np.median(ahead[blocked]))) + 1
            wait = submitted[mine[blocked]] - started[np.maximum(blocked - seen, 0)]
            # room is taken at once: calls that return long after there was some did something else
            if 0 <= np.median(wait) <= AT_ONCE_NS:
                depth = seen
                waits.append(wait)
        if depth < len(mine):
            row[mine[depth:]] = mine[:-depth]
    if not waits:
        return Slots(row, full, 0)
    every = np.concatenate(waits)
    full[launch[row >= 0]] = True
    return Slots(row, full, round(float(np.median(every))))


def _firsts(rows: I64, launch: I64) -> I64:
    """Of each launch the first of these rows: a graph takes one place."""
    return rows[segments.firsts(launch[rows])[1]]
