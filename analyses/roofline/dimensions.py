"""Products of which no shape is recorded, by their role and the model's dimensions.

Our own captures say the dimensions of their model. Where a layer repeats as the model has it, and
its matrices add up to the model's weights, each GEMM of a replayed graph has a role, so a shape.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tracekit.answers.roles import Role, Roles
from tracekit.answers.roofline import Op
from tracekit.errors import MissingEventsError
from tracekit.results.catalog import ask
from tracekit.taxonomy import Category
from tracekit.trace.trace import Trace

from .op_rows import limit


def by_dimensions(trace: Trace, stages: str | None) -> list[Op]:
    """One row a role and phase. They are in no coverage, which counts kernels by their ops."""
    try:
        found = ask(trace, Roles, **({} if stages is None else {"stages": stages}))
    except MissingEventsError:
        return []
    return [op for row in found.rows if row.by_metadata and (op := _op(row)) is not None]


def _op(row: Role) -> Op | None:
    matrix = re.fullmatch(r"(\d+) → (\d+)", row.weights or "")
    if matrix is None or not row.calls or row.rows is None:
        return None
    # prompts of several lengths multiply as many rows each
    m = str(row.rows // row.calls) if row.rows % row.calls == 0 else "m"
    one = Op(
        op=row.role, shape=f"{m}×{matrix[2]}×{matrix[1]}", dtype=row.dtype or "",
        category=Category.GEMM, phase=row.phase, kernel=row.kernel, calls=row.calls,
        kernels=row.count, total_ns=row.total_ns, flops=row.flops or 0, bytes=row.bytes or 0,
        rates=row.rates,
    )  # fmt: skip
    return replace(one, limit=limit(one, 1.0))
