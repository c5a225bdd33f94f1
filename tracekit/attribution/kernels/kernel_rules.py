"""What a kernel does, read off its name: one table, each rule with the libraries it is from.

Rules are tried in order and the first that matches decides. The order carries the meaning: expert
GEMMs before activations (TensorRT-LLM writes `swiGlu` into a GEMM's name), cache writes before
attention (`reshape_and_cache_flash`), attention before GEMM (flash kernels have `cutlass::` in
their template arguments), GEMM before layout (cuBLAS names its parameters after transposes), layout
before elementwise (`elementwise_kernel<…direct_copy_kernel…>`).
"""

from __future__ import annotations

from tracekit.patterns import Words
from tracekit.records import Record
from tracekit.taxonomy import Category

C = Category


class Rule(Record, frozen=True):
    """`category` for names in which one of `words` is found; `name` is what a reader is told."""

    name: str
    category: Category
    words: Words
    source: str  # the libraries whose names these are


def _rule(
    name: str, category: Category, source: str, *patterns: str, exact: str | None = None
) -> Rule:
    return Rule(name, category, Words(*patterns, exact=exact), source)


# (?<![a-z]) keeps `property` from being rope and `convert` from being a convolution

COMMUNICATION = _rule(
    "communication name", C.COMMUNICATION,
    "NCCL, RCCL, MSCCL, MSCCL++, NVSHMEM, rocSHMEM, oneCCL, DeepEP, MORI, PyTorch symmetric memory,"
    " TensorRT-LLM and FlashInfer all-reduce, vLLM and SGLang custom all-reduce, AITER, PPLX,"
    " HCCL, UCCL, NIXL, XLA",
    r"nccl", r"rccl", r"mscclpp", r"msccl", r"oneccl", r"(?<![a-z])hcom_", r"nvshmem", r"rocshmem",
    r"cross_device_(reduce|store)", r"multimem_", r"(one|two)_?shot_", r"lamport",
    r"(one|two)shotAll", r"all[-_]?reduce", r"all[-_]?gather", r"reduce[-_]?scatter",
    r"all[-_]?to[-_]?all", r"collective-permute",
    r"quick_?reduce", r"hccl", r"(?<![a-z])uccl", r"symm(etric)?_mem", r"userbuffers", r"mori::",
    r"(?<![a-z])ub_(all|reduce)",
    r"deep_?ep(::|\d)", r"(?<![a-z])ep::", r"(intra|inter)node", r"cached_notify",
    r"(?<![a-z_])barrier_(all_)?kernel",
    r"notify_(dispatch|combine)", r"low_latency_(dispatch|combine)", r"get_dispatch_layout",
    r"Ep(Dispatch|Combine)(Intra|Inter)", r"moe_?a2a", r"moe_?comm", r"pplx",
    r"(?<![a-z])nixl",
    r"(put|wait)_signal_kernel", r"send_?recv",
)  # fmt: skip

LAYOUT_INSIDE_OPS = _rule(
    "layout change", C.COPY, "cuDNN, MIOpen",
    r"nchwTo(nhwc|4c)", r"nhwcToNchw", r"transpose_(CNHW|NCHW)", r"batched_transpose",
    r"cudnn.*(nchw|nhwc)AddPadding", r"foldedNhwc",
)  # fmt: skip

EXPERT_GEMM_BY_NAME = _rule(
    "batched GEMM of TensorRT-LLM", C.GEMM, "TensorRT-LLM (trtllm-gen), as FlashInfer ships it",
    r"^(bmm|gemm)_(Mx)?(E\dm\d|Bfloat16|Fp16|Fp32|Fp8|Int8)\w*_(t|tile)\d+x\d+",
    r"^(bmm|gemm)_(Mx)?(E\dm\d|Bfloat16|Fp16|Fp32)_",
)  # fmt: skip

TABLE_EMBEDDING = _rule(
    "batched embedding tables", C.EMBEDDING, "FBGEMM (table batched embeddings)",
    r"split_embedding", r"(int_)?nbit_.*embedding", r"dense_embedding_codegen", r"ssd_embedding",
    r"bounds_check_indices", r"linearize_(cache_)?ind(ex|ices)", r"l[rf]u_cache_", r"lxu_cache_",
)  # fmt: skip

OPTIMIZER = _rule(
    "optimiser step", C.OPTIMIZER, "PyTorch fused optimisers, apex, DeepSpeed, bitsandbytes",
    r"Fused(Adam|AdamW|Sgd|Adagrad)MathFunctor", r"FusedOptimizerTensorListMetadata",
    r"(?<![a-z])(Adam|SGD|NovoGrad|Adagrad)\w*Functor", r"LAMBStage\d",
    r"(?<![a-z])Dist(Adam|Lamb|Opt)\w*Functor", r"kOptimizer\w*(State|bit)",
    r"kPreconditionOptimizer",
    r"multi_tensor_(adam|lamb|sgd|novograd|adagrad|lion)",
    r"(?<![a-z])(adamw?|adagrad|adafactor|lamb|lion|sgd|muon)_(cuda|kernel|update|step|fused)",
    r"(?<![a-z])fused_(adamw?|adagrad|lamb|lion|sgd)(?![a-z])", r"Adam\w*CUDAKernel",
)  # fmt: skip

# Names that say more than the op around them.
STRONG = (COMMUNICATION, LAYOUT_INSIDE_OPS, EXPERT_GEMM_BY_NAME, TABLE_EMBEDDING, OPTIMIZER)

# GEMMs over the rows that each expert was given: Triton (vLLM's and SGLang's fused_moe,
# triton_kernels' matmul_ogs, ScatterMoE), groups of CUTLASS and DeepGEMM, MoE of AITER and CK,
# TensorRT-LLM's batched bmm_<types>
# convolutions, by the op or by the kernel: cuDNN's and MIOpen's names, and PyTorch's ops
CONVOLUTION = Words(
    r"conv", r"wgrad", r"dgrad", r"fprop", r"igemm_(?:fwd|bwd|wrw)", r"implicit_", r"winograd"
)
EXPERTS = Words(
    r"moe", r"expert", r"matmul_ogs", r"group(ed)?_?(gemm|mm)", r"gemm_?grouped", r"m_grouped",
    r"GemmType\)[1-3]", r"GroupProblemShape", r"scatter2scatter",
    r"^(void )?bmm_(Mx)?(E\dm\d|Bfloat16|Bf16|Fp16|Fp32)",
)  # fmt: skip
TF32 = r"tf32|s1688|xf32"  # float32 inputs multiplied as TF32

KERNELS: tuple[Rule, ...] = (
    *STRONG,
    _rule(
        "KV cache write", C.COPY,
        "vLLM, SGLang (kvcacheio, index keys of sparse attention), FlashInfer",
        r"reshape_and_cache", r"store_?kv_?cache", r"store_cache", r"set_kv_buffer",
        r"AppendPagedKVCache", r"concat_and_cache", r"kv_indices", r"copy_blocks", r"swap_blocks",
        r"set_mla_kv", r"concat_mla", r"cp_gather.*cache", r"gather_cache", r"kv_cache_update",
        r"token_pool", r"last_loc", r"kv_splits", r"alloc_(decode|extend)",
        r"k_quant_and_cache", r"copy_all_layer_kv", r"transfer_(kernel|page_head_kernel)_impl",
        r"[gs]et_(k|s|k_and_s)_triton", r"splitKVCache", r"zero_kv_blocks",
    ),
    _rule(
        "token tables of speculative decoding", C.COPY, "SGLang (eagle_utils), vLLM (EAGLE)",
        r"build_tree", r"reconstruct_?indices_?from_?tree", r"eagle_prepare", r"expand_eagle",
        r"create_extend_after_decode", r"(?<![a-z])cache_locs?(?![a-z])", r"evict_mask",
        r"fill_(new_verified|accepted)", r"combine_sampled_and_draft", r"SegmentPackBits",
        r"num_sampled_and_rejected", r"prepare_prefill_inputs",
    ),
    _rule(
        "weights unpacked before a GEMM", C.ELEMENTWISE, "AWQ, GPTQ, bitsandbytes",
        r"^(?!.*(gemm|gemv|matmul|cutlass|_mma|(?<![a-z])mm_|_mm)).*dequant",
    ),
    _rule(
        "layout around a GEMM", C.COPY,
        "TensorRT-LLM (cutlass_kernels), DeepGEMM, Marlin, Machete, vLLM and SGLang (moe_data)",
        r"group_gemm_(starts|args)", r"compute_(problem_sizes|expert_offsets|arg_sorts)",
        r"compute_blockscale_offsets", r"prepack", r"pack_fp32_into", r"shuffleInputRows",
        r"expandInputRows", r"marlin_repack", r"transpose_and_pack", r"transpose_fp32",
        r"computeStrides",
        r"Expert(Maps|PrefixSum|FirstToken)", r"FirstTokenOffset",
    ),
    _rule(
        "activation around a GEMM", C.ELEMENTWISE,
        "TensorRT-LLM (cutlass_kernels, fp8_blockscale_gemm), vLLM (for DeepGEMM), DeepGEMM (DSA)",
        r"do(Gated)?Activation", r"blockscale_gemm::scale_", r"(silu|gelu|swiglu)\w*quant\w*gemm",
        r"clean_logits",
    ),
    _rule(
        "Triton attention by inductor", C.ATTENTION, "PyTorch inductor (FlexAttention)",
        r"triton_.*flex_(attention|decoding)",
    ),
    _rule(
        "state-space or linear-attention scan", C.SSM,
        "mamba-ssm, flash-linear-attention, vLLM and SGLang copies of them",
        r"selective_(scan|state_update)", r"chunk_(scan|state|cumsum)_(fwd|bwd|kernel)",
        r"state_passing", r"bmm_chunk", r"ssd_(chunk|combined|state)", r"gated_?delta", r"gdn",
        r"delta_rule",
        r"chunk_(fwd|bwd)_kernel",
        r"chunk_(gla|kda|local_cumsum|scaled_dot|delta|retention|simple)", r"(?<![a-z])kda_",
        r"prepare_wy_repr",
        r"fused_recurrent", r"recompute_w_u", r"solve_tril", r"merge_16x16_to", r"rwkv", r"wkv\d",
        r"lightning_attention", r"linear_attn", r"causal_conv1d",
    ),
    _rule(
        "normalisation name", C.NORM,
        "PyTorch, cuDNN, MIOpen, apex, vLLM, SGLang, FlashInfer, AITER, TensorRT-LLM",
        r"rms_?norm", r"layer_?norm", r"batch_?norm", r"group_?norm", r"instance_?norm",
        r"(?<![a-z])bn_(fw|bw)", r"l2_?norm(?!alized|Functor)", r"qk_?norm", r"RowwiseMoments",
        r"GammaBeta", r"(?<![a-z])rms_(?!prop)",
        r"ComputeInternalGradients", r"Compute(Backward)?FusedParams",
        r"ln_(fwd|bwd)", r"local_?response_?norm", r"LRN(Cross|Fwd|Bwd)", r"GroupNormBackward",
        exact=r"cuCompute(Part)?Grad(Input|GammaBeta)",
    ),
    _rule(
        "rotary name", C.ROTARY, "vLLM, SGLang, FlashInfer, flash-attn, TransformerEngine, AITER",
        r"rotary", r"(?<![a-z])m?rope(?![a-z])", r"ApplyRotary", exact=r"Rope|RoPE",
    ),
    _rule(
        "expert routing", C.SAMPLING, "vLLM, SGLang, TensorRT-LLM, AITER",
        r"topk_?gating", r"topk_?softmax", r"grouped_topk", r"moe_fused_gate", r"biased_topk",
        r"moe::dev::routing", r"customMoeRouting",
        r"routing(Main|Indices|Renormalize|DeepSeek|Llama)\w*Kernel",
    ),
    _rule(
        "softmax or sampling name", C.SAMPLING, "FlashInfer, vLLM, SGLang, PyTorch",
        r"(?<![a-z])sampling::", r"SamplingFrom", r"TopKMask", r"TopPRenorm", r"TopKRenorm",
        r"ArgMaxOps", r"ArgMinOps", r"argmax", r"multinomial",
        r"sbtopk", r"mbtopk", r"gatherTopK", r"gatherKth",
        r"_topk", r"top_?k(_|[A-Z]|$)", r"apply_.*penalt", r"repetition_penalt", r"min_p_",
        r"gumbel", r"rejection_(greedy|random)", r"rejection_sample", r"speculative_?sampling",
        r"verify_?tree", r"sample_recovered", r"(?<![a-z])(temperature|penalties|ranks)_kernel",
        r"(?<![a-z])(bad_words|logit_bias)_kernel", r"beamStage\d", r"stopWords",
        r"banBadWords", r"ApplyPenalty",
        r"eagle.*sample", r"apply_.*bitmask",
    ),
    _rule(
        "sort or scan", C.SORT, "CUB, rocPRIM, Thrust, PyTorch",
        r"radix_?sort", r"bitonicSort", r"merge_?sort", r"segmented_?sort", r"sortKeyValue",
        r"onesweep", r"DeviceScan", r"scan_(kernel|dim|innermost|outer)", r"wrapped_scan",
        r"cumsum", r"cumprod", r"DeviceSelect", r"DeviceCompact", r"DevicePartition",
        r"DeviceRunLength", r"UniqueByKey", r"lookback_scan",
    ),
    _rule(
        "FlashAttention, FlashInfer, cuDNN or memory-efficient attention", C.ATTENTION,
        "flash-attn, FlashInfer, cuDNN, xFormers, TensorRT-LLM, Composable Kernel, vLLM",
        r"flash_?(fwd|bwd|attn|attention|decoding|mla|prefill|decode)", r"flash::",
        r"5flash\d", r"fmha", r"AttentionKernel", r"sdpa", r"(Batch|Single)(Prefill|Decode)With",
        r"(Batch|Single)(Prefill|Decode)", r"Merge_?States?", r"merge_attn_states",
        r"fort_native.*flash", r"kernel_mha", r"attention", r"(Prefill|Decode)WithKVCache",
        r"natten",
        r"(?<![a-z])xqa", r"(?<![a-z])fna_", r"compute_dot_do_o", r"convert_dq_to",
    ),
    _rule(
        "attention name", C.ATTENTION, "Triton kernels of vLLM and SGLang, AITER, DeepGEMM (DSA)",
        r"attn", r"(?<![a-z])mha_", r"(?<![a-z])mla_", r"paged_?attention", r"split_?kv",
        r"^_?(fwd|bwd)_kernel(_stage\d|_aligned|_dkv|_dq)?$", r"_fwd_grouped_kernel",
        r"_fwd_kernel_stage", r"^reduce_segments$", r"(?<![a-z])pa_(fwd|bf16|fp8|decode|prefill)",
        r"(?<![a-z])aiter.*mla", r"dsa_indexer", r"(paged_)?mqa_logits",
        r"_att_", r"parallel_nsa", r"fp8_index", r"(?<![a-z])(fwd|bwd)_kernel_d[qkv]",
        r"bwd_kernel_dk_dv",
    ),
    _rule("softmax", C.SAMPLING, "PyTorch, MIOpen, cuDNN", r"softmax", r"SoftMax"),
    _rule(
        "GEMM by Tensile, hipBLASLt or AITER", C.GEMM, "Tensile, hipBLASLt, rocBLAS, AITER, vLLM",
        r"(?<![a-z])Cijk_", r"hipblaslt", r"rocblas", r"aiter.*(gemm|moe(?!_?(sort|sum|align)))",
        r"(?<![a-z])fmoe", r"(?<![a-z])ck_moe", r"kernel_moe_gemm", r"wvSplitK", r"LLGemm",
        r"LLMM1",
    ),
    _rule(
        "fused expert GEMM", C.GEMM,
        "vLLM and SGLang fused MoE, triton_kernels, CUTLASS, TensorRT-LLM, MegaBlocks, TorchTitan",
        r"fused_moe_(kernel|gemm)", r"matmul_ogs", r"moe_?(grouped_?)?(gemm|mm)(?![a-z])",
        r"moe.*gemm", r"group(ed)?_?gemm", r"GroupProblemShape", r"moe_wna16", r"grouped_?mm",
        r"(?<![a-z])(sdd|dsd|dds)_kernel", r"scatter2scatter", r"group_?xty",
        r"batched_triton_kernel", r"fused_moe_lora",
    ),
    # it does no product itself: it weights and adds up what the pair of expert GEMMs left apart, as
    # fused expert GEMMs do in their epilogue, and counts with them so that the two can be compared
    _rule(
        "end of an expert GEMM", C.GEMM, "TensorRT-LLM, FlashInfer (trtllm-gen)",
        r"moe::dev::finalize", r"finalizeKernel", r"finalizeDeepSeekKernel",
    ),
    _rule(
        "combine expert outputs", C.REDUCTION, "TensorRT-LLM, FlashInfer, vLLM, triton_kernels",
        r"finalize_matmul", r"finalize_?Moe", r"moe_sum", r"moe_reduce", r"unpermute",
        r"(?<![a-z])moe_combine", r"ep_gather", r"post_reorder", r"shuffle_mul_sum",
    ),
    _rule(
        "convolution name", C.GEMM, "cuDNN, MIOpen, CUTLASS",
        r"(?<![a-z])[id]?conv(?!ert|ersion|ex)", r"convol", r"conv(1|2|3)d", r"dgrad", r"wgrad",
        r"fprop", r"winograd", r"scudnn", r"igemm_(fwd|bwd|wrw)", r"miopen.*(Conv|wino)", r"cask_",
        r"fft(1|2|3)d", r"grouped_conv", r"sp3AsmConv", r"naive_conv",
    ),
    _rule(
        "GEMM name", C.GEMM,
        "cuBLAS, cuBLASLt (nvjet, xmma), cuSPARSE, CUTLASS, DeepGEMM, Marlin, Machete,"
        " bitsandbytes, Triton",
        # not by the name space that a kernel is in (`deep_gemm::`, `cutlass_kernels::`), nor by
        # `kernel_cutlass_`, with which all kernels of CuTe DSL begin
        r"(?<!fb)gemm(?!\w*::)", r"gemv", r"nvjet", r"xmma", r"(?<!kernel_)cutlass(?!_kernels)",
        r"cublas", r"matmul", r"splitK",
        r"split_k(?!v)", r"stream_?k", r"marlin", r"machete", r"gptq", r"awq", r"_mm_", r"^mm_",
        r"^(void )?bmm_", r"_bmm", r"scaled_mm", r"w8a8", r"w4a16", r"w4a8", r"wgmma", r"s16816",
        r"s1688", r"qmm", r"dot_kernel", r"^dot_", r"mat_?vec", r"mul_mat", r"quantized_linear",
        r"flatmm", r"(?<!embedding_)lora_(shrink|expand|a|b)(?![a-z])",
        r"(bg|sg)mv_(shrink|expand)",
        r"epilogue::impl", r"cusparse", r"csrmm", r"(?<![a-z])spmm", r"sddmm",
    ),
    _rule(
        "embedding name", C.EMBEDDING, "PyTorch, FBGEMM",
        r"embedding(?!s?_?(permute|pooled))", r"compute_grad_weight", r"krn_partials?_",
    ),
    _rule("pooling name", C.REDUCTION, "PyTorch, cuDNN, MIOpen", r"_pool(?!ed)", r"pooling"),
    _rule(
        "copy or layout name", C.COPY, "PyTorch, FBGEMM, MIOpen, vLLM, SGLang, ROCm",
        r"direct_copy_kernel", r"(bfloat16|float16|float32|half)\w*_copy_kernel", r"copy_kernel",
        r"copy_device_to_device", r"CatArrayBatchedCopy", r"copyBuffer", r"MEMORY_COPY", r"memcpy",
        r"gather", r"scatter", r"index_?(select|put|elementwise|kernel|copy|add|fill)",
        r"transpose", r"permute", r"embs_kernel", r"pad(ding)?_", r"convertSf",
        r"constant_pad", r"reflection_pad", r"replication_pad", r"(?<![a-z])roll_", r"flip",
        r"im2(d2)?col", r"col2im", r"PaddingOffset", r"vol2col", r"col2vol", r"jagged",
        r"padded_dense", r"(?<![a-z])cat_and_", r"triu_tril", r"repeat", r"upsample", r"interpolat",
        r"concat",
        r"SubTensorOp", r"req_to_token", r"block_table", r"slot_mapping", r"token_ids",
        r"moe_align_block", r"align_block_size", r"vectorized_gather", r"convert_?layout",
        r"tensorTransform", r"nchw|nhwc", r"unfold", r"pack_bitmatrix", r"sort_?tokens",
        r"routing_memset", r"_bucketize", r"fetch_", r"write_req", r"MoeSorting", r"moe_sorting",
        r"offsets_range", r"compute_cuda_kernel", r"set_?kv", r"count_and_sort_expert",
        r"page_indices", r"seq_lens", r"^expand_kernel", r"(pre_reorder|fill_gateup_input)_triton",
        r"(?<![a-z])(un)?pack_seq", r"moe_\w*sort",
    ),
    _rule(
        "reduction name", C.REDUCTION, "PyTorch, CUB, rocPRIM, vLLM, triton_kernels",
        r"reduce_kernel", r"reduce_1Block", r"(?<![a-z])reduction", r"Device(Segmented)?Reduce",
        r"DeviceHistogram", r"wrapped_reduce", r"welford", r"nll_?loss", r"L2NormFunctor",
        r"LpNormFunctor", r"ClassNLL", r"cross_entropy", r"sum_bitmatrix", r"_sum_", r"histogram",
        r"_reduce_", r"moe_expert_sum", r"(Mean|Max|Min|Sum|NormTwo|NormOne|Std)Ops",
        r"average_pool", r"rocprim::.*reduce", r"^_reduce$", r"aux_loss", r"(?<![a-z])bincount",
    ),
    _rule(
        "elementwise name", C.ELEMENTWISE, "PyTorch, vLLM, SGLang, FlashInfer, MIOpen, FBGEMM",
        r"elementwise", r"act_and_mul", r"silu", r"gelu", r"swiglu", r"geglu", r"gated_act",
        r"relu", r"sigmoid", r"tanh", r"swish", r"softcap",
        r"(?<![a-z])mhc_(pre|post)",  # weighted sums of the streams of hyper-connections
        r"quant", r"cvt_",
        r"cub::detail::(transform|for_each)", r"_FP8_", r"fp8rowwise", r"hfp8",
        r"multi_tensor_apply", r"FillFunctor",
        r"fillBuffer", r"pointwise", r"dropout", r"position_kernel", r"compute_position", r"arange",
        r"masked(?!_m_)", r"scal_kernel", r"scalePackedTensor", r"axpy", r"activation",
        r"ParallelFor",
        r"bias_?(add|act)", r"add_?bias", r"Op(1|2|3)dTensor", r"DeviceTransform",
        r"OpTensor", r"op_generic_tensor", r"add_tensor", r"element_mul", r"OpenCL_scale",
        r"op_tensor", r"BinaryFunctor", r"UnaryFunctor", r"bernoulli",
        r"distribution_", r"philox", r"rand(n|int|om)?_kernel", r"^_?(add|mul|sub|div|where)_",
    ),
    _rule(
        "expert routing tables", C.COPY, "triton_kernels, vLLM, SGLang, TransformerEngine",
        r"(?<![a-z])expt_data", r"bitmatrix_metadata", r"ragged_tensor_metadata", r"row_id_map",
        r"compute_(seg_indptr|src2dst|masked_m)_triton", r"routing",
        r"moe.*(index|offset|expert)", r"expert_map",
    ),
)  # fmt: skip
