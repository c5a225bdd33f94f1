"""Device windows against figures computed independently."""

import json

import pytest
from hypothesis import given
from tracekit.analyses.devices import analysis as devices

from tests.conftest import gpus_only, shared
from tests.drawing import draw
from tests.examples import examples
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.errors import MissingEventsError
from tracekit.trace.trace import Trace


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_the_split_equals_the_independent_figures(name: str) -> None:
    gpus_only(name)
    expected = json.loads(shared("traces", "expected", f"{name}.json").read_text())
    trace = loaded(name)
    brute = expected["brute_force"]["devices"]
    if not brute:
        with pytest.raises(MissingEventsError):
            devices.devices(trace)
        return
    for row in devices.devices(trace).rows:
        want = brute[str(row.device)]
        assert row.start_ns + trace.origin_ns == want["window_start_ns"]
        assert row.window_ns == want["window_ns"]
        assert row.busy_ns == want["busy_ns"]
        assert row.kernel_ns == want["kernel_union_ns"]
        assert row.memcpy_ns == want["memcpy_exposed_ns"]
        assert row.memset_ns == want["memset_exposed_ns"]
        assert row.idle_ns == want["idle_ns"]
        assert row.kernel_count == want["n_kernel"]


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_sums_and_streams_equal_the_independent_figures(name: str) -> None:
    expected = json.loads(shared("traces", "expected", f"{name}.json").read_text())
    trace = loaded(name)
    brute = expected["brute_force"]["devices"]
    if not brute:
        return
    result = devices.devices(trace)
    for row in result.rows:
        want = brute[str(row.device)]
        assert row.kernel_sum_ns == want["kernel_sum_ns"]
        assert row.memcpy_sum_ns == want["memcpy_sum_ns"]
        assert row.memset_sum_ns == want["memset_sum_ns"]
        assert row.overlapped_copy_ns == want["kernel_memcpy_overlap_ns"]
        assert row.exposed_communication_ns <= row.communication_ns <= row.kernel_ns
        streams = {str(s.stream): s for s in result.streams if s.device == row.device}
        if "-1" in streams:  # a hand-made kernel that names no stream
            continue
        assert {s: streams[s].count for s in streams} == want["streams"]
        for stream, figures in want["per_stream"].items():
            assert streams[stream].busy_ns == figures["busy_ns"]
            assert streams[stream].own_window_ns == figures["window_ns"]


@given(traces(gpu=True))
@examples(150)
def test_every_nanosecond_of_the_window_is_counted_once(trace: Trace) -> None:
    result = devices.devices(trace)
    for row in result.rows:
        assert row.window_ns == row.kernel_ns + row.memcpy_ns + row.memset_ns + row.idle_ns
        assert row.busy_ns == row.window_ns - row.idle_ns
        assert min(row.kernel_ns, row.memcpy_ns, row.memset_ns, row.idle_ns) >= 0
        assert 0 <= row.unlaunched_ns <= row.busy_ns
        own = [s for s in result.streams if s.device == row.device]
        assert sum(s.alone_ns for s in own) <= row.busy_ns <= sum(s.busy_ns for s in own)


def test_communication_under_other_kernels_is_not_exposed() -> None:
    trace = draw(
        """
        stream 7  AAAA....BB
        stream 9  ..NNNN....
        """,
        names={"N": "ncclDevKernel_AllReduce_Sum"},
    )
    result = devices.devices(trace)
    row = result.rows[0]
    assert (row.kernel_ns, row.communication_ns, row.exposed_communication_ns) == (8000, 4000, 2000)
    assert [(s.stream, s.busy_ns, s.alone_ns) for s in result.streams] == [
        (7, 6000, 4000), (9, 4000, 2000),
    ]  # fmt: skip


def test_idle_time_of_a_step_cut_out_is_not_given_without_a_word() -> None:
    result = devices.devices(loaded("tl_sglang_decode"))
    assert 463_000_000 < result.rows[0].suspect_ns <= result.rows[0].idle_ns
    grid = devices.tables(result)[0]
    row = dict(zip((c.label for c in grid.columns), grid.rows[0], strict=True))
    assert row["unaccounted"] == result.rows[0].suspect_ns
    assert row["window"] == result.rows[0].window_ns - row["unaccounted"]
    assert row["idle share"] == row["idle"] / row["window"] < 0.07
    assert "unaccounted for" in devices.charts(result)[0].title
