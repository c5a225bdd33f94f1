"""The formula of an op, by its name: one entry a name, in the file of its family."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tracekit.attribution.roofline.formulas import (
    attention,
    communication,
    convolution,
    fused,
    gemm,
    norms,
    pointwise,
    reductions,
    tables,
)
from tracekit.attribution.roofline.formulas.work import Formula
from tracekit.patterns import later

FORMULAS: Mapping[str, Formula] = {
    **gemm.FORMULAS, **convolution.FORMULAS, **attention.FORMULAS, **pointwise.FORMULAS,
    **norms.FORMULAS, **reductions.FORMULAS, **tables.FORMULAS,
    **communication.FORMULAS,
}  # fmt: skip
# Ops around others that have formulas of their own, with kernels that none describes: a formula
# of theirs is for what they launch themselves
OPAQUE = frozenset({
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_attention_math",
})  # fmt: skip
# SGLang's profiler wraps functions of other libraries: file, function and line
_WRAPPED = later(r"^sglang_profiler::[a-z0-9]+_(?P<name>\w+?)_\d+$")


@lru_cache(maxsize=65536)
def formula(name: str) -> Formula | None:
    """The formula of an op of this name, or None."""
    found = FORMULAS.get(name)
    if found is not None:
        return found
    if fused.NAMED.match(name):
        return fused.FORMULA
    if (bags := tables.of_bags(name)) is not None:
        return bags
    wrapped = _WRAPPED.match(name)
    return FORMULAS.get(f"aiter::{wrapped['name']}") if wrapped else None
