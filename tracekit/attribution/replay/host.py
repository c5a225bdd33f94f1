"""Edges of the host: each thread's own order, between its launches, waits and markers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.host_calls import WAITING
from tracekit.attribution.replay.graph import Drawing, Kind, Places
from tracekit.attribution.replay.timing import Timing
from tracekit.attribution.stages.instances import Markers
from tracekit.records import Record
from tracekit.trace.columns.numbers import narrow
from tracekit.trace.scan.graphs.walked import Kinds
from tracekit.trace.spans import segments
from tracekit.trace.trace import I32, I64, Ints, Mask, Trace

# at one instant: what ends comes before what begins
_ENDS, _CLOSES, _OPENS, _BEGINS, _SUBMITS, _AT_ONCE = range(6)


class Calls(Record, frozen=True, eq=False):
    """The calls that launch or wait: [R] each."""

    launches: Mask
    waits: Mask


class Points(Record, frozen=True, eq=False):
    """P points of threads, by thread and time."""

    point: I32
    thread: I32
    when: I64


def calls_of(trace: Trace) -> Calls:
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
    return Calls(np.asarray(launches), np.asarray(waits & ~inner))


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


def threads(trace: Trace, marks: Markers, places: Places) -> I32:
    """[V] `links.thread` of each point of the host; -1 of the others."""
    out = np.full(places.count, -1, np.int32)
    out[: places.start].reshape(3, places.calls)[:] = links.call_thread(trace)
    out[places.opens :].reshape(2, places.marks)[:] = marker_thread(trace, marks)
    return out


def points(trace: Trace, calls: Calls, marks: Markers, when: I64, places: Places) -> Points:
    """What happens on each thread that launches, waits for its own launches, or has a marker."""
    own, thread, marked = links.calls(trace), links.call_thread(trace), marker_thread(trace, marks)
    # who only waits or polls moves nothing
    busy = np.zeros(max(int(part.max(initial=-1)) for part in (thread, marked)) + 1, bool)
    busy[thread[calls.launches]] = True
    busy[marked] = True
    rows = np.flatnonzero((calls.launches | calls.waits) & busy[thread])
    split = rows[calls.launches[rows]]
    inner = np.arange(places.marks)[::-1]  # of markers that end together the inner ones end first
    found = (
        (rows, thread[rows], _BEGINS),
        (places.submit + split, thread[split], _SUBMITS),
        (places.back + rows, thread[rows], np.where(own.dur[rows] == 0, _AT_ONCE, _ENDS)),
        (places.opens + inner[::-1], marked, _OPENS),
        (places.closes + inner, marked[inner], _CLOSES),
    )
    point, lane = (
        np.concatenate([part[place] for part in found], dtype=np.int32) for place in range(2)
    )
    rank = np.concatenate([np.broadcast_to(np.int8(r), len(p)) for p, _, r in found])
    order = _in_order(lane, when[point], rank)
    return Points(point[order], lane[order], when[point[order]])


def _in_order(thread: I32, when: I64, rank: npt.NDArray[np.int8]) -> Ints:
    """Rows by thread, then by time, then by rank, then as they come. `when` is written over."""
    if len(when) and int(when.max()) >= 1 << 59:
        return np.lexsort((rank, when, thread))
    # each block is in order, or nearly: a stable sort merges them
    when *= 8
    when += rank
    order = np.argsort(when, kind="stable")
    if (thread == thread[:1]).all():
        return order
    return np.asarray(order[segments.grouped(thread[order], int(thread.max()) + 1)])


def draw(
    trace: Trace, times: Timing, calls: Calls, found: Points, cost: I64, cut: I64,
    places: Places, out: Drawing,
) -> None:  # fmt: skip
    """The order of each thread.

    `cost` [R] is what a call that waits takes where there is nothing to wait for; `cut` are the
    steps (of a point to the next) in which the thread waited for another one.
    """
    rows, call = _inside_waits(trace, times, calls, found, places)
    _anchors(trace, found, rows, call, places, out)
    still = np.zeros(len(found.point), bool)
    still[cut] = True
    still[rows - 1] = False  # such a step leads to a point that is left out
    if len(rows):
        kept = np.ones(len(still), bool)
        kept[rows] = False
        found = Points(found.point[kept], found.thread[kept], found.when[kept])
        still = still[kept]
    length = np.diff(found.when)
    length[still[:-1]] = 0
    kind, around = _kinds(times, calls, found.point, places)
    some = np.flatnonzero((kind == int(Kind.CALL)) | (kind == int(Kind.COPY_CALL)))
    length[some] = np.minimum(cost[around[some]], length[some])
    length[kind == int(Kind.FULL)] = 0
    ns = narrow(length)
    for one in segments.alike(found.thread):
        step = slice(one.start, one.stop - 1)
        out.add(kind[step], found.point[step], found.point[one][1:], ns[step])


def _kinds(times: Timing, calls: Calls, point: I32, places: Places) -> tuple[Kinds, I32]:
    """[P - 1] what a thread does from each point to the next, and the call it is in, or any."""
    inside = point < places.start
    call = np.where(inside, point % max(places.calls, 1), -1)
    # of the calls: from the begin on, and later
    of = np.full((2, places.calls), Kind.HOST, np.uint8)
    of[0, calls.launches] = Kind.LOADING
    of[0, calls.launches & times.full] = Kind.FULL
    of[1, calls.launches] = Kind.LAUNCH
    of[1, times.blocks] = Kind.COPY_CALL
    of[:, calls.waits] = Kind.CALL
    within = inside[:-1] & (call[1:] == call[:-1])
    begun = point[:-1] < places.calls
    at = np.flatnonzero(within)
    kind = np.full(len(begun), Kind.HOST, np.uint8)
    kind[at] = np.take(of, call[at] + np.where(begun[at], 0, places.calls))
    return kind, call[:-1]


def _inside_waits(
    trace: Trace, times: Timing, calls: Calls, found: Points, places: Places
) -> tuple[I64, I64]:
    """Points of markers around which a call waits, and the call."""
    mark = np.flatnonzero(found.point >= places.start)
    if not len(mark):
        return mark, mark
    blocking = calls.waits | times.blocks
    begins = np.flatnonzero(found.point < places.calls)
    begins = begins[blocking[found.point[begins]]]
    at = np.searchsorted(begins, mark) - 1
    mark, last = mark[at >= 0], begins[at[at >= 0]]
    call = found.point[last].astype(np.int64)
    inside = found.thread[last] == found.thread[mark]
    inside &= found.when[mark] < links.calls(trace).end[call]
    return mark[inside], call[inside]


def _anchors(
    trace: Trace, found: Points, rows: I64, call: I64, places: Places, out: Drawing
) -> None:  # fmt: skip
    """A marker's point inside a wait: as long before the wait's end as it was."""
    before = found.when[rows] - links.calls(trace).end[call]
    out.add(Kind.ANCHOR, places.back + call, found.point[rows], before)
    out.add(Kind.ANCHOR, call, found.point[rows])
