"""Every idle nanosecond in one class."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.idle import analysis as module
from tracekit.analyses.idle.analysis import idle, merge

from tests.conftest import gpus_only, shared
from tests.drawing import draw
from tests.examples import examples
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.answers.idle import IdleTime
from tracekit.attribution import links
from tracekit.attribution.idle import causes
from tracekit.attribution.idle.by_cause import By
from tracekit.errors import MissingEventsError
from tracekit.results.catalog import ask
from tracekit.results.result import to_plain
from tracekit.trace.spans.intervals import total
from tracekit.trace.trace import Trace


def parts(by: By) -> dict[str, int]:
    return {name: ns for name, ns in to_plain(by).items() if ns}


def conserved(result: IdleTime) -> None:
    for row in result.rows:
        assert sum(parts(row.causes).values()) == row.idle_ns
        assert row.suspect_ns <= row.idle_ns
    for stage in result.stages:
        assert sum(parts(stage.causes).values()) == stage.idle_ns
        if stage.launched_causes is not None:
            assert sum(parts(stage.launched_causes).values()) == stage.launched_idle_ns
    for gap in result.longest:
        assert sum(parts(gap.causes).values()) == gap.ns
    for length in result.lengths:
        assert sum(parts(length.causes).values()) == length.ns
    for grid in module.tables(result):
        assert all(len(row) == len(grid.columns) for row in grid.rows)


@given(traces(gpu=True), st.sampled_from([None, ".*"]))
@examples(150)
def test_the_classes_add_up_on_any_trace(trace: Trace, pattern: str | None) -> None:
    try:
        parameters = {} if pattern is None else {"stages": pattern}
        conserved(ask(trace, IdleTime, **parameters))
    except MissingEventsError:
        assert pattern is not None


@given(traces(gpu=True), st.sampled_from([None, 0, 1]))
@examples(150)
def test_gaps_are_what_no_work_covers(trace: Trace, device: int | None) -> None:
    if device is not None and device not in trace.devices:
        return
    found, gpu = causes.idle(trace, device), links.work(trace)
    first, last = min(0, int(trace.ts.min())), int(trace.end.max())
    free = np.ones(last - first, bool)
    for row in range(len(gpu)):
        if device in (None, gpu.device[row]):
            free[gpu.ts[row] - first : gpu.end[row] - first] = False
    painted = np.zeros(last - first, int)
    for start, end in found.spans:
        painted[start - first : end - first] += 1
    assert (painted == free).all()
    assert total(found.gaps) == free.sum()


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_the_classes_add_up_to_the_independent_idle_time(name: str) -> None:
    gpus_only(name)
    expected = json.loads(shared("traces", "expected", f"{name}.json").read_text())
    trace = loaded(name)
    brute = expected["brute_force"]["devices"]
    if not brute:
        with pytest.raises(MissingEventsError):
            idle(trace)
        return
    result = idle(trace)
    conserved(result)
    for row in result.rows:
        assert row.idle_ns == brute[str(row.device)]["idle_ns"]
        assert row.gaps == brute[str(row.device)]["idle_gaps"]["n"]
        assert row.longest_ns == brute[str(row.device)]["idle_gaps"]["max_ns"]


def test_before_the_launch_inside_it_and_after_it() -> None:
    trace = draw(
        """
        host      aa.....bb..
        stream 7  ..AAA....BB
        """
    )
    row = idle(trace).rows[0]
    assert parts(row.causes) == {"host_outside": 2000, "launch_call": 2000}


def test_what_the_host_was_doing_is_told_apart() -> None:
    trace = draw(
        """
        op        .......xxxx.......zz
        host      a...ss........tt...b..
        stream 7  .AA..................B
        """,
        names={"s": "cudaStreamSynchronize", "t": "cudaMalloc", "x": "aten::mm", "z": "aten::add"},
    )
    result = idle(trace)
    assert parts(result.rows[0].causes) == {
        "host_sync": 2000, "host_allocation": 2000, "host_op": 5000, "host_outside": 7000,
        "launch_call": 1000, "queued": 1000,
    }  # fmt: skip
    assert [(d.cause, d.name, d.ns) for d in result.doings][:2] == [
        ("host_op", "aten::mm", 4000), ("host_allocation", "cudaMalloc", 2000),
    ]  # fmt: skip


def test_a_sync_inside_item_and_a_data_loader_are_named_as_such() -> None:
    trace = draw(
        """
        op        ...iiii.dddd....
        host      a..............b
        stream 7  .AA.............B
        """,
        names={"i": "aten::item", "d": "enumerate(DataLoader)#_SingleProcess.__next__"},
    )
    found = parts(idle(trace).rows[0].causes)
    assert (found["host_sync"], found["host_data"]) == (4000, 4000)


def test_kernels_of_one_graph_launch_wait_inside_the_graph() -> None:
    trace = draw(
        """
        host      g..........
        stream 7  ..GG.GG.HH.
        """,
        launched_by={"H": "g"},
    )
    assert parts(idle(trace).rows[0].causes) == {"graph": 2000}


def test_a_wait_for_another_stream_and_one_after_communication() -> None:
    picture = """
        host      akwb.........
        stream 1  ...AAA.......
        stream 2  ........BB...
        """
    names = {"w": "cudaStreamWaitEvent", "A": "gemm"}
    assert parts(idle(draw(picture, names)).rows[0].causes) == {"other_stream": 2000}
    names["A"] = "ncclDevKernel_AllReduce_Sum"
    assert parts(idle(draw(picture, names)).rows[0].causes) == {"communication": 2000}
    names = {"w": "cudaEventRecord"}
    assert parts(idle(draw(picture, names)).rows[0].causes) == {"queued": 2000}


def test_work_without_a_launch_is_unlinked() -> None:
    trace = draw(
        """
        host      a.......
        stream 7  .AA..BB.
        """
    )
    assert parts(idle(trace).rows[0].causes) == {"unlinked": 2000}


def test_the_longest_gap_names_the_work_and_the_ops_on_either_side() -> None:
    trace = draw(
        """
        mark      pppppppppp..
        op        xx....yy....
        host      .a.....b....
        stream 7  ...AA.....BB
        """,
        names={"x": "aten::mm", "y": "aten::add", "A": "gemm", "B": "add", "p": "mine"},
    )
    gap = idle(trace).longest[0]
    assert (gap.before, gap.before_op, gap.after, gap.after_op) == (
        "gemm", "aten::mm", "add", "aten::add",
    )  # fmt: skip
    assert (gap.ns, gap.returned_ns, gap.stage) == (5000, 2000, "mine")
    assert gap.cause == "queued"


def test_the_step_whose_neighbour_was_cut_out_is_not_called_idle_without_a_word() -> None:
    trace = loaded("tl_sglang_decode")
    result = idle(trace)
    assert result.rows[0].suspect_ns > 463_000_000
    assert result.longest[0].suspect
    everything = result.stages[-1]
    assert everything.launched_idle_ns is not None
    assert everything.launched_suspect_ns is not None
    assert everything.launched_idle_ns - everything.launched_suspect_ns < 1_000_000
    note = next(g.note for g in module.tables(result) if g.key == "causes")
    assert "does not hold" in note


def test_the_shares_of_real_traces_are_those_of_an_independent_prototype() -> None:
    def shares(name: str) -> list[float]:
        row = idle(loaded(name)).rows[0]
        by = to_plain(row.causes)
        host = sum(by[k] for k in by if k.startswith("host_"))
        device = sum(by[k] for k in ("graph", "other_stream", "communication", "queued"))
        found = (host, by["launch_call"], device, by["unlinked"])
        return [round(100 * part / row.idle_ns, 1) for part in found]

    assert shares("tl_h100_qwen15_05b") == pytest.approx([33, 5, 45, 18], abs=0.6)
    assert shares("tl_sglang_prefilldecode") == pytest.approx([0.2, 0, 99.8, 0], abs=0.06)


@given(st.lists(traces(gpu=True), min_size=3, max_size=3))
@examples(30)
def test_merging_is_associative(three: list[Trace]) -> None:
    one, two, last = (ask(trace, IdleTime) for trace in three)
    left, right = merge(merge(one, two), last), merge(one, merge(two, last))
    assert to_plain(left) == to_plain(right)
    assert sum(row.idle_ns for row in left.rows) == sum(
        row.idle_ns for result in (one, two, last) for row in result.rows
    )
