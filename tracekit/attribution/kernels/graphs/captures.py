"""Launches that a graph was captured from: what a trace holds of `stream capture`, in order.

Between the begin and the end of a capture, launches issue no work: each becomes a node. A trace
without captures may hold the same work run eagerly, which says the same of a replay.
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.host_calls import LAUNCHING
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.trace import I64, Cat, Mask, Trace

_BEGIN, _END = r"StreamBeginCapture", r"StreamEndCapture"
_COPYING = later(r"(?i)^(?:cuda|hip|cu|musa)mem(?:cpy|set)")


class Captured(Record, frozen=True, eq=False):
    """The launches of one capture, or of one annotation where they ran eagerly."""

    call: I64  # [N] rows of `links.calls`
    label: str  # the annotations around it; empty where there is none
    eager: bool  # they ran: no graph was captured


def captures(trace: Trace, marked: bool = False) -> list[Captured]:
    """What graphs were captured from, in the order of the trace.

    Where no capture is marked by its begin and its end: launches that say their kernel and issued
    no work, else those that ran; with `marked`, nothing.
    """
    row, low, high = _windows(trace)
    if marked and not len(row):
        return []
    issued, thread = _launching(trace), links.call_thread(trace)
    calls = links.calls(trace)
    idle = links.launch_count(trace) == 0
    found = []
    first, last = np.searchsorted(calls.ts, low), np.searchsorted(calls.ts, high)
    for begin, start, end in zip(row.tolist(), first.tolist(), last.tolist(), strict=True):
        mine = np.arange(start, end)
        own = issued[mine] & (calls.pid[mine] == calls.pid[begin])
        own &= idle[mine] | (thread[mine] == thread[begin])
        if own.any():
            found.append(Captured(mine[own], label_of_launch(trace, begin), False))
    if found or marked:
        return found
    table = trace.table("launched")
    # without its kernel's name a launch that issued nothing may be anything
    lost = issued & idle & (table.take(calls.id, "kernel", -1) >= 0)
    if lost.any() and not (issued & ~idle).any():
        return _by_annotation(trace, lost, eager=False)  # the marks of the capture were cut off
    return _by_annotation(trace, issued & ~idle, eager=True)


def ran_eagerly(trace: Trace) -> I64:
    """Rows of `links.calls` that launched work of their own, in their order."""
    return trace.once(
        "eager launches",
        lambda: np.flatnonzero(_launching(trace) & (links.launch_count(trace) > 0)),
    )


def _thread_of_marks(trace: Trace) -> I64:
    """[A] the thread of each row of `links.marks`."""
    return trace.once(
        "thread of mark", lambda: np.asarray(links.thread(trace)[trace.is_(Cat.ANNOTATION)])
    )


def _launching(trace: Trace) -> Mask:
    """[R] whether a call issues one node: no graph launches, no call inside another's launch."""

    def make() -> Mask:
        calls = links.calls(trace)
        issue = calls.named(LAUNCHING) | calls.named(_COPYING)
        issue &= ~calls.named(r"(?i)graph_?launch")
        rows = np.flatnonzero(issue)
        thread = links.call_thread(trace)[rows]
        order = np.lexsort((-calls.dur[rows], calls.ts[rows], thread))
        rows, thread = rows[order], thread[order]
        key = thread * (int(calls.end.max(initial=0)) + 1)
        reach = np.maximum.accumulate(key + calls.end[rows]) if len(rows) else key
        inside = np.zeros(len(rows), bool)
        inside[1:] = (thread[1:] == thread[:-1]) & (key[1:] + calls.ts[rows[1:]] < reach[:-1])
        issue[rows[inside]] = False
        return issue

    return trace.once("issuing calls", make)


def _windows(trace: Trace) -> tuple[I64, I64, I64]:
    """Captures: the row of the call that begins each, and when its launches begin and end."""
    calls, thread = links.calls(trace), links.call_thread(trace)
    begin, end = (np.flatnonzero(calls.named(name)) for name in (_BEGIN, _END))
    at, low, high = [], [], []
    for first in begin.tolist():
        same = end[(thread[end] == thread[first]) & (calls.ts[end] >= calls.end[first])]
        at.append(first)
        low.append(int(calls.end[first]))
        high.append(int(calls.ts[same[0]]) if len(same) else np.iinfo(np.int64).max)
    return tuple(np.array(part, np.int64) for part in (at, low, high))  # type: ignore[return-value]


def _marks_of_calls(trace: Trace) -> I64:
    """[R] the innermost annotation around each call, as a row of `links.marks`, or -1."""

    def make() -> I64:
        marks, calls = links.marks(trace), links.calls(trace)
        return innermost(
            _thread_of_marks(trace), marks.ts, marks.end,
            links.call_thread(trace), calls.ts, calls.ts + 1,
        )  # fmt: skip

    return trace.once("annotation of call", make)


def label_of_launch(trace: Trace, call: int) -> str:
    """The names of all annotations around a call, the innermost first, with blanks between."""
    marks, calls = links.marks(trace), links.calls(trace)
    start = calls.ts[call]
    around = (marks.ts <= start) & (marks.end > start)
    around &= _thread_of_marks(trace) == links.call_thread(trace)[call]
    return " ".join(marks.text(int(row)) for row in np.flatnonzero(around)[::-1])


def _by_annotation(trace: Trace, rows: Mask, eager: bool) -> list[Captured]:
    """Launches by the annotation and the thread that they are in, in their order."""
    mine = np.flatnonzero(rows)
    key = np.stack([_marks_of_calls(trace)[mine], links.call_thread(trace)[mine]], axis=1)
    _, first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)
    group = np.asarray(group).reshape(-1)
    return [
        Captured(mine[group == at], label_of_launch(trace, int(mine[first[at]])), eager)
        for at in np.argsort(first).tolist()
    ]
