"""What makes a trace mislead is counted, and named beside the answers that it touches."""

import pytest
from hypothesis import given
from tracekit.analyses.audit import analysis as module
from tracekit.analyses.audit.analysis import Audit, audit, merge

from tests.conftest import shared
from tests.drawing import Slice, build, draw
from tests.examples import examples
from tests.program import Program
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.answers.audit import Finding
from tracekit.report.one import overview
from tracekit.results import engine
from tracekit.results.result import to_plain
from tracekit.results.trust import Trust
from tracekit.trace.trace import Cat, Loss, Source, Trace


def found(trace: Trace, check: str) -> Finding:
    rows = [row for row in audit(trace).rows if row.check == check]
    assert len(rows) == 1, [row.check for row in audit(trace).rows]
    return rows[0]


def checks(trace: Trace) -> set[str]:
    return {row.check for row in audit(trace).rows}


def steps(kernels: list[int], name: str = "ProfilerStep#{}") -> Trace:
    """A step each 100 µs, with one graph launch of so many kernels; 0: no kernel is recorded."""
    slices = []
    for i, many in enumerate(kernels):
        at = i * 100_000
        slices += [
            Slice(at, 90_000, name.format(i), Cat.ANNOTATION),
            Slice(at + 1000, 2000, "cudaGraphLaunch", Cat.RUNTIME, correlation=i),
        ]
        slices += [
            Slice(at + 5000 + 1000 * k, 900, "gemm", Cat.KERNEL, 7, 0, 0, 7, i) for k in range(many)
        ]
    return build(slices)


def test_a_clean_trace_is_trusted() -> None:
    trace = draw(
        """
        mark      pppppppp
        op        aaaa....
        python    aaaaaaaa
        host      .a......
        stream 7  ...AAAA.
        """,
        column_ns=1001,
    )
    assert to_plain(audit(trace).rows) == []
    assert audit(trace).trust("stages") == Trust("trusted")


def test_most_steps_without_gpu_work_refuse_the_answer() -> None:
    """A peer prints 0.04 % idle for a trace that lost 30 of 32 steps."""
    trace = steps([3, 3, *[0] * 30])
    row = found(trace, "empty_steps")
    assert (row.count, row.share, row.effect) == (30, 30 / 32, "refused")
    assert found(trace, "lost_work").count == 30
    trust = audit(trace).trust("idle")
    assert trust.verdict == "refused"
    assert any("30 of 32" in why for why in trust.why)
    assert audit(trace).trust("modules").verdict == "trusted"


def test_one_step_without_gpu_work_degrades_it() -> None:
    row = found(steps([3, 3, 3, 0]), "empty_steps")
    assert (row.count, row.effect, row.ns) == (1, "degraded", 90_000)


def test_the_tail_of_a_step_in_which_the_profiler_stops_lost_nothing() -> None:
    trace = draw(
        """
        mark      pppppppppp.qqqqqqqqqq.r
        op        aaaabbbb...ccccdddd....
        host      .e...f......g...h......
        stream 7  ..EE..FF.....GG..HH....
        """,
        names={
            "p": "ProfilerStep#1", "q": "ProfilerStep#2", "r": "ProfilerStep#3",
            **dict.fromkeys("efgh", "cudaLaunchKernel"),
        },
    )  # fmt: skip
    assert "empty_steps" not in checks(trace)


def test_decode_steps_of_our_own_without_gpu_work_are_seen() -> None:
    trace = steps([3, 0, 3], "tracekit::decode_step#{}")
    assert found(trace, "empty_steps").count == 1


def test_a_graph_replay_with_fewer_kernels_than_its_siblings_is_counted() -> None:
    row = found(steps([5, 5, 3, 5]), "short_replays")
    assert (row.count, row.share) == (1, 0.25)
    assert "2 kernels" in row.what
    assert "short_replays" not in checks(steps([5, 5, 5]))


def test_launches_inside_a_graph_capture_are_not_missed() -> None:
    trace = draw(
        """
        host      xaabbcyddee
        stream 7  ........DDE
        """,
        names={
            "x": "cudaStreamBeginCapture", "y": "cudaStreamEndCapture",
            **dict.fromkeys("abcde", "cudaLaunchKernel"),
        },
    )  # fmt: skip
    assert "lost_work" not in checks(trace)
    trace = draw("host abc\nstream 7 .A.", names=dict.fromkeys("abc", "cudaLaunchKernel"))
    row = found(trace, "lost_work")
    assert (row.count, row.effect) == (2, "refused")


@pytest.mark.parametrize(("lost", "effect"), [(1, "note"), (3, "degraded")])
def test_launches_without_work_degrade_from_a_hundredth_on(lost: int, effect: str) -> None:
    """Also what is a sum over work alone: roofline, roles, copies, collectives."""
    program = Program()
    for _ in range(200):
        program.launch("k", 10)
    kernels = [s for s in program.slices if s.cat is Cat.KERNEL][-lost:]
    program.slices = [s for s in program.slices if s not in kernels]
    trace = program.trace()
    assert found(trace, "lost_work").effect == effect
    verdicts = {audit(trace).trust(name).verdict for name in ("devices", "roles", "collectives")}
    assert verdicts == {"trusted" if effect == "note" else effect}


def test_work_without_a_launch_is_counted_with_its_time() -> None:
    trace = draw(
        """
        host      a.......
        stream 7  .AA.BBBB
        """
    )
    row = found(trace, "unlinked_work")
    assert (row.count, row.ns, row.share) == (1, 4000, 4 / 6)
    assert audit(trace).trust("stages").verdict == "degraded"
    assert audit(trace).trust("devices").verdict == "trusted"


def test_a_window_stretched_by_one_stray_kernel_is_said_to_be() -> None:
    trace = loaded("tl_sglang_decode")
    row = found(trace, "stray_events")
    assert row.count == 1
    assert "10.5 ms" in row.what
    assert audit(trace).trust("devices").verdict == "degraded"


def test_a_window_stretched_on_both_sides_is_said_to_be() -> None:
    many = [Slice(i * 100, 50, "k", Cat.KERNEL, 7, 0, 0, 7, -1) for i in range(200)]
    far = [Slice(at, 50, "far", Cat.KERNEL, 7, 0, 0, 7, -1) for at in (-400_000, 400_000)]
    row = found(build([*many, *far]), "stray_events")
    assert row.count == 2
    assert "before and" in row.what
    assert not checks(build(many)) & {"stray_events"}


def test_steps_whose_kernels_are_lost_cast_doubt_on_the_device_too() -> None:
    trace = steps([5, 5] + [0] * 30)
    assert audit(trace).trust("devices").verdict == "refused"


def test_idle_time_that_was_the_work_of_a_step_cut_out_is_said_to_be() -> None:
    trace = loaded("tl_sglang_decode")
    row = found(trace, "hidden_work")
    assert row.ns is not None
    assert row.ns > 463_000_000
    assert any("left out of every window" in why for why in audit(trace).trust("stages").why)


def test_one_giant_kernel_among_many_is_doubted() -> None:
    many = [Slice(i * 100, 50, "k", Cat.KERNEL, 7, 0, 0, 7, -1) for i in range(200)]
    giant = Slice(20_000, 1_000_000, "bad", Cat.KERNEL, 7, 0, 0, 7, -1)
    assert found(build([*many, giant]), "giant_events").ns == 1_000_000


def pairs(count: int, length: int = 50_000) -> list[Slice]:
    """Kernels every 100 µs, each launched 20 µs before."""
    out = []
    for n in range(count):
        out.append(Slice(n * 100_000, 5_000, "cudaLaunchKernel", Cat.RUNTIME, correlation=n + 1))
        out.append(Slice(n * 100_000 + 20_000, length, "k", Cat.KERNEL, 7, 0, 0, 7, n + 1))
    return out


def wait(start: int, end: int) -> Slice:
    return Slice(start, end - start, "cudaDeviceSynchronize", Cat.RUNTIME, correlation=999)


@pytest.mark.parametrize("count", [1, 5, 40, 200])
def test_a_giant_last_kernel_is_doubted_unless_the_file_bears_it_out(count: int) -> None:
    at, length = count * 100_000, 50_000_000
    launch = Slice(at, 5_000, "cudaLaunchKernel", Cat.RUNTIME, correlation=500)
    giant = Slice(at + 20_000, length, "giant", Cat.KERNEL, 7, 0, 0, 7, 500)
    many, end = [*pairs(count), launch, giant], at + 20_000 + length
    doubted = {
        "nothing follows": many,
        "the wait for it is over before": [*many, wait(at + 6_000, at + 90_000)],
        "so it is, yet more follows": [
            *many,
            wait(at + 6_000, at + 90_000),
            wait(end, end + 9),
        ],
    }
    real = {
        "the host waits until its end": [*many, wait(at + 6_000, end + 4_000)],
        "its stream goes on after it": [
            *many, Slice(end + 1_000, 50_000, "k", Cat.KERNEL, 7, 0, 0, 7, 501),
        ],
        "an op is open until then": [*many, Slice(0, end + 9_000, "step", Cat.ANNOTATION)],
        "a wait before its launch": [*many, wait(at - 60_000, at - 9_000), wait(end, end + 9)],
    }  # fmt: skip
    for slices in doubted.values():
        assert found(build(slices), "giant_events").ns == length
    for name, slices in real.items():
        assert not [r for r in audit(build(slices)).rows if r.check == "giant_events"], name


def test_one_long_kernel_of_a_few_alike_is_no_giant() -> None:
    trace = build([*pairs(3), Slice(320_000, 400_000, "k", Cat.KERNEL, 7, 0, 0, 7, 9)])
    assert not [r for r in audit(trace).rows if r.check == "giant_events"]


def test_lengths_that_are_all_0_are_no_measurement() -> None:
    result = audit(build([Slice(0, 9_000_000, "step", Cat.ANNOTATION), *pairs(20, length=0)]))
    (row,) = [r for r in result.rows if r.check == "zero_durations"]
    assert (row.effect, row.count, row.share) == ("refused", 20, 1.0)
    for name in ("devices", "idle", "stages", "kernels"):
        assert result.trust(name).verdict == "refused"
    some = audit(build([*pairs(20), *pairs(1, length=0)]))
    assert [r.effect for r in some.rows if r.check == "zero_durations"] != ["refused"]
    host = [Slice(n * 1_000, 0, "aten::mm", Cat.CPU_OP) for n in range(9)]
    assert audit(build([*host, Slice(0, 0, "step", Cat.ANNOTATION)])).trust("stages").verdict == (
        "refused"
    )


def test_negative_durations_and_work_before_its_launch_are_counted() -> None:
    slices = [
        Slice(0, -5, "k", Cat.KERNEL, 7, 0, 0, 7, -1),
        Slice(50, 5, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
        Slice(20, 5, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
    ]
    assert found(build(slices), "negative_durations").count == 1
    early = found(build(slices), "early_work")
    assert (early.count, early.ns) == (1, 30)


def test_work_that_overlaps_on_one_stream_is_counted_with_its_time() -> None:
    slices = [
        Slice(0, 100, "k", Cat.KERNEL, 7, 0, 0, 7, -1),
        Slice(60, 100, "k", Cat.KERNEL, 7, 0, 0, 7, -1),
        Slice(60, 100, "k", Cat.KERNEL, 8, 0, 0, 8, -1),
    ]
    row = found(build(slices), "overlaps")
    assert (row.count, row.ns, row.effect) == (1, 40, "degraded")


def test_slices_that_cross_on_one_thread_are_counted() -> None:
    trace = draw(
        """
        op        aaaaaa....
        op        .bb.......
        op        ....cccc..
        """
    )
    assert found(trace, "crossings").count == 1
    trace = draw("op aaaaaa\nop .bb.cc\nop ..b...")
    assert "crossings" not in checks(trace)


@pytest.mark.parametrize(("overlap", "effect"), [(10, "note"), (11, "degraded")])
def test_crossing_ops_degrade_from_a_hundredth_of_the_host_time_on(
    overlap: int, effect: str
) -> None:
    ops = [
        Slice(0, 500_000, "a", Cat.CPU_OP),
        Slice((500 - overlap) * 1000, 510_000, "b", Cat.CPU_OP),
    ]
    ops.append(Slice((1010 - overlap) * 1000, (overlap - 10) * 1000, "c", Cat.CPU_OP))
    trace = build(ops)
    row = found(trace, "crossings")
    assert (row.count, row.share, row.effect) == (1, overlap / 1000, effect)
    assert "ops" in row.touches
    assert audit(trace).trust("devices").verdict == "trusted"


def test_an_annotation_that_crosses_the_frame_that_opened_it_leaves_no_doubt() -> None:
    trace = draw(
        """
        python    aaaaaa....
        mark      ...bbbbb..
        op        .......c..
        """
    )
    row = found(trace, "crossings")
    assert (row.count, row.share, row.effect) == (1, 0, "note")
    assert "no number" in row.what


def test_crossing_ops_degrade_what_was_launched_in_them_alone() -> None:
    def work(at: int, dur: int) -> Trace:
        return build([
            Slice(0, 50_000, "a", Cat.CPU_OP), Slice(49_000, 51_000, "b", Cat.CPU_OP),
            Slice(at, 100, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
            Slice(20_000, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=2),
            Slice(60_000, dur, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
            Slice(60_000 + dur, 1_000_000, "k", Cat.KERNEL, 7, 0, 0, 7, 2),
            wait(101_000, 1_070_000 + dur),
        ])  # fmt: skip

    assert audit(work(49_500, 1_000_000)).trust("kernels").verdict == "degraded"
    assert audit(work(49_500, 10_000)).trust("kernels").verdict == "trusted"  # 0.99 % of the work
    assert audit(work(10_000, 1_000_000)).trust("kernels").verdict == "trusted"


def test_the_profilers_own_work_inside_the_window_is_counted() -> None:
    trace = draw("op aaaaaaaaaa\noverhead ..bb......")
    row = found(trace, "overhead")
    assert (row.count, row.ns, row.share, row.effect) == (1, 2000, 0.2, "degraded")


@pytest.mark.parametrize(("own", "effect"), [(5, "note"), (6, "degraded")])
def test_the_profilers_own_work_degrades_idle_time_that_it_can_be(own: int, effect: str) -> None:
    idle = [Slice(0, 40_000, "k", Cat.KERNEL, 7, 0, 0, 7, -1),
            Slice(60_000, 40_000, "k", Cat.KERNEL, 7, 0, 0, 7, -1)]  # fmt: skip
    op = Slice(0, 100_000, "aten::mm", Cat.CPU_OP)
    row = found(build([*idle, op, Slice(45_000, own * 1000, "o", Cat.OVERHEAD)]), "overhead")
    assert row.effect == effect
    assert row.touches == ("idle", "launches")
    # beside work of the device it lengthens nothing of it, and there are no stages
    row = found(build([*idle, op, Slice(0, 40_000, "o", Cat.OVERHEAD)]), "overhead")
    assert row.effect == "note"


def suspect(first: int, length: int) -> Trace:
    """A kernel of some ns from `first` on, and one 2 ms after its launch, while nothing ran."""
    end = first + length
    return build([
        Slice(0, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
        Slice(first, length, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
        Slice(end, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=2),
        Slice(end + 2_000_000, 1000, "k", Cat.KERNEL, 7, 0, 0, 7, 2),
    ])  # fmt: skip


@pytest.mark.parametrize(("length", "effect"), [(190_000_000, "degraded"), (210_000_000, "note")])
def test_suspect_time_degrades_from_a_hundredth_of_the_device_window_on(
    length: int, effect: str
) -> None:
    row = found(suspect(10_000, length), "hidden_work")
    assert row.effect == effect
    assert row.ns is not None
    assert 1_900_000 < row.ns < 2_000_000


def test_time_before_the_device_window_is_no_idle_time_of_it() -> None:
    trace = build([
        Slice(0, 30_000_000, "tracekit::decode", Cat.ANNOTATION),
        Slice(0, 2_000_000, "aten::mm", Cat.CPU_OP),
        Slice(1_000_000, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
        Slice(25_000_000, 100_000_000, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
        wait(31_000_000, 125_010_000),
    ])  # fmt: skip
    row = found(trace, "hidden_work")
    assert row.effect == "note"
    assert row.what.startswith("The first activity begins 24.0 ms after its launch: the device")
    assert "clocks" not in row.what
    assert audit(trace).verdict == "trusted"


def test_a_device_that_begins_after_all_of_the_host_may_have_another_clock() -> None:
    """A step of an engine cut out of a longer trace: the device was at the step before."""
    trace = build([
        Slice(0, 26_000_000, "execute_context_1(8192)_generation_37(37)", Cat.ANNOTATION),
        Slice(2_000_000, 1000, "hipGraphLaunch", Cat.RUNTIME, correlation=1),
        *(Slice(151_000_000 + k * 10_000_000, 10_000_000, "k", Cat.KERNEL, 7, 0, 0, 7, 1)
          for k in range(15)),
    ])  # fmt: skip
    row = found(trace, "hidden_work")
    assert "149 ms after its launch, and 125 ms after all that the file holds" in row.what
    assert "that the clocks of host and device are apart it cannot rule out" in row.what
    one = engine.of_trace(trace)
    (verdict,) = overview.verdicts(one)
    assert verdict.word == "Trusted"
    assert row.what in verdict.more


def test_time_in_which_the_host_is_blocked_names_what_it_is_blocked_in() -> None:
    trace = build([
        Slice(0, 100_000_000, "step[DECODE bs=1]", Cat.ANNOTATION),
        Slice(1_000, 1000, "cudaGraphLaunch", Cat.RUNTIME, correlation=1),
        Slice(3_000, 9_000, "first", Cat.KERNEL, 7, 0, 0, 7, 1),
        Slice(20_000, 1000, "cudaGraphLaunch", Cat.RUNTIME, correlation=2),
        Slice(30_000, 79_000_000, "aten::copy_", Cat.CPU_OP),
        Slice(40_000, 78_900_000, "cudaStreamSynchronize", Cat.RUNTIME, correlation=3),
        Slice(60_000_000, 18_000_000, "second", Cat.KERNEL, 7, 0, 0, 7, 2),
    ])  # fmt: skip
    row = found(trace, "hidden_work")
    assert "For 60.0 ms of it the host waits for the device, most in `aten::copy_`." in row.what


def test_what_concerns_most_is_the_first_reason() -> None:
    """A hundredth of the work has no launch; of the window three quarters are not accounted for."""
    trace = build([
        Slice(0, 2_001, "k", Cat.KERNEL, 7, 0, 0, 7, 9),
        Slice(100, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
        Slice(1200, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=2),
        Slice(5000, 50_000, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
        Slice(3_000_000, 50_000, "k", Cat.KERNEL, 7, 0, 0, 7, 2),
    ])  # fmt: skip
    degraded = [row.check for row in audit(trace).rows if row.effect == "degraded"]
    assert degraded == ["hidden_work", "unlinked_work"]


@pytest.mark.parametrize(("length", "effect"), [(1000, "note"), (1100, "degraded")])
def test_work_without_a_launch_degrades_from_a_hundredth_of_the_busy_time_on(
    length: int, effect: str
) -> None:
    trace = build([
        Slice(0, length, "k", Cat.KERNEL, 7, 0, 0, 7, 9),
        Slice(0, 1000, "cudaLaunchKernel", Cat.RUNTIME, correlation=1),
        Slice(5000, 99_000, "k", Cat.KERNEL, 7, 0, 0, 7, 1),
    ])  # fmt: skip
    row = found(trace, "unlinked_work")
    assert row.effect == effect
    assert "; it began ahead of all that have: they" in row.what
    assert "idle" not in row.touches


def test_what_was_not_recorded_is_named() -> None:
    trace = build([Slice(0, 5, "aten::mm", Cat.CPU_OP)], meta={"record_shapes": 0})
    said = [row.what for row in audit(trace).rows if row.check == "options"]
    assert "Captured without shapes." in said
    assert "Captured without memory events." not in said  # not known
    assert audit(trace).trust("roofline").verdict == "trusted"


def test_ops_that_were_not_recorded_degrade_idle_time_only_where_the_host_was_waited_for() -> None:
    busy = "host abcd...........\nstream 7 .AAABBBCCCDDD.."
    late = "host a.......b......\nstream 7 .AAA.....BBBBB."
    trust = {name: audit(draw(text)) for name, text in (("busy", busy), ("late", late))}
    assert [row.effect for row in trust["busy"].rows if "ops" in row.what] == ["note"]
    assert trust["late"].trust("idle").verdict == "degraded"
    for name in ("devices", "kernels", "stages", "launches"):
        assert trust["late"].trust(name).verdict == "trusted"


def test_launches_without_any_gpu_record_refuse_gpu_answers_only() -> None:
    trace = draw("host aaa", names={"a": "hipLaunchKernel"})
    assert found(trace, "no_gpu_work").effect == "refused"
    assert audit(trace).trust("stages").verdict == "trusted"


def test_damage_met_by_the_reader_touches_every_answer() -> None:
    lost = Loss("cut off", at_byte=1234, bytes_lost=10, events_lost=3, events_kept=1)
    trace = build([Slice(0, 5, "k", Cat.CPU_OP)], source=Source("x", losses=(lost,)))
    row = found(trace, "damage")
    assert "1,234" in row.what
    assert "at least 3 events lost; 1 event kept" in row.what
    assert audit(trace).trust("memory").verdict == "degraded"


def test_the_answers_carry_their_trust() -> None:
    path = shared("traces", "tl_sglang_decode.json.gz")
    plain = engine.answers(path, ["devices", "stages"]).to_json()
    assert plain["answers"]["devices"]["trust"]["verdict"] == "degraded"


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_no_real_trace_is_refused_but_those_without_gpu_records(name: str) -> None:
    result = audit(loaded(name))
    refused = {row.check for row in result.rows if row.effect == "refused"}
    assert refused == ({"no_gpu_work"} if name == "hta_cupti_profiler" else set())


@given(traces(), traces(), traces())
@examples(100)
def test_any_trace_can_be_audited_and_merging_is_associative(
    one: Trace, two: Trace, last: Trace
) -> None:
    a, b, c = audit(one), audit(two), audit(last)
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert to_plain(left) == to_plain(right)
    assert isinstance(left, Audit)
    assert all(len(row) == 5 for grid in module.tables(left) for row in grid.rows)
