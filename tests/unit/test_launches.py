"""Launch costs, from pictures and on real traces."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.launches import analysis as module
from tracekit.analyses.launches.analysis import launches, merge

from analyses.launches.queue import depths
from tests.conftest import gpus_only, shared
from tests.drawing import draw
from tests.examples import examples
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.attribution import links
from tracekit.errors import MissingEventsError
from tracekit.results.result import to_plain
from tracekit.trace.trace import Trace


def test_delay_counts_from_the_start_of_the_launch_and_queueing_from_its_end() -> None:
    trace = draw(
        """
        host      aabb......
        stream 7  ...AAABB..
        """
    )
    row = launches(trace).rows[-1]
    assert (row.calls, row.host_ns, row.host.median_ns) == (2, 4000, 2000)
    assert (row.delay.mean_ns, row.delay.max_ns) == (3500, 4000)
    assert (row.queueing.mean_ns, row.queueing.max_ns) == (1500, 2000)
    assert row.tklqt_ns == 7000
    assert (row.stage, row.tokens, row.tklqt_per_token_ns) == ("whole trace", None, None)


def test_a_graph_launch_counts_its_nodes_in_the_queue() -> None:
    trace = draw(
        """
        host      g.........
        stream 7  ..GG.GG.GG
        """
    )
    result = launches(trace)
    row = result.rows[-1]
    assert (row.calls, row.graph_calls, row.activities) == (1, 1, 3)
    queue = result.queues[0]
    assert (queue.most, queue.mean, queue.empty_share) == (3, (2 + 5 + 8) / 8, 0)
    assert row.depth == queue.mean


def test_kernels_shorter_than_their_launch_are_counted() -> None:
    trace = draw(
        """
        host      aaabbb....gg......
        stream 7  ...A...BBBB.GG.GHH
        """,
        launched_by={"H": "g"},
    )
    row = launches(trace).rows[-1]
    # a graph of two microseconds and three kernels costs 0.67 each
    assert (row.short_count, row.kernel_count) == (1, 5)


def test_a_stage_that_waits_for_its_host_is_launch_bound_and_a_queued_one_is_not() -> None:
    trace = draw(
        """
        mark      pppppppppppppppppppppppppppppp
        host      a...b...c...d...e...f...g...h.
        stream 7  .A...B...C...D...E...F...G...H
        """,
        names={"p": "tracekit::decode"},
    )
    row = launches(trace).rows[0]
    assert (row.stage, row.launch_bound) == ("decode", True)
    assert (row.window_ns, row.host_idle_ns, row.graph_saves_ns) == (29000, 21000, 21000)
    trace = draw(
        """
        mark      pppppppppp...
        host      abcdefg......
        stream 7  .A.B.C.D.E.FG
        """,
        names={"p": "tracekit::decode"},
    )
    row = launches(trace).rows[0]
    assert row.launch_bound is False


def test_a_device_that_hardly_ever_waits_is_not_launch_bound() -> None:
    trace = draw(
        f"""
        mark      {"p" * 400}
        host      a{"." * 200}b
        stream 7  .{"A" * 199}...{"B" * 197}
        """,
        names={"p": "tracekit::decode"},
    )
    row = launches(trace).rows[0]
    assert row.host_idle_ns > row.device_idle_ns
    assert row.launch_bound is False  # 2 µs of 399


def test_tklqt_is_given_per_generated_token() -> None:
    trace = draw(
        """
        mark      dddddddddd
        mark      xxxxxyyyyy
        host      a....b....
        stream 7  ..A....B..
        """,
        names={
            "d": "tracekit::decode", "x": "tracekit::decode_step#1", "y": "tracekit::decode_step#2",
        },
    )  # fmt: skip
    row = launches(trace).rows[0]
    assert (row.stage, row.tokens, row.tklqt_ns, row.tklqt_per_token_ns) == (
        "decode",
        2,
        4000,
        2000,
    )


def test_without_any_launch_the_question_is_not_answered() -> None:
    with pytest.raises(MissingEventsError, match="no launch events"):
        launches(draw("stream 7 AA"))


@given(traces(gpu=True))
@examples(100)
def test_the_queue_is_what_a_walk_over_its_events_finds(trace: Trace) -> None:
    gpu, begin = links.work(trace), links.launch_start(trace)
    linked = links.launch_row(trace) >= 0
    for queue in depths(trace):
        mine = linked & (gpu.device == queue.device) & (gpu.stream == queue.stream)
        start = np.minimum(begin[mine], gpu.ts[mine])
        walk = [
            int(((start <= t) & (gpu.ts[mine] > t)).sum())
            for t in range(queue.start_ns, queue.end_ns)
        ]
        assert queue.most == max(walk, default=0)
        if walk:
            assert queue.mean == pytest.approx(np.mean(walk))
            assert queue.empty_share == pytest.approx(np.mean(np.array(walk) == 0))
            assert np.mean(queue.bins) == pytest.approx(queue.mean, abs=0.001)


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_delays_equal_the_independent_figures(name: str) -> None:
    gpus_only(name)
    expected = json.loads(shared("traces", "expected", f"{name}.json").read_text())
    trace = loaded(name)
    want = expected["brute_force"].get("launch_to_start_ns")
    if not want or not expected["brute_force"]["gpu_activities_with_a_launch_event"]:
        with pytest.raises(MissingEventsError):
            launches(trace)
        return
    result = launches(trace)
    row = result.rows[-1]
    assert row.activities == expected["brute_force"]["gpu_activities_with_a_launch_event"]
    assert (row.delay.median_ns, row.delay.max_ns) == (want["median"], want["max"])
    assert sum(d.count for d in result.delays) == row.activities
    assert sum(c.activities for c in result.calls) == row.activities
    assert all(
        len(cells) == len(grid.columns) for grid in module.tables(result) for cells in grid.rows
    )
    assert module.charts(result)


@given(st.lists(traces(gpu=True), min_size=3, max_size=3))
@examples(30)
def test_merging_is_associative(three: list[Trace]) -> None:
    try:
        one, two, last = (launches(trace) for trace in three)
    except MissingEventsError:
        return
    left, right = merge(merge(one, two), last), merge(one, merge(two, last))
    assert to_plain(left) == to_plain(right)
