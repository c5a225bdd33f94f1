"""Kernels that torch.compile fused: each recorded argument moved once.

Inductor records the tensors that a Triton kernel reads and writes, results among them, and the
numbers of values that it runs over. An argument larger than that is read in part: it counts no more
values than that. What each kernel computes is not recorded: no FLOPs.

Source: torch/_inductor/runtime/triton_heuristics.py (arguments of the profiler's op).
"""

from __future__ import annotations

from math import prod

from tracekit.attribution.roofline.formulas.work import Call, Family, Formula, Known, Work, sizes
from tracekit.patterns import later

NAMED = later(r"^triton_(poi|red|per)_fused")


def fused(call: Call) -> Work:
    """Of a pointwise kernel xnumel, of a reduction xnumel and rnumel, follow the tensors."""
    numbers = [int(call.values[at]) for at in range(len(call.types))
               if call.types[at] == "Scalar" and call.values[at].isdigit()]  # fmt: skip
    over = prod(numbers) if numbers else None
    if not call.tensors:
        raise ValueError("no tensor")
    moved = 0
    for at in call.tensors:
        count = call.count(at)
        moved += (count if over is None else min(count, over)) * call.size(at)
    largest = max(call.tensors, key=call.count)
    return Work(0, moved, call.dtype(largest), sizes(call.dims[largest]), None, Family.FUSED,
                Known.MOST)  # fmt: skip


FORMULA = Formula(fused, "torch/_inductor/runtime/triton_heuristics.py")
