"""Ops by self time: rows add up, phases are those in which ops start, traces merge exactly."""

import numpy as np
import pytest
from hypothesis import given
from tracekit.analyses.ops import analysis as module

from tests.drawing import draw
from tests.random_traces import traces
from tests.real import loaded
from tracekit.attribution import links
from tracekit.errors import MissingEventsError
from tracekit.results import catalog, engine
from tracekit.trace.trace import Trace

OPS = catalog.analysis("ops")
PICTURE = """
    mark  ppppppppdddddd..
    op    .aaaaa...bb.cc.e
    op    ..bb............
"""
NAMES = {"p": "tracekit::prefill", "d": "tracekit::decode"}


def rows(trace: Trace) -> dict[tuple[str, str], module.Op]:
    return {(r.name, r.phase): r for r in OPS.run(trace).rows}


def test_self_time_leaves_the_ops_inside_out() -> None:
    found = rows(draw(PICTURE, NAMES))
    outer = found["a", "prefill"]
    assert (outer.self_ns, outer.total_ns) == (3_000, 5_000)
    assert found["b", "prefill"].self_ns == found["b", "decode"].self_ns == 2_000


def test_an_allocation_does_nothing_of_what_the_op_around_it_does() -> None:
    names = {"a": "aten::sum", "b": "aten::empty", "c": "aten::new_empty_strided", "d": "aten::add"}
    found = rows(draw("""
        op    aaaaaaaaaa
        op    .bb.cc.dd.
    """, names))  # fmt: skip
    categories = {name: row.category.value for (name, _), row in found.items()}
    assert categories == {
        "aten::sum": "reduction", "aten::empty": "other", "aten::new_empty_strided": "other",
        "aten::add": "elementwise",
    }  # fmt: skip


def test_an_op_is_of_the_stage_that_it_starts_in() -> None:
    found = rows(draw(PICTURE, NAMES))
    assert {name: phase for name, phase in found if name in "ace"} == {
        "a": "prefill",
        "c": "decode",
        "e": "outside every stage",
    }
    assert found["c", "decode"].only_here
    assert not found["b", "decode"].only_here


def test_an_op_of_a_thread_without_markers_is_of_the_stage_its_process_is_in() -> None:
    trace = draw("mark ppppdddd\nop 7 .x...x..", NAMES)
    assert {(r.phase, r.count) for r in OPS.run(trace).rows} == {("prefill", 1), ("decode", 1)}


def test_shares_of_a_phase_add_up_to_one_and_tokens_divide_decode() -> None:
    trace = draw(
        "mark ppppdddddd\nmark ....klmn..\nop   .aa.bcbc..",
        {**NAMES, **{c: f"tracekit::decode_step#{i}" for i, c in enumerate("klmn")}},
    )
    result = OPS.run(trace)
    for phase in ("prefill", "decode"):
        assert sum(r.share for r in result.rows if r.phase == phase) == pytest.approx(1)
    assert rows(trace)["b", "decode"].per_token_ns == 2_000 / 4
    assert rows(trace)["a", "prefill"].per_token_ns is None


@pytest.mark.parametrize(
    ("counts", "token_ns"),
    [
        ({"prefill": 10, "generated": [5]}, 2_000 / 20),
        ({"prefill": None, "prefill_each": [40], "generated": [5]}, 2_000 / 80),
        ({"prefill": None, "generated": [5]}, None),
        ({"prefill": 10, "generated": [5, 5]}, None),  # one of the two requests is not in the file
    ],
)
def test_tokens_of_the_prompt_divide_prefill(
    counts: dict[str, object], token_ns: float | None
) -> None:
    meta = {"tracekit": {"batch_size": 2, "tokens": counts}}
    trace = draw("mark ppppddddd\nop   .aa.bcbc..", NAMES, meta=meta)
    assert rows(trace)["a", "prefill"].per_token_ns == token_ns


def test_prefill_stands_beside_decode_in_table_and_chart() -> None:
    result = OPS.run(draw(PICTURE, NAMES))
    sides = next(g for g in OPS.tables(result) if g.key == "sides")
    assert [row[0] for row in sides.rows] == ["b", "a", "c"]
    assert [row[-1] for row in sides.rows] == ["", "prefill", "decode"]
    assert [chart.key for chart in OPS.charts(result)] == ["sides"]


def test_without_ops_there_is_a_reason() -> None:
    with pytest.raises(MissingEventsError, match="no framework ops"):
        OPS.run(draw("stream 7 AA"))


def test_two_traces_add_up_to_their_rows_together() -> None:
    one = OPS.run(draw(PICTURE, NAMES))
    both = OPS.merge(one, one)
    assert [r.self_ns for r in both.rows] == [2 * r.self_ns for r in one.rows]
    assert [r.share for r in both.rows] == [r.share for r in one.rows]
    assert OPS.merge(OPS.merge(one, one), one) == OPS.merge(one, OPS.merge(one, one))


@given(traces())
def test_self_times_are_never_negative_and_add_up_to_no_more_than_all_durations(
    trace: Trace,
) -> None:
    own = links.op_self_ns(trace)
    assert (own >= 0).all()
    if len(own):
        total = sum(r.self_ns for r in OPS.run(trace).rows)
        assert total == int(own.sum())


def test_on_a_real_trace_without_a_gpu_self_times_are_what_the_threads_spent_in_ops() -> None:
    trace = loaded("hta_cpu_only_full")
    from tracekit.attribution import links
    from tracekit.trace.spans.segments import union_ns

    ops = links.ops(trace)
    lane = np.unique(np.stack([ops.pid, ops.tid]), axis=1, return_inverse=True)[1].reshape(-1)
    busy = int(union_ns(lane, ops.ts, ops.end, int(lane.max()) + 1).sum())
    assert sum(r.self_ns for r in OPS.run(trace).rows) == busy
    assert "ops" in engine.of_trace(trace, ["ops"]).answers
