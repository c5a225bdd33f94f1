"""What a piece of GPU work is: by op first, by kernel name second."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.real import loaded
from tracekit.attribution import links
from tracekit.attribution.kernels import inductor_names, kernel_rules, name_rules
from tracekit.attribution.kernels.categories import CATEGORIES, classify
from tracekit.taxonomy import Category
from tracekit.trace import kineto
from tracekit.trace.trace import Trace

C = Category

LLM = (
    "tl_h100_qwen15_05b",
    "tl_sglang_prefilldecode",
    "tl_sglang_decode",
    "tl_vllm_prefilldecode_piecewise",
)

NAMES = {
    # NVIDIA
    "nvjet_tst_128x256_64x4_2x1_v_bz_coopB_TNT": C.GEMM,
    "ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn": C.GEMM,
    "sm80_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize96x64x32_execute_kernel_cublas": C.GEMM,
    "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<int>>(P)": C.GEMM,
    "void gemv2T_kernel_val<int, int, __nv_bfloat16, float>(cublasGemvParams<int>, float)": C.GEMM,
    "void cublasLt::splitKreduce_kernel<32, 16, int, float>(P)": C.GEMM,
    "void marlin::Marlin<__half, 256, 1, 8, 8>(int4 const*)": C.GEMM,
    "fused_moe_kernel": C.GEMM,
    "bmm_Bfloat16_E2m1E2m1_Fp32_t128x16x256u2_s6_et128x16_m128x16x64_dynB_sm100f": C.GEMM,
    "void bmm_E4m3_E4m3E4m3_Fp32_t128x8x512_s7_m128x8x32_cga1x1x1_swiGlu_sm100f": C.GEMM,
    "bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x32x256_s4_schedS_swiGlu_sm100f": C.GEMM,
    "bmm_E2m1_E2m1E2m1_Fp32_Ab16_Bb16_Cb16_t128x16x512u2_s5_geGlu_sm100f": C.GEMM,
    "gemm_Bfloat16_E4m3E4m3_Fp32_t128x8x128_s7_sm100a": C.GEMM,
    "void cutlass::device_kernel<GemmUniversal<GroupProblemShape<tuple<int>>, swiglu>>(P)": C.GEMM,
    "_grouped_gemm_forward_kernel": C.GEMM,
    "_p_matmul_ogs_NNT_bf16xbf16xmxfp4_64x128x128": C.GEMM,
    "void deep_gemm::sm90_fp8_gemm_1d2d_impl<7168u, 2048u, 256u>(P)": C.GEMM,
    "void finalizeKernelVecLoad<KernelParams<cutlass::bfloat16_t, 8>>(P)": C.GEMM,
    "void moe::dev::finalize::finalizeKernelVecLoad<moe::dev::finalize::KernelParams<int>>(P)":
        C.GEMM,
    # the namespace says cutlass, and the kernel moves rows
    "void tensorrt_llm::kernels::cutlass_kernels::expandInputRowsKernel<__nv_bfloat16>(P)": C.COPY,
    "void tensorrt_llm::kernels::cutlass_kernels::doActivationKernel<__nv_bfloat16>(P)":
        C.ELEMENTWISE,
    "void deep_gemm::transpose_and_pack_fp32_into_ue8m0<512u, 48u, 7168u>(P)": C.COPY,
    "_decode_att_m_fwd": C.ATTENTION,
    "cvt_fp16_to_fp4": C.ELEMENTWISE,
    "void (anonymous namespace)::barrier_kernel(unsigned int**, unsigned long, int)":
        C.COMMUNICATION,
    "void moe::dev::routing::routingIndicesClusterKernel<int>(P)": C.SAMPLING,
    "void moe::dev::activation::activationKernel<int>(P)": C.ELEMENTWISE,
    "triton_tem_fused_addmm_3": C.GEMM,
    "void cutlass::device_kernel<flash::enable_sm90<flash::FlashAttnFwdSm90<int>>>(P)": C.ATTENTION,
    "void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64, cutlass::half_t>>(P)":
        C.ATTENTION,
    "fmha_cutlassF_bf16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::Params)": C.ATTENTION,
    "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_3": C.ATTENTION,
    "void flashinfer::BatchDecodeWithPagedKVCacheKernel<(flashinfer::PosEncodingMode)0>(P)":
        C.ATTENTION,
    "void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<1>>(P)":
        C.ATTENTION,
    "void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(P)": C.NORM,
    "void flashinfer::activation::act_and_mul_kernel<__nv_bfloat16, &silu>(P)": C.ELEMENTWISE,
    "void flashinfer::sampling::TopKTopPSamplingFromProbKernel<1024u>(P)": C.SAMPLING,
    "void flashinfer::BatchQKApplyRotaryPosIdsCosSinCacheKernel<true, 128u>(P)": C.ROTARY,
    "void vllm::reshape_and_cache_flash_kernel<unsigned short, (vllm::Fp8KVCacheDataType)0>(P)":
        C.COPY,
    "void vllm::paged_attention_v2_kernel<unsigned short, 128, 16>(P)": C.ATTENTION,
    "void vllm::rms_norm_kernel<c10::BFloat16>(P)": C.NORM,
    "void vllm::moe::topkGatingSoftmax<4, 128, 4, 16>(P)": C.SAMPLING,
    "_fwd_kernel_stage1": C.ATTENTION,
    # inductor's kind of kernel comes first: the ops after it may have their main work elsewhere
    "triton_poi_fused_add_cat_mul_neg_slice_unsqueeze_4": C.ELEMENTWISE,
    "triton_poi_fused_bmm_clone_7": C.ELEMENTWISE,
    "triton_poi_fused_convolution_relu_0d1d2de": C.ELEMENTWISE,
    "triton_poi_fused_native_layer_norm_mm_11": C.ELEMENTWISE,
    "triton_poi_fused__softmax_masked_fill_2": C.ELEMENTWISE,
    "triton_poi_fused__scaled_dot_product_efficient_attention_transpose_5": C.ELEMENTWISE,
    "triton_red_fused_mm_sum_4": C.REDUCTION,
    "triton_per_fused__scaled_dot_product_flash_attention_sum_1": C.REDUCTION,
    "triton_red_fused_addmm_native_layer_norm_9": C.NORM,
    "triton_tem_fused__scaled_dot_product_flex_attention_1": C.ATTENTION,
    "triton_mm": C.GEMM,
    "triton_bmm_12": C.GEMM,
    "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0": C.NORM,
    "triton_poi_fused_mul_silu_1": C.ELEMENTWISE,
    "triton_per_fused__softmax_3": C.SAMPLING,
    "triton_poi_fused_clone_transpose_2": C.COPY,
    "void at::native::(anonymous namespace)::cunn_SoftMaxForward<8, float, float>(P)": C.SAMPLING,
    "void at::native::reduce_kernel<512, 1, ReduceOp<float, at::native::ArgMaxOps<int>>>":
        C.SAMPLING,
    "void at::native::reduce_kernel<512, 1, ReduceOp<float, at::native::MeanOps<int>>>":
        C.REDUCTION,
    "void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda(int)>(P)":
        C.COPY,
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<int>>(P)":
        C.ELEMENTWISE,
    "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(P)": C.COMMUNICATION,
    "multimem_all_reduce_kernel": C.COMMUNICATION,
    "void deep_ep::intranode::dispatch<8, 768, 8192>(P)": C.COMMUNICATION,
    "void deep_ep::internode_ll::combine<true, 10, 7168>(P)": C.COMMUNICATION,
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)": C.COMMUNICATION,
    "void deep_ep::intranode::cached_notify_combine<8>(P)": C.COMMUNICATION,
    "void ep::internode::notify_dispatch<false, 2>(P)": C.COMMUNICATION,
    "_ZN7deep_ep9internode13cached_notifyILb0EEEviii": C.COMMUNICATION,
    "cached_notify_dispatch": C.COMMUNICATION,
    "multimem_one_shot_all_reduce_kernel": C.COMMUNICATION,
    "void moe_a2a::moeA2ADispatchKernel<8>(P)": C.COMMUNICATION,
    "void allreduce_fusion_kernel_oneshot_lamport<0, __nv_bfloat16>(P)": C.COMMUNICATION,
    "void fbgemm_gpu::permute_2D_data_kernel<true, int>(P)": C.COPY,
    "void permute_pooled_embs_kernel<float>(P)": C.COPY,
    "void split_embedding_codegen_forward_unweighted_kernel<c10::Half, c10::Half>(P)": C.EMBEDDING,
    "void split_embedding_backward_codegen_rowwise_adagrad_weighted_kernel_warp_per_row_1<int>(P)":
        C.EMBEDDING,
    "void int_nbit_split_embedding_codegen_forward_unweighted_kernel_small_L<int>(P)": C.EMBEDDING,
    "void at::native::EmbeddingBag_updateOutputKernel_sum_mean<float, long>(P)": C.EMBEDDING,
    "void vllm::rotary_embedding_kernel<c10::BFloat16, true>(P)": C.ROTARY,
    "void multi_tensor_apply_kernel<TensorListMetadata<4>, AdamFunctor<float>, float>(P)":
        C.OPTIMIZER,
    "void at::native::multi_tensor_apply_kernel<int, FusedAdamMathFunctor<float, 4, 1>>(P)":
        C.OPTIMIZER,
    "void kOptimizer32bit2State<float, 0>(P)": C.OPTIMIZER,
    "void multi_tensor_apply_kernel<TensorListMetadata<1>, L2NormFunctor<float>>(P)": C.REDUCTION,
    "void multi_tensor_apply_kernel<TensorListMetadata<2>, BinaryOpListAlphaFunctor<float>>(P)":
        C.ELEMENTWISE,
    "void cub::DeviceRadixSortOnesweepKernel<cub::DeviceRadixSortPolicy<long, int, int>>(P)":
        C.SORT,
    "void at_cuda_detail::cub::DeviceScanKernel<int>(P)": C.SORT,
    "void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(P)": C.SAMPLING,
    "_chunk_scan_fwd_kernel": C.SSM,
    "void selective_scan_fwd_kernel<Selective_Scan_fwd_kernel_traits<128, 4>>(P)": C.SSM,
    "fused_recurrent_gated_delta_rule_fwd_kernel": C.SSM,
    # AMD
    "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x16x64": C.GEMM,
    "_ZN5aiter24fmha_fwd_hd128_bf16_causalE": C.ATTENTION,
    "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16b": C.NORM,
    "_ZN7ck_tile6kentryILi2ENS_13FmhaFwdKernelINS_33BlockFmhaPipelineQRKSVSAsync": C.ATTENTION,
    "void wvSplitK_hf_sml_<__hip_bfloat16, 64, 2, 16, 8, 2, 1>(P)": C.GEMM,
    "attn_fwd": C.ATTENTION,
    "__amd_rocclr_copyBuffer": C.COPY,
    "MIOpenBatchNormFwdTrainSpatial": C.NORM,
    "igemm_fwd_gtcx3_nhwc_bf16_bx0_ex1_bt128x128x32": C.GEMM,
    "batched_transpose_32x32_half": C.COPY,
    # weights unpacked or packed anew are no product, though the library is one of products
    "void awq::dequantize_weights(P)": C.ELEMENTWISE,
    "void kDequantizeBlockwise<__nv_bfloat16, 512, 64, 8, 2>(P)": C.ELEMENTWISE,
    "void cutlass::device_kernel<GemmUniversal<MixedInputDequantize>>(P)": C.GEMM,
    "gptq_marlin_repack_kernel<128, 4, false>": C.COPY,
    "void cusparse::csrmm_v3_kernel<float>(P)": C.GEMM,
    # a pool of tokens is none of a convolution
    "write_req_to_token_pool_triton": C.COPY,
    "get_last_loc_kernel": C.COPY,
    "void fbgemm_gpu::jagged_to_padded_dense(P)": C.COPY,
    "MIOpenIm2d2Col": C.COPY,
    "void flashinfer::PrefillWithKVCacheKernel<int>(P)": C.ATTENTION,
    "void cudnn::fusion::compute_dot_do_o_specialized<true>(P)": C.ATTENTION,
    "void merge_state_kernel<8>(P)": C.ATTENTION,
    "bwd_kernel_dk_dv": C.ATTENTION,
    "void cuComputeGradInput<float>(P)": C.NORM,
    "void cuComputePartGradGammaBeta<float>(P)": C.NORM,
    "_geglu_tanh_forward_kernel": C.ELEMENTWISE,
    "void op_generic_tensor_kernel<2, float, float, float, 256>(P)": C.ELEMENTWISE,
    "void multi_tensor_apply_kernel<TensorListMetadata<2>, DistAdamFunctor<float>>(P)":
        C.OPTIMIZER,
    "hcclAllReduceKernel": C.COMMUNICATION,
    "void uccl::ep::combine(P)": C.COMMUNICATION,
    # of the engines of 2025 and 2026
    "kda_gate_fwd_kernel": C.SSM,
    "kda_gate_chunk_cumsum_vector_kernel": C.SSM,
    "prepare_wy_repr_bwd_kernel": C.SSM,
    "parallel_nsa_fwd_kernel": C.ATTENTION,
    "build_tree_kernel_efficient": C.COPY,
    "assign_extend_cache_locs": C.COPY,
    "eagle_prepare_next_token_padded_kernel": C.COPY,
    "void VerifyTreeGreedy<long, long>(long*)": C.SAMPLING,
    "verify_tree_greedy_kernel": C.SAMPLING,
    "void flashinfer::sampling::TreeSpeculativeSamplingTargetOnly<1024u>(P)": C.SAMPLING,
    "sample_recovered_tokens_kernel": C.SAMPLING,
    "_temperature_kernel": C.SAMPLING,
    "nixl_transfer_kernel": C.COMMUNICATION,
    "void tensorrt_llm::kernels::fusedMoeCommKernel(P)": C.COMMUNICATION,
    "void transfer_kernel_impl<0, false>(P)": C.COPY,
    "_set_k_and_s_triton_kernel": C.COPY,
    "void vllm::indexer_k_quant_and_cache_kernel<__nv_bfloat16>(P)": C.COPY,
    "fp8_index_kernel_": C.ATTENTION,
    "all-reduce-start.3": C.COMMUNICATION,
    "collective-permute.1": C.COMMUNICATION,
    "_lora_shrink_kernel": C.GEMM,
    "_fused_moe_lora_kernel": C.GEMM,
    "_embedding_lora_a_kernel": C.EMBEDDING,
    "batched_triton_kernel": C.GEMM,
    "void ck_tile::kentry<2, ck_tile::FlatmmKernel>(P)": C.GEMM,
    "_fused_rms_mxfp4_quant_kernel": C.NORM,
    "post_reorder_triton_kernel": C.REDUCTION,
    "_expt_data_compute": C.COPY,
    "mhc_pre_gemm_sqrsum_tilelang_kernel": C.GEMM,
    "mhc_post_tilelang_kernel": C.ELEMENTWISE,
    # of a library of products, and none themselves
    "void deep_gemm::pack_fp32_into_ue8m0<512u>(P)": C.COPY,
    "void deep_gemm::smxx_clean_logits<256u>(P)": C.ELEMENTWISE,
    "void deep_gemm::some_day_later<4u>(P)": C.OTHER,
    "_silu_mul_fp8_quant_deep_gemm": C.ELEMENTWISE,
    "void tensorrt_llm::kernels::fp8_blockscale_gemm::scale_1x128_kernel<half>(P)": C.ELEMENTWISE,
    "void tensorrt_llm::kernels::cutlass_kernels::someDayLater<half>(P)": C.OTHER,
    "void machete::prepack_B_kernel<half>(P)": C.COPY,
    "void get_group_gemm_starts<cutlass::bfloat16_t, float>(P)": C.COPY,
    "void flashinfer::group_gemm::compute_sm100_cutlass_group_gemm_args<half>(P)": C.COPY,
    "kernel_cutlass_kernel_quackcross_entropyCrossEntropy_object_at__": C.REDUCTION,
    "kernel_cutlass_kernel_blackwellmoe_utilsMoePermute_object_at__": C.COPY,
    "kernel_cutlass_kernel_Sm100BlockScaledPersistentDenseGemmKernel_object_at_": C.GEMM,
    "kernel_cutlass_kernel_fp4RMSNormFP4QuantKernel_object_at_": C.NORM,
    # no rule may guess
    "my_secret_kernel": C.OTHER,
    "void convert_properties<int>(P)": C.OTHER,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_name_alone_tells_the_category(name: str) -> None:
    assert name_rules.of_kernel(name)[0] == NAMES[name]


def test_grouped_products_of_deep_gemm_are_those_of_experts() -> None:
    name = "void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 4096u, (deep_gemm::GemmType){}>(P)"
    assert [bool(kernel_rules.EXPERTS.search(name.format(n))) for n in range(4)] == [
        False, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("name", LLM)
def test_less_than_five_percent_of_gpu_time_stays_other(name: str) -> None:
    trace = loaded(name)
    gpu = links.work(trace)
    classes = classify(trace)
    other = int(gpu.dur[classes.of(C.OTHER)].sum())
    assert other / int(gpu.dur.sum()) < 0.05


@pytest.mark.parametrize("name", LLM)
def test_every_piece_of_work_has_a_category_and_the_rule_that_decided(name: str) -> None:
    trace = loaded(name)
    classes = classify(trace)
    assert len(classes.category) == len(classes.rule) == len(links.work(trace))
    assert (classes.rule >= 0).all()
    assert (classes.rule < len(classes.rules)).all()
    assert all(classes.rules)


def write(folder: Path, events: Sequence[dict[str, Any]]) -> Trace:
    path = folder / "t.json"
    path.write_text(json.dumps({"traceEvents": list(events)}))
    return kineto.load(path)


def host(name: str, cat: str, ts: int, dur: int, correlation: int | None = None) -> dict[str, Any]:
    args = {} if correlation is None else {"correlation": correlation}
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur,
            "args": args}  # fmt: skip


def gpu(name: str, ts: int, correlation: int, cat: str = "kernel") -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 0, "tid": 7, "ts": ts, "dur": 5,
            "args": {"device": 0, "stream": 7, "correlation": correlation}}  # fmt: skip


def categories(trace: Trace) -> list[Category]:
    return [CATEGORIES[code] for code in classify(trace).category]


def test_the_op_is_believed_before_the_kernel_name(tmp_path: Path) -> None:
    trace = write(tmp_path, [
        host("aten::scaled_dot_product_attention", "cpu_op", 0, 50),
        host("aten::bmm", "cpu_op", 10, 20),
        host("cudaLaunchKernel", "cuda_runtime", 15, 2, 1),
        gpu("ampere_sgemm_128x64_nn", 60, 1),
        host("aten::mm", "cpu_op", 100, 20),
        host("cudaLaunchKernel", "cuda_runtime", 105, 2, 2),
        gpu("my_secret_kernel", 130, 2),
    ])  # fmt: skip
    assert categories(trace) == [C.ATTENTION, C.GEMM]
    assert [classify(trace).rules[r] for r in classify(trace).rule] == [
        "attention op aten::scaled_dot_product_attention", "op aten::mm",
    ]  # fmt: skip


def test_communication_and_layout_changes_are_believed_before_the_op(tmp_path: Path) -> None:
    trace = write(tmp_path, [
        host("aten::cudnn_convolution", "cpu_op", 0, 50),
        host("cudaLaunchKernel", "cuda_runtime", 15, 2, 1),
        gpu("void cudnn::ops::nchwToNhwcKernel<float>(P)", 60, 1),
        host("cudaLaunchKernel", "cuda_runtime", 25, 2, 2),
        gpu("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 70, 2),
        host("cudaLaunchKernel", "cuda_runtime", 30, 2, 3),
        gpu("my_secret_kernel", 80, 3),
    ])  # fmt: skip
    assert categories(trace) == [C.COPY, C.COMMUNICATION, C.GEMM]


def test_kernels_of_a_graph_are_told_by_name_not_by_the_op_around_the_replay(
    tmp_path: Path,
) -> None:
    trace = write(tmp_path, [
        host("aten::mm", "cpu_op", 0, 50),
        host("cudaGraphLaunch", "cuda_runtime", 15, 2, 1),
        gpu("attn_fwd", 60, 1),
        gpu("my_secret_kernel", 70, 1),
        gpu("Memcpy DtoD (Device -> Device)", 80, 1, "gpu_memcpy"),
    ])  # fmt: skip
    assert categories(trace) == [C.ATTENTION, C.OTHER, C.MEMCPY]


def test_adding_up_gradients_is_no_convolution(tmp_path: Path) -> None:
    trace = write(tmp_path, [
        host("autograd::engine::evaluate_function: ConvolutionBackward0", "cpu_op", 0, 50),
        host("cudaLaunchKernel", "cuda_runtime", 15, 2, 1),
        gpu("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<int>>(P)", 60, 1),
    ])  # fmt: skip
    assert categories(trace) == [C.ELEMENTWISE]


def test_what_a_kernel_of_torch_compile_is_outranks_the_op_around_it(tmp_path: Path) -> None:
    trace = write(tmp_path, [
        host("flash_attn::_flash_attn_forward", "cpu_op", 0, 50),
        host("cudaLaunchKernel", "cuda_runtime", 15, 2, 1),
        gpu("triton_poi_fused__scaled_dot_product_flash_attention_clone_0", 60, 1),
        host("aten::linear", "cpu_op", 100, 20),
        host("cudaLaunchKernel", "cuda_runtime", 105, 2, 2),
        gpu("triton_red_fused_addmm_sum_1", 130, 2),
    ])  # fmt: skip
    assert categories(trace) == [C.ELEMENTWISE, C.REDUCTION]


def test_what_an_optimiser_step_only_touches_is_the_optimiser_s(tmp_path: Path) -> None:
    add = "void multi_tensor_apply_kernel<TensorListMetadata<2>, BinaryOpListAlphaFunctor<int>>(P)"
    trace = write(tmp_path, [
        host("aten::_foreach_add_", "cpu_op", 0, 8),
        host("cudaLaunchKernel", "cuda_runtime", 2, 2, 1),
        gpu(add, 60, 1),
        host("Optimizer.step#Shampoo.step", "user_annotation", 10, 80),
        host("aten::_foreach_add_", "cpu_op", 12, 8),
        host("cudaLaunchKernel", "cuda_runtime", 14, 2, 2),
        gpu(add, 70, 2),
        host("aten::mm", "cpu_op", 30, 8),
        host("cudaLaunchKernel", "cuda_runtime", 32, 2, 3),
        gpu("ampere_sgemm_128x64_nn", 80, 3),
        host("cudaLaunchKernel", "cuda_runtime", 42, 2, 4),
        gpu("ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)", 90, 4),
    ])  # fmt: skip
    assert categories(trace) == [C.ELEMENTWISE, C.OPTIMIZER, C.GEMM, C.COMMUNICATION]


FUSABLE = {
    ("void at::native::vectorized_elementwise_kernel<4, silu_kernel>(P)", C.ELEMENTWISE): True,
    ("void at::native::elementwise_kernel<128, 2, pow_kernel>(P)", C.NORM): True,
    ("void at::native::CatArrayBatchedCopy<float, unsigned int, 3, 64, 64>(P)", C.COPY): True,
    ("triton_poi_fused_mul_silu_1", C.ELEMENTWISE): False,
    ("void vllm::act_and_mul_kernel<c10::BFloat16, &silu>(P)", C.ELEMENTWISE): False,
    ("void vllm::rms_norm_kernel<c10::BFloat16>(P)", C.NORM): False,
    ("void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(P)", C.NORM): False,
    ("void multi_tensor_apply_kernel<TensorListMetadata<2>, CopyFunctor<int>>(P)", C.COPY): False,
    ("void vllm::reshape_and_cache_flash_kernel<int>(P)", C.COPY): False,
    ("void split_embedding_codegen_forward_unweighted_kernel<int>(P)", C.EMBEDDING): False,
    ("ampere_sgemm_128x64_nn", C.GEMM): False,
    ("ncclDevKernel_AllGather_RING_LL", C.COMMUNICATION): False,
}  # fmt: skip


@pytest.mark.parametrize(("name", "category"), FUSABLE)
def test_only_what_is_not_fused_yet_can_be_fused(name: str, category: Category) -> None:
    assert inductor_names.fusable(name, category) is FUSABLE[name, category]


@pytest.mark.parametrize(
    "rule",
    [*kernel_rules.KERNELS, *name_rules.WHOLE_OPS, *name_rules.CUSTOM_OPS],
    ids=lambda rule: rule.name,
)
def test_a_rule_finds_what_its_patterns_find_whatever_the_case(rule: kernel_rules.Rule) -> None:
    words = rule.words
    whole = re.compile("|".join(words.patterns), re.IGNORECASE)
    for name in (*NAMES, *(name.swapcase() for name in NAMES)):
        exact = words.exact is not None and bool(re.search(words.exact, name))
        assert words.search(name) == (bool(whole.search(name)) or exact), name
    assert not re.search(r"\\[A-Z]|\(\?-i", "".join(words.patterns))  # lower case is another class


@pytest.mark.parametrize("rule", kernel_rules.KERNELS, ids=lambda rule: rule.name)
def test_each_rule_names_where_its_names_come_from(rule: kernel_rules.Rule) -> None:
    assert rule.source


def test_a_trace_without_gpu_work_has_no_classes(tmp_path: Path) -> None:
    trace = write(tmp_path, [host("aten::mm", "cpu_op", 0, 50)])
    assert len(classify(trace).category) == 0


@given(st.text(max_size=200))
def test_any_name_gets_a_category(name: str) -> None:
    category, rule = name_rules.of_kernel(name)
    assert category in CATEGORIES
    assert rule
    assert name_rules.head(name_rules.head(name)) == name_rules.head(name)


def test_codes_and_categories_are_one_to_one() -> None:
    assert len(set(CATEGORIES)) == len(CATEGORIES)
    assert np.iinfo(np.int16).max > len(CATEGORIES)


@pytest.mark.parametrize(
    ("op", "want"),
    [
        ("quantized::linear_dynamic", C.GEMM),
        ("quantized::linear", C.GEMM),
        ("quantized::linear_prepack", C.ELEMENTWISE),
        ("quantized::add", C.ELEMENTWISE),
    ],
)
def test_a_linear_of_quantised_weights_is_a_gemm(op: str, want: Category) -> None:
    found = name_rules.of_single_op(op)
    assert found is not None
    assert found[0] is want
