"""What a thread was doing at given times, by name: its innermost op or runtime call."""

from __future__ import annotations

import numpy as np

from tracekit import views
from tracekit.intervals import Spans, intersect
from tracekit.nesting import innermost
from tracekit.trace import I64, Cat, Trace


def doing(trace: Trace, lane: int, where: Spans) -> tuple[Spans, I64]:
    """Pieces of `where`, and for each the row of the trace that is innermost then, or -1.

    Of the ops and runtime calls of one thread (a value of `views.lane`). Pieces in which nothing
    is open are left out. `where` is sorted and disjoint.
    """
    mine = np.flatnonzero((views.lane(trace) == lane) & trace.is_(Cat.CPU_OP, Cat.RUNTIME))
    mine = mine[trace.dur[mine] > 0]
    start, end = trace.ts[mine], trace.end[mine]
    edges = np.unique(np.concatenate([start, end]))
    if len(edges) < 2 or not len(where):
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    pieces = intersect(where, np.stack([edges[:-1], edges[1:]], axis=1))
    same = np.zeros(len(mine), np.int64)
    found = innermost(same, start, end, np.zeros(len(pieces), np.int64), pieces[:, 0], pieces[:, 1])
    known = found >= 0
    return pieces[known], mine[found[known]]


def self_time(trace: Trace, lane: int, where: Spans) -> dict[str, int]:
    """ns by name of the innermost op or runtime call of a thread during `where`, largest first."""
    pieces, row = doing(trace, lane, where)
    names, inverse = np.unique(trace.name[row], return_inverse=True)
    time = np.zeros(len(names), np.int64)
    np.add.at(time, inverse, pieces[:, 1] - pieces[:, 0])
    order = np.argsort(-time, kind="stable")
    return {trace.strings[int(names[i])]: int(time[i]) for i in order}
