"""Formulas of ops against hand arithmetic, each with small sizes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import pytest
from tracekit.analyses.roofline.op_rows import limit

from tests.real import loaded
from tracekit.answers.roofline import Op, Roofline
from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import lost, origin
from tracekit.attribution.roofline import flops, op_formulas, step_lengths
from tracekit.attribution.roofline.formulas import communication, named_kernels, registry
from tracekit.attribution.roofline.formulas.work import Family, Known, Lengths, Work
from tracekit.attribution.roofline.left_over import NO_ARGUMENTS, NO_CAPTURE, NO_FORMULA
from tracekit.attribution.roofline.utilization import Rates
from tracekit.results import catalog, engine
from tracekit.taxonomy import Category
from tracekit.trace.trace import Cat

BF, F, S, L = "c10::BFloat16", "float", "Scalar", "TensorList"
I4, I8 = "int", "long int"
LEAST, MOST = Known.LEAST, Known.MOST


def of(
    name: str, dims: Any, types: Sequence[str], values: Sequence[str] = (), hint: str = "",
    lengths: Lengths | None = None, strides: Any = (),
) -> Work | None:  # fmt: skip
    padded = [*types, *[S] * (len(dims) - len(types))]
    filled = [*values, *[""] * (len(dims) - len(values))] if values else []
    texts = (json.dumps(part) for part in (dims, padded, filled, strides))
    return flops.of_op(name, *texts, hint, lengths)


# name, sizes, dtypes, values, FLOPs, bytes, how far known
CASES: list[tuple[str, Any, list[str], list[str], int, int, Known]] = [
    # products: 2mnk; operands and result
    ("aten::mm", [[4, 8], [8, 16]], [BF, BF], [], 1024, 2 * (32 + 128 + 64), Known.EXACT),
    ("aten::addmm", [[16], [4, 8], [8, 16], [], []], [BF] * 3, [], 1024,
     2 * (16 + 32 + 128 + 64), Known.EXACT),
    ("aten::bmm", [[2, 4, 8], [2, 8, 16]], [BF, BF], [], 2048, 2 * 2 * (32 + 128 + 64),
     Known.EXACT),
    ("aten::baddbmm", [[2, 4, 16], [2, 4, 8], [2, 8, 16]], [BF] * 3, [], 2048,
     2 * 2 * (64 + 32 + 128 + 64), Known.EXACT),
    ("aten::mv", [[4, 8], [8]], [F, F], [], 64, 4 * (32 + 8 + 4), Known.EXACT),
    ("aten::_scaled_mm", [[4, 8], [8, 16], *[[]] * 6], ["c10::Float8_e4m3fn"] * 2,
     [*[""] * 6, "15", ""], 1024, 32 + 128 + 2 * 64, Known.EXACT),
    ("aten::_grouped_mm", [[10, 8], [4, 8, 16], [4]], [BF, BF, I4], [], 2 * 10 * 8 * 16,
     2 * (80 + 128 + 160), LEAST),
    ("aten::_int_mm", [[4, 8], [8, 16]], ["signed char"] * 2, [], 2 * 4 * 8 * 16,
     4 * 8 + 8 * 16 + 4 * 4 * 16, Known.EXACT),
    ("_C::cutlass_scaled_mm", [[4, 16], [4, 8], [8, 16], [4, 1], [1, 16]],
     [BF, *["c10::Float8_e4m3fn"] * 2, F, F], [], 1024,
     4 * 8 + 8 * 16 + 2 * 4 * 16 + 4 * 4 + 4 * 16, Known.EXACT),
    ("sgl_kernel::fp8_scaled_mm", [[4, 8], [8, 16]], ["c10::Float8_e4m3fn"] * 2, [], 1024,
     4 * 8 + 8 * 16 + 2 * 4 * 16, Known.EXACT),
    ("aiter::gemm_a8w8", [[4, 8], [16, 8]], ["signed char"] * 2, [], 1024,
     4 * 8 + 16 * 8 + 2 * 4 * 16, Known.EXACT),
    # 4096 × 4096 of 4 bits: 512 rows of 8 columns, 4096 / 128 × 32 × 4 int32 each: half a byte
    ("aten::_weight_int4pack_mm", [[2, 4096], [512, 32, 32, 4], [], [32, 4096, 2]],
     [BF, I4, S, BF], [], 2 * 2 * 4096 * 4096,
     2 * 2 * 4096 + 4096 * 4096 // 2 + 2 * 2 * 4096 + 2 * 32 * 4096 * 2, Known.EXACT),
    ("aten::_weight_int8pack_mm", [[2, 8], [16, 8], [16]], [BF, "signed char", BF], [],
     2 * 2 * 8 * 16, 2 * 2 * 8 + 8 * 16 + 2 * 2 * 16 + 2 * 16, Known.EXACT),
    # packed weights are as large as they are stored: 4 bits a value
    ("_C::awq_gemm", [[2, 64], [64, 4], [1, 32], [1, 4]], [BF, I4, BF, I4], [], 2 * 2 * 64 * 32,
     2 * 128 + 64 * 32 // 2 + 2 * 64 + 2 * 32 + 4 * 4, Known.EXACT),
    ("_C::gptq_gemm", [[2, 64], [8, 32], [1, 4], [1, 32]], [BF, I4, I4, BF], [], 2 * 2 * 64 * 32,
     2 * 128 + 64 * 32 // 2 + 2 * 64 + 4 * 4 + 2 * 32, Known.EXACT),
    ("_C::gptq_marlin_gemm", [[2, 64], [], [4, 64], [1, 32], [], [], []],
     [BF, "", I4, BF, S, S, S], ["", "", "", "", "2", "32", "64"], 2 * 2 * 64 * 32,
     2 * 128 + 64 * 32 // 2 + 2 * 64 + 2 * 32, Known.EXACT),
    ("bitsandbytes::gemv_4bit", [[1, 64], [1024, 1], [], [32]], [BF, "unsigned char", "", F],
     ["", "", "[32, 64]", ""], 2 * 64 * 32, 2 * 64 + 1024 + 2 * 32 + 4 * 32, Known.EXACT),
    # 5 tokens × 2 experts of 8; both products of each: 2·5·2·(64·16 + 16·32)
    ("vllm::inplace_fused_experts", [[5, 16], [8, 64, 16], [8, 16, 32], [5, 2], [5, 2]],
     [BF, BF, BF, F, I4], [], 2 * 5 * 2 * (64 * 16 + 16 * 32),
     2 * 2 * 5 * 16 + 2 * (64 * 16 + 16 * 32) * 2, LEAST),
    ("vllm::moe_forward", [[4, 8], [4, 32], []], [BF, BF, ""], [], 2 * 4 * 8, 2 * 64 + 256, LEAST),
    ("vllm::rocm_unquantized_gemm", [[4, 8], [16, 8], [16]], [BF] * 3, [], 1024,
     2 * (32 + 128 + 64 + 16), Known.EXACT),
    ("aiter::rmsnorm2d_fwd_with_add_ck", [*[[2, 8]] * 4, [8], [], []], [BF] * 5, [], 80,
     2 * (4 * 16 + 8), Known.EXACT),
    ("aiter::rmsnorm2d_fwd", [[2, 8], [8], []], [BF, BF], [], 64, 2 * (2 * 16 + 8), Known.EXACT),
    ("vllm::rocm_aiter_rmsnorm2d_fwd_with_add", [[2, 8], [2, 8], [8], []], [BF] * 3, [], 80,
     2 * (4 * 16 + 8), Known.EXACT),
    # convolution: 2 × 3×3 output of 2 images, 5 channels from 4, window 3×3
    ("aten::convolution", [[2, 4, 5, 5], [5, 4, 3, 3], *[[]] * 7], [F, F],
     ["", "", "", "[1, 1]", "[0, 0]", "[1, 1]", "False", "[0, 0]", "1"],
     2 * 2 * 9 * 5 * 36, 4 * (2 * 4 * 25 + 5 * 36 + 2 * 5 * 9), Known.EXACT),
    # transposed: each of 2·4·9 inputs meets 5 channels × 3×3; 3 → (3-1)·2+3 = 7
    ("aten::convolution", [[2, 4, 3, 3], [4, 5, 3, 3], *[[]] * 7], [F, F],
     ["", "", "", "[2, 2]", "[0, 0]", "[1, 1]", "True", "[0, 0]", "1"],
     2 * 2 * 4 * 9 * 5 * 9, 4 * (2 * 4 * 9 + 4 * 5 * 9 + 2 * 5 * 49), Known.EXACT),
    # backward: gradients of input and weights, not of the bias
    ("aten::convolution_backward", [[2, 5, 3, 3], [2, 4, 5, 5], [5, 4, 3, 3], *[[]] * 8], [F] * 3,
     [*[""] * 3, "[0]", "[1, 1]", "[0, 0]", "[1, 1]", "False", "[0, 0]", "1",
      "[True, True, False]"],
     2 * (2 * 2 * 9 * 5 * 36), 4 * (90 + (180 + 200) + (200 + 180)), Known.EXACT),
    ("aten::convolution_backward", [[2, 5, 3, 3], [2, 4, 5, 5], [5, 4, 3, 3], *[[]] * 8], [F] * 3,
     [*[""] * 3, "[5]", "[1, 1]", "[0, 0]", "[1, 1]", "False", "[0, 0]", "1",
      "[False, True, True]"],
     2 * 2 * 9 * 5 * 36, 4 * (90 + (200 + 180) + 5), Known.EXACT),
    ("aten::cudnn_convolution_backward_input", [[], [2, 5, 3, 3], [5, 4, 3, 3]],
     ["GenericList", F, F], [], 2 * 90 * 36, 4 * (90 + 180), LEAST),
    ("aten::cudnn_convolution_backward_weight", [[], [2, 5, 3, 3], [2, 4, 5, 5]],
     ["GenericList", F, F], [], 2 * 90, 4 * (90 + 200), LEAST),
    # attention: two products over 2·3·136 causal pairs of 8, or over all 2·3·256
    ("aten::_scaled_dot_product_flash_attention", [*[[2, 3, 16, 8]] * 3, [], []], [BF] * 3,
     [*[""] * 4, "True"], 2 * 2 * 3 * 136 * 2 * 8, 2 * 2 * 3 * 16 * 8 * 4, Known.EXACT),
    ("aten::_scaled_dot_product_efficient_attention", [*[[2, 3, 16, 8]] * 3, *[[]] * 4], [BF] * 3,
     [*[""] * 6, "False"], 2 * 2 * 3 * 256 * 2 * 8, 2 * 2 * 3 * 16 * 8 * 4, Known.EXACT),
    ("aten::scaled_dot_product_attention", [*[[2, 3, 16, 8]] * 3, *[[]] * 3], [F] * 3,
     [*[""] * 5, "True"], 2 * 2 * 3 * 136 * 2 * 8, 4 * 2 * 3 * 16 * 8 * 4, Known.EXACT),
    ("aten::_flash_attention_forward", [*[[2, 16, 3, 8]] * 3, *[[]] * 10], [BF] * 3,
     [*[""] * 8, "True", *[""] * 4], 2 * 2 * 3 * 136 * 2 * 8, 2 * 2 * 3 * 16 * 8 * 4, Known.EXACT),
    # each of 16 queries sees 4 keys before it, its own among them: 1 + 2 + 3 + 13·4 pairs
    ("flash_attn::_flash_attn_forward", [*[[2, 16, 3, 8]] * 3, *[[]] * 5], [BF] * 3,
     [*[""] * 5, "True", "3", "0"], 2 * 2 * 3 * 58 * 2 * 8, 2 * 2 * 3 * 16 * 8 * 4, Known.EXACT),
    ("flash_attn::_flash_attn_backward", [*[[2, 16, 3, 8]] * 4, *[[]] * 10], [BF] * 4,
     [*[""] * 11, "True", "-1", "-1"], 2 * 2 * 3 * 136 * 5 * 8, 2 * 2 * 3 * 16 * 8 * 8,
     Known.EXACT),
    ("aten::_scaled_dot_product_cudnn_attention_backward", [*[[2, 3, 16, 8]] * 4, *[[]] * 11],
     [BF] * 4, [*[""] * 14, "False"], 2 * 2 * 3 * 256 * 5 * 8, 2 * 2 * 3 * 16 * 8 * 8, Known.EXACT),
    ("aten::_scaled_dot_product_fused_attention_overrideable_backward",
     [*[[2, 3, 16, 8]] * 4, *[[]] * 10], [BF] * 4, [*[""] * 13, "True"],
     2 * 2 * 3 * 136 * 5 * 8, 2 * 2 * 3 * 16 * 8 * 8, Known.EXACT),
    ("aten::_scaled_dot_product_flash_attention_for_cpu_backward",
     [*[[2, 3, 16, 8]] * 4, *[[]] * 4], [F] * 4, [*[""] * 7, "True"],
     2 * 2 * 3 * 136 * 5 * 8, 4 * 2 * 3 * 16 * 8 * 8, Known.EXACT),
    # attention backward: five products over 2·3·(16·17/2) causal pairs of 8
    ("aten::_scaled_dot_product_flash_attention_backward",
     [*[[2, 3, 16, 8]] * 4, [2, 3, 16, 8], *[[]] * 7], [BF] * 5,
     [*[""] * 11, "True"], 2 * 2 * 3 * 136 * 5 * 8, 2 * 2 * 3 * 16 * 8 * (4 + 4),
     Known.EXACT),
    ("aten::_flash_attention_backward", [*[[2, 16, 3, 8]] * 5, [2, 3, 16], *[[]] * 11],
     [BF] * 5 + [F], [*[""] * 11, "False", *[""] * 5], 2 * 2 * 3 * 256 * 5 * 8,
     2 * 2 * 3 * 16 * 8 * 8, Known.EXACT),
    ("aten::native_dropout", [[2, 3], [], []], [F], [], 12, 48 + 6, Known.EXACT),
    # two sequences of 16: 32 tokens, the longest 16
    ("flash_attn::_flash_attn_varlen_forward",
     [[32, 4, 8], [32, 2, 8], [32, 2, 8], [3], [3], *[[]] * 7], [BF, BF, BF, I4, I4],
     [*[""] * 5, "16", "16", "0.", "0.3", "True", "-1", "-1"],
     4 * 2 * 4 * 136 * 8, 2 * 32 * 8 * (2 * 4 + 2 * 2), Known.EXACT),
    # 3 sequences, 30 tokens, one of 16: at least 16 + 7 + 7
    ("flash_attn::_flash_attn_varlen_forward",
     [[30, 4, 8], [30, 2, 8], [30, 2, 8], [4], [4], *[[]] * 7], [BF, BF, BF, I4, I4],
     [*[""] * 5, "16", "16", "0.", "0.3", "True", "-1", "-1"],
     4 * 4 * (136 + 28 + 28) * 8, 2 * 30 * (4 + 2) * 16, LEAST),
    # elementwise: operands and result, one operation a value
    ("aten::add", [[2, 3], [2, 3], []], [BF, BF], [], 6, 3 * 12, Known.EXACT),
    ("aten::mul", [[4, 1, 3], [5, 1]], [BF, F], [], 60, 2 * 12 + 4 * 5 + 4 * 60, Known.EXACT),
    ("aten::add_", [[2, 3], [2, 3], []], [F, BF], [], 6, 24 + 12 + 24, Known.EXACT),
    ("aten::pow", [[2, 3], []], [F], [], 6, 48, Known.EXACT),
    ("aten::eq", [[2, 3], [2, 3]], [I8, I8], [], 6, 48 + 48 + 6, Known.EXACT),
    ("aten::where", [[2, 3], [2, 3], []], ["bool", F, F], [], 12, 6 + 24 + 4 + 24, Known.EXACT),
    ("aten::gelu", [[2, 3], []], [BF], [], 6, 24, Known.EXACT),
    ("aten::threshold_backward", [[2, 3], [2, 3], []], [F, F], [], 6, 72, Known.EXACT),
    ("aten::fill_", [[2, 3], []], [F], [], 0, 24, Known.EXACT),
    ("aten::copy_", [[2, 3], [2, 3], []], [BF, F], [], 0, 12 + 24, Known.EXACT),
    ("aten::copy_", [[4, 5], [4, 1], []], [F, I8], [], 0, 80 + 32, Known.EXACT),
    ("aten::copy_", [[2, 3], [2, 3], []], ["c10::Float8_e4m3fn", F], [], 0, 6 + 24, Known.EXACT),
    ("sgl_kernel::silu_and_mul", [[2, 3], [2, 6]], [BF, BF], [], 12, 12 + 24, Known.EXACT),
    ("fbgemm::FloatToFP8RowwiseQuantized", [[2, 16], []], [F], [], 32, 128 + 2 * 24, Known.EXACT),
    ("fbgemm::FP8RowwiseQuantizedToFloat", [[2, 24], []], ["unsigned char"], [], 48, 48 + 128,
     Known.EXACT),
    ("aten::exp_", [[2, 3]], [F], [], 6, 48, Known.EXACT),
    ("aten::eq_", [[2, 3], [2, 3]], [F, F], [], 6, 72, Known.EXACT),
    ("aten::addcmul_", [[2, 3], [2, 3], [2, 3], []], [F] * 3, [], 12, 96, Known.EXACT),
    ("fbgemm::FloatToHFP8Quantized", [[2, 16]], [F], [], 32, 128 + 32, Known.EXACT),
    ("fbgemm::HFP8QuantizedToFloat", [[2, 16]], ["unsigned char"], [], 32, 32 + 128, Known.EXACT),
    # norms
    ("aten::native_batch_norm", [[2, 4, 3], [4], [4], [4], [4]], [F] * 5, [], 7 * 24, 192 + 32,
     Known.EXACT),
    ("aten::_fused_rms_norm_backward", [[2, 8], [2, 8]], [F, F], [], 2 * 4 * 16, 192, Known.EXACT),
    ("fb::rms_norm", [[2, 8], [8]], [F, F], [], 64, 128 + 32, Known.EXACT),
    ("aten::native_layer_norm", [[2, 8], [], [8], [8], []], [F, "ScalarList", F, F], [], 7 * 16,
     2 * 64 + 2 * 32, Known.EXACT),
    ("aten::native_layer_norm_backward", [[2, 8], [2, 8], [], [2, 1], [2, 1], [8], [8], []],
     [F, F, "ScalarList", F, F, F, F], [], 14 * 16, 3 * 64, Known.EXACT),
    ("aten::miopen_batch_norm_backward", [[2, 8], [2, 8], [8]], [BF, BF, F], [], 14 * 16, 3 * 32,
     Known.EXACT),
    ("aten::_fused_rms_norm", [[2, 8], [], [8], []], [F, "ScalarList", F, ""], [], 64, 128 + 32,
     Known.EXACT),
    ("aiter::rmsnorm", [[2, 8], [2, 8], [8], []], [BF] * 3, [], 64, 2 * (16 + 16 + 8),
     Known.EXACT),
    ("aiter::add_rmsnorm", [*[[2, 8]] * 4, [8], []], [BF] * 5, [], 80, 2 * (4 * 16 + 8),
     Known.EXACT),
    ("_C::fused_add_rms_norm", [[2, 8], [2, 8], [8], []], [BF] * 3, [], 80, 2 * (4 * 16 + 8),
     Known.EXACT),
    ("aten::_softmax", [[2, 8], [], []], [F], [], 80, 128, Known.EXACT),
    ("aten::_softmax", [[4, 3, 8], [], []], [BF], [], 5 * 96, 2 * 2 * 96, Known.EXACT),
    ("aten::_log_softmax_backward_data", [[2, 8], [2, 8], [], []], [F, F], [], 64, 192,
     Known.EXACT),
    ("aten::nll_loss_forward", [[2, 8], [2], [], [], []], [F, I8], [], 2, 8 + 16, LEAST),
    # 3 positions, queries of 16 and keys of 8 turned in place, one row of 4
    ("sgl_kernel::rotary_embedding", [[3], [3, 16], [3, 8], [], [99, 4], []],
     [I8, BF, BF, S, BF, S], [], 3 * 72, 24 + 2 * 2 * 72 + 2 * 4, LEAST),
    ("_C::rotary_embedding", [[5], [5, 32], [5, 32], [], [99, 8], []],
     [I8, F, F, S, F, S], [], 3 * 320, 40 + 2 * 4 * 320 + 4 * 8, LEAST),
    ("_C::rotary_embedding", [[2], [2, 4, 8], [2, 2, 8], [], [50, 8], []],
     [I8, BF, BF, S, BF, S], [], 3 * 96, 16 + 2 * 2 * 96 + 2 * 8, LEAST),
    # reductions
    ("aten::sum", [[4, 8], [], [], []], [F, "ScalarList", S, ""], ["", "[1]", "True", ""], 32,
     128 + 16, Known.EXACT),
    ("aten::mean", [[4, 8], [], [], []], [F, "ScalarList", S, ""], ["", "[]", "False", ""], 32,
     128 + 4, Known.EXACT),
    ("aten::mean", [[4, 8], [], [], []], [F, "ScalarList", S, ""], [], 32, 128, LEAST),
    ("aten::argmax", [[4, 8], [], []], [F, S, S], ["", "-1", "False"], 32, 128 + 32, Known.EXACT),
    ("aten::all", [[4, 8]], ["bool"], [""], 32, 32 + 1, Known.EXACT),
    ("aten::linalg_vector_norm", [[4, 8], [], []], [F, S, "ScalarList"], ["", "2", "[1]"], 32,
     128 + 16, Known.EXACT),
    ("aten::cumsum", [[8], [], []], [I8], [], 8, 128, Known.EXACT),
    ("aten::max_pool2d_with_indices", [[1, 2, 4, 4]], [F], [], 32, 128, LEAST),
    ("aten::max_pool2d_with_indices_backward",
     [[1, 2, 2, 2], [1, 2, 4, 4], *[[]] * 5, [1, 2, 2, 2]],
     [F, F, *["ScalarList"] * 4, S, I8], [], 8, 32 + 64 + 128, Known.EXACT),
    # look-ups: what is written, the indices, one row
    ("aten::embedding", [[99, 8], [2, 3], [], [], []], [BF, I8], [], 0, 2 * 7 * 8 + 48, LEAST),
    # 6 indices in 4 bags of tables of any width, 8 bytes each; the gradient of 4 bags, 5 wide
    ("fbgemm::split_embedding_codegen_lookup_rowwise_adagrad_function",
     [[0], [99], [0], [0, 0], [2], [2], [3], [], [], [3], [], [6], [5], []],
     [F, BF, BF, BF, I4, "long", I4, S, S, "long", S, "long", "long", S], [], 0, 48 + 40, LEAST),
    ("torch::autograd::CppNode<SplitLookupFunction_rowwise_adagrad_Op>", [[4, 5]], [F], [], 0, 80,
     LEAST),
    ("aten::index_select", [[9, 4], [], [3]], [F, S, I8], ["", "0", ""], 0, 4 * 4 * 4 + 24, LEAST),
    ("aten::gather", [[9, 4], [], [2, 4], []], [F, S, I8], [], 0, 8 * 8 + 8 * 4, LEAST),
    ("aten::scatter_add_", [[9], [], [4], [4]], [F, S, I8, F], [], 0, 32 + 16, LEAST),
    ("aten::_index_put_impl_", [[9, 4], [], [3, 4], [], []], [F, L, F], [], 0, 48, LEAST),
    ("sglang::store_cache", [[3, 8], [3, 8], [99, 8], [99, 8], [3], [], []],
     [BF, BF, BF, BF, I8], [], 0, 4 * 2 * 24 + 24, MOST),
    # torch.compile: 24 values; an argument of more is read in part
    ("triton_poi_fused_add_mul_0", [[4, 6], [100, 6], [4, 6], []], [BF, F, BF, S],
     ["", "", "", "24"], 0, 48 + 96 + 48, MOST),
    # a reduction: 4 rows of 6; and 3 rows of 8 with a row of weights
    ("triton_red_fused_sum_0", [[4, 6], [4], [], []], [F, F, S, S], ["", "", "4", "6"], 0,
     96 + 16, MOST),
    ("triton_per_fused_rms_norm_1", [[3, 8], [8], [3, 8], [], []], [BF, BF, BF, S, S],
     ["", "", "", "3", "8"], 0, 48 + 16 + 48, MOST),
    # communication
    ("record_param_comms", [[10], [], []], [F, S, S], [], 0, 80, LEAST),
    ("c10d::_allgather_base_", [[8, 4], [1, 4], []], [F, F, ""], [], 0, 128 + 16, Known.EXACT),
    ("c10d::_reduce_scatter_base_", [[1, 4], [8, 4], []], [BF, BF, ""], [], 0, 8 + 64,
     Known.EXACT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dims", "types", "values", "done", "moved", "known"), CASES,
    ids=[f"{at}-{case[0]}" for at, case in enumerate(CASES)],
)  # fmt: skip
def test_an_op_does_what_hand_arithmetic_says(
    name: str, dims: Any, types: list[str], values: list[str], done: int, moved: int, known: Known
) -> None:
    work = of(name, dims, types, values)
    assert work is not None
    assert (work.flops, work.bytes, work.known) == (done, moved, known)


# whose dtype or lengths are in no argument: tried below, each by one of its name
ASKING = {"aten::cat", "aten::_fused_adam_", "aten::_foreach_add_", "aten::_foreach_addcmul_",
          "aten::_foreach_sqrt", "aiter::mha_batch_prefill", "aiter::paged_attention_ragged",
          "vllm::unified_attention"}  # fmt: skip


def test_every_formula_is_tried_and_names_its_source_and_each_family_three_times() -> None:
    assert all(one.source for one in registry.FORMULAS.values())
    cases = {name for name, *_ in CASES} | ASKING
    done = {id(one.run) for name in cases if (one := registry.formula(name)) is not None}
    assert {name for name, one in registry.FORMULAS.items() if id(one.run) not in done} == set()
    tried = Counter(work.family for case in CASES if (work := of(*case[:4])) is not None)
    assert tried.keys() == set(Family)
    assert min(tried.values()) >= 3


def test_a_list_of_tensors_has_the_dtype_of_its_kernel() -> None:
    cat = "void at::native::CatArrayBatchedCopy<at::native::OpaqueType<2u>, unsigned int, 3, 64>"
    work = of("aten::cat", [[[2, 3], [2, 5]], []], [L, S], hint=cat)
    assert work is not None
    assert work.bytes == 2 * 2 * 16
    assert of("aten::cat", [[[2, 3], [2, 5]], []], [L, S], hint="some_copy") is None
    assert of("aten::cat", [[], []], [L, S], hint=cat) is None  # sizes are not recorded
    apply = "void multi_tensor_apply_kernel<TensorListMetadata<2>, BinaryOpListAlphaFunctor<float>>"
    adam = "void multi_tensor_apply_kernel<TensorListMetadata<4>, FusedAdamMathFunctor<float, 4>>"
    step = of("aten::_fused_adamw_", [[[4], [2]]] * 4, [L] * 4, hint=adam)
    assert step is not None
    assert step.bytes == 7 * 24
    added = of("aten::_foreach_add_", [[[4], [2]], [[4], [2]], []], [L, L, S], hint=apply)
    assert added is not None
    assert (added.flops, added.bytes) == (6, 3 * 24)
    root = of("aten::_foreach_sqrt", [[[4], [2]]], [L], hint=apply)
    assert root is not None
    assert (root.flops, root.bytes) == (6, 2 * 24)
    three = of("aten::_foreach_addcmul_", [*[[[4], [2]]] * 3, []], [L, L, L, S], hint=apply)
    assert three is not None
    assert (three.flops, three.bytes) == (6, 4 * 24)


def test_a_collective_moves_what_goes_in_and_what_comes_out() -> None:
    """One tensor of 10 bfloat16; 8 in and 1 out; gradients of 17 float32 in a bucket."""
    sized = communication.recorded("BFloat16", -1, -1)
    for hint, moved, known in (
        (sized, 2 * 20, Known.LEAST),
        (communication.recorded("Float", 8, 1), 4 * 9, Known.EXACT),
        (communication.bucket(68, "float32"), 2 * 68, Known.LEAST),
    ):
        talk = of("record_param_comms", [[[10]], []], [L, S], hint=hint)
        assert talk is not None
        assert (talk.bytes, talk.known, talk.family) == (moved, known, Family.COMMUNICATION)
    assert of("record_param_comms", [[], []], [L, S], hint=sized) is None


def test_the_name_and_grid_of_a_kernel_without_an_op_say_what_it_moves() -> None:
    """Blocks of 128 threads, 4 values each: two whole blocks and a value of the third at least."""
    start = "void at::native::vectorized_elementwise_kernel<4, at::native::"
    for functor, tensors, size, done in (
        ("FillFunctor<float>", 1, 4, 0),
        ("CUDAFunctor_add<c10::BFloat16>", 3, 6, 1),
        ("BinaryFunctor<float, float, bool, at::native::(anonymous namespace)::Compare<float> >",
         3, 9, 1),
        ("AUnaryFunctor<float, double, double, at::native::MulFunctor<double> >", 2, 16, 1),
    ):  # fmt: skip
        for array in (f"at::detail::Array<char*, {tensors}>", f"std::array<char*, {tensors}ul>"):
            work = named_kernels.of_kernel(f"{start}{functor}, {array} >(int)", 3, 128)
            assert work is not None
            values = 2 * 128 * 4 + 1
            assert (work.flops, work.bytes) == (done * values, size * values)
            assert (work.known, work.shape) == (Known.LEAST, "1025")
    lone = f"{start}exp_kernel(int)::{{lambda(float)#1}}, std::array<char*, 2ul> >(int)"
    assert named_kernels.of_kernel(lone, 3, 128) is None  # its result may be of any type


def test_what_names_say_is_never_more_than_what_ops_say() -> None:
    """ResNet on MI300X: kernels of which both are known."""
    trace = loaded("tl_mi300_resnet_act_checkpoint")
    gpu, grid, found = links.work(trace), origin.grids(trace), op_formulas.described(trace)
    many, tried = Counter(found.call.tolist()), 0
    for at in (gpu.named("vectorized_elementwise") & (found.call >= 0)).nonzero()[0].tolist():
        sizes = [int(n) for n in grid[at]]
        name = trace.strings[gpu.name[at]]
        work = named_kernels.of_kernel(name, prod(sizes[:3]), prod(sizes[3:]))
        told = found.each[found.call[at]]
        if work is None or many[int(found.call[at])] > 1:
            continue
        tried += 1
        block = prod(sizes[3:]) * 8 * 3 * 2  # of three tensors of bfloat16, 8 values a thread
        assert told.bytes - block <= work.bytes <= told.bytes
    assert tried > 300


def test_what_is_repeated_by_a_stride_of_zero_is_in_memory_once() -> None:
    work = of("aten::mul", [[4, 3], [4, 3]], [F, F], strides=[[3, 1], [0, 1]])
    assert work is not None
    assert work.bytes == 4 * (12 + 3 + 12)


NAME = "execute_48_context_1(sq16sk20sqsq256sqsk320)_generation_2(sq2sk30sqsq2sqsk30)"


def test_lengths_are_the_sums_that_the_annotation_of_the_step_gives() -> None:
    """16 queries after 4 keys: 16·4 + 136 pairs; two of one query over 30 keys: 30 pairs."""
    lengths = step_lengths.of_name(NAME)
    assert lengths == Lengths(18, 50, 258, 350)
    assert lengths.causal_pairs == 16 * 4 + 136 + 30
    assert step_lengths.of_name("execute_8_context_1(5)_generation_3(3)") is None
    assert step_lengths.of_name("step[DECODE bs=4]") is None


def test_paged_attention_has_no_number_without_lengths_and_says_where_it_is_a_bound() -> None:
    dims = [[18, 4, 8], [99], [18, 4, 8], [50, 1, 2, 8], [50, 1, 2, 8], [19]]
    types = [BF, "unsigned char", BF, BF, BF, I4]
    lengths = Lengths(18, 50, 258, 350)
    name = "aiter::paged_attention_ragged"
    assert of(name, dims, types) is None
    work = of(name, dims, types, lengths=lengths)
    assert work is not None
    assert (work.flops, work.known) == (4 * 4 * 230 * 8, Known.EXACT)
    assert work.bytes == 2 * 18 * 4 * 16 + 2 * 50 * 2 * 16
    wrapped = of(f"sglang_profiler::attention_{name[7:]}_100", dims, types, lengths=lengths)
    assert wrapped == work
    heads = [[24, 4, 8], [24, 2, 8], [24, 2, 8], [24, 4, 8]]  # padded
    unified = of("vllm::unified_attention_with_output", heads, [BF] * 4, lengths=lengths)
    assert unified is not None
    assert (unified.flops, unified.bytes, unified.known) == (work.flops, work.bytes, Known.MOST)


def row(ns: int, kernels: int, floor_ns: float | None) -> Op:
    rates = Rates(None, None, None, None, None, floor_ns, floor_ns and floor_ns / ns, "memory")
    return Op("aten::add", "8", "float32", Category.ELEMENTWISE, "all", "add", kernels, kernels, ns,
              8, 96, rates, Family.POINTWISE)  # fmt: skip


def test_what_is_too_short_or_too_small_for_the_device_is_bound_by_latency() -> None:
    """Means of 4 to 20 µs; blocks as many as the SMs, a quarter, and three quarters of them."""
    assert limit(row(8_000, 2, 1_000), 1.0) == "latency"
    assert limit(row(8_000, 2, 6_000), 1.0) == "memory"  # as fast as the device goes
    assert limit(row(40_000, 2, 4_000), 0.25) == "latency"
    assert limit(row(40_000, 2, 4_000), 0.75) == "memory"
    assert limit(row(16_000, 2, 4_000), 0.75) == "latency"
    assert limit(row(4_000, 1, None), 1.0) == "latency"


# ---------------------------------------------------------------- real traces, by hand


def test_the_attention_of_a_decode_step_reads_the_keys_of_its_annotation() -> None:
    """SGLang, Qwen3-8B: 32 queries, 32,785 keys, 32 heads of 128, 8 of keys, 36 layers."""
    from tests.real import trace_file

    answers = engine.answers(trace_file("tl_sglang_decode"), ["roofline"])
    result = answers.get(Roofline)
    assert result is not None
    (row,) = (r for r in result.rows if "paged_attention" in r.op)
    assert row.calls == 36
    assert row.flops == 36 * 4 * 32785 * 32 * 128
    assert row.bytes == 36 * (2 * 32785 * 8 * 128 * 2 + 2 * 32 * 32 * 128 * 2)
    assert result.covered_share is not None
    assert result.covered_share > 0.99
    assert {r.module for r in result.rows if r.op == "aten::mm"} == {
        "MergedColumnParallelLinear", "RowParallelLinear", "QKVParallelLinear", "LogitsProcessor",
    }  # fmt: skip


def test_a_prefill_of_equal_lengths_is_exact_without_their_list() -> None:
    """15 requests of 1,024 tokens: 1,024·1,025/2 pairs each."""
    result = catalog.ask(loaded("tl_sglang_prefilldecode"), Roofline)
    (row,) = (r for r in result.rows if r.op == "aiter::mha_batch_prefill")
    assert row.known is Known.EXACT
    assert row.flops == 36 * 15 * 4 * (1024 * 1025 // 2) * 32 * 128
    (act,) = (r for r in result.rows if r.op == "sgl_kernel::silu_and_mul")
    assert act.bytes == 36 * 2 * 15360 * 3 * 12288
    assert act.limit == "memory"


def test_layout_changes_around_a_convolution_are_helpers_of_it() -> None:
    """MI300X, patches of 16 × 16: its GEMM is what the op is judged by."""
    trace = loaded("tl_mi300_nsfw")
    result = catalog.ask(trace, Roofline)
    (row,) = (r for r in result.rows if r.op == "aten::_convolution")
    assert row.flops == 2 * 784 * 768 * 768
    gpu = links.work(trace)
    layouts = gpu.named("batched_transpose") & gpu.is_(Cat.KERNEL)
    assert row.helper_ns >= int(gpu.dur[layouts].sum()) > 0
    assert row.total_ns + row.helper_ns < 50_000


def test_kernels_from_before_the_recording_are_known_by_a_run_of_the_same_kernels() -> None:
    """Qwen1.5-0.5B on H100: 509 activities without a launch, of the layers that follow."""
    trace = loaded("tl_h100_qwen15_05b")
    same, gpu = lost.alike(trace), links.work(trace)
    mine = same >= 0
    assert not mine[links.launch_row(trace) >= 0].any()
    by = {int(row): int(at) for at, row in enumerate(links.launch_row(trace))}
    for at in mine.nonzero()[0].tolist():
        assert gpu.name[by[int(same[at])]] == gpu.name[at]
    result = catalog.ask(trace, Roofline)
    assert 0.29 < sum(r.total_ns for r in result.alike) / 45_432_698 < 0.31
    assert result.uncovered[0].what == "aten::arange"


def test_the_share_of_what_has_sizes_leaves_out_what_has_none() -> None:
    """Two fills that were launched before the recording take 96 % of the time."""
    result = catalog.ask(loaded("hta_trace_compare_base"), Roofline)
    assert (result.covered_share, result.sized_share, result.uncovered) == (1, 1, ())
    row = result.rows[0]
    assert (row.op, row.calls, row.known) == ("FillFunctor<float>", 2, Known.LEAST)
    assert row.bytes == 2 * 4 * (88_496 * 128 * 4 + 1)
    whole = catalog.ask(loaded("tl_vllm_prefilldecode_piecewise"), Roofline)
    lacking = sum(c.unsized_ns for c in whole.coverage)
    assert whole.covered_share is not None
    assert whole.sized_share is not None
    assert whole.covered_share < 0.2 < 0.99 < whole.sized_share
    known = (NO_ARGUMENTS, NO_FORMULA)
    assert lacking == sum(r.total_ns for r in whole.uncovered if r.why not in known)


def test_the_script_prints_a_table_of_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    import runpy
    import sys
    from pathlib import Path

    from tests.real import trace_file

    script = Path(__file__).parents[2] / "scripts" / "roofline_coverage.py"
    before = sys.argv
    names = ("tl_h100_nsfw", "tl_vllm_prefilldecode_piecewise")
    sys.argv = [str(script), "--least", "0.85", *(str(trace_file(name)) for name in names)]
    try:
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = before
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert "| tl_h100_nsfw | 100.0% | 100.0% | 100.0% | 1.22 ms |" in said
    assert f"| {names[1]} | 3.9% | 3.9% | 99.9% | 156 ms |" in said
    # what it lacks, by reason: the graph's kernels have no capture
    assert f"| {names[1]} | {NO_CAPTURE} | 96.1% | 150 ms | 53.4% _matmul_ogs" in said
    assert f"| {names[0]} | " not in said.split("Not covered")[1]
