"""Autograd's threads: they begin where another thread called `backward`, and it waits for them."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.replay.host import Points
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, spans, union
from tracekit.trace.trace import I64, Cat, Trace

# what its threads run; before PyTorch 1.10 the nodes have no op of the engine around them
ENGINE = r"^autograd::engine::evaluate_function|Backward\d*$|^torch::autograd::AccumulateGrad"
MOSTLY = 0.1  # of a thread's ops


class Forks(Record, frozen=True, eq=False):
    """Index pairs of `Points`: the second begins where the first says so; and steps to cut."""

    one: I64
    two: I64
    cut: I64  # steps between a point and the next of its thread that are no host time of it


def forks(trace: Trace, found: Points) -> Forks:
    """Bursts of an autograd thread that lie in a pause of the thread that has most ops."""
    thread, op = links.thread(trace), trace.is_(Cat.CPU_OP)
    none = np.empty(0, np.int64)
    nodes = thread[op & trace.named(ENGINE)]
    if not len(nodes):
        return Forks(none, none, none)
    count = int(thread.max()) + 1
    engine = np.flatnonzero(
        np.bincount(nodes, minlength=count) > MOSTLY * np.bincount(thread[op], minlength=count)
    )
    others = thread[op & ~np.isin(thread, engine)]
    if not len(engine) or not len(others):
        return Forks(none, none, none)
    main = int(np.bincount(others).argmax())
    busy = _busy(trace, main)
    one, two, cut = [], [], []
    for own in engine.tolist():
        for begin, end in _between_points(found, main, _bursts(_busy(trace, own), busy)):
            made = _fork(found, main, own, begin, end)
            if made is not None:
                one += made[0]
                two += made[1]
                cut += made[2]
    return Forks(*(np.array(part, np.int64) for part in (one, two, cut)))


def _busy(trace: Trace, thread: int) -> Spans:
    """When a thread is in a runtime call, or in an op with none inside: old traces have whole steps
    among their ops."""
    outer = np.zeros(len(trace), bool)
    inside = links.op_parent_row(trace)
    outer[np.flatnonzero(trace.is_(Cat.CPU_OP))[inside[inside >= 0]]] = True
    mine = (links.thread(trace) == thread) & trace.is_(Cat.CPU_OP, Cat.RUNTIME) & ~outer
    return union(spans(trace.ts[mine], trace.dur[mine]))


def _bursts(own: Spans, busy: Spans) -> list[tuple[int, int]]:
    """What a thread does within each pause of another: from its first op there to its last."""
    pause = np.searchsorted(busy[:, 0], own[:, 0], side="right") - 1
    apart = (pause < 0) | (own[:, 0] >= busy[np.maximum(pause, 0), 1])
    last = pause + 1 < len(busy)
    following = busy[np.minimum(pause + 1, len(busy) - 1), 0]
    fits = apart & (~last | (own[:, 1] <= following)) & (pause >= 0)
    out = []
    for one in segments.sorted_unique(pause[fits]):
        mine = own[pause == one]
        if fits[pause == one].all():
            out.append((int(mine[0, 0]), int(mine[-1, 1])))
    return out


def _between_points(
    found: Points, main: int, bursts: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Bursts with no point of the other thread between them as one: what it does there, such as
    recording an event, neither launches nor waits.
    """
    mains = _range(found, main)
    if mains is None:
        return []
    when = found.when[slice(*mains)]
    out: list[tuple[int, int]] = []
    place = -1
    for begin, end in bursts:
        here = int(np.searchsorted(when, begin, side="right"))
        if out and here == place:
            out[-1] = out[-1][0], end
        else:
            out.append((begin, end))
        place = int(np.searchsorted(when, end, side="right"))
    return out


def _fork(
    found: Points, main: int, own: int, begin: int, end: int
) -> tuple[list[int], list[int], list[int]] | None:
    """The edges into a burst and out of it, and the steps that they take the place of."""
    mains, owns = _range(found, main), _range(found, own)
    if mains is None or owns is None:
        return None
    first = owns[0] + int(np.searchsorted(found.when[slice(*owns)], begin, side="left"))
    last = owns[0] + int(np.searchsorted(found.when[slice(*owns)], end, side="right")) - 1
    before = mains[0] + int(np.searchsorted(found.when[slice(*mains)], begin, side="right")) - 1
    after = mains[0] + int(np.searchsorted(found.when[slice(*mains)], end, side="left"))
    if first > last or before < mains[0]:
        return None
    one, two, cut = [before], [first], []
    if first > owns[0]:
        cut.append(first - 1)
    if after < mains[1]:
        one.append(last)
        two.append(after)
        cut.append(after - 1)
    return one, two, cut


def _range(found: Points, thread: int) -> tuple[int, int] | None:
    wanted = np.array([thread, thread + 1], found.thread.dtype)  # else the column is copied
    low, high = np.searchsorted(found.thread, wanted)
    return (int(low), int(high)) if high > low else None
