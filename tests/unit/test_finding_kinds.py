"""Each kind of finding on a trace drawn for it, and on real traces whose main fault is known."""

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from tracekit.analyses.findings.analysis import findings

from tests.drawing import PID, Slice, build, draw
from tests.random_traces import traces
from tests.real import loaded
from tracekit.answers.devices import Devices
from tracekit.answers.findings import Finding, Findings
from tracekit.answers.kernels import Kernels
from tracekit.answers.stages import Stages
from tracekit.attribution import links
from tracekit.attribution.alone import alone
from tracekit.attribution.collectives.by_group import bus_factor
from tracekit.errors import MissingEventsError
from tracekit.report.many import pairs
from tracekit.report.many.runs import Side
from tracekit.report.one.overview import overview
from tracekit.results import catalog, engine
from tracekit.results.units import bytes_, duration, rate, share
from tracekit.taxonomy import FindingKind as Kind
from tracekit.trace import run_facts
from tracekit.trace.trace import TABLES, Cat, Table, Trace

DOCS = Path(__file__).parents[2] / "docs"
OF_IDLE = frozenset(
    {Kind.LAUNCH_BOUND, Kind.BETWEEN_STEPS, Kind.HOST_WORK, Kind.HOST_SYNC, Kind.DATA_LOADING,
     Kind.ALLOCATION, Kind.INITIALISATION, Kind.COMPILED}
)  # fmt: skip
OF_KERNELS = frozenset(
    {Kind.MEMORY_BANDWIDTH, Kind.GEMM, Kind.ATTENTION, Kind.UNFUSED_ATTENTION,
     Kind.UNFUSED_ELEMENTWISE}
)  # fmt: skip


def kinds(result: Findings) -> list[Kind]:
    return [row.kind for row in result.rows]


def one(result: Findings, kind: Kind) -> Finding:
    (row,) = [row for row in result.rows if row.kind is kind]
    return row


@pytest.mark.parametrize("page", ["json.md", "findings.md"])
def test_every_kind_is_in_the_docs(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / page).read_text(), re.M)
    assert [kind.value for kind in Kind] == [r for r in rows if r in set(Kind)]


# ---------------------------------------------------------------- idle time


def test_a_sync_in_each_token_is_the_finding_and_no_launch_overhead() -> None:
    trace = draw(
        f"""
        op        {"..iiii...." * 10}
        host      {"".join(f"{a}.ssss...." for a in "abcdefghjk")}
        stream 7  {"".join(f".{a}........" for a in "ABCDEFGHJK")}
        """,
        names={"s": "cudaStreamSynchronize", "i": "aten::item"},
        column_ns=20_000,
    )
    result = findings(trace)
    row = one(result, Kind.HOST_SYNC)
    # nine syncs of four columns between ten kernels; the window is from column 1 to 92
    assert (row.saves_ns, row.number) == (9 * 80_000, pytest.approx(36 / 91))
    assert "`cudaStreamSynchronize`, in `aten::item`" in row.what
    assert Kind.LAUNCH_BOUND not in kinds(result)


def test_setting_up_before_the_first_kernel_is_said_though_no_device_window_holds_it() -> None:
    trace = draw(
        """
        mark      pppppppppppppppqqqq
        op        oooooooooooooo
        host      llllllllllll.a.b..c
        stream 7  ..............AABBC
        """,
        names={"l": "cuLibraryLoadData", "o": "aten::mm", "p": "ProfilerStep#0",
               "q": "ProfilerStep#1"},
        column_ns=10_000_000,
    )  # fmt: skip
    result = findings(trace)
    row = one(result, Kind.INITIALISATION)
    # the op that loads, fourteen columns of nineteen, all before the first kernel: nothing is saved
    # of the device's window
    assert (row.number, row.saves_ns) == (pytest.approx(14 / 19), None)
    assert "140 ms" in row.what
    assert Kind.LAUNCH_BOUND not in kinds(result)


def test_loading_modules_for_the_first_time_is_initialisation_and_hides_no_step() -> None:
    trace = draw(
        """
        op        oooooooooooooooo
        host      a.llllllllllll.b
        stream 7  .A..............B
        """,
        names={"l": "cuModuleLoadData", "o": "aten::mm"},
        column_ns=100_000,
    )
    row = one(findings(trace), Kind.INITIALISATION)
    assert row.saves_ns == 1_400_000  # the whole gap from 2 to 16: most of it loads
    assert row.numbers["idle_ns"] == 1_400_000


def test_an_image_that_python_resizes_between_batches_holds_the_gpu_up() -> None:
    batch = "pppppppppppp.qq."
    trace = draw(
        f"""
        python    {batch * 4}
        python    {".rrrrrrrrrr....." * 4}
        host      {"".join(f"............{a}..." for a in "abcd")}
        stream 7  {"".join(f".............{a}{a}." for a in "ABCD")}
        """,
        names={
            "p": "detect.py(18): prepare", "q": "detect.py(30): forward",
            "r": "transformers/image_transforms.py(312): resize",
            **dict.fromkeys("ABCD", "conv"),
        },
        column_ns=1_000_000,
    )  # fmt: skip
    result = findings(trace)
    row = one(result, Kind.HOST_WORK)
    # three gaps of 14 columns in a window of 13 to 63
    assert row.number == pytest.approx(42 / 50)
    assert "image_transforms.py:312 resize" in row.what
    assert "detect.py:18 prepare" in row.what
    assert result.largest[0].kinds == (Kind.HOST_WORK,)


def test_idle_time_is_each_devices_own() -> None:
    trace = draw(
        """
        host                abcdef.........
        device 0 stream 7   .AA..CC..EE....
        device 1 stream 7   ...BB..DD..FF..
        """
    )
    row = one(findings(trace), Kind.DEVICE_IDLE)
    assert (row.number, row.saves_ns) == (pytest.approx(4 / 10), None)
    assert "2 of 2 devices" in row.what


def test_a_device_that_works_all_the_time_says_that_the_host_keeps_up() -> None:
    trace = draw("host abcdefgh.........\nstream 7 .AABBCCDDEEFFGGHH")
    row = one(findings(trace), Kind.SATURATED)
    assert (row.number, row.saves_ns) == (1.0, None)


def test_one_kernel_is_busy_for_all_of_its_window_and_says_nothing_of_the_host() -> None:
    assert Kind.SATURATED not in kinds(findings(draw("host a......\nstream 7 .AAAAAA")))


def test_kernels_of_a_graph_far_apart_wait_for_what_is_not_in_the_file() -> None:
    """A device takes some µs between kernels: in 300 µs something ran that a filter took out."""

    def drawn(column_ns: int) -> Findings:
        return findings(
            draw(
                "host g...........\nstream 7 .A...A...A..",
                names={"g": "cudaGraphLaunch"}, launched_by={"A": "g"}, column_ns=column_ns,
            )
        )  # fmt: skip

    row = one(drawn(100_000), Kind.RECORD_MORE)
    assert (row.number, row.saves_ns) == (pytest.approx(6 / 9), None)
    assert row.numbers["mean_ns"] == 300_000
    assert Kind.RECORD_MORE not in kinds(drawn(1_000))  # 3 µs are the graph's own


def test_the_one_launch_of_a_large_graph_sets_nothing_up() -> None:
    drawn = draw(
        "host ggggggggggggggggg.\nstream 7 .A...........A....",
        names={"g": "hipGraphLaunch"}, launched_by={"A": "g"}, column_ns=100_000,
    )  # fmt: skip
    assert Kind.INITIALISATION not in kinds(findings(drawn))


def test_a_step_on_the_host_lasts_as_long_as_the_all_reduce_of_another_thread() -> None:
    trace = draw(
        """
        mark            ssssssssssssssssssss
        op              oo................oo
        mark 2          ..gggggggggggggggg..
        """,
        names={"s": "## backward ##", "g": "gloo:all_reduce"},
    )
    row = one(findings(trace), Kind.COLLECTIVE)
    assert (row.number, row.saves_ns) == (pytest.approx(16 / 20), None)
    assert Kind.RECORD_MORE not in kinds(findings(trace))
    view = overview(engine.of_trace(trace))
    assert "in collectives and no op 80%" in view.limits[0]
    assert "In collectives" in [tile.label for tile in view.tiles]


def test_the_largest_stage_is_no_finding_where_most_time_is_in_no_stage() -> None:
    drawn = draw(
        "mark op.................\nhost ab..............c.\nstream 7 .AB..............C",
        names={"o": "Adam.step", "p": "Adam.zero_grad"},
    )
    assert Kind.LARGEST_STAGE not in kinds(findings(drawn))


# ---------------------------------------------------------------- copies and communication


def test_a_copy_under_a_kernel_saves_nothing_and_one_with_none_its_time() -> None:
    def copied(stream_8: str) -> Findings:
        return findings(
            draw(
                f"host abcd......\nstream 7 .AAAA.....\nstream 8 {stream_8}",
                names={"C": "Memcpy HtoD (Pageable -> Device)"}, kinds={"C": Cat.MEMCPY},
            )
        )  # fmt: skip

    assert Kind.COPY not in kinds(copied("..CC......"))
    row = one(copied("...CCCC..."), Kind.COPY)
    assert row.saves_ns == 2_000  # columns 5 and 6
    assert row.number == pytest.approx(2 / 6)


def with_sizes(trace: Trace, elements: dict[str, int], ranks: int) -> Trace:
    """The trace with message sizes of its communication kernels, in floats."""
    gpu = links.work(trace)
    rows = [i for i in range(len(gpu)) if gpu.text(i) in elements]
    count = np.array([elements[gpu.text(i)] for i in rows], np.int64)
    empty = {c.rstrip("*"): np.zeros(len(rows), np.int64) for c in TABLES["collectives"]}
    table = Table(
        gpu.id[rows],
        {
            **empty, "collective": np.zeros(len(rows), np.int32),
            "dtype": np.ones(len(rows), np.int32), "in_elements": count, "out_elements": count,
            "group_size": np.full(len(rows), ranks),
        },
        ("allreduce", "Float"),
    )  # fmt: skip
    trace.tables["collectives"] = table
    return trace


def test_communication_is_transfer_and_waiting_and_never_a_kernel_to_tune() -> None:
    trace = draw(
        """
        host      abcdefgh.............
        stream 7  .AA......BB...........
        stream 8  ..NNNN...M...PPPPPPPP.
        """,
        names={
            "N": "ncclDevKernel_AllReduce_Sum_f32_RING_LL", "P": "ncclDevKernel_AllReduce_Sum_f32",
            "M": "ncclDevKernel_AllReduce_Sum_f32_TREE",
        },
        launched_by={"N": "c", "M": "d", "P": "e"},
    )  # fmt: skip
    sizes = {
        "ncclDevKernel_AllReduce_Sum_f32_RING_LL": 1_000, "ncclDevKernel_AllReduce_Sum_f32": 1_000,
        "ncclDevKernel_AllReduce_Sum_f32_TREE": 10,
    }  # fmt: skip
    result = findings(with_sizes(trace, sizes, ranks=4))
    row = one(result, Kind.COLLECTIVE)
    # alone: 3 to 5 of N, none of M, 8 of P; the window is 20
    assert row.saves_ns == 11_000
    # of the two of 4,000 bytes one took 4 µs and one 8
    assert row.numbers["waited_ns"] == 4_000
    # 8,040 bytes in 13 µs, times 2 · 3 / 4
    assert row.numbers["bus_bytes_per_s"] == pytest.approx(8_040 / 13e-6 * 1.5)
    assert Kind.ONE_KERNEL not in kinds(result)
    assert "Tune" not in row.do


@pytest.mark.parametrize(
    ("name", "ranks", "factor"),
    [("allreduce", 8, 1.75), ("_allgather_base", 8, 0.875), ("reduce_scatter", 2, 0.5),
     ("all_to_all", 4, 0.75), ("broadcast", 8, 1.0), ("allreduce", None, None), ("wait", 2, None)],
)  # fmt: skip
def test_bus_bandwidth_is_that_of_nccl_tests(
    name: str, ranks: int | None, factor: float | None
) -> None:
    assert bus_factor(name, ranks) == factor


# ---------------------------------------------------------------- kernels


def test_of_a_run_of_pointwise_kernels_the_longest_stays() -> None:
    trace = draw(
        """
        op        gggg.mmmm.cccc.aaaa.gggg.mmmm.......
        host      a....b....c....d....e....f...........
        stream 7  ....AAAAAAAAAAAABBBCCDDDDEEEEEEEEEEF.
        """,
        names={
            "g": "aten::mm", "m": "aten::mul", "c": "aten::copy_", "a": "aten::add",
            "A": "ampere_sgemm_128x64", "E": "ampere_sgemm_128x64",
            "B": "void at::native::vectorized_elementwise_kernel<4, Mul>",
            "C": "void at::native::elementwise_kernel<4, Copy>",
            "D": "void at::native::vectorized_elementwise_kernel<4, Add>",
            "F": "void at::native::vectorized_elementwise_kernel<4, Mul>",
        },
    )  # fmt: skip
    row = one(findings(trace), Kind.UNFUSED_ELEMENTWISE)
    # 3 + 2 + 4 in one run, of which 4 stay; F stands alone; 32 of kernel time in all
    assert row.saves_ns == 5_000
    assert row.number == pytest.approx(10 / 32)
    assert (row.numbers["in_runs"], row.numbers["runs"]) == (3, 1)


def test_no_run_reaches_from_one_step_into_the_next() -> None:
    picture = """
        mark      {marks}
        op        gggg.mmmm.cccc.aaaa.mmmm.....
        host      a....b....c....d....e........
        stream 7  ....AAAAAAABBBCCDDDDEEEE.....
        """
    names = {
        "g": "aten::mm", "A": "ampere_sgemm_128x64", "n": "decode", "o": "decode",
        **dict.fromkeys("mca", "aten::mul"),
        **dict.fromkeys("BCDE", "void at::native::vectorized_elementwise_kernel<4, Mul>"),
    }  # fmt: skip
    runs = {}
    for marks in ("nnnnnnnnnnnnnnnnnnnnnnnnnnn", "nnnnnnnnnnnnnnooooooooooooo"):
        trace = draw(picture.format(marks=marks), names=names)
        row = one(findings(trace), Kind.UNFUSED_ELEMENTWISE)
        runs[marks[-1]] = (row.numbers["runs"], row.numbers["in_runs"], row.saves_ns)
    # 3 + 2 + 4 + 4 in one step; in two, B and C (2 saved), D and E (4 saved)
    assert runs == {"n": (1, 4, 9_000), "o": (2, 4, 6_000)}


@pytest.mark.parametrize(
    ("copy", "runs"),
    [("Memcpy DtoD (Device -> Device)", (1, 4)), ("Memcpy DtoH (Device -> Pageable)", (2, 4))],
)
def test_no_run_reaches_over_a_copy_from_or_to_the_host(copy: str, runs: tuple[int, int]) -> None:
    trace = draw(
        """
        op        gggg.mmmm.cccc.y.aaaa.mmmm...
        host      a....b....c....x.d....e......
        stream 7  ....AAAAAAABBBCC.XDDDDEEEE...
        """,
        names={
            "g": "aten::mm", "A": "ampere_sgemm_128x64", "y": "aten::copy_",
            "x": "cudaMemcpyAsync", "X": copy,
            **dict.fromkeys("mca", "aten::mul"),
            **dict.fromkeys("BCDE", "void at::native::vectorized_elementwise_kernel<4, Mul>"),
        },
        kinds={"X": Cat.MEMCPY},
    )  # fmt: skip
    row = one(findings(trace), Kind.UNFUSED_ELEMENTWISE)
    assert (row.numbers["runs"], row.numbers["in_runs"]) == runs


def test_bmm_softmax_bmm_is_unfused_attention_and_is_in_no_run() -> None:
    trace = draw(
        """
        op        bbb.ddd.sss.bbb.
        host      a...c...e...f...
        stream 7  ..AAAACCCEEEEEFFFF
        """,
        names={
            "b": "aten::bmm", "d": "aten::div", "s": "aten::_softmax",
            "A": "ampere_bf16_gemm", "F": "ampere_bf16_gemm",
            "C": "void at::native::vectorized_elementwise_kernel<4, Div>",
            "E": "void (anonymous namespace)::softmax_warp_forward<float>",
        },
    )  # fmt: skip
    result = findings(trace)
    row = one(result, Kind.UNFUSED_ATTENTION)
    assert row.saves_ns == 8_000  # three of the division, five of the softmax
    assert row.number == pytest.approx(8 / 16)
    assert row.numbers["attentions"] == 1
    assert Kind.UNFUSED_ELEMENTWISE not in kinds(result)


def test_a_softmax_after_one_product_is_no_attention() -> None:
    trace = draw(
        "op bbb.sss.\nhost a...e...\nstream 7 ..AAAAEEEEE",
        names={"b": "aten::bmm", "s": "aten::_softmax", "A": "ampere_bf16_gemm",
               "E": "softmax_warp_forward"},
    )  # fmt: skip
    assert Kind.UNFUSED_ATTENTION not in kinds(findings(trace))


@pytest.mark.parametrize(
    "name",
    [
        "bmm_E4m3_E2m1E2m1_Fp32_t128x16x256_s6_et128x16_m128x16x64_cga1x1x1_16dp256b_swiGlu_dynBatch",
        "bmm_Bfloat16_MxE2m1MxE4m3_Fp32_t128x32x256u2_s4_et128x32",
        "_matmul_ogs_NNT_bf16xbf16xmxfp4_128x128x128x1_swiglu",
        "fused_moe_kernel",
        "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<GroupProblemShape<int>>>",
    ],
)
def test_grouped_gemms_of_experts_are_a_finding_of_their_own(name: str) -> None:
    trace = draw("host ab......\nstream 7 .AAABBBB", names={"A": "attn_fwd", "B": name})
    row = one(findings(trace), Kind.EXPERT_GEMM)
    assert row.number == pytest.approx(4 / 7)
    assert row.saves_ns is None


def test_time_that_another_stream_hides_is_not_alone() -> None:
    trace = draw("host ab....\nstream 7 .AAAA.\nstream 8 ...BBB")
    assert alone(trace).tolist() == [2_000, 1_000]


def test_dense_kernels_without_shapes_say_what_to_record() -> None:
    gemm = draw(
        "host ab......\nstream 7 .AAABBBB", names={"A": "ampere_sgemm", "B": "ampere_sgemm"}
    )
    result = findings(gemm)
    assert one(result, Kind.RECORD_MORE).number == 1.0
    assert result.largest[-1].kinds == (Kind.RECORD_MORE,)


# ---------------------------------------------------------------- tokens


def decoded(walls: list[int]) -> Trace:
    """A request with one decoded token of each length, in µs; each launches 2 µs of work."""
    slices, at = [Slice(0, 10_000, "tracekit::prefill", Cat.ANNOTATION)], 10_000
    start = at
    for i, wall in enumerate(walls):
        slices += [
            Slice(at, wall * 1000, f"tracekit::decode_step#{i + 1}", Cat.ANNOTATION),
            Slice(at + 1000, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=i + 1),
            Slice(at + 3000, 2000, "gemm", Cat.KERNEL, pid=0, device=0, stream=7,
                  correlation=i + 1),
        ]  # fmt: skip
        at += wall * 1000
    slices.append(Slice(start, at - start, "tracekit::decode", Cat.ANNOTATION))
    slices.append(Slice(0, at, "tracekit::sample#0", Cat.ANNOTATION, pid=PID))
    return build(slices)


def test_noise_makes_no_slow_token_and_an_outlier_does() -> None:
    noise = [100 + 5 * (i % 7) for i in range(40)]
    assert Kind.SLOW_TOKENS not in kinds(findings(decoded(noise)))
    noise[7] = noise[30] = 400
    assert one(findings(decoded(noise)), Kind.SLOW_TOKENS).numbers["count"] == 2


# ---------------------------------------------------------------- any trace


def states_its_numbers(row: Finding) -> None:
    """Each percentage, time, size and rate of the sentence is one of the finding's numbers."""
    text = re.sub(r"`[^`]*`|\b(?:at|in|where) (?:\w+::)?\S+ [\d×]+ in \w+", "", row.what)
    values = list(row.numbers.values())
    known = {share(v) for v in values} | {duration(v) for v in values}
    known |= {bytes_(v) for v in values} | {rate(v, "B/s") for v in values}
    unit = r"(?:%| (?:ns|µs|ms|s|min|h|B|KiB|MiB|GiB|[kMGTP]?B/s)\b)"
    # limits that a rule states are no measurements
    said = set(re.findall(rf"[<>]?\d[\d,.]*{unit}", text)) - {"1 ms", "100 µs"}
    assert said <= known, (row.what, said - known)


def check(trace: Trace, result: Findings) -> None:
    """No saving above its window; those of one device are no more than its idle or kernel time."""
    for row in result.rows:
        assert row.kind in Kind
        assert row.saves_share is None or 0 <= row.saves_share <= 1
        states_its_numbers(row)
    devices, kernels = catalog.ask(trace, Devices), None
    most = max(devices.rows, key=lambda row: row.window_ns).window_ns
    with suppress(MissingEventsError):
        most = max([most, *(total.wall_ns for total in catalog.ask(trace, Stages).totals)])
    assert all((row.saves_ns or 0) <= most for row in result.rows)
    idle, saved = Counter[Kind](), {row.kind: row.saves_ns or 0 for row in result.rows}
    idle.update({k: ns for k, ns in saved.items() if k in OF_IDLE})
    assert sum(idle.values()) <= devices.idle_ns - min(devices.suspect_ns, devices.idle_ns)
    if any(row.kernel_count for row in devices.rows):
        kernels = catalog.ask(trace, Kernels)
        claimed = sum(r.saves_ns or 0 for r in result.rows if r.kind in OF_KERNELS)
        assert claimed <= sum(phase.total_ns for phase in kernels.phases)
    for part in result.largest:
        assert bool(part.kinds) != bool(part.none_because)


@given(traces())
def test_no_nanosecond_is_claimed_twice(trace: Trace) -> None:
    try:
        result = catalog.ask(trace, Findings)
    except MissingEventsError:
        return
    if len(links.work(trace)):
        check(trace, result)


EXPECTED = {
    "hta_alexnet_a100": ([Kind.INITIALISATION], [Kind.LAUNCH_BOUND]),
    "tl_sglang_decode": ([Kind.MEMORY_BANDWIDTH], [Kind.LAUNCH_BOUND]),
    "tl_sglang_prefilldecode": ([Kind.GEMM, Kind.SATURATED], [Kind.LAUNCH_BOUND]),
    "tl_vllm_prefilldecode_piecewise": ([Kind.EXPERT_GEMM, Kind.SATURATED], [Kind.LAUNCH_BOUND]),
    "tl_h100_nsfw": ([Kind.LAUNCH_BOUND, Kind.GEMM], [Kind.SATURATED, Kind.ONE_KERNEL]),
    "tl_h100_qwen15_05b": ([Kind.UNFUSED_ELEMENTWISE], [Kind.LAUNCH_BOUND]),
    "tl_mi300_nsfw": ([Kind.LAUNCH_BOUND, Kind.LAUNCH_LATENCY], [Kind.SATURATED]),
    "tl_mi300_normalization": ([Kind.INITIALISATION], [Kind.LAUNCH_BOUND]),
    "tl_mi300_resnet_act_checkpoint": ([Kind.COLLECTIVE], [Kind.ONE_KERNEL]),
    "tl_mi300_torch_compile_triton": ([Kind.GEMM, Kind.ATTENTION, Kind.SATURATED], []),
    "hta_nccl_ddp_a100": ([Kind.HOST_WORK, Kind.COLLECTIVE], [Kind.ONE_KERNEL]),
    "hta_sampled_rank0": ([Kind.COLLECTIVE], [Kind.ONE_KERNEL, Kind.UNFUSED_ELEMENTWISE]),
    "kin_resnet50_v100_2021_06_w0": ([Kind.DATA_LOADING], [Kind.LAUNCH_BOUND]),
    "amd_mi250_minitoy_train": ([Kind.INITIALISATION], []),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_real_traces_say_first_what_someone_who_knows_the_system_would(name: str) -> None:
    trace = loaded(name)
    result = findings(trace)
    has, lacks = EXPECTED[name]
    assert result.rows[0].kind is has[0]
    assert set(has) <= set(kinds(result))
    assert not set(lacks) & set(kinds(result))
    check(trace, result)
    assert not [r for r in result.rows if r.number > 0.9 and r.kind is Kind.HOST_SYNC]


def test_the_first_screen_leads_with_the_idle_time_between_steps() -> None:
    """Ten replays of 2 columns, 8 columns apart: idle for 72 of 92 columns between, 0 inside."""
    trace = draw(
        f"""
        mark      {"dd........" * 10}
        host      {"".join(f"{a}........." for a in "abcdefghjk")}
        stream 7  {"".join(f".{a}{a}......." for a in "ABCDEFGHJK")}
        """,
        names={"d": "step[DECODE bs=4]"},
        column_ns=100_000,
    )
    said = next(text for text in overview(engine.of_trace(trace)).limits if "Decode" in text)
    assert said.startswith("Decode: GPU idle for 78.3% of the device window between steps; inside")


def test_a_decode_without_shapes_is_judged_by_the_weights_of_a_prefill_beside_it() -> None:
    """4096 → 6144, 4096 → 4096, 4096 → 24576, 12288 → 4096 in 36 layers and the head: 15.1 GB."""
    names = ("tl_sglang_prefilldecode", "tl_sglang_decode")
    # without the capture that lies beside the decode and says its shapes
    many = [engine.of_trace(loaded(n), ["roles"]) for n in names]
    both = [Side(n, one, run_facts.about(one.source)) for n, one in zip(names, many, strict=True)]
    (said,) = pairs.sentences(both)
    assert "reach 49.4% of the memory bandwidth" in said  # 15.136e9 / 5.3e12 in 5.782 ms
    assert not list(pairs.sentences(both[1:] * 2))


def test_launches_without_work_of_a_device_say_what_to_record() -> None:
    trace = draw(
        "mark ssssss\nop oooooo\nhost .a.b..",
        names={"s": "## forward ##", "a": "cudaLaunchKernel", "b": "cudaLaunchKernel"},
    )
    assert one(findings(trace), Kind.RECORD_MORE).numbers["launches"] == 2


def test_shapes_of_a_device_without_a_datasheet_are_not_called_missing() -> None:
    """A V100 of a DGX Station: all GEMMs have shapes, and no peak is known."""
    gemms = catalog.ask(loaded("kin_resnet50_v100_2021_06_w0"), Findings).largest[-1]
    assert (gemms.name, gemms.kinds) == ("gemm", ())
    assert gemms.none_because is not None
    assert gemms.none_because.startswith("Its shapes are in the file")


@pytest.mark.parametrize(("us", "told"), [(100, True), (10, False)])
def test_of_a_cpu_the_time_outside_ops_of_a_short_stage_is_not_said(us: int, told: bool) -> None:
    """A load that is outside of ops for all of its 100 or 10 µs, and a decode of 900 µs in ops."""
    result = findings(build([
        Slice(0, us * 1_000, "tracekit::load", Cat.ANNOTATION),
        Slice(us * 1_000, 900_000, "tracekit::decode", Cat.ANNOTATION),
        Slice(us * 1_000, 900_000, "aten::mm", Cat.CPU_OP),
    ]))  # fmt: skip
    assert (Kind.RECORD_MORE in kinds(result)) is told
    assert Kind.LARGEST_STAGE in kinds(result)
