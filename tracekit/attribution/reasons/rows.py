"""The reasons of idle time as rows: how much, in how many stretches, and what held the host."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.reasons import called, holders
from tracekit.attribution.reasons.names import HOST_REASONS, REASONS, Reason
from tracekit.attribution.reasons.stretches import Stretches, stretches
from tracekit.attribution.stages.instances import innermost, markers
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.trace.spans import detail, segments
from tracekit.trace.spans.intervals import Spans, covered
from tracekit.trace.trace import I64, Mask, Trace

NAMED = 5  # holders of a row, the longest first
# A device's own time between two kernels is 1 to 20 µs: in a stretch that lasts longer than this,
# something that the file does not show was waited for
OWN_NS = 50_000


class Holder(Record, frozen=True):
    """What the launching thread was in for at least half of each of these stretches.

    None where the trace has no such slice. Only the longest stretches of a device are named.
    """

    name: str | None  # the innermost call, op, annotation or Python frame
    op: str | None  # the framework op around it
    frame: str | None  # the line of the program's own code around it: file.py:12 function
    library: str | None  # the innermost Python frame with a file, of a library too
    ns: int  # of these stretches inside it
    count: int
    calls: int | None = None  # calls of this name, where they take half of a stretch together


class IdleReason(Record, frozen=True):
    """Idle time of one device with one reason, between its first and last work.

    The rows of a device add up to the idle time of its window.
    """

    device: int
    reason: str  # a value of Reason
    stage: str | None  # the innermost stage that launched the work after it
    ns: int
    count: int  # stretches
    longest_ns: int
    holders: tuple[Holder, ...]
    after_sync_ns: int = 0  # of ns: the host would have launched by then, had it not waited before
    after_sync_count: int = 0  # stretches with such a part, in gaps without a sync in them
    waits: tuple[Holder, ...] = ()  # what it waited in, with the parts that come after
    first_ns: int = 0  # of ns: before work that the stage's first instance launched
    instances: int = 0  # of the stage, that launched work
    unseen_ns: int = 0  # of ns: nothing of the launching thread is recorded, but steps and stages
    rank: str | None = None  # of a file of several; None where it holds one process
    long_ns: int = 0  # of ns: in stretches of more than 50 µs
    long_count: int = 0


def rows(trace: Trace, pattern: str | None) -> tuple[IdleReason, ...]:
    """By device, the longest first."""
    stages = _stages(trace, pattern)
    found = []
    for device in trace.devices:
        every = stretches(trace, device)
        length = every.spans[:, 1] - every.spans[:, 0]
        long = length > OWN_NS
        closer = every.closer
        launcher = np.where(closer >= 0, stages.family[closer], -1)
        first = (closer >= 0) & stages.first[closer]
        key = np.stack([every.reason.astype(np.int64), launcher], axis=1)
        kinds, which = segments.distinct(key)
        after, unseen = every.after_sync_ns, _unseen(trace, every, length)
        alone = (after > 0) & ~np.isin(every.gap, every.gap[every.of(Reason.SYNC)])
        held, waited = _held(trace, device, every), _waited(trace, every, alone)
        mine = []
        for i, (reason, family) in enumerate(kinds.tolist()):
            own = np.flatnonzero(which == i)
            mine.append(
                IdleReason(
                    device, REASONS[reason].value, stages.names[family] if family >= 0 else None,
                    int(length[own].sum()), len(own), int(length[own].max()),
                    held.of(trace, which, i), int(after[own].sum()), int(alone[own].sum()),
                    waited.of(trace, which, i),
                    int(length[own][first[own]].sum()),
                    stages.instances[family] if family >= 0 else 0, int(unseen[own].sum()),
                    trace.source.rank, int(length[own][long[own]].sum()), int(long[own].sum()),
                )
            )  # fmt: skip
        found += sorted(mine, key=lambda r: (-r.ns, r.reason, r.stage or ""))
    return tuple(found)


class _Stages(Record, frozen=True, eq=False):
    """Who launched what. Shapes: F families, G rows of `links.work`."""

    names: tuple[str, ...]  # [F]
    instances: tuple[int, ...]  # [F] that launched work
    family: I64  # [G] -1 for none
    first: Mask  # [G] launched by the first instance of its family that launched any


def _stages(trace: Trace, pattern: str | None) -> _Stages:
    gpu = len(links.work(trace))
    try:
        marks = markers(trace, pattern)
    except MissingEventsError:
        return _Stages((), (), np.full(gpu, -1, np.int64), np.zeros(gpu, bool))
    number = np.array([marks.families.index(family) for family in marks.family], np.int64)
    at = innermost(trace, pattern)
    family = np.where(at >= 0, number[at], -1)
    working = segments.sorted_unique(at[at >= 0])  # instances, by their start
    _, place = segments.firsts(number[working])
    return _Stages(
        marks.families,
        tuple(np.bincount(number[working], minlength=len(marks.families)).tolist()),
        family,
        np.isin(at, working[place]),
    )


def longest(trace: Trace, device: int) -> tuple[I64, holders.Held]:
    """The longest stretches of a device in which the host is what it waits for, as rows of
    `stretches`, and what held it there.
    """

    def make() -> tuple[I64, holders.Held]:
        every = stretches(trace, device)
        host = np.flatnonzero(every.of(*HOST_REASONS) & (every.thread >= 0))
        length = every.spans[host, 1] - every.spans[host, 0]
        rows = host[detail.longest(length, holders.MOST)]
        return rows, holders.held(trace, every.spans[rows], every.thread[rows])

    return trace.once(("longest stretches", device), make)


class _Named(Record, frozen=True, eq=False):
    """What held the host in the L stretches that are looked at: the longest."""

    rows: I64  # [L]
    held: I64  # [5, L] rows of slice, op, frame and library frame, -1 for none; how many calls
    ns: I64  # [L]
    counted: Mask  # [L] of these how many is said

    def of(self, trace: Trace, which: I64, kind: int) -> tuple[Holder, ...]:
        """Of the stretches of one kind; `which` ([S]) says of what kind each of all is."""
        own = np.flatnonzero(which[self.rows] == kind)
        return summed(trace, self.held[:, own], self.ns[own], self.counted[own])


def _held(trace: Trace, device: int, every: Stretches) -> _Named:
    """What the host was in meanwhile."""
    rows, found = longest(trace, device)
    held = called.named(trace, every, rows, _table(found))
    took = _inside(trace, held, every.spans[rows])
    return _Named(rows, held, took, np.ones(len(rows), bool))


def _waited(trace: Trace, every: Stretches, alone: Mask) -> _Named:
    """In what the host waited before; no calls counted."""
    rows = np.flatnonzero(every.wait >= 0)
    rows = rows[detail.longest(every.after_sync_ns[rows], holders.MOST)]
    wait = every.wait[rows]
    where = np.stack([trace.ts[wait], trace.end[wait]], axis=1)
    table = _table(holders.held(trace, where, links.thread(trace)[wait]))
    calls = np.zeros((1, len(rows)), np.int64)
    held = np.concatenate([table, calls])
    return _Named(rows, held, every.after_sync_ns[rows], alone[rows])


def _table(found: holders.Held) -> I64:
    """[4, L] rows of slice, op, frame and library frame; -1 for none."""
    return np.stack([found.slice, found.op, found.frame, found.library])


def _inside(trace: Trace, held: I64, where: Spans) -> I64:
    """[L] ns of each stretch in the slice that holds it; of many calls of one name all of it."""
    one = np.flatnonzero((held[0] >= 0) & (held[4] == 0))
    out = where[:, 1] - where[:, 0]
    slices = held[0, one]
    begin = np.maximum(trace.ts[slices], where[one, 0])
    out[one] = np.minimum(trace.end[slices], where[one, 1]) - begin
    return np.asarray(out, np.int64)


def _unseen(trace: Trace, every: Stretches, length: I64) -> I64:
    """[S] ns of each stretch of other work, or between steps, in no slice of its thread."""
    out = np.zeros(len(length), np.int64)
    rows = np.flatnonzero(every.of(Reason.WORK, Reason.STEPS) & (every.thread >= 0))
    for thread in segments.sorted_unique(every.thread[rows]).tolist():
        mine = rows[every.thread[rows] == thread]
        out[mine] = length[mine] - covered(holders.recorded(trace, thread), every.spans[mine])
    return out


def summed(trace: Trace, held: I64, length: I64, counted: Mask | None = None) -> tuple[Holder, ...]:
    """Stretches with the same names together. `held` is [5, S]: the last, how many calls.

    Of the count are those that are `counted` ([S]); all where it is None.
    """
    known = np.flatnonzero(held[0] >= 0)
    if not len(known):
        return ()
    rows, calls = held[:4, known], held[4, known]
    names = np.where(rows >= 0, trace.name[rows].astype(np.int64), -1)
    kinds, which = segments.distinct(np.concatenate([names, [calls > 0]]).T)
    ns = segments.sums(which, length[known], len(kinds))
    called = segments.sums(which, calls, len(kinds))
    each = np.ones(len(known), bool) if counted is None else counted[known]
    count = np.bincount(which[each], minlength=len(kinds))

    def text(name: int) -> str | None:
        return holders.spoken(trace.strings[name]) if name >= 0 else None

    made = []
    for kind, time, many, all_calls in zip(
        kinds[:, :4].tolist(), ns.tolist(), count.tolist(), called.tolist(), strict=True
    ):
        name, op, frame, library = map(text, kind)
        made.append(Holder(name, op, frame, library, time, many, all_calls or None))
    return tuple(sorted(made, key=lambda h: (-h.ns, str(h.name), str(h.frame)))[:NAMED])
