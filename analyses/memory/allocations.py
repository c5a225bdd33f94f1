"""Allocations of a trace: the op around each, and the event that frees it."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.trace import I64, Trace


def op_around(trace: Trace, thread: I64, when: I64) -> I64:
    """[A] name of the innermost op at each instant that does more than allocate, or -1."""
    ops = links.ops(trace)
    if not len(ops):
        return np.full(len(when), -1, np.int64)
    parent = links.op_parent_row(trace)
    only = ops.named(r"^aten::(empty|empty_strided|empty_like|new_empty|resize_)$")
    here = np.arange(len(ops))
    up = np.where(only & (parent >= 0), parent, here)
    while not np.array_equal(up, up[up]):  # doubles the distance each time
        up = up[up]
    row = innermost(ops.tid, ops.ts, ops.end, thread, when, when)
    return np.where(row >= 0, ops.name[up[row]], -1).astype(np.int64)


def freed_by(own: dict[str, I64]) -> I64:
    """[E] of each allocation the next event of its address, where that frees it; else -1."""
    order = np.lexsort((np.arange(len(own["ts"])), own["address"]))
    out = np.full(len(order), -1, np.int64)
    one, two = order[:-1], order[1:]
    freed = (own["address"][one] == own["address"][two]) & (own["bytes"][two] < 0)
    freed &= own["bytes"][one] > 0
    out[one[freed]] = two[freed]
    return out
