"""FLOPs and least bytes of an op, from the shapes and dtypes that the profiler recorded.

A multiply-add is 2 FLOPs. Least bytes: every operand read once and the result written once, as if
all else stayed in cache; real traffic is more. An op whose arguments do not say enough has no
number: sequence lengths in packed batches, an unknown mask, a kind of op that is not listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

from tracekit.attribution.roofline.attention_mask import FULL, TOP_LEFT, Band, bottom_right
from tracekit.attribution.roofline.devices import BYTES, DTYPES


@dataclass(frozen=True, slots=True)
class Weights:
    """A matrix of weights [k, n] and the rows that the call multiplies with it."""

    rows: int  # tokens, all batch rows counted
    k: int
    n: int
    bytes: int  # of the matrix


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of an op has to do at least."""

    flops: int
    bytes: int
    dtype: str  # of the inputs: a key of devices.BYTES
    shape: str  # for a reader: m×n×k, or B×H×Sq×Sk×D
    weights: Weights | None = None  # where a matrix of weights is multiplied, one in the call


Dims = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of one call, by position."""

    dims: Dims
    types: Sequence[str]
    values: Sequence[str]  # concrete inputs as text, empty where there are none
    strides: Sequence[Sequence[int]] = ()  # empty where they are not recorded

    def size(self, at: int) -> int:
        """Bytes of one value of an argument. Raises: KeyError for an unknown dtype."""
        return BYTES[DTYPES[self.types[at]]]

    def batches(self, at: int) -> int:
        """Matrices of a batch [b, m, n] that are in memory: one where all are the same."""
        known = at < len(self.strides) and len(self.strides[at]) == len(self.dims[at])
        return 1 if known and self.strides[at][0] == 0 else self.dims[at][0]

    def flag(self, at: int) -> bool:
        """A Boolean argument. Raises: KeyError where the trace does not hold it."""
        return {"True": True, "False": False}[self.values[at]]

    def number(self, at: int) -> int:
        """A whole number. Raises: ValueError, IndexError."""
        return int(self.values[at])

    def numbers(self, at: int) -> list[int]:
        """A list of whole numbers. Raises: ValueError, IndexError."""
        return [int(n) for n in json.loads(self.values[at])]


def _gemm(
    call: Call, batch: int, m: int, n: int, k: int, at: int, extra: int = 0, out: int | None = None
) -> Work:
    size = call.size(at)
    right = call.size(at + 1)
    bytes_ = batch * (m * k * size + k * n * right + m * n * (out or size)) + extra
    lead = f"{batch}×" if batch > 1 else ""
    matrix = Weights(m, k, n, k * n * right) if batch == 1 else None
    shape = f"{lead}{m}×{n}×{k}"
    return Work(2 * batch * m * n * k, bytes_, DTYPES[call.types[at]], shape, matrix)


def _mm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[0], call.dims[1]
    return _gemm(call, 1, m, n, _same(k, k2), 0)


def _addmm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[1], call.dims[2]
    return _gemm(call, 1, m, n, _same(k, k2), 1, prod(call.dims[0]) * call.size(0))


def _bmm(call: Call) -> Work:
    (b, m, k), (b2, k2, n) = call.dims[0], call.dims[1]
    work = _gemm(call, _same(b, b2), m, n, _same(k, k2), 0)
    again = (b - call.batches(0)) * m * k * call.size(0)
    again += (b - call.batches(1)) * k * n * call.size(1)
    return replace(work, bytes=work.bytes - again, weights=None)  # a batch has no one matrix


def _baddbmm(call: Call) -> Work:
    (b, m, k), (b2, k2, n) = call.dims[1], call.dims[2]
    work = _gemm(call, _same(b, b2), m, n, _same(k, k2), 1, prod(call.dims[0]) * call.size(0))
    return replace(work, weights=None)


def _linear(call: Call) -> Work:
    """[…, k] with weights [n, k]."""
    *rows, k = call.dims[0]
    n, k2 = call.dims[1]
    bias = call.dims[2] if len(call.dims) > 2 else []
    extra = prod(bias) * call.size(2) if bias else 0
    return _gemm(call, 1, prod(rows), n, _same(k, k2), 0, extra)


_SCALAR_TYPES = {5: 2, 6: 4, 15: 2, 23: 1, 24: 1}  # c10::ScalarType: half, float, bfloat16, fp8


def _scaled_mm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[0], call.dims[1]
    out = _SCALAR_TYPES[call.number(6)]
    return _gemm(call, 1, m, n, _same(k, k2), 0, out=out)


def _grouped_mm(call: Call) -> Work:
    """Rows [m, k] with one of the matrices [E, k, n] each: the GEMMs of a mixture's experts.

    Every row meets one matrix, so FLOPs are exact. How many matrices have rows is in a tensor that
    the trace does not hold, so least bytes count one: a floor.
    """
    (m, k), (_, k2, n) = call.dims[0], call.dims[1]
    work = _gemm(call, 1, m, n, _same(k, k2), 0)
    return replace(work, weights=None, shape=f"{work.shape} of {call.dims[1][0]} experts")


def _mv(call: Call) -> Work:
    (m, k), (k2,) = call.dims[0], call.dims[1]
    work = _gemm(call, 1, m, 1, _same(k, k2), 0)
    # the matrix comes first here: it is the weights, and the vector is the one row
    return replace(work, weights=Weights(1, k, m, m * k * call.size(0)))


def _convolution(call: Call) -> Work:
    """aten::_convolution and aten::convolution: input [N, C, …], weights [K, C / groups, …]."""
    source, kernel = list(call.dims[0]), list(call.dims[1])
    if call.flag(6):  # transposed
        raise ValueError("transposed convolutions are not listed")
    stride, padding, dilation = (call.numbers(at) for at in (3, 4, 5))
    spatial = len(source) - 2
    stride, padding, dilation = (
        many * spatial if len(many) == 1 else many for many in (stride, padding, dilation)
    )
    out = [
        (source[i + 2] + 2 * padding[i] - dilation[i] * (kernel[i + 2] - 1) - 1) // stride[i] + 1
        for i in range(spatial)
    ]
    places = source[0] * prod(out)
    per_output = prod(kernel[1:])
    size = call.size(0)
    bytes_ = (prod(source) + prod(kernel) + places * kernel[0]) * size
    shape = f"{places}×{kernel[0]}×{per_output}"
    return Work(2 * places * kernel[0] * per_output, bytes_, DTYPES[call.types[0]], shape)


def attention(
    batch: int, heads: int, kv_heads: int, queries: int, keys: int, dim: int, value_dim: int,
    mask: Band, size: int, dtype: str, note: str = "",
) -> Work:  # fmt: skip
    """QKᵀ and PV over the pairs that the mask leaves; softmax is not counted.

    Least bytes leave out the keys and values that no query sees. `note` says the mask in words.
    """
    pairs, seen = mask.seen(queries, keys)
    flops = 2 * batch * heads * pairs * (dim + value_dim)
    values = heads * queries * (dim + value_dim) + kv_heads * seen * (dim + value_dim)
    shape = f"{batch}×{heads}×{queries}×{keys}×{dim}{note}"
    return Work(flops, batch * values * size, dtype, shape)


def _of_four(call: Call, order: Sequence[int], mask: Callable[[int, int], Band], note: str) -> Work:
    """Of queries, keys and values as the first three arguments, [B, H, S, D] once in `order`."""
    query, key, value = ([four[i] for i in order] for four in call.dims[:3])
    if len(call.dims[0]) != 4:
        raise ValueError("packed sequences have no lengths in the trace")
    return attention(
        query[0], query[1], key[1], query[2], key[2], query[3], value[3],
        mask(query[2], key[2]), call.size(0), DTYPES[call.types[0]], note,
    )  # fmt: skip


def _sdpa(causal_at: int) -> Callable[[Call], Work]:
    """PyTorch's: [B, H, S, D], a causal mask from the top left."""

    def work(call: Call) -> Work:
        causal = call.flag(causal_at)
        band = TOP_LEFT if causal else FULL
        return _of_four(call, (0, 1, 2, 3), lambda _q, _k: band, " causal" if causal else "")

    return work


def _flash_attn(call: Call) -> Work:
    """flash-attn's and AITER's: [B, S, H, D], dropout, scale, causal, window left, window right."""
    causal, left, right = call.flag(5), call.number(6), call.number(7)

    def mask(queries: int, keys: int) -> Band:
        return bottom_right(queries, keys, causal, left, right)

    note = " causal" if causal else ""
    if left >= 0 or (right >= 0 and not causal):
        note += f" window {left},{0 if causal else right}"
    return _of_four(call, (0, 2, 1, 3), mask, note)


FORMULAS: Mapping[str, Callable[[Call], Work]] = {
    "aten::mm": _mm,
    "aten::addmm": _addmm,
    "aten::_addmm_activation": _addmm,
    "aten::bmm": _bmm,
    "aten::baddbmm": _baddbmm,
    "aten::linear": _linear,
    "aten::mv": _mv,
    "aten::_scaled_mm": _scaled_mm,
    "aten::_grouped_mm": _grouped_mm,
    "aiter::gemm_a16w16": _linear,
    "aten::_convolution": _convolution,
    "aten::_scaled_dot_product_flash_attention": _sdpa(4),
    "aten::_scaled_dot_product_flash_attention_for_cpu": _sdpa(4),
    "aten::_scaled_dot_product_efficient_attention": _sdpa(6),
    "aten::_scaled_dot_product_cudnn_attention": _sdpa(6),
    "aten::_scaled_dot_product_fused_attention_overrideable": _sdpa(5),
    "flash_attn::_flash_attn_forward": _flash_attn,
    "aiter::mha_fwd": _flash_attn,
    "aiter::fmha_v3_fwd": _flash_attn,
}
# Ops around others that have formulas of their own, with kernels that none describes
OPAQUE = frozenset({
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_attention_math",
    "aten::convolution_backward",
})  # fmt: skip


@lru_cache(maxsize=65536)
def of_op(name: str, dims: str, types: str, values: str, strides: str = "") -> Work | None:
    """What one call of the op has to do at least, or None where the trace does not say.

    `dims`, `types`, `values` and `strides` are the recorded arguments as JSON text.
    """
    formula = FORMULAS.get(name)
    if formula is None:
        return None
    try:
        call = Call(_list(dims), _list(types), [str(v) for v in _list(values)], _list(strides))
        work = formula(call)
    except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError):
        return None  # arguments that this version of the op does not have, or not recorded
    return work if work.flops > 0 and work.bytes > 0 else None


def _list(text: str) -> list[Any]:
    found = json.loads(text) if text else []
    if not isinstance(found, list):
        raise TypeError("arguments are a list")
    return found


def _same(one: int, two: int) -> int:
    if one != two:
        raise ValueError("shapes do not fit")
    return one
