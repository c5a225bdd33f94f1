"""Normalisations, softmax and rotary embeddings: read once, written once, statistics beside.

A kernel that keeps a row on chip needs no more than one pass. FLOPs: 4 a value for RMSNorm (square,
sum, scale, weight), 7 for the others (sum, difference, square, sum, scale, weight, bias), 5 for
softmax (greatest, difference, exp, sum, quotient); backward passes twice that.
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

RMS, FULL, SOFT = 4, 7, 5  # FLOPs a value


def _norm(call: Call, at: int, flops: int, bytes_: int, family: Family = Family.NORM) -> Work:
    shape = sizes(call.dims[at])
    return Work(flops * call.count(at), bytes_, call.dtype(at), shape, None, family)


def forward(per_value: int, parameters: tuple[int, ...], at: int = 0) -> Callable[[Call], Work]:
    """Input at `at`, parameters at those places; the result is like the input.

    Means and deviations of rows or channels, which some write, are left out: a small part.
    """

    def work(call: Call) -> Work:
        moved = 2 * call.bytes(at) + sum(call.optional(p) for p in parameters)
        return _norm(call, at, per_value, moved)

    return work


def backward(per_value: int, gradient: int, source: int) -> Callable[[Call], Work]:
    """The gradient and the input read, the gradient of the input written."""

    def work(call: Call) -> Work:
        moved = call.bytes(gradient) + 2 * call.bytes(source)
        return _norm(call, source, 2 * per_value, moved)

    return work


def as_given(per_value: int, source: int) -> Callable[[Call], Work]:
    """Results are arguments too: each recorded tensor is read or written once."""

    def work(call: Call) -> Work:
        return _norm(call, source, per_value, sum(call.bytes(at) for at in call.tensors))

    return work


def added_in_place(call: Call) -> Work:
    """input, residual, weight: the sum replaces the residual, its norm the input."""
    return _norm(call, 0, RMS + 1, 2 * call.bytes(0) + 2 * call.bytes(1) + call.optional(2))


def added(call: Call) -> Work:
    """input, residual, weight: their sum and its norm are made."""
    return _norm(call, 0, RMS + 1, 3 * call.bytes(0) + call.bytes(1) + call.optional(2))


def softmax(call: Call) -> Work:
    return _norm(call, 0, SOFT, 2 * call.bytes(0), Family.SOFTMAX)


def softmax_backward(call: Call) -> Work:
    """The gradient and the result read, the gradient of the input written."""
    return _norm(call, 1, 4, 2 * call.bytes(1) + call.bytes(0), Family.SOFTMAX)


def rotary(call: Call) -> Work:
    """positions, queries and keys in place, then a table of cosines and sines.

    Tokens at one position read one row of the table: it counts one.
    """
    turned = [at for at in (1, 2) if call.is_tensor(at)]
    table = next(at for at in call.tensors if at > max(turned))
    moved = call.bytes(0) + 2 * sum(call.bytes(at) for at in turned)
    moved += call.dims[table][-1] * call.size(table)
    count = sum(call.count(at) for at in turned)
    shape = " and ".join(sizes(call.dims[at]) for at in turned)
    return Work(3 * count, moved, call.dtype(1), shape, None, Family.ROTARY, Known.LEAST)


def log_likelihood(call: Call) -> Work:
    """One value of each row, by its class."""
    rows = prod(call.dims[0][:-1])
    return Work(rows, rows * call.size(0) + call.bytes(1), call.dtype(0), sizes(call.dims[0]),
                None, Family.REDUCTION, Known.LEAST)  # fmt: skip


_NATIVE = "torch, native_functions.yaml"
FORMULAS: dict[str, Formula] = {
    **entries(_NATIVE, forward(FULL, (2, 3)), "aten::native_layer_norm"),
    **entries(_NATIVE, forward(FULL, (1, 2)), "aten::native_group_norm aten::native_batch_norm"
              " aten::cudnn_batch_norm aten::miopen_batch_norm aten::_native_batch_norm_legit"
              " aten::_batch_norm_with_update aten::_native_batch_norm_legit_functional"),
    **entries(_NATIVE, forward(RMS, (2,)), "aten::_fused_rms_norm"),
    **entries(_NATIVE, backward(FULL, 0, 1), "aten::native_layer_norm_backward"
              " aten::native_group_norm_backward aten::native_batch_norm_backward"
              " aten::batch_norm_backward"),
    **entries(_NATIVE, backward(FULL, 1, 0), "aten::cudnn_batch_norm_backward"
              " aten::miopen_batch_norm_backward"),
    **entries(_NATIVE, backward(RMS, 0, 1), "aten::_fused_rms_norm_backward"),
    **entries("AITER aiter/ops/rmsnorm.py; vLLM csrc/layernorm_kernels.cu; SGLang sgl-kernel",
              as_given(RMS, 1), "aiter::rmsnorm _C::rms_norm sgl_kernel::rmsnorm"
              " sgl_kernel::gemma_rmsnorm flashinfer::rmsnorm"),
    **entries("AITER aiter/ops/rmsnorm.py", as_given(RMS + 1, 1), "aiter::add_rmsnorm"
              " aiter::rmsnorm2d_fwd_with_add aiter::rmsnorm2d_fwd_with_add_ck"),
    **entries("AITER aiter/ops/rmsnorm.py; vLLM _aiter_ops.py", forward(RMS, (1,)),
              "aiter::rmsnorm2d_fwd aiter::rmsnorm2d_fwd_ck aiter::rms_norm"
              " vllm::rocm_aiter_rms_norm"),
    **entries("vLLM vllm/_aiter_ops.py", added, "vllm::rocm_aiter_rmsnorm2d_fwd_with_add"),
    **entries("vLLM csrc/layernorm_kernels.cu; SGLang sgl-kernel", added_in_place,
              "_C::fused_add_rms_norm sgl_kernel::fused_add_rmsnorm flashinfer::fused_add_rmsnorm"),
    **entries("fb::rms_norm as aten::rms_norm", forward(RMS, (1,)), "fb::rms_norm"),
    **entries(_NATIVE, softmax, "aten::_softmax aten::_log_softmax aten::_safe_softmax"),
    **entries(_NATIVE, softmax_backward,
              "aten::_softmax_backward_data aten::_log_softmax_backward_data"),
    **entries(_NATIVE, log_likelihood, "aten::nll_loss_forward"),
    **entries("vLLM csrc/pos_encoding_kernels.cu; SGLang sgl-kernel", rotary,
              "_C::rotary_embedding sgl_kernel::rotary_embedding"),
}  # fmt: skip
