"""What launches and gaps take where nothing holds them up: measured in the trace itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.host_calls import BLOCKING
from tracekit.attribution.replay import queue
from tracekit.attribution.replay.submitted import awaiting
from tracekit.records import Record
from tracekit.trace.columns.numbers import narrow
from tracekit.trace.spans import segments
from tracekit.trace.trace import I32, I64, Cat, Ints, Mask, Trace

LONG = 3  # times the usual: a launch call that did more than launch
# gaps beyond this many times the usual are waits, not gaps
OUTLIER = 5
MOST_NS = 100_000  # no launch onto an idle device takes longer; what does waited for something
MOST_GAP_NS = 20_000  # nor does a device pause longer between work that is there


class Timing(Record, frozen=True, eq=False):
    """Of R rows of `links.calls` and G rows of `links.work`. Times in ns."""

    submit: I64  # [R] when a launch call submits; its start where it launches nothing
    full: Mask  # [R] the call waited before it submitted: the queue was full
    blocks: Mask  # [R] a copy that returns only when it is done
    latency: Ints  # [G] from the submission to the start, where nothing else is in the way
    previous: I32  # [G] row of the stream's earlier work that ends last; -1 for its first
    gap: Ints  # [G] the usual time from the end of `previous` to it
    slots: I32  # [G] row of the work whose start lets it into the queue; -1: none
    slot_ns: int  # from that start to the submission that it lets through


def timing(trace: Trace) -> Timing:
    """Submissions, latencies and gaps. The trace has GPU work."""
    found: Timing = trace.once("replay timing", lambda: _timing(trace))
    return found


def _timing(trace: Trace) -> Timing:
    calls, gpu, launch = links.calls(trace), links.work(trace), links.launch_row(trace)
    launches = links.launch_count(trace) > 0
    usual = _by_kind(calls.name.astype(np.int64), calls.dur, launches, calls.dur, _low)
    blocks = _blocking(trace)
    first, last = _first_start(launch, gpu.ts, len(calls)), calls.end - usual
    # a kernel that began early in a long call was submitted early in it
    long = launches & ~blocks & (calls.dur > LONG * usual) & (first >= last)
    submit = np.where(long, last, calls.ts)
    previous = _previous(trace)
    slots = queue.slots(trace, submitted(trace, submit), launch, long)
    full = _full(trace, slots, usual)
    submit[full] = last[full]
    sent = submitted(trace, submit)
    told = awaiting(trace, sent)
    latency = _latency(trace, sent, previous, told)
    gap = _gaps(trace, previous, sent, latency, told)
    return Timing(submit, full, blocks, narrow(latency), previous, narrow(gap), slots.row, slots.ns)


def submitted(trace: Trace, submit: I64) -> I64:
    """[G] `submit` [R] of the launch of each row of `links.work`; -1 where the trace has none."""
    launch = links.launch_row(trace)
    return np.where(launch >= 0, submit[launch], -1)


def _full(trace: Trace, slots: queue.Slots, usual: I64) -> Mask:
    """[R] calls inside which there came room for their launch."""
    calls, gpu, launch = links.calls(trace), links.work(trace), links.launch_row(trace)
    rows = np.flatnonzero(slots.row >= 0)
    room = np.full(len(calls), -1, np.int64)
    room[launch[rows]] = gpu.ts[slots.row[rows]]
    inside = (room > calls.ts) & (room <= calls.end)
    return np.asarray(slots.full & inside & (calls.dur > usual))


def _first_start(launch: I64, start: I64, count: int) -> I64:
    """[R] the earliest start of what each call launched; the largest number where nothing."""
    out = np.full(count, np.iinfo(np.int64).max)
    known = launch >= 0
    np.minimum.at(out, launch[known], start[known])
    return out


def _blocking(trace: Trace) -> Mask:
    """[R] calls that copy, and returned after the copy was done."""
    calls, gpu, launch = links.calls(trace), links.work(trace), links.launch_row(trace)
    copies = (launch >= 0) & gpu.is_(Cat.MEMCPY, Cat.MEMSET)
    done = np.full(len(calls), -1, np.int64)
    np.maximum.at(done, launch[copies], gpu.end[copies])
    return np.asarray(
        (done >= 0) & (done <= calls.end) & (calls.named(BLOCKING) | calls.named("Memcpy"))
    )


def _previous(trace: Trace) -> I32:
    """[G] of the earlier rows of the same stream, the one that ends last; -1 for the first."""
    gpu = links.work(trace)
    stream = links.stream(trace)
    order = np.argsort(stream, kind="stable")  # rows are sorted by start
    out = np.full(len(gpu), -1, np.int32)
    ends = gpu.end
    for one in segments.alike(stream[order]):
        own = order[one]
        end = ends[own]
        reach = np.maximum.accumulate(end)
        last = np.append(True, end[1:] >= reach[:-1])  # no earlier one ends later
        best = np.maximum.accumulate(np.where(last, np.arange(len(own)), 0))
        out[own[1:]] = own[best[:-1]]
    return out


def _work_kind(trace: Trace) -> I64:
    """[G] a number that work of one category and one kind of launch call shares."""
    gpu, launch = links.work(trace), links.launch_row(trace)
    call = np.where(launch >= 0, links.calls(trace).name[launch], -1).astype(np.int64)
    return np.asarray((call + 1) * 16 + gpu.cat)


def _latency(trace: Trace, sent: I64, previous: I32, told: Mask) -> I64:
    """[G] the median of its kind over launches onto an idle stream that waits for no other.

    Of a kind that has none the least of its kind, and no more than that of the others.
    """
    gpu, launch, key = links.work(trace), links.launch_row(trace), _work_kind(trace)
    taken = gpu.ts - sent
    first = np.zeros(len(gpu), bool)  # of a graph launch only the first node waits for the call
    first[segments.firsts(launch)[1]] = True
    own = (sent >= 0) & first & (taken >= 0)
    if not own.any():
        return np.zeros(len(gpu), np.int64)
    free = own & (previous >= 0) & (gpu.end[previous] <= sent) & ~told
    least = _by_kind(key, taken, own, np.maximum(taken, 0), _least)
    known = free if free.any() else own
    most = min(round((_median if free.any() else _least)(taken[known])), MOST_NS)
    return _by_kind(key, taken, free, np.minimum(least, most))


def _gaps(trace: Trace, previous: I32, sent: I64, latency: I64, told: Mask) -> I64:
    """[G] the mean of its pair of kinds, over work that was waiting when the earlier one ended.

    `told` waited for more than that.
    """
    gpu, launch = links.work(trace), links.launch_row(trace)
    ended = gpu.end[previous]
    taken = gpu.ts - ended
    graph = links.replayed(trace)
    kind = gpu.cat.astype(np.int64) * 2 + graph
    inside = graph & (launch == launch[previous])
    pair = (kind[previous] * 64 + kind) * 2 + inside
    waited = sent + latency <= ended
    queued = (previous >= 0) & (sent >= 0) & (taken >= 0) & (waited | inside) & ~told
    room = np.maximum(taken, 0)
    usual = _by_kind(pair, taken, queued, room)
    near = queued & (taken <= np.minimum(OUTLIER * usual + 1_000, MOST_GAP_NS))
    mean = _by_kind(pair, taken, near, room, _mean)
    # a pair that never queued has the gap of kernels, and no more than its own
    known = np.isin(pair, pair[near])
    other = int(taken[near].mean().round()) if near.any() else 0
    return np.where(known, mean, np.minimum(room, other))


def _low(values: I64) -> float:
    """The lower quartile: of calls of which most waited for room in the queue still what launching
    takes."""
    return float(np.quantile(values, 0.25, method="lower"))


def _median(values: I64) -> float:
    return float(np.median(values))


def _least(values: I64) -> float:
    return float(values.min())


def _mean(values: I64) -> float:
    return float(values.mean())


def _by_kind(
    key: I64, values: I64, of: Mask, otherwise: I64, how: Callable[[I64], float] = _median
) -> I64:
    """[N] `how` of the values of each key, over the rows of `of`; `otherwise` where it has none."""
    out = otherwise.copy()
    for one in segments.sorted_unique(key[of]):
        own = key == one
        out[own] = round(how(values[own & of]))
    return out
