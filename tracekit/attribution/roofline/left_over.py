"""Kernels that no formula describes: what each is called, and why."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline.formulas import registry
from tracekit.attribution.roofline.op_formulas import described
from tracekit.records import Record
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

NO_LAUNCH = "its launch is not in the trace"
NO_CAPTURE = "replayed by a graph whose capture is not known"
NO_OP = "no op around its launch"
NO_FORMULA = "no formula for the op"
NO_ARGUMENTS = "the recorded arguments do not say enough"
COMMUNICATION = "communication of a size that is not recorded"
NO_SHAPES = "captured without shapes"
SIZED = (NO_FORMULA, NO_ARGUMENTS)  # an op around the launch has arguments
_WORDS = (NO_LAUNCH, NO_CAPTURE, NO_OP, NO_FORMULA, COMMUNICATION)


class LeftOver(Record, frozen=True, eq=False):
    """K kernels without a formula."""

    row: I64  # [K] of `links.work`, ascending
    reason: I64  # [K] index into reasons
    reasons: tuple[tuple[str, str], ...]  # the op around the launch, else the kernel; and why


def left_over(trace: Trace) -> LeftOver:
    """All of the trace."""
    return trace.once("left over", lambda: _left_over(trace))


def _left_over(trace: Trace) -> LeftOver:
    gpu, op = links.work(trace), origin.op_row(trace)
    names, strings = origin.op_names(trace)
    row = np.flatnonzero((gpu.is_(Cat.KERNEL)) & (described(trace).call < 0))
    mine = op[row]
    why = np.where(mine >= 0, 3, 2)
    why[links.replayed(trace)[row] & (mine < 0)] = 1
    why[links.without_launch(trace)[row]] = 0
    why[classify(trace).of(Category.COMMUNICATION)[row]] = 4
    name = gpu.name[row]
    own = np.where(mine >= 0, names[mine] if len(names) else -1, -1)
    distinct, group = segments.distinct([why, own, name * (own < 0)])
    reasons = []
    for code, of_op, kernel in distinct.tolist():
        what = strings[of_op] if of_op >= 0 else trace.strings[kernel]
        formula = code == 3 and registry.formula(what) is not None
        reasons.append((what, NO_ARGUMENTS if formula else _WORDS[code]))
    return LeftOver(row, group, tuple(reasons))
