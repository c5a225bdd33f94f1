"""Who comes late: the same call of a collective, set side by side over the ranks of its group.

In a collective in which every rank waits for every other, all kernels of a call end about together.
The rank that comes last waits for nobody: its kernel, the shortest of the call, is the transfer.
What the others take longer is waiting for it. Durations alone say this, so clocks of several
machines need not agree.

Calls are met by the number that PyTorch gives them in their group; without it by their order, and
then only where every rank has as many, of the same sizes, and all kernels of each call do end
together: a file that somebody thinned has as many of other calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.collectives.calls import calls
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.trace import I64, Trace

# all ranks wait for all others; a broadcast, a reduction to one or a message do not make them
_ALL_WAIT = later(r"allreduce|allgather|reducescatter|alltoall|barrier")
_TOGETHER_NS = 1_000_000
Key = tuple[str, str, str]  # process group, its ranks, collective


class RankCalls(Record, frozen=True, eq=False):
    """The calls of one rank in which all ranks wait for all others; columns sorted by start."""

    rank: str
    keys: tuple[Key, ...]
    key: I64  # [C] into keys
    dur: I64  # [C] ns
    size: I64  # [C] bytes, -1 where not recorded
    sequence: I64  # [C] number of the call in its group, -1 where not recorded
    window_ns: int  # of the rank's device
    end: I64 | None = None  # [C] absolute ns by the clock of the rank's host


class Arrival(Record, frozen=True):
    """The calls of one collective of one process group that every rank has."""

    group: str | None
    name: str
    ranks: int
    count: int  # calls that each of the ranks has
    transfer_ns: int  # the shortest kernel of each call, added up
    skew_ns: int  # the longest beyond the shortest, added up: how long the first one waited
    largest_skew_ns: int
    last: str | None  # the rank that came last most often; None where all came together
    last_count: int
    last_skew_ns: int  # of skew_ns: in those calls
    met_by: str  # "number" or "order"


class Waiting(Record, frozen=True):
    """What one rank waited for others in the calls above, and how often they waited for it."""

    rank: str
    count: int
    waited_ns: int  # beyond the shortest kernel of each call
    last_count: int  # calls in which it came last
    window_ns: int  # of its device
    held_ns: int = 0  # in those calls another rank waited so long, the longest of each added up


def of_rank(trace: Trace, rank: str) -> RankCalls:
    """The calls of a trace of one rank; of the first device with any, where it has several."""
    every, gpu = calls(trace), links.work(trace)
    name = [re.sub(r"[^a-z]", "", text.lower()) for text in every.names]
    waits = np.array([bool(_ALL_WAIT.search(text)) for text in name] or [False])
    own = np.flatnonzero(waits[every.name]) if len(every.row) else np.empty(0, np.int64)
    device = gpu.device[every.row[own]]
    own = own[device == device[0]] if len(own) else own
    row = every.row[own]
    mine = gpu.device == gpu.device[row[0]] if len(row) else np.zeros(len(gpu), bool)
    said = np.stack([every.group[own], every.member[own], every.name[own]], axis=1)
    kinds, key = np.unique(said, axis=0, return_inverse=True)
    return RankCalls(
        rank=rank,
        keys=tuple((every.groups[g], every.members[m], name[n]) for g, m, n in kinds.tolist()),
        key=key.reshape(-1).astype(np.int64), dur=gpu.dur[row], size=every.size[own],
        sequence=every.sequence[own],
        window_ns=int(gpu.end[mine].max() - gpu.ts[mine].min()) if mine.any() else 0,
        end=gpu.end[row] + trace.origin_ns + _base(trace),
    )  # fmt: skip


def _base(trace: Trace) -> int:
    """What newer profilers leave out of all times of a file. Source: libkineto, output_json.cpp."""
    found = trace.source.meta.get("baseTimeNanoseconds")
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


class Met(Record, frozen=True, eq=False):
    """The calls of one collective that all its ranks have."""

    key: Key
    ranks: tuple[int, ...]  # places among those given
    dur: I64  # [calls, ranks]
    end: I64 | None  # [calls, ranks]; None where some rank does not say
    by: str  # "number" or "order"


def met(many: Sequence[RankCalls]) -> list[Met]:
    """The calls of all collectives, side by side over their ranks."""
    return [one for key in _keys(many) if (one := _met(key, many)) is not None]


def meet(many: Sequence[RankCalls]) -> tuple[tuple[Arrival, ...], tuple[Waiting, ...]]:
    """Of several ranks: by collective the longest skew first, and what each rank waited."""
    every = met(many)
    rows = [_arrival(one, many) for one in every]
    waited = np.zeros(len(many), np.int64)
    count, last, held = waited.copy(), waited.copy(), waited.copy()
    for one in every:
        at = list(one.ranks)
        waited[at] += (one.dur - one.dur.min(axis=1, keepdims=True)).sum(axis=0)
        count[at] += len(one.dur)
        last[at] += _came_last(one)
        skew = one.dur.max(axis=1) - one.dur.min(axis=1)
        np.add.at(held, np.array(at)[one.dur.argmin(axis=1)], skew)
    of = [
        Waiting(
            side.rank, int(count[i]), int(waited[i]), int(last[i]), side.window_ns, int(held[i])
        )
        for i, side in enumerate(many) if count[i]
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda a: (-a.skew_ns, a.group or "", a.name))), tuple(of)


def waited_for(many: Sequence[RankCalls], rank: str, last: str) -> int:
    """ns that one rank waited in the calls to which another came last."""
    waited = 0
    for one in met(many):
        names = [many[i].rank for i in one.ranks]
        if rank in names and last in names:
            mine, shortest = one.dur[:, names.index(rank)], one.dur.min(axis=1)
            waited += int((mine - shortest)[one.dur.argmin(axis=1) == names.index(last)].sum())
    return waited


def _keys(many: Sequence[RankCalls]) -> Iterator[Key]:
    """Each collective that at least two ranks have."""
    seen: dict[Key, int] = {}
    for side in many:
        for key in side.keys:
            seen[key] = seen.get(key, 0) + 1
    yield from (key for key, ranks in seen.items() if ranks > 1)


def _met(key: Key, many: Sequence[RankCalls]) -> Met | None:
    """The calls that all ranks of one collective have; None where they cannot be told to be."""
    ranks = tuple(i for i, side in enumerate(many) if key in side.keys)
    own = [np.flatnonzero(many[i].key == many[i].keys.index(key)) for i in ranks]
    numbers = [many[i].sequence[rows] for i, rows in zip(ranks, own, strict=True)]
    if all((n >= 0).all() and len(np.unique(n)) == len(n) for n in numbers):
        shared = reduce(np.intersect1d, numbers)
        by_number = [rows[np.argsort(n)] for rows, n in zip(own, numbers, strict=True)]
        own = [rows[np.isin(np.sort(n), shared)]
               for rows, n in zip(by_number, numbers, strict=True)]  # fmt: skip
        by = "number"
    else:
        sizes = [many[i].size[rows] for i, rows in zip(ranks, own, strict=True)]
        if any(not np.array_equal(sizes[0], other) for other in sizes[1:]):
            return None
        by = "order"
    dur = np.stack([many[i].dur[rows] for i, rows in zip(ranks, own, strict=True)], axis=1)
    ends = [end[rows] for i, rows in zip(ranks, own, strict=True)
            if (end := many[i].end) is not None]  # fmt: skip
    end = np.stack(ends, axis=1) if len(ends) == len(ranks) else None
    if not len(dur) or (by == "order" and end is not None and not _ends_together(end, dur)):
        return None
    return Met(key, ranks, dur, end, by)


def _ends_together(end: I64, dur: I64) -> bool:
    """Whether kernels that end in one call do so within the shortest of it, or a millisecond.

    What the clocks of the ranks differ by is taken off: the median of their calls.
    """
    apart = end - end[:, :1]
    apart = apart - np.median(apart, axis=0).astype(np.int64)
    width = apart.max(axis=1) - apart.min(axis=1)
    return bool((width <= np.maximum(dur.min(axis=1), _TOGETHER_NS)).all())


def _came_last(one: Met) -> npt.NDArray[np.int64]:
    """[ranks] in how many calls each came last; calls to which all came together have no last."""
    apart = one.dur.max(axis=1) > one.dur.min(axis=1)
    return np.bincount(one.dur.argmin(axis=1)[apart], minlength=len(one.ranks)).astype(np.int64)


def _arrival(one: Met, many: Sequence[RankCalls]) -> Arrival:
    shortest, longest = one.dur.min(axis=1), one.dur.max(axis=1)
    skew, last = longest - shortest, one.dur.argmin(axis=1)
    often = _came_last(one)
    # of those that came last equally often the one that the others waited longest for
    waited = np.array([skew[last == i].sum() for i in range(len(one.ranks))], np.int64)
    place = int(np.lexsort((waited, often))[-1])
    group, _members, name = one.key
    return Arrival(
        group=group or None, name=name, ranks=len(one.ranks), count=len(one.dur),
        transfer_ns=int(shortest.sum()), skew_ns=int(skew.sum()), largest_skew_ns=int(skew.max()),
        last=many[one.ranks[place]].rank if often[place] else None, last_count=int(often[place]),
        last_skew_ns=int(waited[place]), met_by=one.by,
    )  # fmt: skip
