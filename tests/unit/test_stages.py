"""Stages against figures computed independently, and against pictures."""

import json
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.stages import analysis as module
from tracekit.analyses.stages.analysis import merge, stages

from tests.conftest import gpus_only, shared
from tests.drawing import draw
from tests.examples import examples
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.attribution.stages import instances, split
from tracekit.errors import MissingEventsError, TracekitError
from tracekit.results.result import to_plain
from tracekit.trace.trace import Cat, Trace

OWN = {
    "window_ns": "window_ns",
    "kernel_union_ns": "kernel_ns",
    "kernel_sum_ns": "kernel_sum_ns",
    "memcpy_exposed_ns": "memcpy_ns",
    "memset_exposed_ns": "memset_ns",
    "busy_by_other_stages_ns": "other_ns",
    "true_idle_in_window_ns": "idle_ns",
}


def check(own: split.Launched, more: split.LaunchedDetail, want: dict[str, int] | None) -> None:
    if want is None:
        assert own.count == 0
        return
    assert own.count == want["n_kernel"] + want["n_memcpy"] + want["n_memset"]
    found = {**to_plain(own), **to_plain(more)}
    assert {theirs: found[ours] for theirs, ours in OWN.items()} == {
        theirs: want[theirs] for theirs in OWN
    }


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_every_annotation_splits_as_the_independent_figures_say(name: str) -> None:
    gpus_only(name)
    expected = json.loads(shared("traces", "expected", f"{name}.json").read_text())
    wanted = expected["brute_force"].get("user_annotations", {}).get("rows", [])
    trace = loaded(name)
    if not wanted:
        with pytest.raises(MissingEventsError):
            stages(trace, stages=".*")
        return
    result = stages(trace, stages=".*")
    assert len(result.rows) == expected["brute_force"]["user_annotations"]["n"]
    marks = instances.markers(trace, ".*")
    pairs = instances.launched(trace, marks, same_thread=True)
    gpu = bool(expected["brute_force"]["devices"])
    same_thread = split.launches(trace, pairs, pairs, len(marks)) if gpu else []
    for i, (row, want) in enumerate(zip(result.rows, wanted, strict=False)):
        assert (row.name, row.wall_ns) == (want["name"], want["dur_ns"])
        assert row.file_start_ns == want["start_ns"]
        if not gpu:
            assert row.clock is None
            assert row.launched is None
            assert row.host is not None
            continue
        assert row.launched is not None
        assert row.launched_detail is not None
        assert row.clock is not None
        any_thread = want["launched_any_thread"]
        expect = want["launched_same_thread"] if any_thread == "same" else any_thread
        check(row.launched, row.launched_detail, expect)
        check(*same_thread[i], want["launched_same_thread"])
        assert want["wall"] == {
            "kernel_ns": row.clock.kernel_ns,
            "memcpy_exposed_ns": row.clock.memcpy_ns,
            "memset_exposed_ns": row.clock.memset_ns,
            "idle_ns": row.clock.idle_ns,
        }


def conserved(result: module.Stages) -> None:
    for whole in result.totals:
        if whole.ops is not None and whole.host is not None:
            assert sum(whole.ops.values()) == whole.host.op_ns
    for part in (*result.rows, *result.totals):
        if part.clock is not None:
            c, d = part.clock, part.clock_detail
            assert d is not None
            assert part.wall_ns == sum(to_plain(c).values())
            assert 0 <= d.exposed_communication_ns <= d.communication_ns <= c.kernel_ns
            assert min(to_plain(c).values()) >= 0
            assert 0 <= d.suspect_ns <= c.idle_ns
        if part.launched is not None:
            w = part.launched
            parts = (w.kernel_ns, w.memcpy_ns, w.memset_ns, w.other_ns, w.idle_ns)
            assert w.window_ns == sum(parts)
            assert part.launched_detail is not None
            assert 0 <= part.launched_detail.suspect_ns <= w.idle_ns
            assert min(parts) >= 0
        if part.host is not None:
            assert part.host_detail is not None
            assert part.wall_ns == sum(to_plain(part.host).values())
            assert 0 <= part.host_detail.elsewhere_ns <= part.host.other_ns


@given(traces(), st.sampled_from([None, ".*", "p"]))
@examples(150)
def test_every_nanosecond_is_counted_once(trace: Trace, pattern: str | None) -> None:
    try:
        result = stages(trace, stages=pattern)
    except MissingEventsError:
        return
    conserved(result)
    top = result.totals[-1]
    assert top.wall_ns <= sum(t.wall_ns for t in result.totals[:-1])


@pytest.mark.parametrize("name", NAMES or ["none"])
@pytest.mark.parametrize("pattern", [None, ".*"])
def test_every_nanosecond_of_a_real_trace_is_counted_once(name: str, pattern: str | None) -> None:
    trace = loaded(name)
    try:
        result = stages(trace, stages=pattern)
    except MissingEventsError:
        return
    conserved(result)
    grids = module.tables(result)
    assert all(len(row) == len(grid.columns) for grid in grids for row in grid.rows)


def test_own_work_and_the_work_of_others_are_told_apart() -> None:
    trace = draw(
        """
        mark      pppppppp....
        host      .a.b........
        stream 7  XX..AAX.BBB.
        """,
        names={"p": "tracekit::prefill"},
    )
    row = stages(trace).rows[0]
    assert row.stage == "prefill"
    assert row.clock is not None
    assert row.launched is not None
    assert (row.clock.kernel_ns, row.clock.idle_ns) == (5000, 3000)
    assert (row.launched.window_ns, row.launched.kernel_ns) == (7000, 5000)
    assert (row.launched.other_ns, row.launched.idle_ns) == (1000, 1000)


def test_copies_and_fills_count_where_nothing_stronger_runs() -> None:
    trace = draw(
        """
        mark      pppppppppp
        host      amc.......
        stream 1  ..AAA.....
        stream 2  ...MMMM...
        stream 3  .....CCCC.
        """,
        names={"p": "tracekit::encode"},
        kinds={"M": Cat.MEMCPY, "C": Cat.MEMSET},
    )
    clock = stages(trace).rows[0].clock
    assert clock is not None
    assert (clock.kernel_ns, clock.memcpy_ns, clock.memset_ns) == (3000, 2000, 2000)
    assert clock.idle_ns == 3000


def test_a_nested_instance_is_given_whole_and_counted_once() -> None:
    trace = draw(
        """
        mark      dddddddd
        mark      .eeee...
        host      .a......
        stream 7  ...AA...
        """,
        names={"d": "execute_32_context_0(sq0)_generation_32(sq32)", "e": "step[DECODE bs=32]"},
    )
    result = stages(trace)
    assert [(r.stage, r.nested) for r in result.rows] == [("decode", False), ("decode", True)]
    assert [r.wall_ns for r in result.rows] == [8000, 4000]
    decode, everything = result.totals
    assert (decode.instances, decode.wall_ns, everything.wall_ns) == (1, 8000, 8000)
    assert decode.launched is not None
    assert decode.launched.count == 1


def test_work_launched_from_another_thread_belongs_to_the_stage() -> None:
    trace = draw(
        """
        mark      pppppp..
        host 2    ..a.....
        stream 7  ....AA..
        """,
        names={"p": "train"},
    )
    row = stages(trace).rows[0]
    assert row.launched is not None
    assert row.launched_detail is not None
    assert (row.launched.count, row.launched_detail.same_thread_count) == (1, 0)


def test_without_any_launch_in_the_trace_nothing_is_said_by_launch() -> None:
    trace = draw("mark ppppp\nstream 7 .AA..", names={"p": "tracekit::prefill"})
    result = stages(trace)
    for part in (*result.rows, *result.totals):
        assert part.clock is not None
        assert (part.launched, part.launched_detail, part.host) == (None, None, None)
    assert merge(result, result).totals[-1].launched is None
    assert module.tables(result)
    assert module.charts(result)


def test_without_gpu_work_the_host_time_is_split_and_never_called_kernel_time() -> None:
    trace = draw(
        """
        mark      pppppppppp
        op        .xxx..yy..
        op 2      ........zz
        """,
        names={"p": "tracekit::load", "x": "aten::mm", "y": "aten::copy_"},
    )
    row = stages(trace).rows[0]
    assert row.clock is None
    assert row.launched is None
    assert to_plain(row.host) == {"op_ns": 3000, "copy_ns": 2000, "other_ns": 5000}
    assert to_plain(row.host_detail) == {"elsewhere_ns": 2000, "collective_ns": 0}


def test_op_time_is_split_by_the_kind_of_the_innermost_op() -> None:
    trace = draw(
        """
        mark      pppppppppp
        op        .xxxxxxyy.
        op        ..ll......
        op        .....cc...
        """,
        names={
            "p": "tracekit::encode", "x": "aten::scaled_dot_product_attention", "l": "aten::linear",
            "y": "aten::add", "c": "aten::copy_",
        },
    )  # fmt: skip
    encode = stages(trace).totals[0]
    assert encode.host is not None
    assert encode.ops is not None
    assert (encode.host.op_ns, encode.host.copy_ns) == (6000, 2000)
    assert sum(encode.ops.values()) == encode.host.op_ns
    assert encode.ops["elementwise"] == 2000


def test_a_step_of_the_profiler_is_a_stage_and_a_collective_is_not() -> None:
    trace = draw("mark pppp..qq", names={"p": "ProfilerStep#7", "q": "nccl:all_reduce"})
    result = stages(trace)
    assert [(r.stage, r.family) for r in result.rows] == [("ProfilerStep#7", "ProfilerStep")]


def test_idle_time_of_a_step_cut_out_is_shown_as_such() -> None:
    result = stages(loaded("tl_sglang_decode"))
    whole = result.totals[0]
    for part, of in (
        (whole.clock, whole.clock_detail), (whole.launched, whole.launched_detail)
    ):  # fmt: skip
        assert part is not None
        assert of is not None
        assert part.idle_ns - of.suspect_ns < 1_000_000
    labels = [c.label for grid in module.tables(result)[:2] for c in grid.columns]
    assert {"unaccounted in wall time", "unaccounted in GPU window"} <= set(labels)


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(TracekitError, match="not a regular expression"):
        stages(draw("mark p"), stages="(")


@given(st.lists(traces(), min_size=3, max_size=3))
@examples(30)
def test_merging_is_associative(three: list[Trace]) -> None:
    try:
        one, two, last = (stages(trace) for trace in three)
    except MissingEventsError:
        return
    left, right = merge(merge(one, two), last), merge(one, merge(two, last))
    assert to_plain(left.rows) == to_plain(right.rows)
    assert to_plain(left.totals) == to_plain(right.totals)
    assert left.totals[-1].is_all
    assert sum(t.wall_ns for t in reduce(merge, (one, two, last)).totals[-1:]) == sum(
        r.totals[-1].wall_ns for r in (one, two, last)
    )


def test_steps_that_a_program_numbers_itself_are_one_family_and_nested_ones_count_once() -> None:
    trace = draw(
        """
        mark  ppppdddddd
        mark  ....xxxyyy
        op    .aa..b..b.
        """,
        names={"p": "LLM prefill", "d": "decode", "x": "decode_step_0", "y": "decode_step_1"},
    )
    result = stages(trace)
    assert [(t.family, t.instances, t.wall_ns) for t in result.totals] == [
        ("prefill", 1, 4_000), ("decode", 1, 6_000), ("all stages", 2, 10_000),
    ]  # fmt: skip
    assert [r.name for r in result.rows if r.repeated] == ["decode_step_0", "decode_step_1"]
