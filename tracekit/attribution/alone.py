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
        out = gpu.dur.copy()
        for device in trace.devices:
            mine = np.flatnonzero(gpu.device == device)
            mine = mine[_overlapped(gpu.ts[mine], gpu.end[mine])]
            windows = np.stack([gpu.ts[mine], gpu.end[mine]], axis=1)
            out[mine] = covered(_single(windows), windows)
        return out

    return trace.once("alone", make)


def _overlapped(start: I64, end: I64) -> Mask:
    """[N] whether another one lies over a part of each; sorted by start."""
    over = np.maximum.accumulate(end)[:-1] > start[1:]
    return np.asarray(np.append(False, over) | np.append(over, False))


def _single(spans: Spans) -> Spans:
    """Flat spans in which exactly one of these, sorted by start, is open."""
    if not len(spans):
        return EMPTY
    at = spans.ravel("F")
    step = np.repeat([1, -1], len(spans))
    order = np.argsort(at, kind="stable")
    edges, depth = at[order], np.cumsum(step[order])
    one = np.flatnonzero((depth[:-1] == 1) & (edges[1:] > edges[:-1]))
    return union(np.stack([edges[one], edges[one + 1]], axis=1))
