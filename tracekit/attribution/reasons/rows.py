"""The reasons of idle time as rows: how much, in how many stretches, and what held the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.reasons import holders
from tracekit.attribution.reasons.names import HOST_REASONS, REASONS
from tracekit.attribution.reasons.stretches import Stretches, stretches
from tracekit.attribution.stages.instances import innermost, markers
from tracekit.errors import MissingEventsError
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace

NAMED = 5  # holders of a row, the longest first


@dataclass(frozen=True, slots=True)
class Holder:
    """What the launching thread was in for at least half of each of these stretches.

    None where the trace has no such slice. Only the longest stretches of a device are named.
    """

    name: str | None  # the innermost call, op, annotation or Python frame
    op: str | None  # the framework op around it
    frame: str | None  # the line of the program's own code around it: file.py:12 function
    library: str | None  # the innermost Python frame with a file, of a library too
    ns: int
    count: int


@dataclass(frozen=True, slots=True)
class IdleReason:
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
    rank: str | None = None  # of a file of several; None where it holds one process


def rows(trace: Trace, pattern: str | None) -> tuple[IdleReason, ...]:
    """By device, the longest first."""
    names, stage = _stages(trace, pattern)
    found = []
    for device in trace.devices:
        every = stretches(trace, device)
        length = every.spans[:, 1] - every.spans[:, 0]
        launcher = np.where(every.closer >= 0, stage[every.closer], -1)
        key = np.stack([every.reason.astype(np.int64), launcher], axis=1)
        kinds, which = segments.distinct(key)
        held = _held(trace, every, length)
        mine = []
        for i, (reason, family) in enumerate(kinds.tolist()):
            own = np.flatnonzero(which == i)
            mine.append(
                IdleReason(
                    device, REASONS[reason].value, names[family] if family >= 0 else None,
                    int(length[own].sum()), len(own), int(length[own].max()),
                    _summed(trace, held[:, own], length[own]), trace.source.rank,
                )
            )  # fmt: skip
        found += sorted(mine, key=lambda r: (-r.ns, r.reason, r.stage or ""))
    return tuple(found)


def _stages(trace: Trace, pattern: str | None) -> tuple[list[str], I64]:
    """Families, and [G] which of them launched each row of `links.work`, -1 for none."""
    try:
        marks = markers(trace, pattern)
    except MissingEventsError:
        return [], np.full(len(links.work(trace)), -1, np.int64)
    names = list(marks.families)
    number = np.array([names.index(family) for family in marks.family], np.int64)
    at = innermost(trace, pattern)
    return names, np.where(at >= 0, number[at], -1)


def _held(trace: Trace, every: Stretches, length: I64) -> I64:
    """[4, S] rows of slice, op, frame and library frame; -1 none, -2 not looked up."""
    out = np.full((4, len(length)), -2, np.int64)
    host = np.flatnonzero(every.of(*HOST_REASONS) & (every.thread >= 0))
    longest = host[np.argsort(-length[host], kind="stable")[: holders.MOST]]
    found = holders.held(trace, every.spans[longest], every.thread[longest])
    out[:, longest] = np.stack([found.slice, found.op, found.frame, found.library])
    return out


def _summed(trace: Trace, held: I64, length: I64) -> tuple[Holder, ...]:
    """Stretches with the same names together."""
    known = np.flatnonzero(held[0] >= 0)
    if not len(known):
        return ()
    names = np.where(held[:, known] >= 0, trace.name[held[:, known]].astype(np.int64), -1)
    kinds, which = segments.distinct(names.T)
    ns = segments.sums(which, length[known], len(kinds))
    count = np.bincount(which, minlength=len(kinds))

    def text(name: int) -> str | None:
        return holders.spoken(trace.strings[name]) if name >= 0 else None

    made = []
    for kind, time, many in zip(kinds.tolist(), ns.tolist(), count.tolist(), strict=True):
        name, op, frame, library = map(text, kind)
        made.append(Holder(name, op, frame, library, time, many))
    return tuple(sorted(made, key=lambda h: (-h.ns, str(h.name), str(h.frame)))[:NAMED])
