"""Comparisons: parts that add up to the whole change, kernels matched, new and gone."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from tracekit.analyses.devices import analysis as devices
from tracekit.analyses.kernels import analysis as kernels
from tracekit.analyses.stages import analysis as stages
from typer.testing import CliRunner

from tests.conftest import shared
from tests.drawing import draw
from tests.random_traces import traces
from tracekit.answers.stages import Stages
from tracekit.cli.app import app
from tracekit.comparison import compare, decode, fields, runs, tables
from tracekit.comparison.runs import Run
from tracekit.comparison.splits import Split
from tracekit.errors import MissingEventsError, TracekitError
from tracekit.report.diff import page, wording
from tracekit.results.result import Result
from tracekit.trace.trace import Trace


def answered(trace: Trace) -> Run:
    answers: dict[str, Result] = {}
    for run in (stages.stages, kernels.kernels, devices.devices):
        try:
            result = run(trace)
        except MissingEventsError:
            continue
        answers[result.analysis] = result
    return Run("drawing", answers=answers)


@given(traces(), traces())
def test_the_parts_of_every_split_explain_the_whole_change(one: Trace, two: Trace) -> None:
    result = compare.compare(answered(one), answered(two))
    for split in result.splits:
        assert sum(p.before_ns for p in split.parts) == split.before_ns
        assert sum(p.after_ns for p in split.parts) == split.after_ns
        assert sum(p.difference_ns for p in split.parts) == split.difference_ns
        assert split.difference_ns == split.after_ns - split.before_ns
    if result.kernel_before_ns is not None and result.kernel_after_ns is not None:
        change = result.kernel_after_ns - result.kernel_before_ns
        assert sum(k.difference_ns for k in result.kernels) == change
        assert sum(o.difference_ns for o in result.ops) == change
    for kernel in result.kernels:
        if kernel.by_count_ns is not None and kernel.by_speed_ns is not None:
            whole = kernel.by_count_ns + kernel.by_speed_ns
            assert whole == pytest.approx(kernel.difference_ns)


@given(traces())
def test_a_trace_does_not_differ_from_itself(trace: Trace) -> None:
    result = compare.compare(answered(trace), answered(trace))
    assert result.fields == ()
    assert {s.difference_ns for s in result.splits} <= {0}
    assert {k.state for k in result.kernels} <= {"both"}


def waiting(columns: int) -> Trace:
    """Two devices; on the first, work that waits for something that the file lacks."""
    return draw(
        f"""
        host                abc{"." * columns}.....
        device 0 stream 7   .A{"." * columns}...CC.
        device 1 stream 7   ..BB
        """,
        column_ns=1_000_000,
    )


def test_windows_of_two_devices_are_never_added_up_and_hold_no_suspect_time() -> None:
    result = compare.compare(answered(waiting(4)), answered(waiting(9)))
    devices = {s.of: s for s in result.splits if s.by == "device"}
    # A, two columns in which the other device works, C; the rest, with C launched, is in no window
    assert {of: (s.before_ns, s.after_ns) for of, s in devices.items()} == {
        "device 0": (5_000_000, 5_000_000), "device 1": (2_000_000, 2_000_000),
    }  # fmt: skip
    assert all(p.name != "suspect" for s in devices.values() for p in s.parts)


BEFORE = draw(
    """
    mark      pppppppppp.
    op        mmmmmm.....
    host      a..b..c....
    stream 7  .AAABBBBC..
    """,
    names={"p": "tracekit::decode", "m": "aten::mm", "A": "gemm_old", "B": "shared", "C": "gone"},
)
AFTER = draw(
    """
    mark      ppppppppp..
    op        mmmmmm.....
    host      a..b.d.....
    stream 7  .ANBBDD....
    """,
    names={"p": "tracekit::decode", "m": "aten::mm", "A": "gemm_new", "B": "shared", "N": "shared",
           "D": "shared"},
    launched_by={"N": "b"},
)  # fmt: skip


def test_kernels_are_matched_and_what_is_new_or_gone_is_said() -> None:
    result = compare.compare(answered(BEFORE), answered(AFTER))
    got = {k.name: (k.state, k.before_ns, k.after_ns) for k in result.kernels}
    assert got == {
        "gemm_old": ("gone", 3000, 0),
        "gemm_new": ("new", 0, 1000),
        "shared": ("both", 4000, 5000),
        "gone": ("gone", 1000, 0),
    }
    same = next(k for k in result.kernels if k.name == "shared")
    # three runs for one, at 4000 ns each, and each of them shorter
    assert (same.by_count_ns, same.by_speed_ns) == (8000, -7000)
    assert same.phase == "decode"
    mm = next(o for o in result.ops if o.op == "aten::mm")
    assert set(mm.before_kernels) == {"gemm_old", "shared", "gone"} - {"gone"}
    assert "gemm_new" in mm.after_kernels
    # most of what changed has another name on the other side: the chart goes by op
    (chart,) = page.op_changes(result)
    assert chart.layout["yaxis"]["ticktext"] == [
        "all ops before", "no op (gone)", "aten::mm", "all ops after",
    ]  # fmt: skip
    assert page.op_changes(compare.compare(answered(BEFORE), answered(BEFORE))) == []


def test_the_headline_is_the_wall_time_of_all_stages() -> None:
    first = compare.compare(answered(BEFORE), answered(AFTER)).splits[0]
    assert (first.of, first.by) == ("all stages", "clock")
    assert (first.before_ns, first.after_ns, first.relative) == (10_000, 9_000, -0.1)


@pytest.mark.parametrize("instances", [1, 2])
def test_one_instance_a_side_says_that_chance_is_not_known(instances: int) -> None:
    def side(columns: int) -> Run:
        stage = f"{'p' * columns}.{'q' * columns}." if instances > 1 else "p" * columns
        names = {"p": "tracekit::decode", "q": "tracekit::decode"}
        return answered(draw(f"mark {stage}\nhost a\nstream 7 .AA", names))

    result = compare.compare(side(8), side(10))
    (said,) = wording.headline(result, result.splits[0])
    assert "25.0% more time" in said
    assert ("each stage ran once a side, so what differs by chance" in said) == (instances == 1)


def test_other_numbers_are_matched_by_what_identifies_their_row() -> None:
    one = {"rows": [{"name": "a", "n": 1, "start_ns": 5}, {"name": "b", "n": 2}], "total": None}
    two = {"rows": [{"name": "b", "n": 5}, {"name": "a", "n": 1, "start_ns": 9}], "total": 3}
    got = [(c.row, c.field, c.before, c.after) for c in fields.fields("x", one, two)]
    assert got == [("b", "rows.n", 2, 5), ("", "total", None, 3)]
    change = fields.fields("x", one, two)[0]
    assert (change.difference, change.relative) == (3, 1.5)


def test_what_one_side_alone_answers_is_said_with_the_reason() -> None:
    bare = Run("b", unanswered={"kernels": "no kernel events"})
    result = compare.compare(answered(BEFORE), bare)
    assert result.only_before["kernels"] == "no kernel events"
    assert result.kernels == ()
    (said,) = [text for text in tables.alone(result) if "kernels" in text]
    assert said == "kernels (after: no kernel events)"
    (grid,) = [grid for grid in tables.tables(result) if grid.key == "alone"]
    assert ("before", "no kernel events") in [row[1:] for row in grid.rows]


def test_a_prefill_and_a_decode_step_compare_by_kernel(tmp_path: Path) -> None:
    paths = [
        str(shared("traces", f"{name}.json.gz"))
        for name in ("tl_sglang_prefilldecode", "tl_sglang_decode")
    ]
    runner = CliRunner()
    only = ["--only", "kernels,stages,devices"]
    done = runner.invoke(app, ["compare", *paths, *only, "--json"])
    assert done.exit_code == 0
    comparison = json.loads(done.stdout)["comparison"]
    states = {k["name"][:30]: k["state"] for k in comparison["kernels"]}
    assert states["void paged_attention_ll4mi_QKV"] == "new"
    assert states["void rotary_embedding_kernel<c"] == "both"
    # what analyze printed compares like the traces themselves
    saved = []
    for path in paths:
        answers = runner.invoke(app, ["analyze", path, *only, "--json"])
        saved.append(tmp_path / f"{len(saved)}.json")
        saved[-1].write_text(answers.stdout)
    again = runner.invoke(app, ["compare", *map(str, saved), "--json"])
    assert json.loads(again.stdout)["comparison"]["kernels"] == comparison["kernels"]
    page = ["-o", str(tmp_path / "page.html")]
    shown = runner.invoke(app, ["compare", *map(str, saved), *page])
    assert "All stages" in shown.stdout


def test_answers_of_several_traces_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text('{"schema": "tracekit/1", "traces": [{}, {}]}')
    with pytest.raises(TracekitError, match="2 traces"):
        runs.saved(str(path))


def saved_json(answers: dict[str, object]) -> str:
    return json.dumps({"schema": "tracekit/1", "traces": [{"path": "t.json", "answers": answers}]})


def test_answers_come_back_from_json_as_they_were(tmp_path: Path) -> None:
    one = answered(BEFORE)
    path = tmp_path / "saved.json"
    path.write_text(saved_json({name: result.to_json() for name, result in one.answers.items()}))
    again = runs.saved(str(path))
    assert again is not None
    assert again.answers == one.answers
    found = again.get(Stages)
    assert found is not None
    assert found.whole is not None  # the row of all stages is told from a stage of that name
    assert again.path == "t.json"


def test_json_of_another_version_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    plain = answered(BEFORE).answers["stages"].to_json()
    plain["invented"] = 1
    for total in plain["totals"]:
        del total["spread_ns"]
    path = tmp_path / "saved.json"
    path.write_text(saved_json({"stages": plain, "theirs": {"rows": [{"name": "a", "n": 3}]}}))
    one = runs.saved(str(path))
    assert one is not None
    stages_ = one.get(Stages)
    assert stages_ is not None
    assert {total.spread_ns for total in stages_.totals} == {None}
    # of an analysis that is not installed here, numbers are compared all the same
    other = Run("o", answers={"theirs": decode.Untyped({"rows": [{"name": "a", "n": 4}]})})
    assert [(c.row, c.difference) for c in compare.compare(one, other).fields] == [("a", 1)]
    del plain["rows"][0]["wall_ns"]
    path.write_text(saved_json({"stages": plain}))
    with pytest.raises(TracekitError, match=r"stages, object missing required field `wall_ns`"):
        runs.saved(str(path))


@given(traces())
def test_every_answer_survives_json(trace: Trace) -> None:
    for name, result in answered(trace).answers.items():
        assert decode.answer(name, json.dumps(result.to_json()).encode(), "x") == result


def test_a_split_has_the_same_key_whatever_else_is_split() -> None:
    def of(name: str, by: str) -> Split:
        return Split(name, by, 0, 0, 0, None, ())

    few = [of("all stages", "clock"), of("decode", "launch")]
    many = [of("all stages", "stage"), of("prefill", "launch"), *few]
    assert tables.split_keys(few) == tables.split_keys(many)[2:]
    hostile = [of("<b>x", "clock"), of("B! X", "clock"), of("🚀", "clock")]
    assert tables.split_keys(hostile) == [
        "split-b-x-by-clock", "split-b-x-by-clock-2", "split-other-by-clock",
    ]  # fmt: skip
