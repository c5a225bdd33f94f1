"""What holds the host, in programs that are run on a drawn machine: waits, loads, first calls."""

import pytest
from tracekit.analyses.findings.analysis import findings
from tracekit.analyses.idle.analysis import idle

from tests.program import Program
from tracekit.answers.findings import Finding
from tracekit.taxonomy import FindingKind as Kind
from tracekit.trace.trace import Cat


def rows(program: Program) -> dict[Kind, Finding]:
    return {row.kind: row for row in findings(program.trace()).rows}


def layers(program: Program, count: int, kernel_us: float) -> None:
    for i in range(count):
        program.launch(f"gemm_{i % 4}", kernel_us, op="aten::mm", op_us=4)


# ---------------------------------------------------------------- waits


def decoding(after_us: float, marker: str, *, open_marker: bool = True) -> Program:
    """Twelve tokens: 20 kernels of 30 µs launched in 160 µs, `.item()`, then work of the host."""
    program = Program()
    for token in range(12):
        with program.mark(marker.format(token)):
            layers(program, 20, 30)
            program.item()
            if open_marker:
                program.busy(after_us)
        if not open_marker:
            program.busy(after_us)
    return program


@pytest.mark.parametrize("open_marker", [True, False])
@pytest.mark.parametrize(
    ("marker", "other"),
    [("step[DECODE bs=1]", Kind.BETWEEN_STEPS), ("decode_step", Kind.BETWEEN_STEPS),
     ("execute_context_0(0)_generation_1(1)", Kind.BETWEEN_STEPS),
     ("ProfilerStep#{}", Kind.HOST_WORK)],
)  # fmt: skip
def test_a_sync_a_token_saves_what_the_host_waited_for_and_the_rest_is_the_hosts_work(
    marker: str, other: Kind, open_marker: bool
) -> None:
    found = rows(decoding(600, marker, open_marker=open_marker))
    sync, late = found[Kind.HOST_SYNC], found[other]
    # a gap: 4 µs until the wait returns, 600, and 4 and 6 until the next kernel begins (2 of them
    # the device's own). Without the wait of 451 µs the next launch comes that much earlier.
    assert sync.numbers["after_ns"] == pytest.approx(11 * 451_000, rel=0.01)
    assert late.numbers["idle_ns"] == 11 * 608_000
    assert sync.saves_at_most_ns is not None
    assert late.saves_at_most_ns is not None
    assert sync.saves_at_most_ns + late.saves_at_most_ns == 11 * 612_000
    assert "`cudaStreamSynchronize`, in `aten::item`" in sync.what
    assert "11 waits" in sync.what
    assert f"after them, in what `{other}` tells" in sync.what
    assert "`host_sync` counts that" in late.what


def test_host_work_that_a_wait_alone_exposes_is_the_waits() -> None:
    found = rows(decoding(200, "decode_step"))
    assert found[Kind.HOST_SYNC].saves_at_most_ns == 11 * 212_000
    assert Kind.BETWEEN_STEPS not in found  # it would run beside the kernels
    assert "tells" not in found[Kind.HOST_SYNC].what


@pytest.mark.parametrize(("others", "kinds"), [(4, ()), (0, (Kind.HOST_SYNC,))])
def test_a_wait_speaks_of_gaps_that_mostly_come_after_it_and_of_no_others(
    others: int, kinds: tuple[Kind, ...]
) -> None:
    """Short gaps: one that 30 µs after a wait of 40 end, and others of 90 that none precedes."""
    program = Program()
    for _ in range(1 + others):
        program.launch("gemm", 5, op="aten::mm", op_us=90)
    program.launch("gemm", 45, op="aten::mm", op_us=1)
    program.wait()
    program.launch("gemm", 5, op="aten::mm", op_us=30)
    found = findings(program.trace())
    assert [row.kind for row in found.rows][:1] == [Kind.HOST_SYNC]
    assert found.largest[0].name == "short_host_gaps"
    assert found.largest[0].kinds == kinds


def test_work_of_the_host_without_a_wait_is_its_own() -> None:
    program = Program()
    for token in range(12):
        with program.mark(f"step[DECODE bs={token}]"):
            layers(program, 20, 5)
            program.busy(600)
    found = rows(program)
    assert Kind.HOST_SYNC not in found
    assert found[Kind.BETWEEN_STEPS].saves_ns == found[Kind.BETWEEN_STEPS].numbers["idle_ns"]


def test_a_copy_to_pageable_memory_whose_launch_returns_when_it_is_done_is_a_wait() -> None:
    program = Program()
    for _ in range(12):
        layers(program, 10, 40)
        with program.slice("aten::to"):
            program.busy(1)
            begin = program.now
            program.launch("Memcpy DtoH (Device -> Pageable)", 30, call="cudaMemcpyAsync",
                           call_us=480 - (program.now - begin), cat=Cat.MEMCPY)  # fmt: skip
        program.busy(300)
    found = rows(program)
    assert "`cudaMemcpyAsync`, in `aten::to`" in found[Kind.HOST_SYNC].what
    assert Kind.HOST_WORK not in found


def test_a_copy_that_holds_its_call_until_its_last_bytes_saves_its_own_time() -> None:
    program = Program()
    for _ in range(8):
        program.launch("Memcpy HtoD (Pageable -> Device)", 500, call="cudaMemcpyAsync",
                       call_us=480, cat=Cat.MEMCPY)  # fmt: skip
        layers(program, 10, 40)
        program.busy(400)
    copy = rows(program)[Kind.COPY]
    # the host would be free without it: a replay whose call takes its 480 µs would save nothing
    assert copy.replayed is None
    assert copy.saves_ns == copy.saves_at_most_ns == 8 * 500_000


# ---------------------------------------------------------------- first calls


def stepped(first: str) -> Program:
    """Six steps; the first does what is named."""
    program = Program()
    for number in range(6):
        with program.mark(f"ProfilerStep#{number}"):
            program.launch("embed", 20, op="aten::embedding", op_us=10)
            if number == 0:
                _first(program, first)
            else:
                with program.slice("Torch-Compiled Region: 0/0"):
                    program.busy(50)
                    layers(program, 10, 50)
                program.launch("flash_fwd", 100, op="flash_attn::_flash_attn_forward", op_us=10)
    return program


def _first(program: Program, what: str) -> None:
    if what == "compiled region":
        with program.slice("Torch-Compiled Region: 0/0"):
            program.busy(2_000_000)
            layers(program, 10, 50)
    elif what == "libraries":
        with program.slice("aten::mm"):
            program.busy(5)
            for _ in range(30):
                program.call("cuLibraryLoadData", 60)
            program.launch("gemm", 50)
    elif what == "op":
        with program.slice("flash_attn::_flash_attn_forward"):
            program.busy(1_500_000)
            program.launch("flash_fwd", 100)
    elif what == "communicator":
        with program.slice("c10d::allreduce_"):
            program.busy(1_200_000)
            program.launch("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 100)
    else:
        for _ in range(3_000):
            with program.slice("aten::empty"):
                program.busy(1)
                program.call("cudaMalloc", 20)
        program.launch("gemm", 20, op="aten::mm", op_us=5)


@pytest.mark.parametrize(
    ("what", "kind", "ms", "said"),
    [
        ("compiled region", Kind.INITIALISATION, 2_000, "`Torch-Compiled Region: 0/0`"),
        ("libraries", Kind.INITIALISATION, 1.79, "`cuLibraryLoadData`, in `aten::mm`"),
        ("op", Kind.INITIALISATION, 1_500, "`flash_attn::_flash_attn_forward`"),
        ("communicator", Kind.INITIALISATION, 1_200, "`c10d::allreduce_`"),
        ("allocations", Kind.ALLOCATION, 60, "`cudaMalloc`, in `aten::empty`"),
    ],
)
def test_what_runs_for_the_first_time_is_named_and_hides_no_step(
    what: str, kind: Kind, ms: float, said: str
) -> None:
    found = rows(stepped(what))
    row = found[kind]
    assert row.numbers["idle_ns"] == pytest.approx(ms * 1e6, rel=0.02)
    assert said in row.what
    assert "in the first of 6 instances of ProfilerStep" in row.what
    assert Kind.HOST_WORK not in found
    assert Kind.COMPILED not in found
    assert "warm up" in row.do


def test_the_count_of_calls_is_theirs_and_not_that_of_gaps() -> None:
    program = Program()
    for _ in range(2):
        program.launch("gemm", 20, op="aten::mm", op_us=5)
        with program.slice("torch/cuda/memory.py(170): empty_cache", Cat.PYTHON):
            for _ in range(500):
                program.call("cudaFree", 20)
    (reason,) = [r for r in idle(program.trace()).reasons if r.reason == "allocation"]
    # the first of them runs beside the kernel
    assert (reason.count, reason.holders[0].name, reason.holders[0].calls) == (1, "cudaFree", 499)
    assert "`cudaFree`" in rows(program)[Kind.ALLOCATION].what


def test_an_op_that_is_long_each_time_is_no_first_call() -> None:
    program = Program()
    for _ in range(4):
        program.launch("resize", 50, op="aten::_upsample_bicubic2d_aa", op_us=20_000)
    found = rows(program)
    assert Kind.INITIALISATION not in found
    assert "`aten::_upsample_bicubic2d_aa`" in found[Kind.HOST_WORK].what


@pytest.mark.parametrize(
    "name",
    ["compile_fx_inner", "torch._inductor.compile_fx", "inductor::compile", "dynamo_compile",
     "entire_frame_compile (dynamo_timed)", "torch/_inductor/async_compile.py(400): wait"],
)  # fmt: skip
def test_compiling_by_any_of_its_names_is_setting_up(name: str) -> None:
    program = Program()
    for step in range(3):
        if step == 0:
            program.launch("gemm", 20, op="aten::mm")
            with program.slice(name, Cat.PYTHON if "(4" in name else Cat.ANNOTATION):
                program.busy(900_000)
        layers(program, 10, 50)
    found = rows(program)
    assert found[Kind.INITIALISATION].numbers["idle_ns"] == pytest.approx(900e6, rel=0.01)
    assert Kind.HOST_WORK not in found


def test_guards_of_each_step_are_overhead_and_no_compilation() -> None:
    program = Program()
    for _ in range(10):
        with program.slice("Torch-Compiled Region: 0/0"):
            program.busy(800)
            layers(program, 5, 50)
    found = rows(program)
    assert Kind.INITIALISATION not in found
    assert found[Kind.COMPILED].numbers["idle_ns"] > 9 * 500_000


def request(preprocess_us: float) -> Program:
    """Pictures are resized on the host, then encoded, and a first token is made, on the device."""
    program = Program()
    with program.mark("tracekit::sample#0"):
        with program.mark("tracekit::preprocess"):
            program.op("aten::_upsample_bicubic2d_aa", preprocess_us)
        for stage in ("encode", "prefill"):
            with program.mark(f"tracekit::{stage}"):
                layers(program, 50, 100)
                program.item()
    return program


def test_a_stage_on_the_host_before_the_first_work_is_said_and_named() -> None:
    row = rows(request(80_000))[Kind.HOST_WORK]
    # 80 ms of it and of two stages of 5 ms; in no window of a device
    assert (row.number, row.saves_ns) == (pytest.approx(80 / 90, abs=0.01), None)
    assert "`aten::_upsample_bicubic2d_aa` (80.0 ms)" in row.what
    assert Kind.HOST_WORK not in rows(request(2_000))
