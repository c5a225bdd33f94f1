"""Sums, means, extremes, scans and pooling: every value read once, the result written once.

FLOPs: one a value. Where the result's sizes are not recorded only what is read counts: the result
is the smaller part.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from tracekit.attribution.roofline.formulas.work import (
    Call,
    Family,
    Formula,
    Known,
    Work,
    entries,
    sizes,
)
from tracekit.records import replace


def _work(call: Call, at: int, bytes_: int, known: Known = Known.EXACT) -> Work:
    shape = sizes(call.dims[at])
    return Work(call.count(at), bytes_, call.dtype(at), shape, None, Family.REDUCTION, known)


def over(dims_at: int | None, result_size: int | None = None) -> Callable[[Call], Work]:
    """Over the dimensions that argument `dims_at` lists; all of them where it is None or empty."""

    def work(call: Call) -> Work:
        read = call.bytes(0)
        try:
            gone = _dims(call, dims_at)
        except (ValueError, IndexError):
            return _work(call, 0, read, Known.LEAST)
        left = prod(n for at, n in enumerate(call.dims[0]) if at not in gone)
        return _work(call, 0, read + left * (result_size or call.size(0)))

    return work


def _dims(call: Call, at: int | None) -> set[int]:
    rank = len(call.dims[0])
    if at is None or at >= len(call.types):
        return set(range(rank))
    text = call.values[at] if at < len(call.values) else ""
    if not text and call.types[at]:
        raise ValueError("the dimensions are not recorded")
    named = call.numbers(at) if text.startswith("[") else [call.number(at)] if text else []
    return {n % rank for n in named} if named and rank else set(range(rank))


def scan(call: Call) -> Work:
    """cumsum and its like: read and written once; the input may stand second."""
    at = next(iter(call.tensors))
    return _work(call, at, 2 * call.bytes(at))


def pooled(call: Call) -> Work:
    """The sizes of the result are left out: what is read is the larger part."""
    return _work(call, 0, call.bytes(0), Known.LEAST)


def unpooled(call: Call) -> Work:
    """gradient, input, …, places of the greatest: a gradient like the input is written."""
    places = call.optional(7)
    work = _work(call, 1, call.bytes(0) + places + call.bytes(1))
    return replace(work, flops=call.count(0))


_NATIVE = "torch, native_functions.yaml"
FORMULAS: dict[str, Formula] = {
    **entries(_NATIVE, over(1), "aten::sum aten::mean aten::prod aten::amax aten::amin aten::var"
              " aten::std aten::max aten::min aten::logsumexp aten::var_mean"),
    **entries(_NATIVE, over(1, result_size=8), "aten::argmax aten::argmin aten::count_nonzero"),
    **entries(_NATIVE, over(1, result_size=1), "aten::any aten::all"),
    **entries(_NATIVE, over(2), "aten::norm aten::linalg_vector_norm"),
    **entries(_NATIVE, scan, "aten::cumsum aten::cumprod aten::logcumsumexp"),
    **entries(_NATIVE, pooled, "aten::max_pool2d_with_indices aten::avg_pool2d"
              " aten::_adaptive_avg_pool2d aten::topk"),
    **entries(_NATIVE, unpooled, "aten::max_pool2d_with_indices_backward"),
}  # fmt: skip
