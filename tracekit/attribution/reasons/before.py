"""Host time of stages that launch nothing, before the first work: it is in no device's window."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.cause_names import Cause
from tracekit.attribution.idle.host_causes import host_activity
from tracekit.attribution.reasons import holders
from tracekit.attribution.reasons.rows import Holder, summed
from tracekit.attribution.stages.instances import Markers, launched, markers
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, covered
from tracekit.trace.trace import I64, Trace


class Before(Record, frozen=True):
    """Of all instances of a stage that launches nothing, what comes before the first work."""

    stage: str
    ns: int  # without setting up
    data_ns: int  # of ns: loading data
    instances: int
    holders: tuple[Holder, ...]
    rank: str | None = None  # of a file of several; None where it holds one process


def before(trace: Trace, pattern: str | None) -> tuple[Before, ...]:
    """By stage, the longest first; () without stages. The trace must have GPU work."""
    try:
        marks = markers(trace, pattern)
    except MissingEventsError:
        return ()
    first = int(links.work(trace).ts.min())
    working = {marks.family[i] for i in segments.sorted_unique(launched(trace, marks)[0]).tolist()}
    idle = np.array([family not in working for family in marks.family], bool)
    thread = _threads(trace, marks)
    rows = np.flatnonzero((thread >= 0) & (marks.start < first) & idle & ~marks.nested)
    where = np.stack([marks.start[rows], np.minimum(marks.end[rows], first)], axis=1)
    length = where[:, 1] - where[:, 0]
    length = length - _of(trace, thread[rows], where, Cause.HOST_INITIALISATION)
    data = np.minimum(_of(trace, thread[rows], where, Cause.HOST_DATA), length)
    found = holders.held(trace, where, thread[rows])
    held = np.stack([found.slice, found.op, found.frame, found.library, np.zeros_like(found.op)])
    names, out = np.array(marks.family)[rows], []
    for family in dict.fromkeys(names.tolist()):
        own = np.flatnonzero(names == family)
        out.append(
            Before(family, int(length[own].sum()), int(data[own].sum()), len(own),
                   summed(trace, held[:, own], length[own]), trace.source.rank)
        )  # fmt: skip
    return tuple(sorted(out, key=lambda row: -row.ns))


def _of(trace: Trace, thread: I64, where: Spans, cause: Cause) -> I64:
    """[W] ns of each window in which its thread was in what a cause says."""
    out = np.zeros(len(where), np.int64)
    for one in segments.sorted_unique(thread).tolist():
        mine = thread == one
        out[mine] = covered(host_activity(trace, one)[cause], where[mine])
    return out


def _threads(trace: Trace, marks: Markers) -> I64:
    """[M] the thread of each instance as a value of `links.thread`, -1 for any."""
    number = links.threads(trace)
    pairs = zip(marks.pid.tolist(), marks.tid.tolist(), strict=True)
    return np.array([number.get(pair, -1) for pair in pairs], np.int64)
