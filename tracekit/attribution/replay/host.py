"""Edges of the host: each thread's own order, between its launches, waits and markers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.host_calls import WAITING
from tracekit.attribution.replay.graph import Drawing, Kind
from tracekit.attribution.replay.timing import Timing
from tracekit.attribution.stages.instances import Markers
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I32, I64, Ints, Mask, Trace

# at one instant: what ends comes before what begins
_ENDS, _CLOSES, _OPENS, _BEGINS, _SUBMITS, _AT_ONCE = range(6)


class Calls(Record, frozen=True, eq=False):
    """The calls that launch or wait: [R] each; points are -1 for other calls."""

    launches: Mask
    waits: Mask
    begin: I64  # points
    submit: I64  # of a call that waits: its begin
    end: I64


class Points(Record, frozen=True, eq=False):
    """P points of threads, by thread and time."""

    thread: I32
    when: I64
    rank: npt.NDArray[np.int8]
    point: I32
    call: I32  # row of `links.calls`; -1 of a marker
    marker: I32  # row of the markers; -1 of a call


def calls_of(trace: Trace, times: Timing) -> tuple[Mask, Mask]:
    """[R] which calls launch, and which wait; of those inside one another the outermost."""
    calls = links.calls(trace)
    launches = links.launch_count(trace) > 0
    waits = calls.named(WAITING) & ~launches
    thread = links.call_thread(trace)
    rows = np.flatnonzero(launches | waits)
    rows = rows[np.argsort(thread[rows], kind="stable")]  # they come by start, the longer first
    inner, end = np.zeros(len(calls), bool), calls.end[rows]
    for one in segments.alike(thread[rows]):
        reach = np.maximum.accumulate(end[one])
        inner[rows[one][1:]] = end[one][1:] <= reach[:-1]
    return np.asarray(launches), np.asarray(waits & ~inner)


def marker_thread(trace: Trace, marks: Markers) -> I64:
    """[M] the thread of each marker; of a marker of any process the one that launches most."""
    if not len(marks):
        return np.empty(0, np.int64)
    owner = links.threads(trace)
    calls, count = links.call_thread(trace), links.launch_count(trace)
    most = calls[count > 0]
    main = int(np.bincount(most).argmax()) if len(most) else 0
    pairs = zip(marks.pid.tolist(), marks.tid.tolist(), strict=True)
    return np.array([owner.get(pair, main) for pair in pairs], np.int64)


def points(
    trace: Trace, times: Timing, calls: Calls, marks: Markers, opens: I64, closes: I64
) -> Points:
    """What happens on each thread that launches, waits for its own launches, or has a marker."""
    own, thread, marked = links.calls(trace), links.call_thread(trace), marker_thread(trace, marks)
    # who only waits or polls moves nothing
    busy = segments.sorted_unique(np.concatenate([thread[calls.launches], marked]))
    rows = np.flatnonzero((calls.launches | calls.waits) & np.isin(thread, busy))
    split = rows[calls.launches[rows]]
    at = np.arange(len(marks))
    inner = at[::-1]  # of markers that end together the inner ones end first
    instant = np.where(own.dur[rows] == 0, _AT_ONCE, _ENDS)
    blocks = (
        (thread[rows], own.ts[rows], _BEGINS, calls.begin[rows], rows, -1),
        (thread[split], times.submit[split], _SUBMITS, calls.submit[split], split, -1),
        (thread[rows], own.end[rows], instant, calls.end[rows], rows, -1),
        (marked, marks.start, _OPENS, opens, -1, at),
        (marked[inner], marks.end[inner], _CLOSES, closes[inner], -1, inner),
    )

    def column(place: int, kind: type[Any] = np.int32) -> npt.NDArray[Any]:
        parts = [np.broadcast_to(np.asarray(b[place], kind), len(b[0])) for b in blocks]
        return np.concatenate(parts)

    order = _in_order(column(0), column(1, np.int64), column(2, np.int8))
    return Points(
        column(0)[order], column(1, np.int64)[order], column(2, np.int8)[order],
        *(column(place)[order] for place in (3, 4, 5)),
    )  # fmt: skip


def _in_order(thread: I32, when: I64, rank: npt.NDArray[np.int8]) -> Ints:
    """Rows by thread, then by time, then by rank, then as they come."""
    if len(when) and int(when.max()) >= 1 << 59:
        return np.lexsort((rank, when, thread))
    # each block is in order, or nearly: a stable sort merges them
    order = np.argsort(when * 8 + rank, kind="stable")
    numbers, code = segments.codes(thread)
    return np.asarray(order[segments.grouped(code[order], len(numbers))])


def draw(
    trace: Trace, times: Timing, calls: Calls, found: Points, cost: I64, cut: I64, out: Drawing
) -> None:
    """The order of each thread.

    `cost` [R] is what a call that waits takes where there is nothing to wait for; `cut` are the
    steps (of a point to the next) in which the thread waited for another one.
    """
    own = links.calls(trace)
    inside = _inside_waits(own, calls, times, found)
    _anchors(own, calls, found, inside, out)
    kept = np.flatnonzero(inside < 0)
    one, two = kept[:-1], kept[1:]
    same = found.thread[one] == found.thread[two]
    one, two = one[same], two[same]
    call = np.where(found.call[one] == found.call[two], found.call[one], -1)
    begun = found.rank[one] == _BEGINS
    waiting = (call >= 0) & calls.waits[call]
    copying = (call >= 0) & times.blocks[call] & ~begun
    entering = (call >= 0) & calls.launches[call] & begun
    full = entering & times.full[call]
    launching = (call >= 0) & calls.launches[call] & ~begun & ~copying
    length = found.when[two] - found.when[one]
    length[np.isin(one, cut) & (two == one + 1)] = 0
    for kind, mask in (
        (Kind.CALL, waiting), (Kind.COPY_CALL, copying), (Kind.FULL, full),
        (Kind.LOADING, entering & ~full), (Kind.LAUNCH, launching),
        (Kind.HOST, ~(waiting | copying | entering | launching)),
    ):  # fmt: skip
        work = length[mask]
        if kind in (Kind.CALL, Kind.COPY_CALL):
            work = np.minimum(cost[call[mask]], work)
        elif kind is Kind.FULL:
            work = np.zeros(len(work), np.int64)
        out.add(kind, found.point[one[mask]], found.point[two[mask]], work=work, owner=call[mask])


def _inside_waits(own: Trace, calls: Calls, times: Timing, found: Points) -> I64:
    """[P] the call that waits around a marker's point, or -1."""
    if (found.call >= 0).all():
        return np.full(len(found.call), -1, np.int64)
    blocking = calls.waits | times.blocks
    begins = (found.call >= 0) & (found.rank == _BEGINS) & blocking[found.call]
    last = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), -1))
    call = found.call[last]
    inside = (found.call < 0) & (last >= 0) & (found.thread[last] == found.thread)
    inside &= found.when < own.end[call]
    return np.where(inside, call, -1)


def _anchors(own: Trace, calls: Calls, found: Points, inside: I64, out: Drawing) -> None:
    """A marker's point inside a wait: as long before the wait's end as it was."""
    rows = np.flatnonzero(inside >= 0)
    call = inside[rows]
    before = found.when[rows] - own.end[call]
    out.add(Kind.ANCHOR, calls.end[call], found.point[rows], fixed=before)
    out.add(Kind.ANCHOR, calls.begin[call], found.point[rows])
