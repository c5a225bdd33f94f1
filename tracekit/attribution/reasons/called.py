"""Many calls of one kind that hold the host together: thousands of allocations, a load a kernel."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.reasons.stretches import Stretches
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

MOST = 1_000  # stretches of one device that are looked at: the longest
_REASONS = (Reason.ALLOCATION, Reason.INITIALISATION, Reason.SYNC)


def named(trace: Trace, every: Stretches, rows: I64, held: I64) -> I64:
    """[5, L] of these stretches, the longest first, what `held` them ([4, L]: slice, op, and
    frames), and how many calls; 0 where it is one slice.

    Where no runtime call is the holder and two or more of one name take half of the stretch, the
    first of them stands for all.
    """
    out = np.concatenate([held, np.zeros((1, held.shape[1]), np.int64)])
    one_call = (held[0] >= 0) & (trace.cat[held[0]] == Cat.RUNTIME)
    places = np.flatnonzero(every.of(*_REASONS)[rows] & ~one_call)[:MOST]
    calls, thread = links.call_rows(trace), every.thread[rows]
    for number in segments.sorted_unique(thread[places]).tolist():
        own = calls[links.call_thread(trace) == number]
        begins, ends = trace.ts[own], trace.end[own]
        for place in places[thread[places] == number].tolist():
            start, end = every.spans[rows[place]].tolist()
            low = np.searchsorted(begins, start, side="left")
            if low and ends[low - 1] > start:
                low -= 1
            inside = own[low : np.searchsorted(begins, end, side="left")]
            found = _most(trace, inside, end - start)
            if found is not None:
                first, count = found
                out[:, place] = (first, _op(trace, first), *held[2:, place].tolist(), count)
    return out


def _most(trace: Trace, calls: I64, length: int) -> tuple[int, int] | None:
    """The first of the calls of the name with most time, and how many; None where it is little."""
    if len(calls) < 2:
        return None
    _, which = segments.codes(trace.name[calls])
    ns = np.bincount(which, weights=trace.dur[calls])
    top, count = int(ns.argmax()), np.bincount(which)
    if count[top] < 2 or 2 * ns[top] < length:
        return None
    return int(calls[np.argmax(which == top)]), int(count[top])


def _op(trace: Trace, row: int) -> int:
    """The framework op around a call, -1 for none."""
    at = int(links.parent_row(trace)[row])
    while at >= 0 and trace.cat[at] != Cat.CPU_OP:
        at = int(links.parent_row(trace)[at])
    return at
