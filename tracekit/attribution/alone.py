"""For how long each piece of GPU work was alone on its device: what another hides is free."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.trace.spans.intervals import EMPTY, Spans, covered, union
from tracekit.trace.trace import I64, Mask, Trace


def alone(trace: Trace) -> I64:
    """[G] ns of each row of `links.work` in which nothing else ran on its device.

    stream 7  AAAA..      A 2, B 1
    stream 8  ..BBB.
    """

    def make() -> I64:
        gpu = links.work(trace)
        out = np.zeros(len(gpu), np.int64)
        for device in trace.devices:
            mine = gpu.device == device
            out[mine] = covered(_single(gpu, mine), np.stack([gpu.ts, gpu.end], axis=1)[mine])
        return out

    return trace.once("alone", make)


def _single(gpu: Trace, mine: Mask) -> Spans:
    """Flat spans in which exactly one of these slices is open."""
    if not mine.any():
        return EMPTY
    at = np.concatenate([gpu.ts[mine], gpu.end[mine]])
    step = np.repeat([1, -1], int(mine.sum()))
    order = np.argsort(at, kind="stable")
    edges, depth = at[order], np.cumsum(step[order])
    one = np.flatnonzero((depth[:-1] == 1) & (edges[1:] > edges[:-1]))
    return union(np.stack([edges[one], edges[one + 1]], axis=1))
