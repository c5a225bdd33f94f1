"""Ops on each value by itself: the operands read once, the result written once.

FLOPs count one an operation and value; a function such as exp counts as one. The result of several
operands has the sizes to which they are broadcast.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import prod

from tracekit.attribution.roofline.formulas.work import (
    Call,
    Family,
    Formula,
    Known,
    Work,
    dtype_of,
    entries,
    size_of,
    sizes,
)
from tracekit.patterns import later

_FUNCTOR = later(r"(?:Functor|Ops?)<(?:\w+::)*?(float|double|c10::BFloat16|c10::Half|long|int)\b")
_FLOATS = ("float", "double", "c10::BFloat16", "c10::Half")


def _broadcast(some: Sequence[Sequence[int]]) -> list[int]:
    """Raises: ValueError where the sizes do not fit."""
    out: list[int] = []
    for dims in some:
        longer, shorter = (list(dims), out) if len(dims) >= len(out) else (out, list(dims))
        ahead = longer[: len(longer) - len(shorter)]
        pairs = list(zip(longer[len(ahead) :], shorter, strict=True))
        if any(a != b and 1 not in (a, b) for a, b in pairs):
            raise ValueError("sizes do not broadcast")
        out = ahead + [b if a == 1 else a for a, b in pairs]
    return out


def _result(call: Call, operands: Sequence[int]) -> str:
    """The dtype that torch promotes to: a float over whole numbers, the wider of two, sizes of
    0-dimensional tensors left out.
    """
    kinds = [call.types[at] for at in operands if call.dims[at]] or [call.types[operands[0]]]
    floats = [kind for kind in kinds if kind in _FLOATS]
    if "c10::BFloat16" in floats and "c10::Half" in floats:
        return "float"
    return max(floats or kinds, key=size_of)


def pointwise(
    operands: int, result: str | None = None, in_place: bool = False, first: int = 0,
    operations: int = 1,
) -> Callable[[Call], Work]:  # fmt: skip
    """Of the first tensors, at most `operands`; `result` is the dtype where it is fixed."""

    def work(call: Call) -> Work:
        mine = [at for at in call.tensors if first <= at < first + operands]
        if not mine or not call.is_tensor(first):
            raise ValueError("no tensor")
        dims = call.dims[first] if in_place else _broadcast([call.dims[at] for at in mine])
        kind = call.types[first] if in_place else result or _result(call, mine)
        bytes_ = sum(call.bytes(at) for at in mine) + prod(dims) * size_of(kind)
        largest = max(mine, key=lambda at: len(call.dims[at]) and prod(call.dims[at]))
        return Work(operations * prod(dims), bytes_, call.dtype(largest), sizes(dims), None,
                    Family.POINTWISE)  # fmt: skip

    return work


def dropout(call: Call) -> Work:
    """The result, and which values were kept: a byte each."""
    moved = 2 * call.bytes(0) + call.count(0)
    return Work(2 * call.count(0), moved, call.dtype(0), sizes(call.dims[0]), None,
                Family.POINTWISE)  # fmt: skip


def fill(call: Call) -> Work:
    """Written, not read."""
    return Work(0, call.count(0) * call.size(0), call.dtype(0), sizes(call.dims[0]), None,
                Family.POINTWISE)  # fmt: skip


def copy(call: Call) -> Work:
    """The target first: written, the source read. Layouts may differ, and dtypes."""
    moved = call.count(0) * call.size(0) + call.bytes(1)
    return Work(0, moved, call.dtype(1), sizes(call.dims[0]), None, Family.COPY)


def cat(call: Call) -> Work:
    """A list of tensors, read and written once. Its dtype is in the name of its kernel alone."""
    parts = call.lists(0)
    size = _of_opaque(call.hint)
    count = sum(prod(part) for part in parts)
    shape = f"{len(parts)} parts of {sizes(max(parts, key=prod))}"
    return Work(0, 2 * count * size, f"{size} bytes a value", shape, None, Family.COPY)


def _of_opaque(kernel: str) -> int:
    """Bytes a value of CatArrayBatchedCopy<…OpaqueType<2u>…>. Raises: ValueError elsewhere."""
    found = re.search(r"OpaqueType<(\d+)u?>", kernel)
    if found is None:
        raise ValueError("the kernel does not say the dtype")
    return int(found[1])


def on_lists(reads: int, writes: int) -> Callable[[Call], Work]:
    """Of lists of tensors of one dtype: `reads` and `writes` values of each place in them."""

    def work(call: Call) -> Work:
        parts = call.lists(0)
        kind = _of_functor(call.hint)
        count = sum(prod(part) for part in parts)
        lists = [at for at in range(len(call.types)) if call.types[at] == "TensorList"]
        read = min(reads, len(lists))
        shape = f"{len(parts)} tensors of {sizes(max(parts, key=prod))}"
        return Work(count, (read + writes) * count * size_of(kind), dtype_of(kind), shape, None,
                    Family.POINTWISE, Known.LEAST)  # fmt: skip

    return work


def _of_functor(kernel: str) -> str:
    """The dtype of multi_tensor_apply_kernel<…Functor<float, …>>. Raises: ValueError elsewhere."""
    found = _FUNCTOR.search(kernel)
    if found is None:
        raise ValueError("the kernel does not say the dtype")
    return found[1]


def gated(result_first: bool) -> Callable[[Call], Work]:
    """act(a)·b of [n, 2d] to [n, d]: the result is given, first or last, or made."""

    def work(call: Call) -> Work:
        source = 1 if result_first else 0
        rows, wide = prod(call.dims[source][:-1]), call.dims[source][-1]
        if result_first and call.dims[0][-1] * 2 != wide:
            raise ValueError("sizes do not fit")
        made = rows * (wide // 2)
        out = call.size(0)
        return Work(2 * made, call.bytes(source) + made * out, call.dtype(source),
                    sizes(call.dims[source]), None, Family.POINTWISE)  # fmt: skip

    return work


def quantised(rows_more: int, result: int) -> Callable[[Call], Work]:
    """To or from 8 bits a value with `rows_more` bytes a row for its scale; `result` bytes each."""

    def work(call: Call) -> Work:
        *rows, wide = call.dims[0]
        made = (wide + rows_more) * result if result == 1 else (wide - rows_more) * result
        return Work(prod(rows) * wide, call.bytes(0) + prod(rows) * made, call.dtype(0),
                    sizes(call.dims[0]), None, Family.POINTWISE)  # fmt: skip

    return work


_ONE = (
    "abs neg exp log log2 log1p log10 sqrt rsqrt reciprocal sin cos tan tanh sigmoid silu gelu relu"
    " sgn sign floor ceil round erf square bitwise_not nan_to_num clamp clamp_min clamp_max logit"
    " hardswish hardtanh hardsigmoid mish softplus leaky_relu elu expm1 frac trunc atan relu6 rsub"
    " dropout exp2 threshold"
)
_TWO = (
    "add sub mul div pow maximum minimum bitwise_and bitwise_or bitwise_xor atan2 fmod remainder"
    " floor_divide threshold_backward gelu_backward silu_backward sigmoid_backward tanh_backward"
    " mse_loss smooth_l1_loss logit_backward hardswish_backward masked_fill prelu xlogy"
    " leaky_relu_backward elu_backward copysign hypot"
)
_TESTS = "eq ne lt le gt ge logical_and logical_or logical_xor logical_not isnan isinf isfinite"
_THREE = "addcmul addcdiv where lerp mse_loss_backward"
_FILLS = (
    "aten::fill_ aten::zero_ aten::normal_ aten::uniform_ aten::bernoulli_ aten::random_"
    " aten::exponential_"
)


def _torch(names: str, ending: str = "") -> str:
    return " ".join(f"aten::{name}{ending}" for name in names.split())


_NATIVE = "torch, native_functions.yaml"
FORMULAS: dict[str, Formula] = {
    **entries(_NATIVE, pointwise(1), _torch(_ONE)),
    **entries(_NATIVE, pointwise(1, in_place=True), _torch(_ONE, "_")),
    **entries(_NATIVE, pointwise(2), _torch(_TWO)),
    **entries(_NATIVE, pointwise(2, in_place=True), _torch(_TWO, "_")),
    **entries(_NATIVE, pointwise(2, result="bool"), _torch(_TESTS)),
    **entries(_NATIVE, pointwise(2, in_place=True), _torch(_TESTS, "_")),
    **entries(_NATIVE, pointwise(3, operations=2), _torch(_THREE)),
    **entries(_NATIVE, pointwise(3, in_place=True, operations=2), _torch(_THREE, "_")),
    **entries(_NATIVE, fill, _FILLS),
    **entries(_NATIVE, dropout, "aten::native_dropout"),
    **entries(_NATIVE, copy, "aten::copy_"),
    **entries("torch, aten/src/ATen/native/cuda/Shape.cu", cat, "aten::cat", asks_hint=True),
    **entries("torch, ForeachFunctors.cuh", on_lists(2, 1),
              "aten::_foreach_add_ aten::_foreach_sub_ aten::_foreach_mul_ aten::_foreach_div_",
              asks_hint=True),
    **entries("torch, ForeachFunctors.cuh", on_lists(3, 1),
              "aten::_foreach_addcmul_ aten::_foreach_addcdiv_ aten::_foreach_lerp_",
              asks_hint=True),
    **entries("torch, fused_adam_utils.cuh: moments and weights", on_lists(4, 3),
              "aten::_fused_adam_ aten::_fused_adamw_", asks_hint=True),
    **entries("torch, ForeachFunctors.cuh", on_lists(1, 1), "aten::_foreach_sqrt",
              asks_hint=True),
    **entries("vLLM csrc/activation_kernels.cu; SGLang sgl-kernel; AITER", gated(True),
              "_C::silu_and_mul _C::gelu_and_mul _C::gelu_tanh_and_mul _C::mul_and_silu"
              " sgl_kernel::silu_and_mul sgl_kernel::gelu_and_mul sgl_kernel::gelu_tanh_and_mul"
              " aiter::silu_and_mul aiter::gelu_and_mul"),
    **entries("FBGEMM quantize_ops, rows with a scale and a bias of 4 bytes", quantised(8, 1),
              "fbgemm::FloatToFP8RowwiseQuantized"),
    **entries("FBGEMM quantize_ops, rows with a scale and a bias of 4 bytes", quantised(8, 4),
              "fbgemm::FP8RowwiseQuantizedToFloat"),
    **entries("FBGEMM quantize_ops", quantised(0, 1), "fbgemm::FloatToHFP8Quantized"),
    **entries("FBGEMM quantize_ops", quantised(0, 4), "fbgemm::HFP8QuantizedToFloat"),
}  # fmt: skip
