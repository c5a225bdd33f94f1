"""What someone who knows the system would say first, of traces drawn like those of known systems.

Each program is run on a drawn machine; its first finding, the number of it and what must not be
said follow from what the program does.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tracekit.analyses.findings.analysis import findings

from tests.drawing import build
from tests.program import Program
from tracekit.answers.collectives import Collectives
from tracekit.answers.findings import Finding, Findings
from tracekit.report.one.headline import headline
from tracekit.report.text_tables import as_text
from tracekit.results import catalog, engine
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import FindingKind as Kind
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Source, Trace

HOST = {Kind.LAUNCH_BOUND, Kind.BETWEEN_STEPS, Kind.HOST_WORK, Kind.HOST_SYNC, Kind.DATA_LOADING,
        Kind.ALLOCATION, Kind.INITIALISATION, Kind.COMPILED}  # fmt: skip
BMM = "bmm_E4m3_E2m1E2m1_Fp32_t128x16x256_s6_et128x16_m128x16x64_cga1x1x1_16dp256b_swiGlu_dynBatch"
NCCL = "ncclDevKernel_{}_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
COPY = "Memcpy HtoD ({} -> Device)"


def layers(program: Program, count: int, kernel_us: float, host_us: float = 5) -> None:
    for i in range(count):
        program.launch(f"gemm_{i % 4}", kernel_us, op="aten::mm", op_us=host_us)


def experts_of_b200(program: Program) -> None:
    """Six decode steps by graph: of 105 µs a layer 70 are the two batched GEMMs and 5 their end."""
    layer = [(BMM, 40.0), ("bmm_Bfloat16_E2m1E2m1_Fp32_t128x16x256", 30.0),
             ("finalizeKernelVecLoad", 5.0), ("fmhaSm100fKernel_QkvBfloat16OBfloat16H128", 20.0),
             ("nvjet_sm100_tst_64x8_64x16", 10.0)]  # fmt: skip
    for _ in range(6):
        with program.mark("execute_context_0(0)_generation_32(32)"):
            program.graph(layer * 20)
        program.busy(100)


def deep_ep_of_h800(program: Program) -> None:
    """A layer: 60 µs dispatch, 80 µs of an FP8 GEMM, 120 µs combine, one after the other."""
    for _ in range(6):
        with program.mark("step[DECODE bs=64]"):
            for _ in range(10):
                program.launch(
                    "void deep_ep::internode_ll::dispatch<false, 3, 10, 7168>(void*)", 60
                )
                program.launch("void deep_gemm::sm90_fp8_gemm_1d2d_impl<4096u, 7168u>(float*)", 80)
                program.launch("void deep_ep::internode_ll::combine<7168, 32, 8>(void*)", 120)


def all_gather_of_fsdp(program: Program) -> None:
    """Layers of 500 µs behind all-gathers of 900 µs, which run ahead: 400 µs of each are bare."""
    for step in range(4):
        with program.mark(f"ProfilerStep#{step}"):
            for _ in range(10):
                program.launch(
                    NCCL.format("AllGather"), 900, op="c10d::_allgather_base_", stream=20
                )
                program.after(7, 20)
                program.launch("ampere_bf16_gemm", 500, op="aten::mm")


def diffusion_of_small_kernels(program: Program) -> None:
    """As Stable Diffusion 3.5, or any: ten steps of 60 kernels of 4 µs, launched each 24 µs; the
    last latent is read.
    """
    for step in range(10):
        with program.mark(f"denoise_step_{step}"):
            layers(program, 60, 4, host_us=20)
        program.item()


def diffusion_of_large_kernels(program: Program) -> None:
    """The same with kernels of 40 µs, launched each 12; then a decoder of images."""
    for step in range(10):
        with program.mark(f"denoise_step_{step}"):
            layers(program, 60, 40, host_us=8)
    with program.mark("vae_decode"):
        for _ in range(10):
            program.launch("implicit_convolve_sgemm", 2_000, op="aten::cudnn_convolution")


def resizing_on_the_host(program: Program) -> None:
    """Six images, each 400 ms of zoom on the host before 10 ms of the device."""
    for _ in range(6):
        with program.slice("owlv2/image_processing_owlv2.py(300): preprocess", Cat.PYTHON):
            program.busy(50)
            with program.slice("scipy/ndimage/_interpolation.py(500): zoom", Cat.PYTHON):
                program.busy(400_000)
            program.busy(50)
        program.launch(COPY.format("Pageable"), 800, call="cudaMemcpyAsync", call_us=900,
                       op="aten::to", cat=Cat.MEMCPY)  # fmt: skip
        layers(program, 50, 200)
        program.item()


def decoding_without_graphs(program: Program) -> None:
    """Ten tokens of 90 kernels of 12, 6 and 2 µs, launched each 14, 14 and 10 µs."""
    for _ in range(10):
        with program.mark("decode_step"):
            for _ in range(30):
                program.launch("gemvNSP_kernel<bf16>", 12, op="aten::mm", op_us=10)
                program.launch("flash_fwd_splitkv_kernel", 6, op="flash_attn::fwd", op_us=10)
                program.launch("elementwise_kernel_add", 2, op="aten::add", op_us=6)
        program.item()


def weights_from_the_host(program: Program) -> None:
    """Each layer's weights are copied for 2 ms before 60 µs of work with them."""
    for _ in range(10):
        with program.mark("step[DECODE bs=1]"):
            for _ in range(8):
                program.launch(COPY.format("Pinned"), 2_000, call="cudaMemcpyAsync",
                               op="aten::copy_", cat=Cat.MEMCPY)  # fmt: skip
                program.launch("gemm", 60, op="aten::mm")


def waiting_for_a_straggler(program: Program) -> None:
    """All-reduces of 3 ms, each second one of 6, after 4 ms of layers; nothing overlaps."""
    for step in range(10):
        with program.mark(f"ProfilerStep#{step}"):
            layers(program, 20, 200)
            program.after(20, 7)
            program.launch(NCCL.format("AllReduce"), 6_000 if step % 2 else 3_000,
                           op="c10d::allreduce_", stream=20)  # fmt: skip
            program.after(7, 20)


def loading_data(program: Program) -> None:
    for step in range(6):
        with program.mark(f"ProfilerStep#{step}"):
            with program.mark("enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__"):
                program.busy(30_000)
            layers(program, 20, 300)
            program.item()


def retrying_allocations(program: Program) -> None:
    """Out of memory in each step: 30 frees of 300 µs, one allocation of 900, on an idle device."""
    for step in range(10):
        with program.mark(f"ProfilerStep#{step}"):
            layers(program, 10, 200)
            program.wait("cudaDeviceSynchronize")
            with program.slice("aten::empty"):
                program.busy(5)
                for _ in range(30):
                    program.call("cudaFree", 300)
                program.call("cudaMalloc", 900)
            layers(program, 10, 200)


def replaying_hip_graphs(program: Program) -> None:
    """HIP sends a graph's nodes one by one: its launch lasts as long as they do."""
    for _ in range(20):
        with program.mark("step[DECODE bs=4]"):
            program.graph(
                [("Cijk_Alik_Bljk_BBS_BH", 10.0)] * 60, call="hipGraphLaunch", call_us=600
            )
            program.wait("hipStreamSynchronize")
        program.busy(700)


def training_with_a_fused_optimiser(program: Program) -> None:
    name = "multi_tensor_apply_kernel<FusedOptimizerTensorListMetadata<4>, FusedAdamMathFunctor>"
    for step in range(6):
        with program.mark(f"ProfilerStep#{step}"):
            layers(program, 20, 200)
            for _ in range(4):
                program.launch(name, 600, op="aten::_fused_adamw_", op_us=10)


Case = tuple[Callable[[Program], None], Kind, float, float | None, set[Kind]]
CASES: list[Case] = [
    # program, first finding, its number, its saving in µs, what must not be said
    (experts_of_b200, Kind.EXPERT_GEMM, 70 / 105, None, HOST | {Kind.ONE_KERNEL}),
    (deep_ep_of_h800, Kind.COLLECTIVE, 180 / 260, 6 * 10 * 180, HOST | {Kind.ONE_KERNEL}),
    # the first all-gather has nothing to run beside, the last layer nothing behind it
    (all_gather_of_fsdp, Kind.COLLECTIVE, (40 * 900 - 39 * 500) / (40 * 900 + 500),
     40 * 900 - 39 * 500, {*HOST, Kind.ONE_KERNEL, Kind.STREAM_WAIT}),
    (diffusion_of_small_kernels, Kind.LAUNCH_BOUND, 0.75, None,
     {Kind.SATURATED, Kind.LARGEST_STAGE, Kind.HOST_WORK, Kind.BETWEEN_STEPS}),
    (diffusion_of_large_kernels, Kind.RECORD_MORE, 1.0, None, HOST | {Kind.LARGEST_STAGE}),
    (resizing_on_the_host, Kind.HOST_WORK, 0.97, 5 * 400_100, {Kind.COPY, Kind.LAUNCH_BOUND}),
    (decoding_without_graphs, Kind.LAUNCH_BOUND, 0.31, None, {Kind.SATURATED, Kind.HOST_WORK}),
    (weights_from_the_host, Kind.COPY, 2_000 / 2_060, 80 * 2_000,
     {*HOST, Kind.SATURATED, Kind.RECORD_MORE}),
    (waiting_for_a_straggler, Kind.COLLECTIVE, 45 / 85, 45_000, HOST | {Kind.ONE_KERNEL}),
    (loading_data, Kind.DATA_LOADING, 0.80, 5 * 30_000, {Kind.HOST_WORK, Kind.LAUNCH_BOUND}),
    (retrying_allocations, Kind.ALLOCATION, 0.71, 10 * 9_900,
     {Kind.INITIALISATION, Kind.HOST_WORK, Kind.LAUNCH_BOUND}),
    (replaying_hip_graphs, Kind.BETWEEN_STEPS, 0.53, None,
     {Kind.LAUNCH_BOUND, Kind.INITIALISATION, Kind.HOST_SYNC}),
    (training_with_a_fused_optimiser, Kind.OPTIMIZER, 2_400 / 6_400, None,
     HOST | {Kind.UNFUSED_ELEMENTWISE, Kind.ONE_KERNEL}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("run", "first", "number", "saves_us", "never"), CASES, ids=[c[0].__name__ for c in CASES]
)
def test_the_first_finding_is_what_an_expert_would_say(
    run: Callable[[Program], None], first: Kind, number: float, saves_us: float | None,
    never: set[Kind],
) -> None:  # fmt: skip
    rows = said(run)
    assert rows[0].kind is first
    assert rows[0].number == pytest.approx(number, abs=0.01)
    if saves_us is not None:
        assert rows[0].saves_ns == pytest.approx(saves_us * 1e3, rel=0.01)
    assert not {row.kind for row in rows} & never


def said(run: Callable[[Program], None]) -> tuple[Finding, ...]:
    program = Program()
    run(program)
    return findings(program.trace()).rows


def test_a_kernel_that_others_hide_is_none_to_tune_first() -> None:
    """On a stream of its own, all of it beside GEMMs that take longer; in their stream it is."""
    for stream in (13, 7):

        def run(program: Program, stream: int = stream) -> None:
            with program.mark("prefill"):
                for _ in range(10):
                    program.launch("my_secret_kernel", 700, stream=stream)
                    for number in range(5):
                        program.launch(f"gemm_{number}", 200, op="aten::mm", op_us=2)

        assert (Kind.ONE_KERNEL in {row.kind for row in said(run)}) is (stream == 7)


def test_the_resize_and_the_programs_own_line_are_named() -> None:
    what = said(resizing_on_the_host)[0].what
    assert "ndimage/_interpolation.py:500 zoom" in what
    assert "owlv2/image_processing_owlv2.py:300 preprocess" in what


def test_a_straggler_among_ranks_of_one_file_makes_the_others_wait() -> None:
    """Rank 1 computes 9 ms where rank 0 computes 4: rank 0 is in the all-reduce 5 ms longer."""
    rows = catalog.ask(two_ranks(), Findings).rows
    [wait] = [row for row in rows if row.kind is Kind.COLLECTIVE]
    assert (wait.rank, wait.number) == ("rank0", pytest.approx(0.6))
    assert {one.rank: one.number for one in wait.ranks} == {
        "rank0": pytest.approx(0.6),
        "rank1": pytest.approx(0.1),
    }
    assert "Rank1 comes last to 6 of 6 collective calls" in wait.what
    assert wait.do.endswith("see what holds rank1 up.")
    assert wait.numbers["last_count"] == 6
    assert not {row.kind for row in rows} & (HOST | {Kind.ONE_KERNEL})


def test_custom_all_reduces_of_an_engine_meet_and_name_who_comes_last() -> None:
    """SGLang, tensor parallel: the second rank's GEMMs take 75 µs where the others' take 60."""
    slices, labels = [], {}
    for rank, us in enumerate((60, 75, 60)):
        program = Program(pid=-1_000 - rank)
        for _ in range(8):
            with program.mark("step[DECODE bs=32]"):
                for _ in range(10):
                    program.launch("nvjet_tst_64x8", us, op="aten::mm", op_us=3)
                    program.launch("void sglang::cross_device_reduce_1stage<__nv_bfloat16, 4>(int)",
                                   85 - us)  # fmt: skip
        slices += [replace(s, pid=-2_000 - rank) if s.stream >= 0 else s for s in program.slices]
        labels |= {-1_000 - rank: f"TP{rank:02} 83", -2_000 - rank: f"TP{rank:02} 0"}
    trace = build(slices, source=Source("drawing", labels=labels))
    found = catalog.ask(trace, Collectives)
    assert found.straggler is not None
    assert (found.straggler.rank, found.straggler.last_count) == ("rank TP01", 80)
    assert {row.name for row in found.rows} == {"AllReduce"}


def two_ranks() -> Trace:
    slices, labels = [], {}
    for rank, compute in enumerate((200, 450)):
        host, device = -1_000 - rank, -2_000 - rank
        program = Program(pid=host)
        for step in range(6):
            with program.mark(f"ProfilerStep#{step}"):
                layers(program, 20, compute)
                program.launch(NCCL.format("AllReduce"), 10_000 - 20 * compute,
                               op="c10d::allreduce_")  # fmt: skip
        slices += [replace(s, pid=device) if s.stream >= 0 else s for s in program.slices]
        labels |= {host: f"rank{rank} {4_000 + rank}", device: f"rank{rank} 0"}
    return build(slices, source=Source("drawing", labels=labels))


def test_decode_without_shapes_and_layers_says_that_memory_is_the_limit() -> None:
    program = Program()
    for _ in range(8):
        with program.mark("execute_context_0(0)_generation_4(4)"):
            program.graph([("nvjet_tst_a", 60), ("flash_fwd_splitkv", 20), ("rms_norm_kernel", 5)])
    meta = {"deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}]}
    (row,) = [r for r in findings(program.trace(meta)).rows if r.kind is Kind.MEMORY_BANDWIDTH]
    assert (row.numbers["rows"], row.saves_ns) == (4, None)
    assert row.numbers["could_read_bytes"] == pytest.approx(8 * 60e-6 * 3.35e12)
    assert "GEMMs over 4 rows a step" in row.what


@pytest.mark.parametrize(
    ("kernel_us", "part", "saves_ms"), [(16, 0.626, 1.91), (12.5, 0.802, None), (10.6, 0.945, None)]
)
def test_a_decode_of_few_rows_says_how_far_from_the_memory_floor_it_is(
    kernel_us: float, part: float, saves_ms: float | None, tmp_path: Path
) -> None:
    """33.6 MB of weights a GEMM are 10.02 µs at 3.35 TB/s; 320 GEMMs, attention beside them."""
    program = Program()
    for _ in range(8):
        with program.mark("step[DECODE bs=1]"):
            for _ in range(40):
                program.launch("gemvx_kernel", kernel_us, op="aten::mm", op_us=1, call_us=2)
                program.launch("flash_fwd_splitkv", 3, op="flash_attn::fwd", op_us=1, call_us=2)
    path = tmp_path / "t.json"
    path.write_text(json.dumps(program.document({"aten::mm": [[1, 4096], [4096, 4096]]})))
    rows = findings(kineto.load(path, tables=frozenset({"shapes"}))).rows
    assert [row.kind for row in rows] == [Kind.MEMORY_BANDWIDTH, Kind.SATURATED]
    assert rows[0].number == pytest.approx(part, abs=0.002)
    said = None if rows[0].saves_ns is None else rows[0].saves_ns / 1e6
    assert said == (None if saves_ms is None else pytest.approx(saves_ms, abs=0.01))


@pytest.mark.parametrize(("host_us", "saves_us"), [(60, 0), (1, 60 * 5)])
def test_kernels_that_wait_for_the_host_save_nothing_by_being_faster(
    host_us: float, saves_us: float, tmp_path: Path
) -> None:
    """788×768×768 in 10 µs of the 1.1 that an H100 needs; with 64 µs between launches none counts.

    Behind a host that launches every 5 µs they save what is above 5.
    """
    program = Program()
    with program.mark("ProfilerStep#1"):
        for _ in range(60):
            program.launch("ampere_gemm", 10, op="aten::mm", op_us=host_us)
    path = tmp_path / "t.json"
    path.write_text(json.dumps(program.document({"aten::mm": [[788, 768], [768, 768]]})))
    rows = findings(kineto.load(path, tables=frozenset({"shapes"}))).rows
    (gemm,) = [row for row in rows if row.kind is Kind.MEMORY_BANDWIDTH]
    assert gemm.saves_ns == pytest.approx(saves_us * 1_000, abs=8_930)  # the last one's
    assert rows[0].kind is (Kind.MEMORY_BANDWIDTH if saves_us else Kind.LAUNCH_BOUND)


def vllm_by_graphs(program: Program) -> None:
    """A step: 1.5 ms of kernels, the wait for its tokens, then 0.9 ms of scheduling."""
    layer = [("nvjet_tst_64x8_64x16_4x1_v_bz_TNT", 30.0), ("flash_fwd_splitkv_kernel", 12.0),
             ("void vllm::rms_norm_kernel<c10::BFloat16>", 4.0)]  # fmt: skip
    for _ in range(10):
        with program.mark("execute_context_0(0)_generation_64(64)"):
            program.graph(layer * 32)
            program.wait("cudaEventSynchronize")
        program.op("EngineCore: schedule", 900)


def whisper_of_short_kernels(program: Program) -> None:
    """4 ms of an encoder whose GEMMs fill the device, then steps that wait for every launch."""
    with program.mark("encode"):
        for _ in range(30):
            program.launch("sm90_xmma_gemm_bf16", 120, op="aten::addmm", op_us=8)
    for _ in range(12):
        with program.mark("decode_step"):
            for _ in range(40):
                program.launch("gemvx::kernel", 4, op="aten::addmm", op_us=18)


def experts_on_many_devices(program: Program) -> None:
    """Dispatch and combine by all-to-all around expert GEMMs, one after the other on one stream."""
    for _ in range(6):
        with program.mark("step[DECODE bs=256]"):
            for _ in range(10):
                program.launch("nvjet_tst_128x64", 90, op="aten::mm")
                program.launch(NCCL.format("SendRecv"), 90, op="c10d::alltoall_base_")
                program.launch(
                    "void deep_gemm::sm90_fp8_m_grouped_gemm_contiguous<4096u>(float*)", 110
                )
                program.launch(NCCL.format("SendRecv"), 110, op="c10d::alltoall_base_")


def diffusion_by_compiled_graphs(program: Program) -> None:
    for _ in range(8):
        with program.slice("Torch-Compiled Region: 0/0"):
            for _ in range(10):
                program.launch("sm90_xmma_gemm_bf16", 220, op="aten::mm", op_us=3)
                program.launch("triton_poi_fused_add_gelu_3", 40, op_us=3, call="cuLaunchKernelEx")
                program.launch("flash_fwd_kernel", 140, op_us=5)


HEADLINES = {
    # 9 × 908 µs of 22.9 ms
    vllm_by_graphs: r"GPU idle for 35\.7% of its 22\.9 ms window: for 35\.7% the host launches "
    r"late, since it waited for the device before; .*GEMMs 65%, attention 26%",
    whisper_of_short_kernels: r"GPU idle for 49\.4% .*: for 43\.9% the host launches one short "
    r"kernel after another \(`aten::addmm`\)",
    experts_on_many_devices: r"Communication that no other kernel covers takes 50\.0% .*most in "
    r"alltoall_base \(120 calls\); other kernels take 12\.0 ms: expert GEMMs 55%, other GEMMs 45%",
    diffusion_by_compiled_graphs: r"GPU busy for 100\.0% .*: GEMMs 55%, attention 35%",
    loading_data: r"GPU idle for 8\d\.\d% .*: for 8\d\.\d% the host loads data",
    training_with_a_fused_optimiser: r"GPU busy for .*GEMMs 62%, the optimiser 38%",
}


@pytest.mark.parametrize("run", HEADLINES, ids=[run.__name__ for run in HEADLINES])
def test_the_first_sentence_is_what_an_expert_would_say(run: Callable[[Program], None]) -> None:
    program = Program()
    run(program)
    assert re.match(HEADLINES[run], headline(engine.of_trace(program.trace())))


def test_kernels_of_one_name_say_in_a_table_in_what_they_differ() -> None:
    name = "void cudnn::bn_bw_1C11_kernel_new<float, {}, true>(float*)"
    names = [name.format(128), name.format(32), "ampere_gemm"]
    grid = Grid("kernels", "Kernels", (Column("kernel"),), [(name,) for name in names])
    said = as_text("t", [grid])
    assert "bn_bw_1C11_kernel_new (128)" in said
    assert "bn_bw_1C11_kernel_new (32)" in said
    assert "ampere_gemm (" not in said
