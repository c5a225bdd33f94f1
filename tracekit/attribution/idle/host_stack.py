"""What a thread was doing at given times, by name: its innermost op or runtime call."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.trace.spans import compiled
from tracekit.trace.spans.intervals import Spans, intersect
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.spans.segments import sorted_unique
from tracekit.trace.trace import I64, Cat, Trace


def innermost_call(
    trace: Trace, thread: int, where: Spans, cats: tuple[Cat, ...] = (Cat.CPU_OP, Cat.RUNTIME)
) -> tuple[Spans, I64]:
    """Pieces of `where`, and for each the row of the trace that is innermost then.

    Of the slices of these categories on one thread (a value of `links.thread`). Pieces in which
    none is open are left out. `where` is sorted and disjoint.
    """
    if loops := compiled.of(len(trace)):
        opened = loops.opened(links.slices(trace), thread, cats, where)
        if opened is not None:
            return opened
    mine = np.flatnonzero((links.thread(trace) == thread) & trace.is_(*cats))
    mine = mine[trace.dur[mine] > 0]
    start, end = trace.ts[mine], trace.end[mine]
    edges = sorted_unique(np.concatenate([start, end]))
    if len(edges) < 2 or not len(where):
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    pieces = intersect(where, np.stack([edges[:-1], edges[1:]], axis=1))
    same = np.zeros(len(mine), np.int64)
    found = innermost(same, start, end, np.zeros(len(pieces), np.int64), pieces[:, 0], pieces[:, 1])
    known = found >= 0
    return pieces[known], mine[found[known]]
