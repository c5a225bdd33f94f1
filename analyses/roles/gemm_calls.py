"""The work of a model's forward passes as a sequence of GEMM and attention calls.

On a trace with kernels the items are kernels; on one without, framework ops with their self time.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.kernels.categories import CODE, classify, op_categories
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import op_formulas
from tracekit.attribution.roofline.formulas.work import MATRIX, Known, Weights, Work
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.instances import around_ops, innermost
from tracekit.records import Record
from tracekit.taxonomy import DECODE_STEP, Category
from tracekit.trace.spans import nesting, segments
from tracekit.trace.trace import I64, Cat, Mask, Trace

from . import layer_pattern
from .layer_pattern import ATTENTION, GEMM

PHASES = ("prefill", "mixed", "decode")  # what runs the layers of a language model
# the second kernel of a GEMM: of one split along k, or what cuBLAS runs after one
GOES_ON = r"(?i)split_?k.*reduc|reduc.*split_?k|cublasLt::epilogue"
EXPERTS = r"(?i)moe|expert|group(ed)?_(mm|gemm)|matmul_ogs"
BATCHED = r"^aten::(bmm|baddbmm)$"


class Items(Record, frozen=True, eq=False):
    """I kernels, or ops, of PHASES: by forward pass, then by launch."""

    on_gpu: bool
    phase: I64  # [I] index into PHASES
    run: I64  # [I] the pass, ascending
    ns: I64  # [I] duration of a kernel, self time of an op
    row: I64  # [I] of `links.work`, or of `links.ops`
    name: I64  # [I] index into strings
    category: I64  # [I] index into classify.CATEGORIES
    kind: I64  # [I] GEMM, ATTENTION or 0
    call: I64  # [I] the call it is part of, ascending; -1 for other work
    op: I64  # [I] the op that is this call, or -1: a row of `links.ops`, then those of captures
    formula: I64  # [I] the call of an op whose formula describes it, or -1
    work: tuple[Work, ...]  # of each call of an op with a formula


def items(trace: Trace, stages: str | None = None) -> Items:
    """The items of a trace; none where it has no phase of PHASES.

    Raises: MissingEventsError where `stages` is given and matches nothing.
    """
    return _kernels(trace, stages) if len(trace.of(Cat.KERNEL)) else _ops(trace, stages)


def _kernels(trace: Trace, stages: str | None) -> Items:
    gpu = links.work(trace)
    phase = _phase(work_phases.of_work(trace, stages))
    rows = np.flatnonzero((gpu.is_(Cat.KERNEL)) & (phase >= 0))
    category = classify(trace).category.astype(np.int64)
    op = origin.op_row(trace)[rows]
    kind, key = _kind(category[rows]), np.full(len(rows), -1, np.int64)
    batched = np.zeros(len(rows), bool)
    if (op >= 0).any():
        of_op = _kind(origin.over_ops(trace, op_categories).astype(np.int64))
        inside = (op >= 0) & (of_op[op] > 0)  # a copy inside a linear is part of that call
        kind = np.where(inside, of_op[op], kind)
        key = np.where(inside, _outermost(trace)[op], -1)
        batched = (op >= 0) & origin.ops_named(trace, BATCHED)[op]
    launch, calls = links.launch_row(trace)[rows], links.calls(trace)
    when, pid = gpu.ts[rows].copy(), np.full(len(rows), -1, np.int64)
    when[launch >= 0] = calls.ts[launch[launch >= 0]]
    pid[launch >= 0] = calls.pid[launch[launch >= 0]]
    marked = innermost(trace, stages)[rows] if len(rows) else launch
    run = (phase[rows], gpu.device[rows], marked, _step(trace, pid, when))
    calls_of = op_formulas.described(trace)
    product = np.append(_products(calls_of.works)[calls_of.work], False)
    formula = calls_of.call[rows]
    formula = np.where(product[formula], formula, -1)
    called, formula[formula >= 0] = segments.codes(formula[formula >= 0])
    work = tuple(map(calls_of.works.__getitem__, calls_of.work[called].tolist()))
    return _made(
        trace, work, True, run, (when, gpu.ts[rows]), rows, gpu.dur[rows], gpu.name[rows],
        category[rows], kind, key, formula, batched,
    )  # fmt: skip


def _ops(trace: Trace, stages: str | None) -> Items:
    ops = links.ops(trace)
    phase = _phase(work_phases.of_ops(trace, stages))
    rows = np.flatnonzero(phase >= 0)
    category = op_categories(trace).astype(np.int64)
    kind = _kind(category)
    key = np.where(kind > 0, _outermost(trace)[: len(ops)], -1)
    formulas = op_formulas.of_ops(trace)
    described = _products(formulas.works)[formulas.work[: len(ops)]]
    described[_holds(trace, described)] = False  # a linear around its mm is the same work
    # of the ops that are described, each once
    formula = np.where(described, np.cumsum(described) - 1, -1)
    work = tuple(formulas.works[at] for at in formulas.work[: len(ops)][described].tolist())
    marked = around_ops(trace, stages)[rows] if len(rows) else rows
    step = _step(trace, ops.pid[rows], ops.ts[rows])
    thread = links.thread(trace)[trace.is_(Cat.CPU_OP)][rows]
    return _made(
        trace, work, False, (phase[rows], thread, marked, step), (ops.ts[rows], -ops.dur[rows]),
        rows, links.op_self_ns(trace)[rows], ops.name[rows], category[rows], kind[rows], key[rows],
        formula[rows], ops.named(BATCHED)[rows],
    )  # fmt: skip


def _made(
    trace: Trace, work: tuple[Work, ...], on_gpu: bool, run: tuple[npt.NDArray[np.integer], ...],
    when: tuple[I64, I64], row: I64, ns: I64, name: npt.NDArray[np.integer], category: I64,
    kind: I64, key: I64, formula: I64, batched: Mask,
) -> Items:  # fmt: skip
    """In order; `run` is what tells passes apart, the phase first, and `when` the launch first."""
    order = np.lexsort((*when[::-1], *run[::-1]))
    keys = [part[order] for part in run]
    passes = segments.distinct(keys)[1]
    goes_on = _matches(trace.strings, name[order], GOES_ON)
    kind, key = kind[order], key[order]
    call = layer_pattern.join(passes, kind, key, goes_on)
    soft = category[order] == CODE[Category.SAMPLING]
    phase = keys[0].astype(np.int64)
    unfused = _unfused(phase, passes, kind, call, batched[order], soft)
    if unfused.any():
        kind = np.where(unfused, ATTENTION, kind)
        call = layer_pattern.join(passes, kind, key, goes_on)
    return Items(
        on_gpu, phase, passes, ns[order], row[order], name[order].astype(np.int64),
        category[order],
        kind, call, key, formula[order], work,
    )  # fmt: skip


def _products(works: tuple[Work, ...]) -> Mask:
    """[W + 1] whether each work is one of matrix units, and no bound from above; no for none."""
    kept = [work.family in MATRIX and work.known is not Known.MOST for work in works]
    return np.array([*kept, False], bool)


def _matches(strings: tuple[str, ...], name: npt.NDArray[np.integer], pattern: str) -> Mask:
    """[I] whether each name has the pattern."""
    search = re.compile(pattern).search
    distinct, inverse = segments.codes(name)
    hits = np.array([search(strings[int(n)]) is not None for n in distinct], bool)
    return np.asarray(hits[inverse] if len(hits) else np.zeros(len(name), bool))


def _unfused(phase: I64, run: I64, kind: I64, call: I64, batched: Mask, soft: Mask) -> Mask:
    """[I] items of attention written out as a batched GEMM, a softmax, a batched GEMM.

    In phases without any other attention: elsewhere the softmax may be of the sampling.
    """
    many = int(call.max(initial=-1)) + 1
    is_batched, at_run = np.zeros(many, bool), np.full(many, -1, np.int64)
    mine = call >= 0
    np.logical_or.at(is_batched, call[mine], batched[mine])
    at_run[call[mine]] = run[mine]
    last = np.maximum.accumulate(call) if len(call) else call  # the call before each item
    followed = np.zeros(many + 1, bool)
    before_soft = last[soft & ~mine & (last >= 0)]
    same_run = at_run[before_soft] == run[soft & ~mine & (last >= 0)]
    followed[before_soft[same_run]] = True
    first = np.flatnonzero(is_batched[:-1] & is_batched[1:] & followed[: max(many - 1, 0)])
    first = first[at_run[first] == at_run[first + 1]]
    pair = np.zeros(many, bool)
    pair[first] = pair[first + 1] = True
    fused = segments.sorted_unique(phase[kind == ATTENTION])
    return mine & pair[np.maximum(call, 0)] & ~np.isin(phase, fused) if many else mine


def _phase(phases: work_phases.Phases) -> I64:
    """[N] index into PHASES, or -1."""
    number = {name: at for at, name in enumerate(PHASES)}
    return np.array([number.get(name, -1) for name in phases.names], np.int64)[phases.code]


def _kind(category: I64) -> I64:
    gemm, attention = CODE[Category.GEMM], CODE[Category.ATTENTION]
    return np.where(category == gemm, GEMM, np.where(category == attention, ATTENTION, 0))


def _outermost(trace: Trace) -> I64:
    """[O] the outermost op around each, those of captures too, with only ops of its own category
    between.
    """

    def make() -> I64:
        category = origin.over_ops(trace, op_categories)
        parent = origin.op_parent_row(trace)
        top = (parent < 0) | (category[parent] != category)
        return nesting.nearest(parent, top)

    return trace.once("outermost of category", make)


def _holds(trace: Trace, described: Mask) -> I64:
    """Rows of `links.ops` that have a described one anywhere inside."""
    parent = links.op_parent_row(trace)
    out = np.zeros(len(parent), bool)
    at = parent[described]
    while len(at := segments.sorted_unique(at[at >= 0])):
        out[at] = True
        at = parent[at]
    return np.flatnonzero(out)


def _step(trace: Trace, pid: I64, when: I64) -> I64:
    """The annotation of a decoded token in which each instant lies, or -1: tracekit's own."""
    notes = links.marks(trace)
    steps = np.flatnonzero(notes.named(f"^{DECODE_STEP}"))
    return nesting.innermost(
        notes.pid[steps], notes.ts[steps], notes.end[steps], pid, when, when + 1
    )


# ---------------------------------------------------------------- calls


class Calls(Record, frozen=True, eq=False):
    """C GEMM and attention calls: see layers.Order; their formulas where shapes are recorded."""

    phase: I64  # [C] index into PHASES
    order: layer_pattern.Order
    flops: I64  # [C] of all its ops with a formula; -1 where there is none
    bytes: I64  # [C]
    dtype: tuple[str | None, ...]  # [C]
    weights: tuple[Weights | None, ...]  # [C] of a GEMM that is one multiplication
    experts: bool  # some work is named as of a mixture of experts


def calls(trace: Trace, found: Items) -> Calls:
    """The calls of these items."""
    many = int(found.call.max(initial=-1)) + 1
    mine = np.flatnonzero(found.call >= 0)
    call = found.call[mine]
    _, first = segments.firsts(call)
    head = mine[first]  # the first item of each call
    formulas = op_formulas.of_ops(trace)
    known = mine[found.formula[mine] >= 0]
    pair, _ = segments.distinct(np.stack([found.call[known], found.formula[known]], axis=1))
    own: list[list[Work]] = [[] for _ in range(many)]
    for at, one in pair.tolist():
        own[at].append(found.work[one])
    for at, op in enumerate(found.op[head].tolist()):
        # a linear that torch runs as a batched GEMM reads its weights once, not once a batch row
        if op >= 0 and formulas.work[op] >= 0 and found.kind[head[at]] == GEMM:
            own[at] = [formulas.works[formulas.work[op]]]
    weights = tuple(
        mine[0].weights if kind == GEMM and len(mine) == 1 else None
        for mine, kind in zip(own, found.kind[head].tolist(), strict=True)
    )
    # what a GEMM shares with the same one of another layer: weights, else its op, else nothing
    signs = dict[object, int]()
    names, strings = origin.op_names(trace)
    sign = [
        signs.setdefault(
            (one.k, one.n) if one else strings[names[op]] if op >= 0 else None, len(signs)
        )
        for one, op in zip(weights, found.op[head].tolist(), strict=True)
    ]
    return Calls(
        phase=found.phase[head],
        order=layer_pattern.Order(found.run[head], found.kind[head], np.array(sign, np.int64)),
        flops=np.array([sum(w.flops for w in some) if some else -1 for some in own], np.int64),
        bytes=np.array([sum(w.bytes for w in some) if some else -1 for some in own], np.int64),
        dtype=tuple(some[0].dtype if some else None for some in own),
        weights=weights,
        experts=bool(_matches(trace.strings, found.name, EXPERTS).any()),
    )
