"""Which kind of cause a gap of the device has, by the names that programs and libraries use."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tracekit.analyses.findings.analysis import findings

from tests.drawing import Slice, build
from tests.program import Program
from tracekit.answers.findings import Findings
from tracekit.taxonomy import FindingKind as Kind
from tracekit.trace.trace import Cat

LAYER = [("paged_attention_v2", 29.0), ("gemm_kernel", 29.0)]


def share(result: Findings, kind: Kind) -> float:
    return max((row.number for row in result.rows if row.kind is kind), default=0.0)


def said(run: Callable[[Program, int], None], times: int = 12) -> Findings:
    program = Program()
    for number in range(times):
        run(program, number)
    return findings(program.trace())


def nothing_beside(result: Findings, kind: Kind) -> None:
    kinds = {row.kind for row in result.rows}
    assert kind in kinds
    assert not kinds & ({Kind.LAUNCH_BOUND, Kind.HOST_WORK, Kind.BETWEEN_STEPS} - {kind})


# what engines and programs call one pass of the model; "" marks nothing
STEPS = (
    "", "execute_context_0(0)_generation_32(32)", "execute_new_0_cached_32", "step[DECODE bs=32]",
    "gpu_model_runner: forward", "[Executor] _forward_step 12: 0 ctx reqs, 0 ctx tkns, 3 gen reqs",
    "generate_token", "engine.step", "model_forward", "denoise",
)  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "call"), [*((mark, "cudaGraphLaunch") for mark in STEPS), (STEPS[1], "hipGraphLaunch")]
)
def test_time_between_graphs_of_a_step_is_between_steps(mark: str, call: str) -> None:
    def step(program: Program, _number: int) -> None:
        if mark:
            with program.mark(mark):
                program.graph(LAYER * 14, call=call)
        else:
            program.graph(LAYER * 14, call=call)
        program.busy(2_000)  # 812 µs of which the device works

    result = said(step)
    nothing_beside(result, Kind.BETWEEN_STEPS)
    assert share(result, Kind.BETWEEN_STEPS) == pytest.approx(0.58, abs=0.03)


@pytest.mark.parametrize("mark", STEPS[1:])
def test_time_between_eager_steps_is_between_steps(mark: str) -> None:
    def step(program: Program, _number: int) -> None:
        with program.mark(mark):
            for _ in range(10):
                program.launch("gemm_kernel", 40, op="aten::mm", op_us=4)
        program.busy(1_500)

    nothing_beside(said(step), Kind.BETWEEN_STEPS)


def test_the_parts_that_vllm_marks_are_one_step() -> None:
    """The copy before and the sampling after the graph belong to it."""

    def step(program: Program, _number: int) -> None:
        with program.mark("gpu_model_runner: preprocess"):
            program.launch("Memcpy HtoD (Pinned -> Device)", 5, call="cudaMemcpyAsync",
                           cat=Cat.MEMCPY)  # fmt: skip
        with program.mark("gpu_model_runner: forward"):
            program.graph(LAYER * 12)
        with program.mark("gpu_model_runner: sample"):
            for _ in range(4):
                program.launch("softmax_warp_forward", 7, op="aten::softmax", op_us=4)
        program.busy(1_500)

    nothing_beside(said(step), Kind.BETWEEN_STEPS)


def test_marks_of_layers_and_of_the_parts_of_a_training_step_are_no_steps() -> None:
    def part(program: Program, name: str) -> None:
        with program.mark(name):
            for _ in range(8):
                program.launch("gemm_kernel", 30, op="aten::mm", op_us=4)
            program.busy(600)

    layers = said(lambda program, _number: part(program, "decoder_layer"))
    parts = said(lambda program, n: part(program, ("forward", "backward", "optimizer")[n % 3]))
    for result in (layers, parts):
        nothing_beside(result, Kind.HOST_WORK)


def test_pieces_of_a_step_with_attention_between_them_are_no_steps() -> None:
    def piece(program: Program, _number: int) -> None:
        program.graph([("gemm_kernel", 29.0)] * 10)
        program.launch("flash_fwd_splitkv", 60)
        program.busy(900)

    assert Kind.BETWEEN_STEPS not in {row.kind for row in said(piece).rows}


LOADERS = (
    ("enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", Cat.ANNOTATION),
    ("[pl][profile]run_training_epoch.get_train_batch", Cat.ANNOTATION),
    ("load_data", Cat.ANNOTATION), ("get_batch", Cat.ANNOTATION), ("data_prefetch", Cat.ANNOTATION),
    ("batch-generator", Cat.ANNOTATION), ("train.py(30): load_batch", Cat.PYTHON),
    ("datasets/arrow_dataset.py(2700): __getitem__", Cat.PYTHON),
    ("PIL/Image.py(3200): open", Cat.PYTHON), ("pandas/io/parsers/readers.py(9): f", Cat.PYTHON),
    ("nvidia/dali/plugin/pytorch/__init__.py(2): __next__", Cat.PYTHON),
    ("h5py/_hl/dataset.py(760): __getitem__", Cat.PYTHON),
    ("numpy/lib/_npyio_impl.py(300): load", Cat.PYTHON),
)  # fmt: skip


def held(name: str, cat: Cat, times: int = 8) -> Findings:
    def step(program: Program, number: int) -> None:
        with program.mark(f"ProfilerStep#{number}"):
            with program.slice(name, cat):
                program.busy(2_000)
            for _ in range(15):
                program.launch("gemm_kernel", 40, op="aten::mm", op_us=3)

    return said(step, times)


@pytest.mark.parametrize(("name", "cat"), LOADERS)
def test_whatever_reads_samples_is_data_loading(name: str, cat: Cat) -> None:
    result = held(name, cat)
    nothing_beside(result, Kind.DATA_LOADING)
    assert share(result, Kind.DATA_LOADING) > 0.5
    (row,) = (row for row in result.rows if row.kind == Kind.DATA_LOADING)
    assert f"in {row.numbers['held_1_count']:.0f} stretches)" in row.what  # calls are not counted


@pytest.mark.parametrize(
    "name",
    ["sglang/srt/managers/scheduler.py(700): get_next_batch_to_run",
     "sglang/srt/managers/scheduler.py(90): get_new_batch_prefill", "app.py(3): read_metadata"],
)  # fmt: skip
def test_an_engine_that_schedules_requests_loads_no_data(name: str) -> None:
    nothing_beside(held(name, Cat.PYTHON), Kind.HOST_WORK)


@pytest.mark.parametrize(
    ("op", "kernel"),
    [("aten::cudnn_convolution", "implicit_convolve_sgemm"), ("c10d::allreduce_", "ncclDevKernel")],
)
def test_an_op_of_a_second_that_is_called_once_sets_something_up(op: str, kernel: str) -> None:
    program = Program()
    program.launch("gemm_kernel", 20, op="aten::mm")
    program.launch(kernel, 20, op=op, op_us=1_000_000)
    for _ in range(100):
        program.launch("gemm_kernel", 40, op="aten::mm", op_us=3)
    result = findings(program.trace())
    nothing_beside(result, Kind.INITIALISATION)
    assert share(result, Kind.INITIALISATION) > 0.9


def test_gaps_inside_a_graph_do_not_hide_that_the_gpu_is_saturated() -> None:
    """Kernels of 9 µs with 1 µs between them in graphs that are launched ahead."""
    program = Program()
    for _ in range(6):
        program.graph([("gemm_kernel", 9.0)] * 60)
    slices, at = [], 0
    for one in program.slices:
        if one.cat is Cat.KERNEL:
            at += 10_000
            slices.append(replace(one, ts=at))
        else:
            slices.append(one)
    program.slices = slices
    (row,) = [r for r in findings(program.trace()).rows if r.kind is Kind.SATURATED]
    assert row.number == pytest.approx(0.9, abs=0.005)
    assert row.numbers["within_graph_ns"] == pytest.approx(6 * 59 * 1_000, rel=0.01)
    assert "of it lies between two kernels of one graph" in row.what


def test_one_long_hole_among_many_short_gaps_of_a_graph_is_said_for_itself() -> None:
    """20 kernels 3 µs apart and a hole of 400 µs: on average a gap lasts 23 µs."""
    work = [Slice(100_000 + 13_000 * k + 397_000 * (k > 9), 10_000, "k", Cat.KERNEL, device=0,
                  stream=7, correlation=1) for k in range(20)]  # fmt: skip
    call = Slice(0, 20_000, "cudaGraphLaunch", Cat.RUNTIME, correlation=1)
    (row,) = [r for r in findings(build([call, *work])).rows if r.kind == Kind.RECORD_MORE
              and "one graph launch" in r.what]  # fmt: skip
    assert (row.numbers["stretches"], row.numbers["idle_ns"]) == (1, 400_000)
    assert row.number == pytest.approx(400 / 654)


@pytest.mark.parametrize(("copied_us", "kind"), [(4_000, Kind.HOST_SYNC), (3, Kind.INITIALISATION)])
def test_a_first_copy_blocks_where_the_device_works_meanwhile_and_else_sets_up(
    copied_us: int, kind: Kind
) -> None:
    """A call of 5.9 ms that is the only one of its name, and the host idle for 0.6 ms after it."""

    def gpu(ts: int, dur: int, name: str, cat: Cat, link: int) -> Slice:
        return Slice(ts * 1_000, dur * 1_000, name, cat, device=0, stream=7, correlation=link)

    def call(ts: int, dur: int, name: str, link: int) -> Slice:
        return Slice(ts * 1_000, dur * 1_000, name, Cat.RUNTIME, correlation=link)

    done = findings(build([
        call(10, 5, "cudaLaunchKernel", 1), gpu(20, 100, "gemm1", Cat.KERNEL, 1),
        Slice(30_000, 6_000_000, "aten::copy_", Cat.CPU_OP),
        call(40, 5_860, "cudaMemcpyAsync", 2),
        gpu(5_020 - copied_us, copied_us, "Memcpy DtoH (Device -> Pageable)", Cat.MEMCPY, 2),
        call(6_500, 5, "cudaLaunchKernel", 3), gpu(6_510, 5_000, "gemm2", Cat.KERNEL, 3),
    ]))  # fmt: skip
    assert [row.kind for row in done.rows].count(kind) == 1
    assert not {row.kind for row in done.rows} & ({Kind.HOST_SYNC, Kind.INITIALISATION} - {kind})
