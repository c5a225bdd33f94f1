"""Allocations of a trace: the op around each, and the event that frees it."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.trace.spans.nesting import Nest, nearest
from tracekit.trace.spans.segments import previous
from tracekit.trace.trace import I64, Trace

_ONLY = r"^aten::(empty|empty_strided|empty_like|new_empty|resize_)$"


class OpsAround:
    """The ops of a trace, made ready to be asked which of them allocates."""

    def __init__(self, trace: Trace) -> None:
        ops, parent = links.ops(trace), links.op_parent_row(trace)
        self._nest = Nest(ops.tid, ops.ts, ops.end) if len(ops) else None
        more = ~ops.named(_ONLY)
        self._name = ops.name[nearest(parent, more | (parent < 0))]

    def names(self, thread: I64, when: I64) -> I64:
        """[A] name of the innermost op at each instant that does more than allocate, or -1."""
        if self._nest is None:
            return np.full(len(when), -1, np.int64)
        row = self._nest.around(thread, when, when)
        return np.where(row >= 0, self._name[row], -1).astype(np.int64)


def freed_by(own: dict[str, I64]) -> I64:
    """[E] of each allocation the next event of its address, where that frees it; else -1."""
    size, before = own["bytes"], previous(own["address"])
    frees = np.flatnonzero((size < 0) & (before >= 0))
    made = before[frees]
    out = np.full(len(size), -1, np.int64)
    real = size[made] > 0
    out[made[real]] = frees[real]
    return out
