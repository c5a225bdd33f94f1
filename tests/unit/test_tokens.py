"""The ledger of request parts and tokens, conserved to the nanosecond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from tracekit.analyses.tokens import analysis as module
from tracekit.analyses.tokens import growth
from tracekit.analyses.tokens.analysis import Tokens, merge, tokens
from tracekit.analyses.tokens.growth import fit

from tests.drawing import Slice, build, draw
from tests.examples import examples
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.attribution import breakdown, links
from tracekit.attribution.idle.busy import busy
from tracekit.errors import MissingEventsError
from tracekit.results.result import to_plain
from tracekit.trace.spans.intervals import total
from tracekit.trace.trace import Cat, Trace

REQUEST = """
    mark      sssssssssssssssssssssssss
    mark      .ll.pp.eee.fffff.dddddd..
    mark      .................xxx.yy..
    host      ...........a.....b...c...
    stream 7  ............AAA...BB..C..
    """
NAMED = {
    "s": "tracekit::sample#0", "l": "tracekit::load", "p": "tracekit::preprocess",
    "e": "tracekit::encode", "f": "tracekit::prefill", "d": "tracekit::decode",
    "x": "tracekit::decode_step#1", "y": "tracekit::decode_step#2",
}  # fmt: skip


def conserved(result: Tokens) -> None:
    for row in result.rows:
        assert row.spent.total_ns == row.wall_ns
        assert all(ns >= 0 for ns in row.spent.parts.values())
    for grid in module.tables(result):
        assert all(len(cells) == len(grid.columns) for cells in grid.rows)


def test_parts_follow_one_another_and_leave_nothing_of_the_request_out() -> None:
    result = tokens(draw(REQUEST, NAMED))
    conserved(result)
    assert [(r.part, r.token, r.wall_ns) for r in result.rows] == [
        ("load", None, 2000), ("preprocess", None, 3000), ("encode", None, 4000),
        ("prefill", 0, 6000), ("decode", 1, 4000), ("decode", 2, 3000),
    ]  # fmt: skip
    prefill = result.rows[3].spent
    assert prefill.kernel == {"other": 3000}
    assert prefill.idle == {"host_outside": 2000, "launch_call": 1000}


def test_ttft_tpot_and_itl_are_those_of_the_definitions() -> None:
    result = tokens(draw(REQUEST, NAMED))
    request = result.requests[0]
    assert (request.ttft_ns, request.ttft_without_load_ns) == (15_000, 13_000)
    assert (request.end_to_end_ns, request.tokens) == (22_000, 3)
    assert request.tpot_ns == (22_000 - 15_000) / 2
    assert request.itl_ns == (4000, 3000)
    assert result.latency is not None
    assert result.latency.itl_p50_ns == 3500


def test_a_request_has_the_number_of_its_sample_and_begins_with_its_first_stage() -> None:
    result = tokens(draw(REQUEST, {**NAMED, "s": "tracekit::sample#7"}))
    assert {row.request for row in result.rows} == {7}
    assert result.rows[0].start_ns == 1000


def test_a_position_that_no_capture_recorded_is_not_known() -> None:
    steps = {c: f"tracekit::decode_step#{i}" for i, c in enumerate("abcdefg", 1)}
    trace = draw("mark ffffabbcccddddeeeeeffffffggggggg".replace("ffffa", "ppppa"),
                 {"p": "tracekit::prefill", **steps})  # fmt: skip
    result = tokens(trace)
    assert {row.position for row in result.rows} == {None}
    assert result.growth[0].a_ns is None
    assert result.growth[0].b_ns == pytest.approx(1000)


def test_without_a_second_token_there_is_no_tpot() -> None:
    trace = draw("mark llffff", {"l": "tracekit::load", "f": "tracekit::prefill"})
    request = tokens(trace).requests[0]
    assert (request.ttft_ns, request.tpot_ns, request.tokens) == (6000, None, 1)


def test_tokens_that_no_marker_counts_are_not_known() -> None:
    whole = {"l": "tracekit::load", "f": "tracekit::prefill", "d": "tracekit::decode"}
    request = tokens(draw("mark llffdddd", whole)).requests[0]
    assert (request.ttft_ns, request.tokens, request.tpot_ns) == (4000, None, None)
    assert request.itl_ns == ()
    # our own captures mark every step, so none means that none was made
    trace = draw("mark llffdddd", whole, meta={"tracekit": {"version": "1"}})
    assert tokens(trace).requests[0].tokens == 1


def test_steps_without_a_prefill_have_no_time_to_first_token() -> None:
    steps = {"a": "tracekit::decode_step#1", "b": "tracekit::decode_step#2"}
    result = tokens(draw("mark aabb", steps))
    assert [row.token for row in result.rows] == [1, 2]
    request = result.requests[0]
    assert (request.ttft_ns, request.tokens, request.tpot_ns) == (None, None, None)
    assert request.itl_ns == (2000, 2000)


def test_an_encoder_alone_has_no_first_token() -> None:
    trace = draw("mark lleeee", {"l": "tracekit::load", "e": "tracekit::encode"})
    result = tokens(trace)
    assert (result.requests[0].ttft_ns, result.requests[0].tokens) == (None, None)
    assert result.rows[0].spent.host == {"op_ns": 0, "copy_ns": 0, "other_ns": 2000}


def test_without_sample_markers_a_run_of_stages_is_a_request() -> None:
    trace = draw("mark llff..llff", {"l": "tracekit::load", "f": "tracekit::prefill"})
    assert [r.ttft_ns for r in tokens(trace).requests] == [4000, 4000]


def test_without_a_gpu_the_ledger_is_in_host_classes() -> None:
    trace = draw(
        """
        mark      fffffffff
        op        .xxxyy...
        """,
        {"f": "tracekit::prefill", "x": "aten::mm", "y": "aten::copy_"},
    )
    spent = tokens(trace).rows[0].spent
    assert spent.kernel is None
    assert spent.parts == {"gemm": 3000, "copy": 2000, "outside ops": 4000}
    labels = [c.label for grid in module.tables(tokens(trace)) for c in grid.columns]
    assert "gemm ops" in labels
    assert "gemm" not in labels


def test_an_engine_step_is_taken_by_launch() -> None:
    trace = draw(
        """
        mark      eeee....ddd.....
        host      ab......c.......
        stream 7  ....AA.BB...CC..
        """,
        {"e": "step[EXTEND bs=1 toks=9]", "d": "step[DECODE bs=1]"},
    )
    result = tokens(trace)
    conserved(result)
    assert [(r.part, r.wall_ns, r.request) for r in result.rows] == [
        ("prefill", 5000, None), ("decode", 2000, None),
    ]  # fmt: skip
    assert result.requests == ()
    assert result.latency is None


def test_annotations_that_say_no_phase_are_not_taken_for_tokens() -> None:
    with pytest.raises(MissingEventsError, match="no request stages"):
        tokens(draw("mark pp", {"p": "ProfilerStep#1"}))


def decoding(times: list[int]) -> Trace:
    """One request whose decode steps take so long; the excess over 100 is one kernel."""
    at, slices = 10, [Slice(0, 10, "tracekit::prefill", Cat.ANNOTATION)]
    for i, time in enumerate(times):
        slices.append(Slice(at, time, f"tracekit::decode_step#{i + 1}", Cat.ANNOTATION))
        slices.append(Slice(at + 10, time - 90, "flash_fwd_kernel", Cat.KERNEL, 7, 0, 0, 7, -1))
        at += time
    return build(slices)


def test_growth_with_the_context_is_found_in_the_category_that_grows() -> None:
    result = tokens(decoding([100 + 3 * i for i in range(12)]))
    found = {f.name: f for f in result.growth}
    assert found["token"].b_ns == pytest.approx(3)
    assert found["attention"].b_ns == pytest.approx(3)
    assert found["attention"].grows
    assert not found["unlinked"].grows


def test_the_context_of_a_token_starts_from_the_prompt_of_its_own_request() -> None:
    names = {"a": "tracekit::sample#0", "b": "tracekit::sample#1", "p": "tracekit::prefill",
             "d": "tracekit::decode_step#1"}  # fmt: skip
    picture = "mark aaaaaabbbbbb\nmark ppddddppdddd"

    def contexts(**counts: object) -> list[int | None]:
        made = {"tracekit": {"tokens": {"generated": [2, 2], **counts}}}
        lines = tokens(draw(picture, names, meta=made)).rows
        return [line.position for line in lines if line.part == "decode"]

    assert contexts(prefill=None, prefill_each=[10, 40]) == [11, 41]
    assert contexts(prefill=10) == [11, 11]  # of a capture that states one length for all
    assert contexts(prefill=None) == [None, None]


def test_what_made_slow_tokens_slow_adds_up_to_the_excess() -> None:
    slow = tokens(decoding([100] * 19 + [500])).slow
    assert slow is not None
    assert (slow.count, slow.of, slow.excess_ns) == (1, 20, 400)
    assert next(iter(slow.parts)) == "attention"
    assert sum(slow.parts.values()) == pytest.approx(slow.excess_ns)
    assert tokens(decoding([100] * 5)).slow is None


@given(st.floats(-5, 5), st.floats(0, 100))
def test_the_range_of_a_fit_holds_the_slope(slope: float, base: float) -> None:
    noise = [0.5, -0.4, 0.3, -0.6, 0.1, 0.2, -0.3, 0.4]
    times = [base + slope * i + noise[i] for i in range(8)]
    line = fit("x", range(8), times, [0] * 8)
    assert line is not None
    assert line.b_ns == pytest.approx(np.polyfit(range(8), times, 1)[0], abs=1e-9)
    assert line.low_ns < line.b_ns < line.high_ns
    assert line.b_ns - line.low_ns == pytest.approx(line.high_ns - line.b_ns)
    assert fit("x", [1, 1, 1, 1], [1, 2, 3, 4], [0] * 4) is None


def slow_half(x: list[float], left: list[float], request: list[int], rho: float) -> float:
    """Half the interval of a slope with every matrix written out."""
    count = len(x)
    line = np.stack([np.ones(count), np.asarray(x)], axis=1)
    alike = np.equal.outer(request, request)
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    T = np.where(alike, rho**apart, 0.0)
    inverse = np.linalg.inv(line.T @ line)
    M = np.eye(count) - line @ inverse @ line.T
    one, two = np.trace(M @ T), np.trace(M @ T @ M @ T)
    slope = (inverse @ line.T @ T @ line @ inverse)[1, 1]
    t = float(stdtrit(round(max(one**2 / two, 1), 1), 0.975))
    return t * float(np.asarray(left) @ left / one * slope) ** 0.5


@pytest.mark.parametrize("requests", [[40], [12, 20], [5] * 8])
def test_the_range_of_a_fit_is_that_of_errors_that_are_alike(
    requests: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "_likeness", lambda *_given: 0.7)
    random = np.random.default_rng(len(requests))
    request = [number for number, count in enumerate(requests) for _ in range(count)]
    x = [float(100 * n + i) for n, count in enumerate(requests) for i in range(count)]
    y = random.normal(size=len(x)).cumsum()
    b, a = np.polyfit(x, y, 1)
    line = fit("x", x, y.tolist(), request)
    assert line is not None
    expected = slow_half(x, (y - a - b * np.asarray(x)).tolist(), request, 0.7)
    assert line.high_ns - line.b_ns == pytest.approx(expected, rel=1e-6)


def test_tokens_that_wander_do_not_grow() -> None:
    wandering, random = 0, np.random.default_rng(5)
    for _ in range(100):
        error, times = 0.0, []
        for noise in random.normal(size=120):
            error = 0.9 * error + noise
            times.append(1000 + error)
        line = fit("x", range(120), times, [0] * 120)
        assert line is not None
        wandering += not line.low_ns <= 0 <= line.high_ns
    assert wandering <= 6  # ordinary least squares: about 64


@given(traces(gpu=True))
@examples(150)
def test_categories_are_disjoint_and_cover_the_busy_time(trace: Trace) -> None:
    flat = breakdown.category_spans(trace)
    assert sum(total(spans) for spans in flat.values()) == total(busy(trace).busy)


@given(traces())
@examples(200)
def test_every_line_adds_up_on_any_trace(trace: Trace) -> None:
    try:
        conserved(tokens(trace))
    except MissingEventsError:
        return


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_every_line_adds_up_on_real_traces(name: str) -> None:
    trace = loaded(name)
    steps = {"tl_sglang_decode": "decode", "tl_sglang_prefilldecode": "prefill",
             "tl_vllm_prefilldecode_piecewise": "mixed",
             "tl_sglang_decode_capture": "capture"}  # fmt: skip
    if name not in steps:
        with pytest.raises(MissingEventsError):
            tokens(trace)
        return
    result = tokens(trace)
    conserved(result)
    assert [row.part for row in result.rows] == [steps[name]]
    assert module.charts(result)


def test_the_mean_of_a_part_is_of_lines_that_are_alike() -> None:
    """A step of 50 µs between four of 10: the mean is 10, of 4 of 5."""
    trace = draw(
        """
        mark      aa.bb.ccccccc.dd.ee.
        host      f..g..h.......i..j..
        stream 7  .FF.GG.HHHHHHH.II.JJ
        """,
        names=dict.fromkeys("abcde", "step[DECODE bs=1]"), column_ns=5_000,
    )  # fmt: skip
    (grid,) = [g for g in module.tables(tokens(trace)) if g.key == "parts"]
    assert [c.label for c in grid.columns][:4] == ["part", "count", "mean of", "mean"]
    assert grid.rows[0][:4] == ("decode", 5, "4 of 5", 10_000)
    (chart,) = [c for c in module.charts(tokens(trace)) if c.key == "parts"]
    assert sum(x for bar in chart.data for x in bar["x"]) == 10  # µs


@pytest.mark.parametrize(("made", "many"), [(100, 1), (120, 1), (121, 2), (250, 3)])
def test_no_decoded_token_is_missing_from_the_chart(made: int, many: int) -> None:
    steps = [Slice(100 + 10 * i, 10, f"tracekit::decode_step#{i + 1}", Cat.ANNOTATION)
             for i in range(made)]  # fmt: skip
    ops = [Slice(101 + 10 * i, 2 + i % 7, "aten::mm", Cat.CPU_OP) for i in range(made)]
    marks = [Slice(0, 100, "tracekit::prefill", Cat.ANNOTATION),
             Slice(100, 10 * made, "tracekit::decode", Cat.ANNOTATION)]  # fmt: skip
    result = tokens(build([*marks, *steps, *ops]))
    chart = next(c for c in module.charts(result) if c.key == "tokens")
    assert (f"the middle one of {many} at a time" in chart.title) == (many > 1)
    bars = [t for t in chart.data if t["type"] == "bar"]
    columns = len(bars[0]["x"])
    assert columns == -(-made // many) <= module.COLUMNS
    last = bars[0]["customdata"][-1][0]
    assert last.endswith(str(made))
    sizes = [min(many, made - many * at) for at in range(columns)]
    drawn = sum(
        value * size for bar in bars for value, size in zip(bar["y"], sizes, strict=True) if value
    )
    whole = sum(r.wall_ns for r in result.rows if r.part == "decode" and r.token is not None)
    assert drawn * 1000 == pytest.approx(whole)  # the axis is in µs


def test_the_step_of_sglang_shows_how_much_of_its_idle_time_is_suspect() -> None:
    row = tokens(loaded("tl_sglang_decode")).rows[0]
    assert row.spent.suspect_ns is not None
    assert row.spent.suspect_ns > 463_000_000
    assert row.spent.kernel is not None
    assert sum(row.spent.kernel.values()) == 9_759_749


def test_every_real_trace_splits_into_categories_without_a_rest() -> None:
    for name in NAMES:
        trace = loaded(name)
        if len(links.work(trace)):
            flat = breakdown.category_spans(trace)
            assert sum(total(spans) for spans in flat.values()) == total(busy(trace).busy)


@given(st.lists(traces(), min_size=3, max_size=3))
@examples(50)
def test_merging_is_associative(three: list[Trace]) -> None:
    try:
        one, two, last = (tokens(trace) for trace in three)
    except MissingEventsError:
        return
    left, right = merge(merge(one, two), last), merge(one, merge(two, last))
    assert to_plain(left) == to_plain(right)
