"""The findings of each shared trace, read against its raw file by someone who wrote none of them.

A row is a trace, how far it may be trusted, the kinds of its findings in order, what the raw file
shows (window, busy time, gaps, launches and durations recomputed with json and sorted intervals
alone), and what remains unsaid. A kind or a verdict that comes or goes has to be read again.
"""

import pytest

from tests.conftest import shared
from tests.real import EVERY, loaded
from tracekit.answers.audit import Audit
from tracekit.answers.findings import Findings
from tracekit.results import catalog

READ = {
    "amd_mi250_minitoy_train": ("trusted", "initialisation launch_bound host_work",
        "right: one hipLaunchKernel holds the host for 6.54 of 8.91 ms; the second step, of 49 "
        "µs, launches nothing, so nothing of it is lost"),
    "hta_alexnet_a100": ("trusted", "initialisation",
        "right: 12.7 of 12.9 s; unsaid: 29.9 s before the window, in the call that makes the "
        "context"),
    "hta_call_stack_backward": ("trusted", "",
        "right: one kernel of 45 µs says nothing of the device"),
    "hta_cpu_only_full": ("trusted", "collective_wait",
        "right: gloo:all_reduce is open for 1.10 of 1.28 s of steps, 1.06 s of it beside no op"),
    "hta_cpu_only_small": ("trusted", "collective_wait",
        "right: gloo:all_reduce is open for 179 of 210 ms"),
    "hta_cuda_event_sync": ("degraded", "host_sync",
        "right: .item(); five kernels, whose other gaps are too few for a rule"),
    "hta_cuda_event_sync_multi_stream": ("trusted", "host_work",
        "right: 18.8 ms between two launches; nothing on the host is recorded in it, which is "
        "said"),
    "hta_cupti_profiler": ("refused", "record_more",
        "right: 77 launches, counters and no kernel; unsaid: first use holds the host for "
        "seconds"),
    "hta_distributed_info_missing": ("trusted", "record_more",
        "right: 47.3 of 75.5 ms in no op, no stacks"),
    "hta_et_simple_add": ("degraded", "host_work initialisation",
        "right: clear_cache between two calls; setting up before the first kernel is said"),
    "hta_gp100_gpu_user_annotation": ("degraded", "launch_bound host_work unfused_elementwise",
        "right: 140 launches, busy 291 of 7,737 µs"),
    "hta_inference_rank1_legacy": ("degraded", "initialisation host_work",
        "right: the first cudaLaunchKernel takes 1,414 of 1,629 µs"),
    "hta_large_integer": ("degraded", "collective_wait",
        "right: the one record is an all-reduce"),
    "hta_mtia_inference": ("degraded", "",
        "right: event_wait, merge and pe_exe overlap, so being busy is not working: the "
        "headline says busy or waiting for events"),
    "hta_nccl_ddp_a100": ("trusted", "host_work launch_bound collective_wait",
        "right: busy 24 %; cudnn_batch_norm takes 427 µs of host time a call for one launch"),
    "hta_negative_queue_a100": (
        "degraded", "collective_wait copy unfused_elementwise record_more record_more",
        "right: SendRecv 185 ms alone; 525 ms before nodes of graphs lack work, which the "
        "headline says first, and 128 ms within graphs as well; the host waits in aten::copy_ "
        "meanwhile"),
    "hta_ns_resolution_v100": ("trusted", "unfused_elementwise saturated record_more",
        "right: busy 98.4 %; no event has shapes"),
    "hta_rank_missing": ("trusted", "record_more",
        "right: as hta_distributed_info_missing"),
    "hta_rank_non_gpu": ("trusted", "record_more",
        "right: as hta_distributed_info_missing"),
    "hta_sampled_rank0": ("degraded", "collective_wait host_work record_more",
        "right: SendRecv 337 ms alone; the file is sampled, so gaps after launches lack "
        "kernels, and for 157 ms of those before launches nothing of the host is recorded, "
        "which is said"),
    "hta_sampled_rank1": ("degraded", "collective_wait host_work record_more",
        "right: as rank 0, 304 ms"),
    "hta_trace_compare_base": ("degraded", "record_more",
        "right: the launch is not in the file"),
    "hta_trace_compare_test": ("degraded", "record_more",
        "right: the launch is not in the file"),
    "hta_triton_example_a100": ("trusted", "",
        "right: one kernel of 1.76 µs says nothing of the device"),
    "kin_after_fix": ("trusted", "",
        "right: one made-up kernel of 20 ns"),
    "kin_before_fix": ("trusted", "",
        "right: one made-up kernel of 20 ns"),
    "kin_resnet50_v100_2021_06_w0": ("trusted", "data_loading",
        "right: five gaps of 48 to 62 ms, each in the loader's next and the copy after it; in "
        "zero_grad 36 µs pass between launches, whose kernels last 0 or 1 µs"),
    "tl_h100_nsfw": ("trusted", "launch_bound gemm_efficiency attention_efficiency",
        "right: busy 16 %, each launch is waited for; that faster kernels alone save nothing is"
        " said"),
    "tl_h100_qwen15_05b": ("degraded", "unfused_elementwise",
        "right: elementwise and copies are 27.8 of 45.6 ms of kernels"),
    "tl_mi210_gpu_only": ("degraded", "unfused_elementwise launch_bound",
        "right: busy 89 %; without ops the reasons for 11 % idle are less sure"),
    "tl_mi300_normalization": ("trusted", "initialisation",
        "right: five first launches of 19 to 332 ms, and first calls as aten::arange, 29 ms"),
    "tl_mi300_nsfw": ("trusted", "launch_bound launch_latency gemm_efficiency attention_efficiency",
        "right: busy 25 %; 13 µs from launch to kernel"),
    "tl_mi300_resnet_act_checkpoint": ("degraded", "collective_wait",
        "right: 55.6 of 86.6 ms in RCCL with no other kernel"),
    "tl_mi300_torch_compile_triton": ("trusted", "gemm_efficiency attention_efficiency saturated",
        "right: 11 ns idle, GEMMs 64 % of the time"),
    "tl_sglang_decode": ("degraded", "memory_bandwidth host_work record_more",
        "right: GEMMs 59 % of 9.77 ms; with the prefill's file the weights are 49 % of the "
        "bandwidth; 463 ms ran a prefill that was cut out"),
    "tl_sglang_decode_capture": ("trusted", "",
        "right: two fills of 11 µs while a graph is captured are no work to improve"),
    "tl_sglang_prefilldecode": ("degraded", "gemm_efficiency saturated record_more",
        "right: GEMMs 85 % of 493 ms; the 493 ms before belong to the step that was cut out"),
    "tl_vllm_prefilldecode_piecewise": ("trusted", "expert_gemm saturated",
        "right: matmul_ogs is 78.5 % of 156 ms, idle 0.2 %; it starts 149 ms after its launch, "
        "which the verdict says"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_shared_trace_says_what_was_read_in_its_raw_file(name: str) -> None:
    rows = catalog.ask(loaded(name), Findings).rows
    verdict, kinds, _ = READ[name]
    assert [row.kind.value for row in rows] == kinds.split()
    assert catalog.ask(loaded(name), Audit).verdict == verdict


def test_every_shared_trace_was_read() -> None:
    shared("traces")
    assert set(EVERY) == set(READ)
