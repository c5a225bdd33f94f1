"""What a kernel or an op does, looked up by name; and the ops that decide for what they launch.

Rules of kernels are in `kernel_rules`, names of torch.compile's kernels in `inductor_names`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from tracekit.attribution.kernels import inductor_names
from tracekit.attribution.kernels.kernel_rules import KERNELS, STRONG, Rule
from tracekit.patterns import Words
from tracekit.taxonomy import Category

C = Category


def _rule(name: str, category: Category, *patterns: str) -> Rule:
    """A rule of ops: torch's own, and custom ops of the serving engines."""
    source = "PyTorch, vLLM, SGLang, FlashInfer, flash-attn, AITER"
    return Rule(name, category, Words(*patterns), source)


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
    _rule("embedding op", C.EMBEDDING, r"^aten::_?embedding", r"(?<![a-z])embedding_bag"),
    _rule("optimiser op", C.OPTIMIZER, r"^aten::_fused_(adamw?|sgd|adagrad)_"),
    _rule("scan op", C.SSM, r"selective_(scan|state_update)", r"mamba_(chunk|split)",
          r"gated_delta_rule", r"causal_conv1d"),
    _rule("activation op", C.ELEMENTWISE, r"(silu|gelu)_and_mul", r"swiglu"),
    _rule("sampling op", C.SAMPLING, r"sampling", r"top_k_", r"top_p_", r"min_p"),
)  # fmt: skip

_ATEN: dict[Category, str] = {
    C.GEMM: "mm bmm addmm baddbmm linear matmul mv addmv dot vdot ger addr addbmm einsum bilinear"
    " _scaled_mm _grouped_mm _scaled_grouped_mm _addmm_activation _int_mm _weight_int4pack_mm"
    " _weight_int8pack_mm inner outer tensordot chain_matmul linear_backward",
    C.SAMPLING: "softmax _softmax log_softmax _log_softmax _softmax_backward_data"
    " _log_softmax_backward_data multinomial argmax argmin topk kthvalue"
    " _safe_softmax exponential_ gumbel_softmax",
    C.COPY: "copy_ clone contiguous to _to_copy cat stack index index_select index_put_"
    " _index_put_impl_ index_put gather scatter scatter_"
    " scatter_add_ scatter_add transpose permute roll flip repeat repeat_interleave pad"
    " constant_pad_nd tril triu im2col col2im unfold upsample_nearest2d upsample_bilinear2d"
    " upsample_bicubic2d masked_select masked_scatter_ nonzero where_index take expand_copy"
    " _foreach_copy_ narrow_copy select_backward slice_backward index_add_"
    " index_fill_ reflection_pad1d reflection_pad2d split_with_sizes_copy",
    C.REDUCTION: "sum mean max min amax amin any all prod var std var_mean norm"
    " linalg_vector_norm logsumexp count_nonzero max_pool2d max_pool1d avg_pool2d"
    " avg_pool1d max_pool2d_with_indices adaptive_avg_pool2d _adaptive_avg_pool2d"
    " adaptive_avg_pool1d nll_loss nll_loss_forward nll_loss_nd cross_entropy_loss"
    " equal is_nonzero bincount histc"
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
    " _foreach_div_ _foreach_lerp_ mse_loss_backward",
    C.SORT: "sort msort argsort cumsum cumprod logcumsumexp cummax cummin unique2 _unique2"
    " unique_consecutive unique_dim searchsorted",
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

# ---------------------------------------------------------------- look-up


def first(rules: Iterable[Rule], name: str) -> Rule | None:
    """The first rule one of whose words is found in `name`."""
    return next((rule for rule in rules if rule.words.search(name)), None)


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
    fused = inductor_names.of_kernel(name)
    if fused:
        return fused
    rule = first(KERNELS, head(name))
    return (rule.category, rule.name) if rule else (C.OTHER, "no rule")


@lru_cache(maxsize=65536)
def of_strong_name(name: str) -> tuple[Category, str] | None:
    """Category of a kernel whose name says more than the op around it, and the rule; else None."""
    fused = inductor_names.of_kernel(name)
    if fused:
        return fused
    rule = first(STRONG, head(name))
    return (rule.category, rule.name) if rule else None


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
