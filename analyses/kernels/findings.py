"""Kernels that could be fused, and the one that takes most of a phase."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.kernels import Kernels, PhaseTotal
from tracekit.attribution.stages.work_phases import ALL, NO_PHASE
from tracekit.results.findings import Ask, Draft
from tracekit.results.kernel_labels import readable
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import Category

FUSABLE = (Category.ELEMENTWISE, Category.COPY, Category.NORM, Category.ROTARY)


def findings(result: Kernels, _ask: Ask) -> Iterator[Draft]:
    """Of each phase that the trace knows."""
    for phase in result.phases:
        if phase.phase not in NO_PHASE:
            yield from _unfused(result, phase)
            yield from _hottest(result, phase)


def _whole(phase: PhaseTotal) -> str:
    return "all kernel time" if phase.phase == ALL else f"the kernel time of {phase.phase}"


def _unfused(result: Kernels, phase: PhaseTotal) -> Iterator[Draft]:
    """Memory-bound kernels that could be fused with their neighbours."""
    mine = [c for c in result.categories if c.phase == phase.phase and c.category in FUSABLE]
    total, count = sum(c.total_ns for c in mine), sum(c.count for c in mine)
    if not phase.total_ns or total / phase.total_ns < 0.25:
        return
    kinds = ", ".join(
        f"{c.category.value} {share(c.share)}" for c in sorted(mine, key=lambda c: -c.total_ns)
    )
    yield Draft(
        phase.phase,
        f"{share(total / phase.total_ns)} of {_whole(phase)} is in "
        f"{plural(count, 'kernel')} that only move or touch data ({kinds}).",
        total / phase.total_ns, "share", total, phase.total_ns,
        "Fuse them: torch.compile, or fused norm, rotary and activation kernels.",
    )  # fmt: skip


def _hottest(result: Kernels, phase: PhaseTotal) -> Iterator[Draft]:
    """One kernel that takes much of a phase: no claim that it can be faster."""
    everything = sum(p.total_ns for p in result.phases)
    mine = [row for row in result.rows if row.phase == phase.phase]
    if len(mine) < 5 or phase.total_ns < 0.1 * everything:
        return
    top = max(mine, key=lambda row: row.total_ns)
    if top.share is None or top.share < 0.3:
        return
    name = readable(top.name)
    name = name if len(name) <= 80 else f"{name[:60]}…{name[-19:]}"
    yield Draft(
        phase.phase,
        f"One kernel ({top.category.value}) is {share(top.share)} of {_whole(phase)}: "
        f"{name}, {plural(top.count, 'run')} of {duration(top.mean_ns)}.",
        top.share, "share", None, phase.total_ns, "Tune or replace this kernel first.",
    )  # fmt: skip
