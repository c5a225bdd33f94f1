"""What a wait of the host for the device costs after it: the host launches that much later.

host      a.ssssssss.....b....      s waits for A; without it, b would come where s begins,
stream 7  .AAAAAAAA.......BBBB      while A still runs: the gap would be 8 columns shorter
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy
from tracekit.attribution.idle.causes import Idle, launch_thread
from tracekit.attribution.idle.host_causes import blocking
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, covered, spans, union
from tracekit.trace.trace import I64, Mask, Trace

# host and device clocks are as near as this: a wait may seem to end before what it waits for
SKEW_NS = 2_000


def leads(trace: Trace, device: int, found: Idle) -> tuple[I64, I64]:
    """[gaps] ns for which the host was blocked while the device worked, right before each gap, and
    [gaps] the row of the slice in which it was; 0 and -1 where it was not.

    The thread is that which launched the work after the gap; its wait reaches up to the gap.
    """
    ns, row = np.zeros(len(found.gaps), np.int64), np.full(len(found.gaps), -1, np.int64)
    thread = np.where(found.closer >= 0, launch_thread(trace)[found.closer], -1)
    thread[found.opener < 0] = -1
    flat, slices = busy(trace, device).busy, blocking(trace)
    for one in segments.sorted_unique(thread[thread >= 0]).tolist():
        mine = np.flatnonzero(thread == one)
        own = np.flatnonzero(slices & (links.thread(trace) == one))
        blocked = union(spans(trace.ts[own], trace.dur[own]))
        if not len(blocked):  # no wait, or none that lasted
            continue
        start = found.gaps[mine, 0]
        at = np.maximum(np.searchsorted(blocked[:, 0], start, side="left") - 1, 0)
        around = (blocked[at, 0] < start) & (blocked[at, 1] >= start - SKEW_NS)
        windows = np.stack([blocked[at, 0], start], axis=1)
        last = own[np.maximum(np.searchsorted(trace.ts[own], start, side="left") - 1, 0)]
        ns[mine] = np.where(around, covered(flat, windows), 0)
        row[mine] = np.where(around, last, -1)
    return ns, row


def hidden_ns(lead: I64, where: Spans, gap: I64, late: Mask) -> I64:
    """[S] of each stretch, the ns that would not be had the host not waited before its gap.

    `lead` is of gaps, `gap` the one of each stretch; `late` stretches end with a launch that would
    have come earlier. Stretches are sorted, so the first of a gap go first.
    """
    length = np.where(late, where[:, 1] - where[:, 0], 0)
    before = np.cumsum(length) - length
    first = np.full(len(lead), np.iinfo(np.int64).max)
    np.minimum.at(first, gap, before)
    return np.asarray(np.clip(lead[gap] - (before - first[gap]), 0, length), np.int64)
