"""What a kernel does, read off its name; and what an op does, read off its own.

Rules are tried in order and the first that matches decides. The order carries the meaning: cache
writes before attention (`reshape_and_cache_flash`), attention before GEMM (flash kernels have
`cutlass::` in their template arguments), GEMM before layout (cuBLAS names its parameters after
transposes), layout before elementwise (`elementwise_kernel<…direct_copy_kernel…>`).

Source: names in kernels of PyTorch, cuBLAS, cuDNN, CUTLASS, FlashAttention, FlashInfer, Triton,
vLLM, SGLang, Tensile, hipBLASLt, Composable Kernel, MIOpen and AITER, as traces hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tracekit.taxonomy import Category

C = Category


@dataclass(frozen=True, slots=True)
class Rule:
    """`category` for names in which `pattern` is found; `name` is what a reader is told."""

    name: str
    category: Category
    pattern: re.Pattern[str]


def _rule(name: str, category: Category, *patterns: str) -> Rule:
    return Rule(name, category, re.compile("|".join(patterns), re.IGNORECASE))


# (?<![a-z]) keeps `property` from being rope and `convert` from being a convolution
COMMUNICATION = _rule(
    "communication name", C.COMMUNICATION,
    r"nccl", r"rccl", r"cross_device_reduce", r"multimem_all", r"(one|two)_?shot_all_?reduce",
    r"all_?reduce", r"all_?gather", r"reduce_?scatter", r"all_?to_?all", r"nvshmem", r"rocshmem",
    r"mscclpp", r"quick_?reduce", r"symm_mem", r"userbuffers", r"lamport", r"mori::",
    r"(one|two)shot_",
    r"(?<![a-z])(deep_)?ep::.*(dispatch|combine)", r"(?<![a-z])deepep.*(dispatch|combine)",
    r"\d(intra|inter)node(_ll)?\d+(dispatch|combine|cached_notify|notify_dispatch)",
)  # fmt: skip

LAYOUT_INSIDE_OPS = _rule(
    "layout change", C.COPY,
    r"nchwTo(nhwc|4c)", r"nhwcToNchw", r"transpose_(CNHW|NCHW)", r"batched_transpose",
    r"cudnn.*(nchw|nhwc)AddPadding", r"foldedNhwc",
)  # fmt: skip

TF32 = r"tf32|s1688|xf32"  # float32 inputs multiplied as TF32

KERNELS: tuple[Rule, ...] = (
    COMMUNICATION,
    LAYOUT_INSIDE_OPS,
    _rule(
        "KV cache write", C.COPY,
        r"reshape_and_cache", r"store_?kv_?cache", r"store_cache", r"set_kv_buffer",
        r"AppendPagedKVCache", r"concat_and_cache", r"kv_indices", r"copy_blocks", r"swap_blocks",
        r"set_mla_kv", r"concat_mla", r"cp_gather.*cache", r"gather_cache", r"kv_cache_update",
    ),
    _rule(
        "Triton attention by inductor", C.ATTENTION, r"triton_.*(flex_attention|_attention)",
    ),
    _rule(
        "normalisation name", C.NORM,
        r"rms_?norm", r"layer_?norm", r"batch_?norm", r"group_?norm", r"instance_?norm",
        r"(?<![a-z])bn_(fw|bw)", r"l2_?norm(?!alized)", r"qk_?norm", r"RowwiseMoments",
        r"GammaBeta", r"ComputeInternalGradients", r"Compute(Backward)?FusedParams",
        r"ln_(fwd|bwd)", r"local_?response_?norm", r"LRN(Cross|Fwd|Bwd)", r"GroupNormBackward",
    ),
    _rule(
        "rotary name", C.ROTARY,
        r"rotary", r"(?<![a-z])m?rope(?![a-z])", r"(?-i:Rope|RoPE)", r"ApplyRotary",
    ),
    _rule(
        "expert routing", C.SAMPLING,
        r"topk_?gating", r"topk_?softmax", r"grouped_topk", r"moe_fused_gate", r"biased_topk",
    ),
    _rule(
        "softmax or sampling name", C.SAMPLING,
        r"(?<![a-z])sampling::", r"SamplingFrom", r"TopKMask", r"TopPRenorm", r"TopKRenorm",
        r"ArgMaxOps", r"ArgMinOps", r"argmax", r"multinomial", r"radix_?sort", r"bitonicSort",
        r"merge_?sort", r"segmented_sort", r"sbtopk", r"mbtopk", r"gatherTopK", r"gatherKth",
        r"_topk", r"top_?k(_|[A-Z]|$)", r"apply_.*penalt", r"repetition_penalt", r"min_p_",
        r"gumbel", r"rejection_(greedy|random)", r"rejection_sample", r"speculative_sampling",
        r"eagle.*sample",
    ),
    _rule(
        "FlashAttention, FlashInfer, cuDNN or memory-efficient attention", C.ATTENTION,
        r"flash_?(fwd|bwd|attn|attention|decoding|mla|prefill|decode)", r"flash::",
        r"5flash\d", r"fmha", r"AttentionKernel", r"sdpa", r"(Batch|Single)(Prefill|Decode)With",
        r"(Batch|Single)(Prefill|Decode)", r"MergeStates?", r"merge_attn_states",
        r"fort_native.*flash", r"kernel_mha", r"attention",
    ),
    _rule(
        "attention name", C.ATTENTION,
        r"attn", r"(?<![a-z])mha_", r"(?<![a-z])mla_", r"paged_?attention", r"split_?kv",
        r"^_?(fwd|bwd)_kernel(_stage\d|_aligned|_dkv|_dq)?$", r"_fwd_grouped_kernel",
        r"_fwd_kernel_stage", r"^reduce_segments$", r"(?<![a-z])pa_(fwd|bf16|fp8|decode|prefill)",
        r"(?<![a-z])aiter.*mla", r"lightning_attention", r"dsa_indexer",
    ),
    _rule("softmax", C.SAMPLING, r"softmax", r"SoftMax"),
    _rule(
        "GEMM by Tensile, hipBLASLt or AITER", C.GEMM,
        r"(?<![a-z])Cijk_", r"hipblaslt", r"rocblas", r"aiter.*(gemm|moe)", r"fmoe",
        r"(?<![a-z])ck_moe", r"wvSplitK", r"LLGemm", r"LLMM1",
    ),
    _rule("fused expert GEMM", C.GEMM, r"fused_moe_kernel", r"matmul_ogs", r"moe.*gemm", r"MoeGemm",
          r"grouped_gemm", r"group_gemm", r"moe_wna16"),
    _rule(
        "combine expert outputs", C.REDUCTION,
        r"finalize_matmul", r"finalize_?Moe", r"moe_sum", r"moe_reduce", r"unpermute",
    ),
    _rule(
        "convolution name", C.GEMM,
        r"(?<![a-z])[id]?conv(?!ert|ersion|ex)", r"convol", r"conv(1|2|3)d", r"dgrad", r"wgrad",
        r"fprop", r"winograd", r"scudnn", r"igemm_(fwd|bwd|wrw)", r"miopen.*(Conv|wino)", r"cask_",
        r"fft(1|2|3)d", r"grouped_conv", r"sp3AsmConv", r"naive_conv",
    ),
    _rule(
        "GEMM name", C.GEMM,
        r"(?<!fb)gemm", r"gemv", r"nvjet", r"xmma", r"cutlass", r"cublas", r"matmul", r"splitK",
        r"split_k(?!v)", r"stream_?k", r"marlin", r"machete", r"gptq", r"awq", r"_mm_", r"^mm_",
        r"_bmm", r"grouped_mm", r"scaled_mm", r"w8a8", r"w4a16", r"w4a8", r"wgmma", r"s16816",
        r"s1688", r"qmm", r"dot_kernel", r"^dot_", r"mat_?vec", r"mul_mat", r"quantized_linear",
        r"epilogue::impl",
    ),
    _rule("pooling name", C.REDUCTION, r"_pool", r"pooling"),
    _rule(
        "copy or layout name", C.COPY,
        r"direct_copy_kernel", r"(bfloat16|float16|float32|half)\w*_copy_kernel", r"copy_kernel",
        r"copy_device_to_device", r"CatArrayBatchedCopy", r"copyBuffer", r"MEMORY_COPY", r"memcpy",
        r"gather", r"scatter", r"index_?(select|put|elementwise|kernel|copy|add|fill)",
        r"linearize_index", r"transpose", r"permute", r"embedding", r"embs_kernel", r"pad(ding)?_",
        r"constant_pad", r"reflection_pad", r"replication_pad", r"(?<![a-z])roll_", r"flip",
        r"im2col", r"col2im", r"triu_tril", r"repeat", r"upsample", r"interpolat", r"concat",
        r"SubTensorOp", r"req_to_token", r"block_table", r"slot_mapping", r"token_ids",
        r"moe_align_block", r"align_block_size", r"vectorized_gather", r"convert_?layout",
        r"tensorTransform", r"nchw|nhwc", r"unfold", r"pack_bitmatrix", r"sort_?tokens",
        r"routing_memset", r"_bucketize", r"fetch_", r"write_req", r"MoeSorting", r"moe_sorting",
        r"offsets_range", r"compute_cuda_kernel", r"bounds_check_indices",
    ),
    _rule(
        "reduction name", C.REDUCTION,
        r"reduce_kernel", r"reduce_1Block", r"(?<![a-z])reduction", r"DeviceReduce", r"DeviceScan",
        r"scan_(kernel|dim|innermost|outer)", r"wrapped_scan", r"wrapped_reduce", r"cumsum",
        r"DeviceSelect", r"DeviceCompact", r"welford", r"nll_?loss",
        r"ClassNLL", r"cross_entropy", r"sum_bitmatrix", r"_sum_", r"histogram", r"_reduce_",
        r"moe_expert_sum", r"(Mean|Max|Min|Sum|NormTwo|NormOne|Std)Ops", r"cub::", r"rocprim::",
    ),
    _rule(
        "elementwise name", C.ELEMENTWISE,
        r"elementwise", r"act_and_mul", r"silu", r"gelu", r"swiglu", r"relu", r"sigmoid", r"tanh",
        r"quant", r"_FP8_", r"fp8rowwise", r"multi_tensor_apply", r"FillFunctor", r"fillBuffer",
        r"pointwise", r"dropout", r"position_kernel", r"compute_position", r"arange", r"masked",
        r"scal_kernel", r"scalePackedTensor", r"axpy", r"activation",
        r"bias_?(add|act)", r"add_?bias", r"Op(1|2|3)dTensor",
        r"OpTensor", r"OpenCL_scale", r"op_tensor", r"BinaryFunctor", r"UnaryFunctor", r"bernoulli",
        r"distribution_", r"philox", r"rand(n|int|om)?_kernel", r"^_?(add|mul|sub|div|where)_",
    ),
    _rule(
        "expert routing tables", C.COPY,
        r"routing", r"moe.*(index|offset|expert)", r"expert_map",
    ),
)  # fmt: skip

# Ops whose every kernel belongs to them, whatever it is called: found anywhere up the op stack.
WHOLE_OPS: tuple[Rule, ...] = (
    _rule("communication op", C.COMMUNICATION,
          r"^(c10d|nccl|_c10d_functional|symm_mem|record_param_comms)", r"all_?reduce",
          r"all_?gather", r"reduce_?scatter", r"all_?to_?all"),
    _rule("KV cache op", C.COPY, r"reshape_and_cache", r"store_cache", r"set_kv_buffer",
          r"kv_cache_update", r"concat_and_cache", r"index_copy_"),
    _rule("normalisation op", C.NORM, r"rms_?norm", r"layer_?norm", r"batch_?norm", r"group_?norm",
          r"instance_?norm", r"local_response_norm"),
    _rule("rotary op", C.ROTARY, r"rotary", r"(?<![a-z])m?rope(?![a-z])"),
    _rule("attention op", C.ATTENTION, r"scaled_dot_product", r"flash_attn", r"flash_attention",
          r"efficient_attention", r"cudnn_attention", r"mha_", r"fmha", r"paged_attention",
          r"(?<![a-z])(unified|flex|mla|multi_head|multihead|varlen)_?(mla_)?attention",
          r"BatchPrefill", r"BatchDecode", r"(?<![a-z])mla_(prefill|decode)"),
    _rule("expert routing op", C.SAMPLING, r"topk_softmax", r"moe_fused_gate", r"grouped_topk"),
    _rule("activation op", C.ELEMENTWISE, r"(silu|gelu)_and_mul", r"swiglu"),
    _rule("sampling op", C.SAMPLING, r"sampling", r"top_k_", r"top_p_", r"min_p"),
)  # fmt: skip

_ATEN: dict[Category, str] = {
    C.GEMM: "mm bmm addmm baddbmm linear matmul mv addmv dot vdot ger addr addbmm einsum bilinear"
    " _scaled_mm _grouped_mm _scaled_grouped_mm _addmm_activation _int_mm _weight_int4pack_mm"
    " _weight_int8pack_mm inner outer tensordot chain_matmul linear_backward",
    C.SAMPLING: "softmax _softmax log_softmax _log_softmax _softmax_backward_data"
    " _log_softmax_backward_data multinomial argmax argmin topk sort msort argsort kthvalue"
    " _safe_softmax exponential_ gumbel_softmax",
    C.COPY: "copy_ clone contiguous to _to_copy cat stack index index_select index_put_"
    " _index_put_impl_ index_put embedding embedding_dense_backward gather scatter scatter_"
    " scatter_add_ scatter_add transpose permute roll flip repeat repeat_interleave pad"
    " constant_pad_nd tril triu im2col col2im unfold upsample_nearest2d upsample_bilinear2d"
    " upsample_bicubic2d masked_select masked_scatter_ nonzero where_index take expand_copy"
    " _foreach_copy_ _embedding_bag narrow_copy select_backward slice_backward index_add_"
    " index_fill_ reflection_pad1d reflection_pad2d split_with_sizes_copy",
    C.REDUCTION: "sum mean max min amax amin any all prod var std var_mean norm"
    " linalg_vector_norm cumsum cumprod logsumexp count_nonzero max_pool2d max_pool1d avg_pool2d"
    " avg_pool1d max_pool2d_with_indices adaptive_avg_pool2d _adaptive_avg_pool2d"
    " adaptive_avg_pool1d nll_loss nll_loss_forward nll_loss_nd cross_entropy_loss"
    " equal is_nonzero unique2 _unique2 bincount histc logcumsumexp"
    " max_pool2d_with_indices_backward nll_loss_backward",
    C.ELEMENTWISE: "add add_ sub sub_ mul mul_ div div_ neg pow exp log sqrt rsqrt reciprocal"
    " sin cos abs sign tanh sigmoid silu gelu relu relu_ leaky_relu elu clamp clamp_ clamp_min"
    " clamp_max where eq ne lt le gt ge logical_and logical_or logical_not bitwise_and bitwise_or"
    " bitwise_not masked_fill masked_fill_ fill_ zero_ zeros ones full zeros_like ones_like arange"
    " linspace addcmul addcdiv lerp dropout native_dropout threshold_backward gelu_backward"
    " silu_backward sigmoid_backward tanh_backward rsub remainder floor_divide hardswish hardtanh"
    " mish softplus isnan isinf nan_to_num floor ceil round erf square bernoulli_ uniform_ normal_"
    " random_ isin maximum minimum atan2 fmod log2 log1p expm1 bitwise_xor glu prelu ne_ eq_"
    " _foreach_add_ _foreach_mul_ _foreach_addcdiv_ _foreach_addcmul_ _foreach_sqrt"
    " _foreach_div_ _foreach_lerp_ _fused_adam_ _fused_adamw_ _fused_sgd_ mse_loss_backward",
}
# Ops that do one thing: the innermost that is known decides.
SINGLE_OPS: dict[str, Category] = {
    f"aten::{name}": category for category, names in _ATEN.items() for name in names.split()
}

_AUTOGRAD = "autograd::"

CUSTOM_OPS: tuple[Rule, ...] = (
    # ops that hold a whole mixture of experts are left out: the names of their kernels say more
    _rule("GEMM op", C.GEMM, r"(?<!fb)gemm", r"scaled_mm", r"matmul", r"marlin", r"machete",
          r"_linear(?![a-z])", r"awq_", r"gptq_", r"quantized::linear(?!_(un|pre)pack)"),
    _rule("quantisation op", C.ELEMENTWISE, r"quant"),
    _rule("convolution op", C.GEMM, r"convolution", r"(?<![a-z])conv[123]d", r"conv_transpose"),
)  # fmt: skip

# ---------------------------------------------------------------- inductor's Triton kernels

_INDUCTOR = re.compile(r"^triton_(poi|red|per|tem|for|spl|mm|bmm|unk)_fused_?(.*?)_?\d*$")
_MOVES_TEXT = (
    "to copy clone view unsafe reshape transpose permute t expand cat stack slice select unsqueeze"
    " squeeze constant pad nd index put embedding as strided split with sizes empty full like fill"
    " zeros ones scatter gather unbind contiguous lift fresh moe forward alias"
)
_MOVES = frozenset(_MOVES_TEXT.split())


def _inductor(name: str) -> tuple[Category, str] | None:
    """The category of a kernel that torch.compile fused, from the ops in its name."""
    found = _INDUCTOR.match(name)
    if not found:
        return None
    kind, body = found.groups()
    words = set(body.replace("__", "_").split("_")) - {""}
    if kind in {"tem", "mm", "bmm"} or words & {"mm", "addmm", "bmm", "baddbmm", "convolution"}:
        attention = "attention" in words
        return (C.ATTENTION, "Triton attention template") if attention else (
            C.GEMM, "Triton GEMM template",
        )  # fmt: skip
    if "norm" in words or ("rsqrt" in words and words & {"mean", "var", "pow"}):
        return C.NORM, "Triton fusion of a normalisation"
    if "cat" in words and (words >= {"cos", "sin"} or words >= {"neg", "mul"}):
        return C.ROTARY, "Triton fusion of a rotary embedding"
    if words & {"softmax", "argmax", "multinomial", "sort", "topk"}:
        return C.SAMPLING, "Triton fusion of softmax or sampling"
    if words and words <= _MOVES:
        return C.COPY, "Triton fusion of copies"
    if kind in {"red", "per"}:
        return C.REDUCTION, "Triton fusion with a reduction"
    return C.ELEMENTWISE, "Triton pointwise fusion"


# ---------------------------------------------------------------- look-up


def first(rules: Iterable[Rule], name: str) -> Rule | None:
    """The first rule whose pattern is found in `name`."""
    return next((rule for rule in rules if rule.pattern.search(name)), None)


def head(name: str) -> str:
    """A kernel's name and template arguments, without its parameter list.

    Parameter types name libraries and accessors that say nothing of what the kernel does.
    """
    plain = name.replace("(anonymous namespace)::", "")
    depth = 0
    for at, letter in enumerate(plain):
        if letter == "<":
            depth += 1
        elif letter == ">":
            depth -= 1
        elif letter == "(" and depth <= 0:
            return plain[:at] or plain
    return plain


@lru_cache(maxsize=65536)
def of_kernel(name: str) -> tuple[Category, str]:
    """Category of a kernel by its name alone, and the rule that decided."""
    fused = _inductor(name)
    if fused:
        return fused
    rule = first(KERNELS, head(name))
    return (rule.category, rule.name) if rule else (C.OTHER, "no rule")


@lru_cache(maxsize=65536)
def of_whole_op(name: str) -> tuple[Category, str] | None:
    """Category of an op that decides for everything launched below it."""
    if name.startswith(_AUTOGRAD):  # also adds up gradients: the ops below it say which
        return None
    rule = first(WHOLE_OPS, name)
    return (rule.category, f"{rule.name} {name}") if rule else None


@lru_cache(maxsize=65536)
def of_single_op(name: str) -> tuple[Category, str] | None:
    """Category of an op that decides where it is the innermost one known."""
    if name in SINGLE_OPS:
        return SINGLE_OPS[name], f"op {name}"
    if name.startswith(_AUTOGRAD) or "::" not in name:
        return None
    rule = first(CUSTOM_OPS, name)
    return (rule.category, f"{rule.name} {name}") if rule else None
