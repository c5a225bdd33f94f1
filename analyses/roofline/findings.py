"""GEMMs, attentions and stages that take far longer than the device needs for them.

One finding a phase and category, all ops with a formula together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tracekit.answers.kernels import Kernels
from tracekit.answers.roles import Roles
from tracekit.answers.roofline import Op, Roofline
from tracekit.answers.stages import Stages
from tracekit.attribution.roofline.formulas.work import Family
from tracekit.attribution.stages.work_phases import ALL, NO_PHASE
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import Category, FindingKind, Stage

FAR = 0.6  # of what the device allows: GEMMs of good libraries reach 60 to 80 %


def findings(result: Roofline, ask: Ask) -> Iterator[Draft]:
    """Ops with a formula, then stages of our own captures."""
    roles = ask(Roles)
    decode_told = roles is not None and roles.slow_decode is not None
    groups: defaultdict[tuple[str, Category], list[Op]] = defaultdict(list)
    for row in result.products if result.device is not None else ():
        if row.rates.floor_ns is not None and row.phase not in NO_PHASE:
            groups[row.phase, row.category].append(row)
    uncovered = _uncovered(ask(Kernels))
    for (phase, category), rows in groups.items():
        if decode_told and phase == Stage.DECODE and category is Category.GEMM:
            continue  # `roles` has them all, those of graphs too
        yield from _far(result, phase, category, rows, uncovered.get((phase, category), 1.0))
    yield from _stages(result)


def _uncovered(kernels: Kernels | None) -> dict[tuple[str, Category], float]:
    """Of each phase and category the share of its time in which nothing else ran."""
    return {
        (c.phase, c.category): c.alone_ns / c.total_ns
        for c in (kernels.categories if kernels is not None else ())
        if c.total_ns
    }


def _far(
    result: Roofline, phase: str, category: Category, rows: list[Op], uncovered: float
) -> Iterator[Draft]:
    """Ops of one phase and category, where they are far from the roof."""
    took, floor = sum(r.total_ns for r in rows), sum(r.rates.floor_ns or 0.0 for r in rows)
    everything = sum(c.kernel_ns for c in result.coverage)
    saves = int((took - floor) * uncovered)
    if not took or not everything or floor / took >= FAR or saves / everything < LEAST:
        return
    memory = sum(r.rates.floor_ns or 0.0 for r in rows if r.rates.bound == "memory") > floor / 2
    kind = (
        FindingKind.ATTENTION if category is Category.ATTENTION
        else FindingKind.MEMORY_BANDWIDTH if memory
        else FindingKind.GEMM
    )  # fmt: skip
    top = max(rows, key=lambda r: r.total_ns)
    what = "attention" if category is Category.ATTENTION else _products(rows)
    bound = "memory bandwidth" if memory else "arithmetic"
    where = "" if phase == ALL else f" in {phase}"
    single = top.dtype == "float32" and "bfloat16" in result.peaks
    yield Draft(
        kind, None if phase == ALL else phase,
        f"{what[0].upper()}{what[1:]}{where} reach{'es' if what == 'attention' else ''} "
        f"{share(floor / took)} of what {result.device} allows ({bound} is the limit): "
        f"{duration(took)} for {plural(len(rows), 'shape')}, where {duration(floor)} would do. "
        f"Most is {top.op} {top.shape} in {top.dtype}: {duration(top.total_ns)} at "
        f"{share(top.rates.floor_share)}.",
        floor / took, "share", saves, everything,
        _advice(kind, single),
        also=(Kernels,),
        numbers={"floor_share": floor / took, "took_ns": took, "floor_ns": floor,
                 "shapes": len(rows), "longest_ns": top.total_ns,
                 "longest_share": top.rates.floor_share or 0.0},
        explains=frozenset({category.value}),
    )  # fmt: skip


def _products(rows: Sequence[Op]) -> str:
    """What the category of GEMMs holds here: convolutions belong to it."""
    families = {row.family for row in rows}
    if Family.CONVOLUTION not in families:
        return "GEMMs"
    return "convolutions" if families == {Family.CONVOLUTION} else "GEMMs and convolutions"


def _advice(kind: FindingKind, single: bool) -> str:
    if single:
        return "Use bfloat16, or allow TF32: torch.set_float32_matmul_precision('high')."
    if kind is FindingKind.MEMORY_BANDWIDTH:
        return "Give each call more rows (a larger batch), quantise the weights, or fuse the calls."
    return "Try other shapes (padding, batching), layouts or tuned kernels."


def _stages(result: Roofline) -> Iterator[Draft]:
    """Stages that take several times their least time: where it goes the other findings say."""
    for row in result.floors:
        part, took, floor = row.floor_share, row.took_ns, row.floor_ns
        if part is None or took is None or floor is None or part >= 0.5:
            continue
        use = (
            f"MBU {share(row.mbu)}, {share(row.mbu_weights)} with weights alone"
            if row.stage == Stage.DECODE
            else f"MFU {share(row.mfu)}"
        )
        yield Draft(
            FindingKind.ABOVE_FLOOR, row.stage,
            f"{row.stage} takes {1 / part:.1f} times the least that {result.device} "
            f"needs for it: {duration(took)} for {duration(floor)} ({use}).",
            part, "share", None, took,
            "See the idle time and the kernels of this stage for where the rest goes.",
            also=(Stages,),
            numbers={"floor_share": part, "took_ns": took, "floor_ns": floor},
        )  # fmt: skip
