"""Kernels that follow one another on a stream and could be one: pointwise runs, and attention.

stream 7  GG.ee.cc.nn.GG     three kernels in a run that only move or touch data: one fused
                             kernel takes at least as long as the longest of them
stream 7  BB.ss.mm.BB        bmm, pointwise, softmax, bmm: a fused attention does both products
                             and needs nothing of what is between them

Neither reaches from one step, or one instance of a stage, into the next, and no run over a copy
from or to the host; copies on the device are data moves that a compiler fuses too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.alone import alone
from tracekit.attribution.copies import way as copy_way
from tracekit.attribution.kernels.categories import CATEGORIES, Classes, classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.kernels.inductor_names import fusable
from tracekit.attribution.reasons.steps import between_steps
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.instances import innermost, markers_if_any
from tracekit.records import Record
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace

_BETWEEN = (Category.ELEMENTWISE, Category.COPY, Category.REDUCTION, Category.SAMPLING)
_PRODUCT = r"^aten::(?:bmm|baddbmm|matmul)(?:_out)?$"
_SOFTMAX = r"softmax"


class Unfused(Record, frozen=True):
    """Kernels of one phase that could be fused. Times in ns."""

    phase: str
    pattern: str  # pointwise, or attention
    groups: int  # runs of two kernels or more; attentions
    count: int  # kernels in them; of attention without the two products
    total_ns: int
    saves_ns: int  # alone on the device, less what must stay


def unfused(trace: Trace, stages: str | None = None) -> tuple[Unfused, ...]:
    """By phase: attentions, then runs of what is not in one of them."""
    gpu, classes = links.work(trace), classify(trace)
    stream = links.stream(trace)
    order = np.flatnonzero(gpu.cat == Cat.KERNEL)  # by time
    order = order[segments.order(stream[order])]
    if not len(order):
        return ()
    phases = work_phases.of_work(trace, stages)
    lane = stream[order] * len(phases.names) + phases.code[order]
    apart = np.append(True, lane[1:] != lane[:-1]) | _steps_apart(trace, order, stages)
    inside = _attentions(trace, classes, order, apart)
    runs = _runs(gpu, classes, order, apart | _copied(trace, order), inside >= 0)
    found = []
    for pattern, group in (("attention", inside), ("pointwise", runs)):
        found += _rows(trace, pattern, order, group, phases)
    return tuple(found)


def added(rows: Iterable[Unfused]) -> tuple[Unfused, ...]:
    """Rows of one phase and pattern added up."""
    sums: dict[tuple[str, str], Unfused] = {}
    for row in rows:
        key = (row.phase, row.pattern)
        old = sums.get(key, Unfused(*key, 0, 0, 0, 0))
        sums[key] = Unfused(
            *key, old.groups + row.groups, old.count + row.count, old.total_ns + row.total_ns,
            old.saves_ns + row.saves_ns,
        )  # fmt: skip
    return tuple(sums.values())


def _steps_apart(trace: Trace, order: I64, stages: str | None) -> Mask:
    """[K] whether a kernel is of another step, or of another instance of a stage, than the last.

    The host is between them: it decides after the one what the next is given.
    """
    out = np.zeros(len(order), bool)
    out[1:] = between_steps(trace, order[:-1], order[1:])
    if markers_if_any(trace, stages) is not None:
        instance = innermost(trace, stages)[order]
        out[1:] |= (instance[1:] != instance[:-1]) & (instance[1:] >= 0) & (instance[:-1] >= 0)
    return out


def _copied(trace: Trace, order: I64) -> Mask:
    """[K] whether its stream copied from or to the host since the last kernel."""
    gpu = links.work(trace)
    copies = np.flatnonzero(gpu.is_(Cat.MEMCPY))
    names, at = segments.codes(gpu.name[copies])
    host = np.array(["H" in copy_way(gpu.strings[name])[0] for name in names.tolist()], bool)
    if not host.any():
        return np.zeros(len(order), bool)
    both = np.concatenate([order, copies[host[at]]])
    place = np.lexsort((gpu.ts[both], links.stream(trace)[both]))
    copy = place >= len(order)
    passed = np.cumsum(copy)[~copy]
    return np.append(False, passed[1:] != passed[:-1])


def _attentions(trace: Trace, classes: Classes, order: I64, apart: Mask) -> I64:
    """[K] the number of the attention that a kernel lies inside, between its products; or -1."""
    gpu, op = links.work(trace), origin.op_row(trace)[order]
    known = op >= 0
    product = np.zeros(len(order), bool)
    product[known] = origin.ops_named(trace, _PRODUCT)[op[known]]
    product &= classes.of(Category.GEMM)[order]
    softmax = gpu.named(_SOFTMAX)[order]
    softmax[known] |= origin.ops_named(trace, _SOFTMAX)[op[known]]
    allowed = np.isin(classes.category[order], [CATEGORIES.index(c) for c in _BETWEEN])
    # a stretch is what lies between two breaks; one that both ends with products is an attention
    breaks = product | ~allowed | apart
    number = np.cumsum(breaks) - 1
    starts = np.flatnonzero(breaks)
    opened = product[starts]
    closed = np.r_[product[starts[1:]] & ~apart[starts[1:]], False]
    has = np.zeros(len(starts), bool)
    has[number[softmax & ~product]] = True
    good = opened & closed & has
    return np.where(good[number] & ~breaks, number, -1)


def _runs(gpu: Trace, classes: Classes, order: I64, apart: Mask, taken: Mask) -> I64:
    """[K] the number of the run of fusable neighbours that a kernel is in, or -1."""
    kinds, which = segments.distinct([gpu.name[order], classes.category[order]])
    could = np.array([fusable(gpu.strings[n], CATEGORIES[c]) for n, c in kinds.tolist()], bool)
    mine = could[which] & ~taken
    begins = mine & np.r_[True, ~mine[:-1] | apart[1:]]
    number = np.where(mine, np.cumsum(begins) - 1, -1)
    size = np.bincount(number[mine], minlength=1)
    return np.where(mine & (size[np.maximum(number, 0)] > 1), number, -1)


def _rows(
    trace: Trace, pattern: str, order: I64, group: I64, phases: work_phases.Phases
) -> list[Unfused]:
    gpu, ns = links.work(trace), alone(trace)[order]
    own = np.flatnonzero(group >= 0)
    numbers, at = segments.codes(group[own])
    if not len(numbers):
        return []
    save = segments.sums(at, ns[own], len(numbers))
    if pattern == "pointwise":  # one kernel of each run stays
        longest = np.zeros(len(numbers), np.int64)
        np.maximum.at(longest, at, ns[own])
        save = save - longest
    total = segments.sums(at, gpu.dur[order[own]], len(numbers))
    phase = np.zeros(len(numbers), np.int64)
    phase[at] = phases.code[order[own]]
    size = np.bincount(at, minlength=len(numbers))
    return [
        Unfused(
            phases.names[code], pattern, int((phase == code).sum()), int(size[phase == code].sum()),
            int(total[phase == code].sum()), int(save[phase == code].sum()),
        )
        for code in segments.sorted_unique(phase).tolist()
    ]  # fmt: skip
