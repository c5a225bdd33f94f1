"""Launches whose work is not in the file: what the device did for them nobody can say."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.host_calls import LAUNCHING
from tracekit.attribution.stages.annotation_names import Phase
from tracekit.attribution.stages.instances import markers
from tracekit.errors import MissingEventsError
from tracekit.trace.spans import segments
from tracekit.trace.trace import GPU_WORK, Mask, Trace


def issuing(trace: Trace) -> Mask:
    """[R] calls that launch kernels, those inside a graph capture left out: they launch nothing."""
    calls = links.calls(trace)
    return calls.named(LAUNCHING) & (calls.correlation >= 0) & ~capturing(trace)


def without_work(trace: Trace) -> Mask:
    """[R] such calls without work in the file, work that is set aside not counted; once."""
    return trace.once(
        "launches without work", lambda: issuing(trace) & (links.launch_count(trace) == 0)
    )


def set_aside(trace: Trace) -> Mask:
    """[R] calls whose work is in the file, but impossible: it is not lost."""
    calls = links.calls(trace)
    rows = [aside.rows.correlation[aside.rows.is_(*GPU_WORK)] for aside in trace.aside]
    return np.isin(calls.correlation, np.concatenate(rows)) if rows else np.zeros(len(calls), bool)


def capturing(trace: Trace) -> Mask:
    """[R] calls inside a graph capture."""
    calls = links.calls(trace)
    thread = links.call_thread(trace)
    change = calls.named(r"StreamBeginCapture").astype(np.int64)
    change -= calls.named(r"StreamEndCapture")
    inside = np.zeros(len(calls), bool)
    for number in segments.sorted_unique(thread[change != 0]):
        mine = np.flatnonzero(thread == number)
        inside[mine] = np.cumsum(change[mine]) > 0
    try:
        marks = markers(trace)
    except MissingEventsError:
        return inside
    for i, step in enumerate(marks.step):
        if step is not None and step.phase is Phase.CAPTURE:
            inside |= (calls.ts >= marks.start[i]) & (calls.ts < marks.end[i])
    return inside
