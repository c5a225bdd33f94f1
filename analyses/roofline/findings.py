"""Ops and stages that take far longer than the device needs for them."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.roles import Roles
from tracekit.answers.roofline import Roofline
from tracekit.answers.stages import Stages
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, share
from tracekit.taxonomy import Category, Stage


def findings(result: Roofline, ask: Ask) -> Iterator[Draft]:
    """Ops with a formula, then stages of our own captures."""
    roles = ask(Roles)
    together = roles is not None and roles.slow_decode is not None
    yield from _ops(result, together)
    yield from _stages(result)


def _ops(result: Roofline, decode_together: bool) -> Iterator[Draft]:
    """Ops far from the roof; without decode's GEMMs where one finding has them all."""
    whole = sum(c.kernel_ns for c in result.coverage)
    for row in result.rows if result.device is not None and whole else ():
        if decode_together and row.phase == Stage.DECODE and row.category is Category.GEMM:
            continue
        floor, part = row.rates.floor_ns, row.rates.floor_share
        if floor is None or part is None or part >= 0.5:
            continue
        saves = int(row.total_ns - floor)
        if saves / whole < LEAST:
            continue
        single = row.dtype == "float32" and "bfloat16" in result.peaks
        yield Draft(
            row.phase,
            f"{row.op} {row.shape} in {row.dtype} reaches {share(part)} of what "
            f"{result.device} allows ({row.rates.bound}-bound) and takes {duration(row.total_ns)}.",
            part, "share", saves, whole,
            "Use bfloat16, or allow TF32: torch.set_float32_matmul_precision('high')."
            if single
            else "Try other shapes (padding, batching), layouts or a tuned kernel.",
        )  # fmt: skip


def _stages(result: Roofline) -> Iterator[Draft]:
    """Stages that take several times their least time."""
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
            row.stage,
            f"{row.stage} takes {1 / part:.1f} times the least that {result.device} "
            f"needs for it: {duration(took)} for {duration(floor)} ({use}).",
            part, "share", int(took - floor), took,
            "See the idle time and the kernels of this stage for where the rest goes.",
            also=(Stages,),
        )  # fmt: skip
