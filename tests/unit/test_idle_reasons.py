"""The reason of every idle nanosecond: what would have to change, and what held the host."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from tracekit.analyses.idle.analysis import idle

from tests.drawing import Slice, build, draw
from tests.program import Program
from tests.random_traces import traces
from tests.real import loaded
from tracekit.answers.idle import IdleTime
from tracekit.attribution import links
from tracekit.attribution.reasons import holders
from tracekit.attribution.reasons.rows import IdleReason
from tracekit.results.catalog import ask
from tracekit.trace.trace import Cat, Trace


def by_reason(result: IdleTime, device: int = 0) -> Mapping[str, int]:
    sums: dict[str, int] = {}
    for row in result.reasons:
        if row.device == device:
            sums[row.reason] = sums.get(row.reason, 0) + row.ns
    return sums


def of(result: IdleTime, reason: str) -> IdleReason:
    (row,) = [row for row in result.reasons if row.reason == reason]
    return row


def conserved(result: IdleTime) -> None:
    for device in {row.device for row in result.rows}:  # ranks of one file may share a number
        idle_ns = sum(row.idle_ns for row in result.rows if row.device == device)
        assert sum(by_reason(result, device).values()) == idle_ns


@given(traces())
def test_the_reasons_of_each_device_add_up_to_its_idle_time(trace: Trace) -> None:
    if len(links.work(trace)):
        conserved(ask(trace, IdleTime))


@pytest.mark.parametrize(
    "name", ["hta_nccl_ddp_a100", "hta_sampled_rank0", "tl_h100_nsfw", "tl_sglang_decode"]
)
def test_the_reasons_of_a_real_trace_add_up_to_its_idle_time(name: str) -> None:
    conserved(idle(loaded(name)))


def test_a_wait_of_no_length_leads_to_no_idle_time() -> None:
    conserved(
        idle(
            build([
                Slice(0, 1, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
                Slice(5, 10, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
                Slice(15, 0, "cudaStreamSynchronize", Cat.RUNTIME, correlation=3),
                Slice(20, 1, "cudaLaunchKernel", Cat.RUNTIME, correlation=2),
                Slice(30, 10, "k", Cat.KERNEL, 7, 0, 0, 7, 2),
            ])
        )
    )  # fmt: skip


def test_many_short_launches_that_the_device_waits_for_are_launches() -> None:
    result = idle(
        draw(
            """
            host      a...b...c...d...e...f...g...h.
            stream 7  .A...B...C...D...E...F...G...H
            """
        )
    )
    assert by_reason(result) == {"launches": 21_000}  # seven gaps of three
    assert of(result, "launches").count == 7


def test_kernels_whose_duration_is_rounded_to_nothing_end_launches_and_no_host_work() -> None:
    """Clocks of whole microseconds: of four fills, each launched 40 µs after the last, three are 0.

    Between two that last there are 160 µs, and four launches.
    """
    program = Program()
    for number in range(40):
        program.launch("fill", 1 if number % 4 == 0 else 0, op="aten::zero_", op_us=36)
    result = idle(program.trace())
    reasons = by_reason(result)
    assert reasons.get("host_work", 0) == 0
    assert reasons["launches"] > 0.9 * sum(reasons.values())
    conserved(result)


def test_a_kernel_without_duration_beside_long_work_of_the_host_makes_it_no_launch() -> None:
    program = Program()
    for number in range(40):
        program.launch("fill", number % 2, op="aten::zero_", op_us=36)
        if number % 2:
            program.op("aten::sort", 900)
    reasons = by_reason(idle(program.trace()))
    assert reasons["host_work"] > 0.9 * sum(reasons.values())


def test_after_a_launch_whose_work_is_lost_nobody_knows_why_the_device_waited() -> None:
    """C and D are lost: until the launch of C the host had not asked, then the device may work."""
    result = idle(
        draw(
            """
            host      a....c.d......b
            stream 7  .AA............BB
            """,
            names={"a": "cudaLaunchKernel", "b": "cudaLaunchKernel", "c": "cudaLaunchKernel",
                   "d": "cudaLaunchKernel"},
        )
    )  # fmt: skip
    assert by_reason(result) == {"short_host_gaps": 2_000, "launches_without_work": 10_000}


def test_the_same_gaps_with_seven_launches_follow_no_pace() -> None:
    result = idle(
        draw(
            """
            host      a...b...c...d...e...f...g.
            stream 7  .A...B...C...D...E...F...G
            """
        )
    )
    assert by_reason(result) == {"short_host_gaps": 18_000}


def test_one_op_that_holds_the_host_is_no_launch_overhead_and_is_named() -> None:
    result = idle(
        draw(
            """
            op        ........rrrrrrrr..
            host      abcdefghi......j..
            stream 7  .ABCDEFGHI......J.
            """,
            names={"r": "aten::_upsample_bicubic2d_aa"},
            column_ns=100_000,
        )
    )
    # from the end of I at 10 to the start of the launch at 15, and the launch itself
    assert by_reason(result) == {"host_work": 600_000}
    (holder,) = of(result, "host_work").holders
    assert (holder.name, holder.op, holder.ns) == (
        "aten::_upsample_bicubic2d_aa", "aten::_upsample_bicubic2d_aa", 600_000,
    )  # fmt: skip


def test_the_line_of_the_programs_own_code_is_named_and_not_that_of_a_library() -> None:
    result = idle(
        draw(
            """
            python    mmmmmmmmmmmmmmmmmmm
            python    .ppppppppppppppp...
            python    .rrrrrrrrrrrrrr....
            host      a................b.
            stream 7  .A................B
            """,
            names={
                "m": "<string>(1): <module>",
                "p": "/home/me/app/serve.py(41): prepare",
                "r": "/usr/lib/python3/site-packages/transformers/image_transforms.py(312): resize",
            },
            column_ns=1_000_000,
        )
    )
    row = of(result, "host_work")
    (holder,) = row.holders
    assert holder.frame == "app/serve.py:41 prepare"
    assert holder.library == "transformers/image_transforms.py:312 resize"
    assert row.ns == 15_000_000  # the launch itself is a second
    assert (holder.ns, holder.count) == (13_000_000, 1)  # of it in `resize`


@pytest.mark.parametrize(
    ("call", "long", "reason"),
    [
        ("cudaStreamSynchronize", 3, "host_sync"),
        ("cudaMemcpy", 3, "host_sync"),
        ("hipMalloc", 3, "allocation"),
        ("cudaHostAlloc", 3, "allocation"),
        ("cudaFree", 30, "initialisation"),  # 30 ms with an idle device: it makes a context
        ("cudaFree", 8, "allocation"),
        ("cuModuleLoadData", 3, "initialisation"),
        ("cudaStreamGetPriority", 3, "initialisation"),  # at its first use
    ],
)
def test_a_call_that_holds_the_host_is_named_by_what_it_does(
    call: str, long: int, reason: str
) -> None:
    trace = draw(
        f"""
        op        ..{"o" * (long + 1)}..
        host      a.{"s" * long}.b..
        stream 7  .A{"." * (long + 2)}B
        """,
        names={"s": call, "o": "aten::index"},
        column_ns=1_000_000,
    )
    result = idle(trace)
    assert by_reason(result)[reason] >= long * 1_000_000
    (holder, *_) = of(result, reason).holders
    assert (holder.name, holder.op) == (call, "aten::index")


def test_the_first_launch_of_a_kernel_that_takes_long_loads_it_and_the_second_does_not() -> None:
    trace = draw(
        """
        host      abbbb...ddddd
        stream 7  .A...BBB.....D
        """,
        names={"B": "gemm", "D": "gemm"},
        column_ns=1_000_000,
    )
    # b from 2 to 5, d from 8 to 13
    assert by_reason(idle(trace)) == {"initialisation": 3_000_000, "host_work": 5_000_000}


def test_time_between_the_steps_of_an_engine_is_the_runs() -> None:
    trace = draw(
        """
        mark      ee........ff........gg....
        python    ..ssssssss..ssssssss......
        host      a.........b.........c.....
        stream 7  .AAAA......BBBB......CCCC.
        """,
        names={
            "e": "execute_context_0(0)_generation_8(8)",
            "f": "execute_context_0(0)_generation_7(7)",
            "g": "execute_context_0(0)_generation_6(6)",
            "s": "scheduler.py(3): schedule",
        },
        column_ns=100_000,
    )
    result = idle(trace)
    assert by_reason(result) == {"between_steps": 1_200_000}  # twice from 5 to 11
    (holder,) = of(result, "between_steps").holders
    assert (holder.frame, holder.count) == ("scheduler.py:3 schedule", 2)


def graphs(nodes: int, steps: int = 0) -> Trace:
    """Five graph launches of so many kernels of 1 µs, one each millisecond, in so many steps."""
    slices = [
        Slice(i * (5_000_000 // steps), 5_000_000 // steps, f"ProfilerStep#{i}", Cat.ANNOTATION)
        for i in range(steps)
    ]
    for step in range(5):
        at = step * 1_000_000
        slices.append(Slice(at, 5_000, "cudaGraphLaunch", Cat.RUNTIME, correlation=step))
        slices += [
            Slice(at + 5_000 + i * 1_000, 1_000, "gemm", Cat.KERNEL, pid=0, device=0, stream=7,
                  correlation=step)
            for i in range(nodes)
        ]  # fmt: skip
    return build(slices)


def test_without_annotations_a_graph_of_a_whole_step_is_a_step_and_one_of_a_piece_is_not() -> None:
    # from the last kernel of a step to the first of the next
    assert by_reason(idle(graphs(60))) == {"between_steps": 4 * 940_000}
    assert by_reason(idle(graphs(8))) == {"host_work": 4 * 992_000}
    # a small one is a step where each ProfilerStep has one of it
    assert by_reason(idle(graphs(8, steps=5))) == {"between_steps": 4 * 992_000}
    assert by_reason(idle(graphs(8, steps=2))) == {"host_work": 4 * 992_000}


def test_a_pipeline_of_two_devices_takes_turns() -> None:
    trace = draw(
        """
        host                abcd..........
        device 0 stream 7   .AA..CC..
        device 1 stream 7   ...BB..DD
        """
    )
    result = idle(trace)
    assert by_reason(result, 0) == {"other_device": 2_000}
    assert by_reason(result, 1) == {"other_device": 2_000}
    conserved(result)


def test_what_was_launched_long_before_and_did_not_begin_is_not_in_the_file() -> None:
    trace = draw("host ab......\nstream 7 .A....B", column_ns=1_000_000)
    assert by_reason(idle(trace)) == {"work_not_in_file": 4_000_000}


def test_guards_of_a_compiled_region_are_its_overhead() -> None:
    trace = draw(
        """
        op        a.gggggggggg....
        host      a............b..
        stream 7  .A............B.
        """,
        names={"g": "TorchDynamo Cache Lookup"},
        column_ns=100_000,
    )
    found = by_reason(idle(trace))
    assert found["compiled_region_overhead"] == 1_000_000
    assert found["host_work"] == 200_000


@pytest.mark.parametrize(
    ("text", "library"),
    [
        ("torch/nn/modules/linear.py(114): forward", True),
        ("threading.py(1032): _bootstrap", True),
        ("/usr/lib/python3.12/contextlib.py(80): inner", True),
        ("/opt/env/lib/python3.12/site-packages/PIL/Image.py(2300): resize", True),
        ("/opt/env/lib/python3.12/site-packages/vllm/v1/core/sched.py(10): schedule", False),
        ("/sgl-workspace/sglang/python/sglang/srt/managers/scheduler.py(2919): run", False),
        ("train_ddp.py(184): <module>", False),
        ("<built-in method arange of type object at 0x7d>", False),
    ],
)
def test_frames_of_libraries_are_told_from_those_of_the_program(text: str, library: bool) -> None:
    trace = draw("python p\nhost a", names={"p": text})
    frame = holders.is_frame(trace) & holders.is_library_frame(trace)
    assert frame.any() == library


def test_time_of_the_profiler_itself_is_no_work_of_the_program() -> None:
    """Of a gap of 300 µs the profiler flushes 200 in which the host is in no op."""
    host = [Slice(ts, 2_000, "cudaLaunchKernel", Cat.RUNTIME, correlation=n)
            for n, ts in ((1, 0), (2, 308_000))]  # fmt: skip
    work = [Slice(ts, 5_000, "k", Cat.KERNEL, 7, 0, 0, 7, n)
            for n, ts in ((1, 3_000), (2, 311_000))]  # fmt: skip
    flush = Slice(50_000, 200_000, "Buffer Flush", Cat.OVERHEAD, tid=0, pid=-1)
    result = idle(build([*host, *work, flush]))
    assert by_reason(result) == {"host_work": 102_000, "launch_latency": 1_000, "profiler": 200_000}
    loading = Slice(50_000, 200_000, "Lazy Function Loading", Cat.OVERHEAD, tid=0, pid=-1)
    assert "profiler" not in by_reason(idle(build([*host, *work, loading])))
