"""Idle time in the tree: by the stage around it, its cause, and what the host was in meanwhile."""

from __future__ import annotations

import numpy as np

from tracekit.answers.tree import CAUSE, HOST, IDLE
from tracekit.attribution.idle import causes
from tracekit.attribution.idle.by_cause import NAMES
from tracekit.attribution.idle.cause_names import HOST_SIDE, ORDER
from tracekit.attribution.reasons import holders
from tracekit.attribution.stages.instances import innermost, markers_if_any
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import covered
from tracekit.trace.trace import I64, Mask, Trace

from .device import Around, around_marks, families
from .growing import Growing, Step, Sums

OUTSIDE = "idle, outside every stage"
# what a stretch is called; the last: the device probably ran work that the file lacks
WORDS = (*(NAMES[cause] for cause in ORDER), "work probably missing in the file")
_HOST_SIDE = np.array([cause in HOST_SIDE for cause in ORDER])


class Waits(Record, frozen=True, eq=False):
    """W stretches in which a device had no work, from its first activity to its last."""

    device: I64  # [W]
    start: I64
    dur: I64
    seen: I64  # of dur: without suspect time, which is in no node
    node: I64  # -1: all of it is suspect
    cause: I64  # index into WORDS


def grown(trace: Trace, stages: str | None, growing: Growing) -> Waits:
    """Every idle stretch of every device, and its node.

    It is the stage's in which both the work before it and the work after it were launched.
    """
    parts = [_of_device(trace, stages, growing, device) for device in trace.devices]
    return Waits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def sums(waits: Waits, size: int) -> Sums:
    """What each node has of them."""
    rows = waits.node >= 0
    return Sums.of(waits.node[rows], waits.seen[rows], waits.start[rows], size)


def _of_device(
    trace: Trace, stages: str | None, growing: Growing, device: int
) -> tuple[I64, I64, I64, I64, I64, I64]:
    found = causes.idle(trace, device)
    inner = (found.opener >= 0) & (found.closer >= 0)
    rows = np.flatnonzero(inner[found.gap])
    gap, where, cause = found.gap[rows], found.spans[rows], found.cause[rows].astype(np.int64)
    length = where[:, 1] - where[:, 0]
    seen = length - covered(found.suspect, where)
    place = _places(trace, stages, found.opener[gap], found.closer[gap])
    held = _held(trace, where, found.closer[gap], _HOST_SIDE[cause])
    node = np.full(len(rows), -1, np.int64)
    real = np.flatnonzero(seen > 0)
    number = (place.code * len(ORDER) + cause) * len(held.paths) + held.code
    key, of = segments.codes(number[real])
    nodes = [
        growing.at(0, _path(
            place.paths[k // len(held.paths) // len(ORDER)],
            NAMES[ORDER[k // len(held.paths) % len(ORDER)]], held.paths[k % len(held.paths)],
        ))
        for k in key.tolist()
    ]  # fmt: skip
    if len(key):
        node[real] = np.array(nodes, np.int64)[of]
    word = np.where(seen > 0, cause, len(ORDER))
    return np.full(len(rows), device, np.int64), where[:, 0], length, seen, node, word


def _path(stage: tuple[Step, ...], cause: str, held: tuple[Step, ...]) -> tuple[Step, ...]:
    return (*stage, (IDLE, "idle" if stage else OUTSIDE), (CAUSE, cause), *held)


def _places(trace: Trace, stages: str | None, opener: I64, closer: I64) -> Around:
    """[W] the innermost stage in which the work on both sides was launched."""
    marks = markers_if_any(trace, stages)
    if marks is None or not len(opener):
        return Around(np.zeros(len(opener), np.int64), ((),))
    own = families(trace, marks)
    if marks.chosen == "file":
        return Around(np.zeros(len(opener), np.int64), own.paths)
    of_work = innermost(trace, stages)
    around = around_marks(marks)
    above = [np.arange(len(marks))]
    while (above[-1] >= 0).any():  # a round for each level of nesting
        last = above[-1]
        above.append(np.where(last >= 0, around[last], -1))
    depth = np.stack([level >= 0 for level in above]).sum(axis=0) - 1
    both = _shared(of_work[opener], of_work[closer], around, depth)
    code = np.append(own.code, len(own.paths))[both]
    return Around(code, (*own.paths, ()))


def _shared(one: I64, two: I64, around: I64, depth: I64) -> I64:
    """[W] the innermost stage that is, or is around, both of two stages; -1 for none."""
    both = np.where(one == two, one, -1)
    apart = np.flatnonzero((one != two) & (one >= 0) & (two >= 0))
    first, second = one[apart], two[apart]
    while len(apart):  # a round for each level of nesting
        up, other = depth[first] >= depth[second], depth[second] >= depth[first]
        first, second = np.where(up, around[first], first), np.where(other, around[second], second)
        both[apart] = np.where(first == second, first, -1)
        on = (first != second) & (first >= 0) & (second >= 0)
        apart, first, second = apart[on], first[on], second[on]
    return both


def _held(trace: Trace, where: I64, closer: I64, host: Mask) -> Around:
    """[W] what the launching thread was in for at least half of the longest stretches."""
    code = np.zeros(len(where), np.int64)
    thread = causes.launch_thread(trace)[closer] if len(closer) else closer
    rows = np.flatnonzero(host & (thread >= 0))
    length = where[:, 1] - where[:, 0]
    if len(rows) > holders.MOST:
        rows = rows[np.argpartition(-length[rows], holders.MOST)[: holders.MOST]]
    if not len(rows):
        return Around(code, ((),))
    found = holders.held(trace, where[rows], thread[rows])
    frame = np.where(found.frame >= 0, found.frame, found.library)
    columns = [_names(trace, row) for row in (frame, found.op, found.slice)]
    key, of = segments.distinct(np.stack(columns, axis=1))
    code[rows] = of + 1
    return Around(code, ((), *(_said(trace, names) for names in key.tolist())))


def _names(trace: Trace, row: I64) -> I64:
    return np.where(row >= 0, trace.name[row], -1).astype(np.int64)


def _said(trace: Trace, names: list[int]) -> tuple[Step, ...]:
    said = [holders.spoken(trace.strings[name]) for name in names if name >= 0]
    return tuple((HOST, text) for text in dict.fromkeys(said))
