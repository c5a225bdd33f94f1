"""What an answer's numbers are shares of: a check degrades only what it touches, by enough."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy
from tracekit.attribution.idle.cause_names import Cause
from tracekit.attribution.idle.causes import idle
from tracekit.attribution.stages.instances import Markers, launched, markers
from tracekit.errors import MissingEventsError
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, gaps, intersect, total, union
from tracekit.trace.spans.segments import bounds
from tracekit.trace.trace import Trace

OUR_STEPS = r"^tracekit::(?:decode_step|sample)#"
# An answer is degraded where more than this share of what its numbers are shares of is in doubt
MATERIAL = 0.01
# The profiler's own work lengthens what it interrupts, by at most its length
OVERHEAD = 0.05
NOTHING: Spans = np.empty((0, 2), np.int64)


def marked(trace: Trace) -> list[Markers]:
    """The stages, and the decode steps and samples of our own captures, which lie in them."""
    found = []
    for pattern in (None, OUR_STEPS):
        try:
            found.append(markers(trace, pattern))
        except MissingEventsError:
            break
        if found[0].chosen != "tracekit":
            break
    return found


def device_window(trace: Trace) -> Spans:
    """Flat: from the first activity of each device to the end of its last."""
    gpu = links.work(trace)
    devices, which = segments.codes(gpu.device)
    first, last = bounds(which.astype(np.int64), gpu.ts, gpu.end, len(devices))
    return union(np.stack([first, last], axis=1)) if len(devices) else NOTHING


def device_idle(trace: Trace) -> Spans:
    """Flat: where no device had work, between their first activity and their last."""
    return gaps(busy(trace).busy) if len(links.work(trace)) else NOTHING


def outside_ops(trace: Trace) -> float:
    """The share of the devices' window in which they waited for a host that was in no op."""
    window = device_window(trace)
    if not len(window):
        return 0.0
    return total(intersect(idle(trace).of(Cause.HOST_OUTSIDE), window)) / max(total(window), 1)


def stage_clock(trace: Trace) -> Spans:
    """Flat: from the start to the end of each instance of a stage, by the host's clock."""
    parts = [np.stack([marks.start, marks.end], axis=1) for marks in marked(trace)]
    return union(np.concatenate(parts)) if parts else NOTHING


def stage_work(trace: Trace) -> Spans:
    """Flat: from the first to the last work that each instance of a stage launched."""
    gpu, parts = links.work(trace), [NOTHING]
    for marks in marked(trace):
        instance, work = launched(trace, marks)
        first, last = bounds(instance, gpu.ts[work], gpu.end[work], len(marks))
        parts.append(np.stack([first, last], axis=1))
    found = np.concatenate(parts)
    return union(found[found[:, 1] > found[:, 0]])
