"""What would have to change for a device to be idle no longer: each idle nanosecond, one reason.

A class of `cause_names` says what the launching thread was in at an instant. A reason looks at the
whole gap: ten ops that each launch one short kernel while the device waits for every one are
launches; one op that holds the host as long is host work.

    host      a.b.c.d.e.f.g.h......i    the gaps before B to H: launches, the device waits for each
    stream 7  AABBCCDDEEFFGGHH.....I    (drawn without their idle time); before I: host work
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links, lost_launches
from tracekit.attribution.idle.cause_names import ORDER, Cause
from tracekit.attribution.idle.causes import SUSPECT_NS, Idle, idle, launch_thread, neighbours
from tracekit.attribution.idle.host_causes import LAZY
from tracekit.attribution.reasons import after_wait
from tracekit.attribution.reasons.names import HOST_REASONS, LATE, REASONS, Reason
from tracekit.attribution.reasons.steps import between_steps
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, intersect, union_of
from tracekit.trace.trace import I64, Cat, Mask, Trace

# what a class alone decides; the gap decides the others
_DIRECT = {
    Cause.HOST_SYNC: Reason.SYNC,
    Cause.HOST_DATA: Reason.DATA,
    Cause.HOST_ALLOCATION: Reason.ALLOCATION,
    Cause.HOST_INITIALISATION: Reason.INITIALISATION,
    Cause.HOST_COMPILED: Reason.COMPILED,
    Cause.GRAPH: Reason.GRAPH,
    Cause.OTHER_STREAM: Reason.OTHER_STREAM,
    Cause.COMMUNICATION: Reason.COMMUNICATION,
    Cause.QUEUED: Reason.LATENCY,
    Cause.UNLINKED: Reason.UNLINKED,
    Cause.AFTER_LAST: Reason.END,
}
# what holds the host for all devices alike, whatever they do
_HELD = frozenset({Reason.DATA, Reason.ALLOCATION, Reason.INITIALISATION})
_BLOCKED = (Cause.HOST_SYNC, Cause.HOST_DATA, Cause.HOST_ALLOCATION)
_IN_OPS = (Cause.HOST_OP, Cause.HOST_CALL, Cause.LAUNCH_CALL)
_BY_GAP = (Cause.HOST_CALL, Cause.HOST_OP, Cause.HOST_OUTSIDE, Cause.LAUNCH_CALL)

# Between two launches of an eager model the host needs 5 to 100 µs, with stacks recorded several
# times that; what lasts longer than LONGEST_NS, or five times the median, is no launch overhead
LONG_NS = 100_000
LONGEST_NS = 500_000
# the device waits for each launch: of the launches around a gap, at least half end a gap
AROUND = 8  # launches on either side
FEWEST = 8  # launches in all, else nothing follows one another


class Stretches(Record, frozen=True, eq=False):
    """S disjoint spans of one device's idle time between its first and last work, sorted."""

    spans: Spans  # [S, 2]
    reason: npt.NDArray[np.uint8]  # [S] index in REASONS
    gap: I64  # [S] a number that the stretches of one gap share
    closer: I64  # [S] row of `links.work` that ends the gap; -1 where none does
    thread: I64  # [S] thread (a value of `links.thread`) that launched it; -1 where not known
    after_sync_ns: I64  # [S] that would not be, had the host not waited just before: `after_wait`
    wait: I64  # [S] the row of the trace of that wait; -1 where there was none

    def of(self, *reasons: Reason) -> Mask:
        """[S] whether a stretch has one of these reasons."""
        return np.isin(self.reason, [REASONS.index(r) for r in reasons])


def stretches(trace: Trace, device: int) -> Stretches:
    """The reasons for one device's idle time; neighbours of one gap and reason are one stretch."""
    found: Stretches = trace.once(("stretches", device), lambda: _stretches(trace, device))
    return found


def _stretches(trace: Trace, device: int) -> Stretches:
    found = idle(trace, device)
    gpu = links.work(trace)
    mine = gpu.device == device
    where = np.clip(found.spans, gpu.ts[mine].min(), gpu.end[mine].max())  # its window
    piece = np.flatnonzero(where[:, 1] > where[:, 0])
    where, gap, cause = where[piece], found.gap[piece], found.cause[piece]
    instants = _instants(trace, found, np.flatnonzero(mine & (gpu.dur == 0)))
    reason = np.full(len(ORDER), REASONS.index(Reason.WORK), np.uint8)
    for one, says in _DIRECT.items():
        reason[ORDER.index(one)] = REASONS.index(says)
    by_gap = np.isin(cause, [ORDER.index(c) for c in _BY_GAP])
    why = np.where(
        by_gap,
        _gap_reasons(trace, found, where, gap, cause, by_gap, instants)[gap],
        reason[cause],
    )
    waits = np.isin(why, [REASONS.index(r) for r in
                          (Reason.LATENCY, Reason.OTHER_STREAM, Reason.COMMUNICATION)])  # fmt: skip
    why[waits & (where[:, 1] - where[:, 0] >= SUSPECT_NS)] = REASONS.index(Reason.MISSING)
    outside = cause == ORDER.index(Cause.HOST_OUTSIDE)
    outside &= np.isin(why, [REASONS.index(r) for r in HOST_REASONS - _HELD])
    where, why, gap = _cut(
        where, why.astype(np.uint8), gap, intersect(where[outside], _profiling(trace)),
        Reason.PROFILER,
    )  # fmt: skip
    where, why, gap = _lost(trace, found, where, why, gap)
    where, why, gap = _turns(trace, device, where, why, gap)
    where, why, gap = _joined(where, why, gap)
    closer = found.closer[gap]
    thread = np.where(closer >= 0, launch_thread(trace)[closer], -1)
    late = np.isin(why, [REASONS.index(r) for r in LATE])
    lead, wait = after_wait.leads(trace, device, found)
    after = after_wait.hidden_ns(lead, where, gap, late)
    return Stretches(
        where, why, gap, closer, thread, after, np.where(after > 0, wait[gap], -1)
    )  # fmt: skip


def _gap_reasons(
    trace: Trace, found: Idle, where: Spans, gap: I64, cause: npt.NDArray[np.uint8], by_gap: Mask,
    instants: tuple[I64, I64],
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """[gaps] the reason of what the host did in a gap that no class decides alone.

    `instants`: work without duration and its gap; the device waited for each as well.
    """
    whole = _ns(found, where, gap, by_gap)
    held = np.minimum(whole, _longest(trace, found, instants))
    blocked = _ns(found, where, gap, np.isin(cause, [ORDER.index(c) for c in _BLOCKED]))
    setup = _ns(found, where, gap, cause == ORDER.index(Cause.HOST_INITIALISATION))
    short = (held > 0) & (held <= LONGEST_NS)
    usual = float(np.median(held[short])) if short.any() else 0.0
    limit = min(max(5 * usual, LONG_NS), LONGEST_NS)
    out = np.full(len(held), REASONS.index(Reason.SHORT), np.uint8)
    out[held >= LONG_NS] = REASONS.index(Reason.WORK)
    # what drained the queue is why the rest of the gap is waited for
    paced = short & (held <= limit) & (2 * blocked <= whole)
    # what takes that long is a launch where an op of the framework makes it, else other work
    in_ops = _ns(found, where, gap, np.isin(cause, [ORDER.index(c) for c in _IN_OPS]))
    paced &= (held <= LONG_NS) | (2 * in_ops >= whole)
    out[_paced(trace, found, paced, instants)] = REASONS.index(Reason.LAUNCHES)
    crossing = between_steps(trace, found.opener, found.closer) & (whole >= LONG_NS)
    out[crossing] = REASONS.index(Reason.STEPS)
    # what surrounds a set-up that took most of the gap is part of it
    out[setup > whole] = REASONS.index(Reason.INITIALISATION)
    return out


def _ns(found: Idle, where: Spans, gap: I64, pieces: Mask) -> I64:
    """[gaps] ns of these pieces."""
    return segments.sums(gap[pieces], (where[:, 1] - where[:, 0])[pieces], len(found.gaps))


def _instants(trace: Trace, found: Idle, rows: I64) -> tuple[I64, I64]:
    """[I] each: of `rows`, work without duration, those that lie in a gap, and their gap."""
    at = links.work(trace).ts[rows]
    gap = segments.below(found.gaps[:, 0], at + 1) - 1
    inside = np.flatnonzero(gap >= 0)
    inside = inside[at[inside] < found.gaps[gap[inside], 1]]
    return rows[inside], gap[inside]


def _longest(trace: Trace, found: Idle, instants: tuple[I64, I64]) -> I64:
    """[gaps] ns of the longest part of a gap between work without duration.

    Clocks of whole microseconds give short kernels none: what is between two of them is one launch.
    """
    rows, gap = instants
    if not len(rows):
        return np.asarray(found.gaps[:, 1] - found.gaps[:, 0])
    number = np.concatenate([np.arange(len(found.gaps)), gap])
    start = np.concatenate([found.gaps[:, 0], links.work(trace).ts[rows]])
    order = np.lexsort((start, number))
    start, number = start[order], number[order]
    first = np.r_[True, number[1:] != number[:-1]]
    end = np.where(np.r_[first[1:], True], found.gaps[number, 1], np.r_[start[1:], 0])
    return np.asarray(np.maximum.reduceat(end - start, np.flatnonzero(first)))


def _paced(trace: Trace, found: Idle, short: Mask, instants: tuple[I64, I64]) -> Mask:
    """[gaps] short gaps among launches of which at least half end such a gap, or a part of it."""
    launch = links.launch_row(trace)
    out = np.zeros(len(short), bool)
    gaps = np.flatnonzero(short)
    ends = np.zeros(len(links.calls(trace)), bool)
    ends[launch[found.closer[gaps]]] = True
    rows, gap = instants
    part = launch[rows[short[gap]]]
    ends[part[part >= 0]] = True
    thread = links.call_thread(trace)
    calls = np.flatnonzero(links.launch_count(trace) > 0)
    calls = calls[np.argsort(thread[calls], kind="stable")]  # by thread, then by start
    if not len(gaps) or not len(calls):
        return out
    first = np.searchsorted(thread[calls], thread[calls], side="left")
    last = np.searchsorted(thread[calls], thread[calls], side="right")
    at = np.arange(len(calls))
    low, high = np.maximum(at - AROUND, first), np.minimum(at + AROUND + 1, last)
    sums = np.concatenate([[0], np.cumsum(ends[calls])])
    many = (sums[high] - sums[low]) * 2 >= high - low
    paced = np.zeros(len(ends), bool)
    paced[calls] = many & (high - low >= FEWEST)
    out[gaps] = paced[launch[found.closer[gaps]]]
    return out


def _turns(
    trace: Trace, device: int, where: Spans, why: npt.NDArray[np.uint8], gap: I64
) -> tuple[Spans, npt.NDArray[np.uint8], I64]:
    """Cut out what another device of the process was busy in: the devices take turns.

    What holds the host for all devices alike (loading, allocation, initialisation) is left as it
    is.
    """
    others = neighbours(trace, device)
    if not len(others):
        return where, why, gap
    kept = np.isin(why, [REASONS.index(r) for r in _HELD])
    return _cut(where, why, gap, intersect(where[~kept], others), Reason.OTHER_DEVICE)


def _profiling(trace: Trace) -> Spans:
    """Flat: where the profiler says that it was at work itself, the loading of modules left out."""
    return union_of(trace.ts, trace.end, trace.is_(Cat.OVERHEAD) & ~trace.named(LAZY))


def _lost(
    trace: Trace, found: Idle, where: Spans, why: npt.NDArray[np.uint8], gap: I64
) -> tuple[Spans, npt.NDArray[np.uint8], I64]:
    """Cut out what follows a launch without work: the device may have worked on it.

    Of a gap that is, from the first such launch between those of the work on either side.
    """
    bare = np.flatnonzero(lost_launches.without_work(trace))
    both = np.flatnonzero((found.opener >= 0) & (found.closer >= 0))
    launch = links.launch_row(trace)
    one, two = launch[found.opener[both]], launch[found.closer[both]]
    pid = links.calls(trace).pid
    known = (one >= 0) & (two >= 0)
    both, one, two = both[known], one[known], two[known]
    if not len(bare) or not len(both):
        return where, why, gap
    at = np.searchsorted(bare, one, side="right")  # calls are sorted by start
    first = bare[np.minimum(at, len(bare) - 1)]
    hit = (at < len(bare)) & (first < two) & (pid[first] == pid[two]) & (pid[one] == pid[two])
    start = np.maximum(found.gaps[both, 0], links.calls(trace).ts[first])
    inside = np.stack([start, found.gaps[both, 1]], axis=1)[hit]
    doubt = np.isin(why, [REASONS.index(r) for r in HOST_REASONS - _HELD])
    return _cut(where, why, gap, intersect(where[doubt], inside), Reason.LOST)


def _cut(
    where: Spans, why: npt.NDArray[np.uint8], gap: I64, inside: Spans, reason: Reason
) -> tuple[Spans, npt.NDArray[np.uint8], I64]:
    """The same, with the parts that lie in `inside` for another reason. Both are sorted, and each
    of `inside` lies in one of `where`.
    """
    if not len(inside):
        return where, why, gap
    hit = np.searchsorted(where[:, 0], inside[:, 0], side="right") - 1
    cut = segments.sorted_unique(hit)
    edges = segments.sorted_unique(np.concatenate([where[cut].ravel(), inside.ravel()]))
    pieces = np.stack([edges[:-1], edges[1:]], axis=1)
    at = np.searchsorted(where[cut, 0], pieces[:, 0], side="right") - 1
    real = pieces[:, 0] < where[cut[at], 1]
    pieces, at = pieces[real], cut[at[real]]
    says = why[at]
    part = np.searchsorted(inside[:, 0], pieces[:, 0], side="right") - 1
    says[(part >= 0) & (pieces[:, 0] < inside[part, 1])] = REASONS.index(reason)
    rest = np.ones(len(where), bool)
    rest[cut] = False
    whole = np.concatenate([where[rest], pieces])
    order = np.argsort(whole[:, 0], kind="stable")
    return (
        whole[order], np.concatenate([why[rest], says])[order],
        np.concatenate([gap[rest], gap[at]])[order],
    )  # fmt: skip


def _joined(
    where: Spans, why: npt.NDArray[np.uint8], gap: I64
) -> tuple[Spans, npt.NDArray[np.uint8], I64]:
    """Touching neighbours of one gap and reason as one."""
    if not len(where):
        return where, why, gap
    same = (
        (why[1:] == why[:-1]) & (gap[1:] == gap[:-1]) & (where[1:, 0] == where[:-1, 1])
    )  # fmt: skip
    first = np.flatnonzero(np.r_[True, ~same])
    last = np.r_[first[1:] - 1, len(where) - 1]
    return np.stack([where[first, 0], where[last, 1]], axis=1), why[first], gap[first]
