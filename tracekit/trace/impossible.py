"""Records that cannot be true: set aside before anything is computed, and kept to be counted.

Profilers write times of 0 where a buffer was lost, work stamped hours before its launch, lengths
below zero or wrapped around. One such record stretches a window by years, so none is in a number.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracekit.records import Record, replace
from tracekit.trace.ranks import last_before
from tracekit.trace.spans import segments
from tracekit.trace.trace import GPU_WORK, I64, Aside, Cat, Mask, Table, Trace

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000
# clocks of host and device were seen apart by milliseconds, never by this
EARLY_NS = 100_000_000
_TIMES = 10  # a record is far off where it is this many times the extent of the rest away
# launches of one in-order stream follow one another; launching one early (PDL) overlaps a few
_ENCLOSED = 8
_FEW, _LONGER, _SIBLINGS = 3, 20, 5

NEGATIVE = "a length below zero"
ZERO = "the time 0, hours before all others"
FAR = "a time hours away from all others"
ENDLESS = "an end hours after all others"
EARLY = "a start before their launch that no skew of clocks explains"
LATE = "a start long after work that was launched later on their own in-order stream"
TWICE = "every field as another record has it"
LONG = "an end after later launches of their own in-order stream had run"


def without(trace: Trace) -> Trace:
    """The trace without what is impossible in it, which is in `aside`; itself where there is none.

    Work that outlasts later work of its stream is cut at the next start: a stream is in order.
    """
    return trace.once("possible", lambda: _without(trace))


def _without(trace: Trace) -> Trace:
    if trace.aside or not len(trace):
        return trace
    gone = np.zeros(len(trace), bool)
    found: list[Aside] = []
    for rule in (_negative, _zero, _far, _endless, _out_of_turn, _twice):
        for what, rows in rule(trace, gone).items():
            mine = rows & ~gone
            if mine.any():
                found.append(Aside(what, trace.where(mine), cut=False))
                gone |= mine
    kept = _shifted(trace, _kept(trace, gone)) if found else trace
    clipped, long = _in_order(kept)
    if long is not None:
        found.append(Aside(LONG, kept.where(long), cut=True))
    return replace(clipped, aside=tuple(found), memo={}) if found else trace


def _kept(trace: Trace, gone: Mask) -> Trace:
    """What is left. Where no annotation is, those below zero stay, with no length: they say what
    was marked.
    """
    notes = trace.is_(Cat.ANNOTATION)
    bare = notes & (trace.dur < 0)
    if not bare.any() or (notes & ~gone).any():
        return trace.where(~gone)
    dur = np.where(bare, 0, trace.dur)
    return replace(trace, dur=dur, memo={}).where(~gone | bare)


# ---------------------------------------------------------------- rules: what, and [N] which rows


def _negative(trace: Trace, _gone: Mask) -> Mapping[str, Mask]:
    return {NEGATIVE: trace.dur < 0} if int(trace.dur.min()) < 0 else {}


def _zero(trace: Trace, gone: Mask) -> Mapping[str, Mask]:
    """Times that were set to 0, where all others are counted from long before."""
    low, high = (
        np.searchsorted(trace.ts, -trace.origin_ns, "left"),
        np.searchsorted(trace.ts, -trace.origin_ns, "right"),
    )
    if high == low:
        return {}
    found = np.zeros(len(trace), bool)
    rest = trace.ts[high:][~gone[high:]]
    if len(rest):
        away, extent = int(rest[0]) + trace.origin_ns, int(np.median(rest) - rest[0])
        found[low:high] = away > max(MINUTE_NS, _TIMES * extent)
    return {ZERO: found}


def _far(trace: Trace, gone: Mask) -> Mapping[str, Mask]:
    """The few starts of the host, or of one device, that lie hours from the many."""
    if int(trace.ts[-1] - trace.ts[0]) < HOUR_NS:
        return {}
    found = np.zeros(len(trace), bool)
    for rows in _clocks(trace, gone):
        cluster = np.concatenate([[0], np.cumsum(np.diff(trace.ts[rows]) > HOUR_NS)])
        size = np.bincount(cluster)
        main = cluster == size.argmax()
        first, last = int(trace.ts[rows][main][0]), int(trace.ts[rows][main][-1])
        away = np.maximum(first - trace.ts[rows], trace.ts[rows] - last)
        off = ~main & (away > _TIMES * (last - first))
        if 2 * off.sum() < len(rows):
            found[rows[off]] = True
    return {FAR: found}


def _endless(trace: Trace, gone: Mask) -> Mapping[str, Mask]:
    """The few ends of the host, or of one device, that lie hours after the many."""
    if int(trace.dur.max()) < HOUR_NS:
        return {}
    found = np.zeros(len(trace), bool)
    for rows in _clocks(trace, gone):
        end, start = trace.end[rows], trace.ts[rows]
        likely = end[trace.dur[rows] < HOUR_NS]
        if len(likely):
            first, last = int(start[0]), max(int(likely.max()), int(start[-1]))
            off = end > last + max(HOUR_NS, _TIMES * (last - first))
            if 2 * off.sum() < len(rows):
                found[rows[off]] = True
    return {ENDLESS: found}


def _clocks(trace: Trace, gone: Mask) -> list[I64]:
    """The rows of the host, and those of each device: clocks may be apart as a whole."""
    work = trace.is_(*GPU_WORK)
    groups = [~work, *(work & (trace.device == device) for device in np.unique(trace.device[work]))]
    rows = [np.flatnonzero(mine & ~gone) for mine in groups]
    return [mine for mine in rows if len(mine)]


def _out_of_turn(trace: Trace, gone: Mask) -> Mapping[str, Mask]:
    """Work stamped long before its launch, or long after work of its stream that was launched
    later, where most work is neither.
    """
    early, late = np.zeros(len(trace), bool), np.zeros(len(trace), bool)
    _, calls = _linked(trace, gone, Cat.RUNTIME)
    work, gpu = _linked(trace, gone, *GPU_WORK)
    at = last_before(calls.correlation, calls.ts, gpu.correlation, gpu.ts)
    known = np.flatnonzero(at >= 0)
    work, at = work[known], at[known]
    if len(work):
        start = calls.ts[at]
        delay = gpu.ts[known] - start
        skew = min(int(np.median(delay)), 0)
        off = delay < skew - EARLY_NS
        early[work[off]] = 2 * off.sum() < len(off)
        if int(delay.max()) > EARLY_NS:
            rows = work[~off]
            off = _overtaken(trace, rows, start[~off])
            late[rows[off]] = 2 * off.sum() < len(off)
    return {EARLY: early, LATE: late}


def _linked(trace: Trace, gone: Mask, *cats: Cat) -> tuple[I64, Trace]:
    """The rows of these categories that carry an id and are not gone, and the slices of those."""
    part, rows = trace.of(*cats), np.flatnonzero(trace.is_(*cats))
    kept = (part.correlation > 0) & ~gone[rows]
    # whoever asks for them later finds the columns of `part` as they were read here
    return (rows, part) if kept.all() else (rows[kept], part.where(kept))


def _overtaken(trace: Trace, work: I64, issued: I64) -> Mask:
    """[W] whether work that was issued later on the same stream began EARLY_NS before or more."""
    track = trace.device[work].astype(np.int64) * (1 << 31) + np.maximum(trace.stream[work], -1)
    order = np.lexsort((trace.ts[work], issued, track))
    found = np.zeros(len(work), bool)
    for rows in np.split(order, np.flatnonzero(np.diff(track[order])) + 1):
        start = trace.ts[work[rows]]
        following = np.minimum.accumulate(start[::-1])[::-1][1:]
        found[rows[:-1]] = start[:-1] - following > EARLY_NS
    return found


def _twice(trace: Trace, gone: Mask) -> Mapping[str, Mask]:
    """Slices that are in the file more than once, where work of the device shows that some are.

    A launch runs its kernel once; equal kernels of one graph are told apart by other starts of it.
    """
    _, gpu = _linked(trace, gone, *GPU_WORK)
    if not (gpu.dur > 0).all():
        gpu = gpu.where(gpu.dur > 0)
    same = np.ones(max(len(gpu) - 1, 0), bool)
    for column in (gpu.ts, gpu.dur, gpu.correlation, gpu.name, gpu.stream, gpu.device):
        same &= column[1:] == column[:-1]
        if not same.any():
            return {}
    again = np.concatenate([[False], same])
    key = np.unique(np.stack([gpu.correlation, gpu.ts]), axis=1)
    graphs, starts = np.unique(key[0], return_counts=True)
    again &= ~np.isin(gpu.correlation, graphs[starts > 1])
    if not again.any():
        return {}
    found = np.zeros(len(trace), bool)
    names = ("ts", "dur", "name", "cat", "pid", "tid", "device", "stream", "correlation")
    tied = np.zeros(len(trace), bool)
    tied[1:] = (trace.ts[1:] == trace.ts[:-1]) & (trace.dur[1:] == trace.dur[:-1])
    tied[:-1] |= tied[1:].copy()
    rows = np.flatnonzero(tied & ~gone)
    key = np.stack([getattr(trace, name)[rows].astype(np.int64) for name in names])
    first = np.unique(key, axis=1, return_index=True)[1]
    found[rows] = True
    found[rows[first]] = False
    return {TWICE: found}


# ---------------------------------------------------------------- lengths


def _in_order(trace: Trace) -> tuple[Trace, Mask | None]:
    """The trace with work cut where later launches of its stream start, and [N] which was."""
    work, gpu = np.flatnonzero(trace.is_(*GPU_WORK)), trace.of(*GPU_WORK)
    if len(work) < 2:
        return trace, None
    track = gpu.device.astype(np.int64) * (1 << 31) + np.maximum(gpu.stream, -1)
    start, end, link = gpu.ts, gpu.end, gpu.correlation
    if (track != track[0]).any():
        order = segments.order(track)
        work, track, start, end, link = (a[order] for a in (work, track, start, end, link))
    over = np.flatnonzero((track[1:] == track[:-1]) & (end[:-1] > start[1:]))
    if not len(over):
        return trace, None
    # kernels of one graph launch may run beside one another under the number of one stream: what
    # comes after those of the same launch counts
    follows = _of_later_launches(link, track)[over]
    some = (follows < len(work)) & (end[over] > start[np.minimum(follows, len(work) - 1)])
    over, follows = over[some], follows[some]
    reach = np.array([
        np.searchsorted(start[after : np.searchsorted(track, track[i], "right")], end[i])
        for i, after in zip(over.tolist(), follows.tolist(), strict=True)
    ], np.int64)  # fmt: skip
    over = over[_too_long(trace, work, over, reach)] if len(over) else over
    if not len(over):
        return trace, None
    dur = trace.dur.copy()
    dur[work[over]] = start[over + 1] - start[over]
    dur.flags.writeable = False
    cut = np.zeros(len(trace), bool)
    cut[work[over]] = True
    return replace(trace, dur=dur, memo={}), cut


def _of_later_launches(link: I64, track: I64) -> I64:
    """[W] the next work of the same stream that another launch issued; W where there is none."""
    count = len(link)
    begins = np.r_[True, (track[1:] != track[:-1]) | (link[1:] != link[:-1]) | (link[1:] <= 0)]
    opens = np.append(np.flatnonzero(begins), count)
    after = opens[np.cumsum(begins)]
    same = track[np.minimum(after, count - 1)] == track
    return np.asarray(np.where(same, after, count), np.int64)


def _too_long(trace: Trace, work: I64, over: I64, reach: I64) -> Mask:
    """[O] of work that outlasts `reach` later starts of its stream, what no overlap explains."""
    found = reach >= _ENCLOSED
    for at in np.flatnonzero(~found & (reach >= _FEW)).tolist():
        row = work[over[at]]
        alike = trace.dur[work[trace.name[work] == trace.name[row]]]
        found[at] = len(alike) > _SIBLINGS and trace.dur[row] > _LONGER * np.median(alike)
    return found


# ---------------------------------------------------------------- time from the first slice


def _shifted(whole: Trace, kept: Trace) -> Trace:
    """Times counted from the first slice that is left, where others stood far before it."""
    by = int(kept.ts[0]) if len(kept) else 0
    if by < MINUTE_NS:
        return kept
    ts = kept.ts - by
    ts.flags.writeable = False
    source = replace(kept.source, reread=_Shifted(whole, by))
    return replace(kept, ts=ts, origin_ns=kept.origin_ns + by, source=source, tables={}, memo={})


class _Shifted(Record, frozen=True, eq=False):
    """Side tables of a trace whose time begins later."""

    trace: Trace
    by: int

    def __call__(self, names: frozenset[str]) -> Mapping[str, Table]:
        return {name: self._own(self.trace.table(name)) for name in names}

    def _own(self, table: Table) -> Table:
        if "ts" not in table.columns:
            return table
        return replace(table, columns=table.held.later(-self.by))
