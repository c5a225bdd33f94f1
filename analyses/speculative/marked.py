"""Rounds and their parts as a trace marks them, whoever wrote the marks, and what each took.

    host      [round#0 [draft_step#0][draft_step#1][verify    ][accept    ]][round#1 …
    device           aaaaaaaa      bbbbbbb        ccccccccccc
    took       rest  │ draft 0    │ draft 1      │ verify    │ accept     │

On a device, work goes on after the call that launched it has returned. A part therefore runs from
the later of its own start and the completion of the part before it to its own completion, which is
the end of its mark or of the last work that it launched, whichever is later. Parts follow one
another without overlap, so that they and the rest add up to the round to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.answers.speculative import Parts
from tracekit.attribution import links
from tracekit.records import Record
from tracekit.trace.spans import nesting, segments
from tracekit.trace.trace import I64, Cat, Trace

DRAFT, TRANSLATE, VERIFY, ACCEPT, ROLL_BACK, REST = range(6)
KINDS = 6


class Marked(Record, frozen=True, eq=False):
    """R rounds, and P parts within them; rows of `links.marks`, sorted by start.

    Rounds of a request follow one another on its thread; `group` numbers the requests.
    """

    start: I64  # [R]
    end: I64
    mark: I64  # [R] a row of `links.marks` on the thread of the round
    number: I64  # [R] as its name says, else its place
    group: I64  # [R]
    part_round: I64  # [P] index of a round
    part_kind: I64
    part_start: I64
    part_end: I64


class Took(Record, frozen=True):
    """One round, in ns of the trace."""

    start_ns: int
    end_ns: int
    spent: Parts
    device: Parts | None
    draft_steps: int


def took(trace: Trace, marked: Marked) -> list[Took]:
    """[R] what each round was spent on."""
    inside, part = _launched(trace, marked)
    work = links.work(trace)
    rounds, parts = len(marked.start), len(marked.part_round)
    done = _last(marked.part_end, part, work.end)
    closed = _last(marked.end, inside, work.end)
    device = _busy(trace, marked, inside, part)
    found, reached = [], np.iinfo(np.int64).min
    order = np.argsort(marked.part_round, kind="stable")
    bounds = np.searchsorted(marked.part_round[order], np.arange(rounds + 1))
    for at in range(rounds):
        if at and marked.group[at] != marked.group[at - 1]:
            reached = np.iinfo(np.int64).min
        own = order[bounds[at] : bounds[at + 1]]
        start = max(int(marked.start[at]), int(reached))
        spent, reached = _tiled(marked, done, own, start, int(closed[at]))
        steps = int((marked.part_kind[own] == DRAFT).sum())
        found.append(Took(start, int(reached), _parts(spent), device[at], steps))
    assert parts == int(bounds[-1] - bounds[0]), "every part lies in a round"
    return found


def _tiled(
    marked: Marked, done: I64, own: Sequence[int] | I64, start: int, closed: int
) -> tuple[list[int], int]:
    """ns by kind of one round, and when it was complete."""
    spent, reached = [0] * KINDS, start
    for row in own:
        begin = max(int(marked.part_start[row]), reached)
        spent[REST] += begin - reached
        reached = max(int(done[row]), begin)
        spent[int(marked.part_kind[row])] += reached - begin
    end = max(closed, reached)
    spent[REST] += end - reached
    return spent, end


def _parts(spent: Sequence[int]) -> Parts:
    return Parts(*(int(ns) for ns in spent))


def _last(end: I64, owner: I64, work_end: I64) -> I64:
    """The end of each mark, or of the last work that it launched."""
    out = end.copy()
    linked = owner >= 0
    np.maximum.at(out, owner[linked], work_end[linked])
    return out


def _launched(trace: Trace, marked: Marked) -> tuple[I64, I64]:
    """[G] the round, and the part, in which the launch of each row of `links.work` lies, or -1.

    On the thread of the round; engines and our own captures launch from the thread that marks.
    """
    row = links.launch_row(trace)
    linked = np.flatnonzero(row >= 0)
    thread = links.thread(trace)
    call = links.call_thread(trace)[row[linked]]
    when = links.calls(trace).ts[row[linked]]
    mine = thread[trace.is_(Cat.ANNOTATION)][marked.mark]

    def around(owner: I64, start: I64, end: I64) -> I64:
        out = np.full(len(row), -1, np.int64)
        out[linked] = nesting.innermost(owner, start, end, call, when, when + 1)
        return out

    inside = around(mine, marked.start, marked.end)
    return inside, around(mine[marked.part_round], marked.part_start, marked.part_end)


def _busy(trace: Trace, marked: Marked, inside: I64, part: I64) -> list[Parts | None]:
    """[R] time in which a device ran work that each part launched; None on a trace without work."""
    work, rounds = links.work(trace), len(marked.start)
    if not len(work):
        return [None] * rounds
    kept = np.flatnonzero(inside >= 0)
    kind = np.full(len(kept), REST, np.int64)
    known = part[kept] >= 0
    kind[known] = marked.part_kind[part[kept][known]]
    group = inside[kept] * KINDS + kind
    busy = segments.union_ns(group, work.ts[kept], work.end[kept], rounds * KINDS)
    return [_parts(row) for row in busy.reshape(rounds, KINDS).tolist()]
