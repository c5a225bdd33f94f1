"""Matrix products: 2·m·n·k FLOPs; every operand read once and the result written once.

Quantised weights count as they are stored. Of grouped products the rows of each expert are in a
tensor that the trace does not hold: FLOPs are exact, bytes count the least experts.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from tracekit.attribution.roofline.formulas.work import (
    Call,
    Family,
    Formula,
    Known,
    Weights,
    Work,
    entries,
    same,
)
from tracekit.records import replace

# c10::ScalarType by number: half, float, bfloat16, fp8
_SCALAR_TYPES = {5: 2, 6: 4, 15: 2, 23: 1, 24: 1}
_INT4_PER_ROW = 8  # columns in a row of the packed matrix of _weight_int4pack_mm


def gemm(
    call: Call, batch: int, m: int, n: int, k: int, at: int, extra: int = 0, out: int | None = None,
    weight_bytes: int | None = None,
) -> Work:  # fmt: skip
    """The product of argument `at` [m, k] with the next [k, n]; `out` bytes a value of the result.

    `weight_bytes` where the right one is packed: then of the whole.
    """
    size = call.size(at)
    right = k * n * call.size(at + 1) if weight_bytes is None else weight_bytes
    bytes_ = batch * (m * k * size + right + m * n * (out or size)) + extra
    lead = f"{batch}×" if batch > 1 else ""
    matrix = Weights(m, k, n, right) if batch == 1 else None
    return Work(2 * batch * m * n * k, bytes_, call.dtype(at), f"{lead}{m}×{n}×{k}", matrix)


def mm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[0], call.dims[1]
    return gemm(call, 1, m, n, same(k, k2), 0)


def int_mm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[0], call.dims[1]
    return gemm(call, 1, m, n, same(k, k2), 0, out=4)


def addmm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[1], call.dims[2]
    return gemm(call, 1, m, n, same(k, k2), 1, prod(call.dims[0]) * call.size(0))


def bmm(call: Call) -> Work:
    (b, m, k), (b2, k2, n) = call.dims[0], call.dims[1]
    work = gemm(call, same(b, b2), m, n, same(k, k2), 0)
    again = (b - call.batches(0)) * m * k * call.size(0)
    again += (b - call.batches(1)) * k * n * call.size(1)
    return replace(work, bytes=work.bytes - again, weights=None)  # a batch has no one matrix


def baddbmm(call: Call) -> Work:
    (b, m, k), (b2, k2, n) = call.dims[1], call.dims[2]
    work = gemm(call, same(b, b2), m, n, same(k, k2), 1, prod(call.dims[0]) * call.size(0))
    return replace(work, weights=None)


def linear(call: Call) -> Work:
    """[…, k] with weights [n, k]."""
    *rows, k = call.dims[0]
    n, k2 = call.dims[1]
    bias = call.dims[2] if len(call.dims) > 2 else []
    extra = prod(bias) * call.size(2) if bias else 0
    return gemm(call, 1, prod(rows), n, same(k, k2), 0, extra)


def scaled_mm(call: Call) -> Work:
    (m, k), (k2, n) = call.dims[0], call.dims[1]
    out = _SCALAR_TYPES[call.number(6)]
    return gemm(call, 1, m, n, same(k, k2), 0, out=out)


def scaled_into(call: Call) -> Work:
    """The result first: out [m, n], a [m, k], b [k, n] with scales."""
    (m, n), (m2, k), (k2, n2) = call.dims[:3]
    work = gemm(call, 1, same(m, m2), same(n, n2), same(k, k2), 1, out=call.size(0))
    return replace(work, bytes=work.bytes + call.optional(3) + call.optional(4))


def scaled_linear(call: Call) -> Work:
    """a [m, k], weights [n, k] of 8 bits; the result in 16, as no argument says otherwise."""
    *rows, k = call.dims[0]
    n, k2 = call.dims[1]
    return gemm(call, 1, prod(rows), n, same(k, k2), 0, out=2)


def scaled_columns(call: Call) -> Work:
    """a [m, k], b [k, n] of 8 bits; the result in 16."""
    (m, k), (k2, n) = call.dims[0], call.dims[1]
    return gemm(call, 1, m, n, same(k, k2), 0, out=2)


def int4_packed(call: Call) -> Work:
    """a [m, k], weights [n / 8, k / …, 32, …] of int32, group, scales and zeros."""
    m, k = call.dims[0]
    n = call.dims[1][0] * _INT4_PER_ROW
    packed = call.count(1) * call.size(1)
    return gemm(call, 1, m, n, k, 0, call.optional(3), weight_bytes=packed)


def int8_packed(call: Call) -> Work:
    """a [m, k], weights [n, k] of int8, scales."""
    (m, k), (n, k2) = call.dims[0], call.dims[1]
    return gemm(call, 1, m, n, same(k, k2), 0, call.optional(2))


def packed(n_of: Callable[[Call], int], at: int = 1) -> Callable[[Call], Work]:
    """a [m, k], weights packed into argument `at`, and scales: all that is recorded is read."""

    def work(call: Call) -> Work:
        *rows, k = call.dims[0]
        # before the weights there may be a place for the result, which is counted anyway
        stored = sum(call.bytes(other) for other in call.tensors if other > at)
        return gemm(call, 1, prod(rows), n_of(call), k, 0, stored, weight_bytes=call.bytes(at))

    return work


def _columns(per: int) -> Callable[[Call], int]:
    """The columns of packed weights, of which `per` are in one value."""
    return lambda call: call.dims[1][1] * per


def _between(call: Call) -> int:
    """The n of m, n, k, which follow one another among the numbers. Raises: ValueError."""
    *rows, k = call.dims[0]
    numbers = [int(text) if text.isdigit() else -1 for text in call.values]
    found = {
        n for m, n, last in zip(numbers, numbers[1:], numbers[2:], strict=False)
        if (m, last) == (prod(rows), k) and n > 0
    }  # fmt: skip
    if len(found) != 1:
        raise ValueError("the sizes are not among the arguments")
    return found.pop()


def grouped_mm(call: Call) -> Work:
    """Rows [m, k] with one of the matrices [E, k, n] each: the GEMMs of a mixture's experts.

    Every row meets one matrix, so FLOPs are exact. How many matrices have rows is in a tensor that
    the trace does not hold, so least bytes count one: a floor.
    """
    (m, k), (_, k2, n) = call.dims[0], call.dims[1]
    work = gemm(call, 1, m, n, same(k, k2), 0)
    shape = f"{work.shape} of {call.dims[1][0]} experts"
    return replace(work, weights=None, shape=shape, known=Known.LEAST)


def experts(call: Call) -> Work:
    """Tokens [t, h] through k of E experts each, w1 [E, 2i, h], w2 [E, h, i], weights [t, k].

    FLOPs are those of both products for each token and expert that it chose. Bytes count k experts:
    all tokens may have chosen the same ones.
    """
    (t, h), (e, twice, h1), (e2, h2, i) = call.dims[0], call.dims[1], call.dims[2]
    t2, chosen = call.dims[3]
    same(t, t2), same(e, e2), same(h, h1), same(h, h2)
    if twice not in (i, 2 * i):
        raise ValueError("packed weights have no sizes of the model")
    per = (twice * h) * call.size(1) + (h * i) * call.size(2)
    bytes_ = 2 * t * h * call.size(0) + min(chosen, e) * per
    flops = 2 * t * chosen * (twice * h + h * i)
    shape = f"{t} tokens×{chosen} of {e} experts×{h}×{i}"
    return Work(flops, bytes_, call.dtype(0), shape, None, Family.GEMM, Known.LEAST)


def experts_inside(call: Call) -> Work:
    """Hidden states [t, h] and the router's logits [t, E]: the experts are the layer's own.

    Of no expert a size is recorded, nor how many a token chooses: what is left is that the tokens
    are read and written.
    """
    (t, h), (t2, e) = call.dims[0], call.dims[1]
    same(t, t2)
    moved = 2 * call.bytes(0) + call.bytes(1)
    # a token meets one expert at least, of one column at least
    return Work(2 * t * h, moved, call.dtype(0), f"{t} tokens×{h}, some of {e} experts", None,
                Family.GEMM, Known.LEAST)  # fmt: skip


def mv(call: Call) -> Work:
    (m, k), (k2,) = call.dims[0], call.dims[1]
    work = gemm(call, 1, m, 1, same(k, k2), 0)
    # the matrix comes first here: it is the weights, and the vector is the one row
    return replace(work, weights=Weights(1, k, m, m * k * call.size(0)))


FORMULAS: dict[str, Formula] = {
    **entries("torch.mm", mm, "aten::mm"),
    **entries("torch._int_mm", int_mm, "aten::_int_mm"),
    **entries("torch.addmm", addmm, "aten::addmm aten::_addmm_activation"),
    **entries("torch.bmm", bmm, "aten::bmm"),
    **entries("torch.baddbmm", baddbmm, "aten::baddbmm"),
    **entries("torch.nn.functional.linear; AITER gemm_a16w16", linear,
              "aten::linear aiter::gemm_a16w16 vllm::rocm_unquantized_gemm"
              " vllm::rocm_unquantized_gemm_impl vllm::cpu_unquantized_gemm"),
    **entries("torch.mv", mv, "aten::mv"),
    **entries("torch._scaled_mm", scaled_mm, "aten::_scaled_mm"),
    **entries("torch._grouped_mm", grouped_mm, "aten::_grouped_mm aten::_scaled_grouped_mm"),
    **entries("torch._weight_int4pack_mm", int4_packed, "aten::_weight_int4pack_mm"),
    **entries("torch._weight_int8pack_mm", int8_packed, "aten::_weight_int8pack_mm"),
    **entries("vLLM csrc/torch_bindings.cpp", scaled_into, "_C::cutlass_scaled_mm"),
    **entries("vLLM csrc/quantization/awq", packed(_columns(8)), "_C::awq_gemm"),
    **entries("vLLM csrc/quantization/gptq", packed(_columns(1)), "_C::gptq_gemm"),
    **entries("vLLM csrc/quantization/marlin; SGLang sgl-kernel", packed(_between, at=2),
              "_C::gptq_marlin_gemm _C::marlin_gemm sgl_kernel::gptq_marlin_gemm"),
    **entries("bitsandbytes/_ops.py", packed(lambda call: call.numbers(2)[0]),
              "bitsandbytes::gemv_4bit"),
    **entries("SGLang sgl-kernel", scaled_columns,
              "sgl_kernel::fp8_scaled_mm sgl_kernel::int8_scaled_mm"
              " sgl_kernel::fp8_blockwise_scaled_mm"),
    **entries("AITER gemm_op_a8w8; FBGEMM f8f8bf16", scaled_linear,
              "aiter::gemm_a8w8 aiter::gemm_a8w8_CK aiter::gemm_a8w8_bpreshuffle"
              " aiter::gemm_a8w8_blockscale vllm::rocm_aiter_gemm_w8a8"
              " vllm::rocm_aiter_gemm_w8a8_blockscale fbgemm::f8f8bf16 fbgemm::f8f8bf16_rowwise"
              " fbgemm::f8f8bf16_blockwise fbgemm::f8f8bf16_tensorwise"),
    **entries("vLLM vllm/model_executor/layers/fused_moe", experts_inside,
              "vllm::moe_forward vllm::moe_forward_shared"),
    **entries("vLLM and SGLang fused_experts", experts,
              "vllm::inplace_fused_experts vllm::outplace_fused_experts"
              " sglang::inplace_fused_experts sglang::outplace_fused_experts"
              " vllm::rocm_aiter_fused_moe"),
}  # fmt: skip
