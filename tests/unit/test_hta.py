"""Beside Holistic Trace Analysis: the critical path as ours, and every difference explained."""

import gzip
import json
import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tests.unit.test_inferred import drawn
from tracekit.analyses import critical_path
from tracekit.attribution import hta_results
from tracekit.attribution.stages.instances import markers
from tracekit.cli.app import app
from tracekit.comparison import crosscheck
from tracekit.comparison.crosscheck import CrossCheck
from tracekit.errors import MissingEventsError, TracekitError
from tracekit.results import catalog
from tracekit.trace import kineto
from tracekit.trace.trace import Trace


def load(name: str) -> Trace:
    return kineto.load(shared("traces", f"{name}.json.gz"))


def checked(name: str) -> dict[str, tuple[int | None, int | None, str]]:
    result: CrossCheck = crosscheck.crosscheck(load(name))
    return {
        r.quantity.split(":")[0]: (r.ours_ns, r.hta_ns, " ".join(r.why)) for r in result.rows[:3]
    }


def test_equal_figures_need_no_words() -> None:
    for ours, hta, why in checked("hta_trace_compare_base").values():
        assert ours is not None
        assert ours == hta or why
    for ours, hta, why in checked("hta_et_simple_add").values():
        assert (ours, why) == (hta, "")


def test_rounding_is_named_as_the_cause() -> None:
    found = checked("tl_mi210_gpu_only")
    ours, hta, why = found["idle"]
    assert (ours, hta) == (636_081, 1_199_000)
    assert "rounds" in why
    assert "562 events" in why
    assert "Not explained" not in why


def test_events_that_are_no_gpu_work_are_named() -> None:
    ours, hta, why = checked("hta_triton_example_a100")["busy"]
    assert (ours, hta) == (1_760, 94_000)
    assert "1 cpu_op" in why


def test_left_out_work_is_counted(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", annotated=True)
    whole = json.loads(path.read_text())
    events = whole["traceEvents"]
    steps = [{**events[0], "name": f"ProfilerStep#{n}", "ts": 1.0 + 45 * n, "dur": 45.0}
             for n in range(2)]  # fmt: skip
    first_launch = next(e for e in events if e["name"] == "cudaLaunchKernel")
    whole["traceEvents"] = [*steps, *(e for e in events[1:] if e is not first_launch)]
    path.write_text(json.dumps(whole))
    rows = crosscheck.crosscheck(kineto.load(path)).rows
    ours, hta, why = rows[1].ours_ns, rows[1].hta_ns, " ".join(rows[1].why)
    assert (ours, hta) == (40_000, 30_000)
    assert "leaves out 1 of 4 GPU activities" in why
    assert "-10.0 µs" in why
    assert "Not explained" not in why


def test_where_hta_fails_its_own_words_are_given_and_ours_stand() -> None:
    ours, hta, why = checked("tl_h100_qwen15_05b")["busy"]
    assert (ours, hta) == (45_647_300, None)
    assert "AssertionError" in why
    ours, hta, why = checked("hta_cpu_only_small")["busy"]
    assert (ours, hta) == (None, None)
    assert "no GPU work" in why


def test_asking_hta_leaves_logging_and_environment_as_they_were() -> None:
    level = logging.root.manager.disable
    with pytest.raises(hta_results.HtaError):
        hta_results.gpu_rows("/nowhere/trace.json")
    hta_results.gpu_rows(str(shared("traces", "hta_et_simple_add.json.gz")))
    assert logging.root.manager.disable == level
    assert hta_results.ROUNDING not in os.environ


def test_the_critical_path_is_split_by_cause_and_drawn_into_a_trace(tmp_path: Path) -> None:
    target = tmp_path / "path.json.gz"
    result = critical_path.critical_path(load("tl_h100_nsfw"), overlay=target)
    (path,) = result.rows
    assert path.annotation == "ProfilerStep#6"
    assert sum(c.ns for c in path.causes) == path.path_ns
    assert sum(c.share or 0 for c in path.causes) == pytest.approx(1)
    assert path.causes[0].cause == "host"
    lengths = [e.ns for e in result.edges]
    assert lengths == sorted(lengths, reverse=True)
    assert len(lengths) == critical_path.MOST_EDGES
    with gzip.open(target) as file:
        overlaid = json.load(file)
    assert any("critical_path" in str(event.get("cat")) for event in overlaid["traceEvents"])
    assert list(tmp_path.iterdir()) == [target]
    both = critical_path.merge(result, result)
    assert len(both.rows) == 2
    assert len(both.edges) == critical_path.MOST_EDGES
    assert critical_path.tables(both)[0].rows[0][0] == "ProfilerStep#6"


def test_the_same_annotation_can_be_chosen_by_stage_and_number() -> None:
    trace = load("hta_alexnet_a100")
    result = critical_path.critical_path(trace, stages="measure.forward")
    assert "measure|forward" in result.rows[0].annotation
    with pytest.raises(TracekitError, match="instances, and none of number 7"):
        critical_path.critical_path(trace, stages="measure.forward", instance=7)


def test_where_the_critical_path_fails_the_reason_is_said() -> None:
    with pytest.raises(MissingEventsError, match=r"Holistic Trace Analysis .* fails"):
        critical_path.critical_path(load("hta_cpu_only_small"))


def write_trace(path: Path, *, annotated: bool = False) -> Path:
    """Four ops that each launch a kernel, 10 µs long, one behind the other; nothing is marked."""
    whole = ("user_annotation", "step") if annotated else ("cpu_op", "aten::sum")
    events: list[dict[str, object]] = [
        {"ph": "X", "cat": whole[0], "name": whole[1], "pid": 1, "tid": 1, "ts": 1.0, "dur": 90.0,
         "args": {}}
    ]  # fmt: skip
    for n in range(4):
        at = 10.0 + 20 * n
        events += [
            {"ph": "X", "cat": "cpu_op", "name": f"aten::op{n}", "pid": 1, "tid": 1,
             "ts": at, "dur": 12.0, "args": {"External id": n + 1}},
            {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1,
             "ts": at + 1, "dur": 3.0, "args": {"correlation": n + 1, "External id": n + 1}},
            {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": at + 6,
             "dur": 10.0, "args": {"correlation": n + 1, "device": 0, "stream": 7}},
        ]  # fmt: skip
    text = json.dumps({"traceEvents": events, "deviceProperties": [{"id": 0, "name": "drawn"}]})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("given", ["t.json", "sub/t.json.gz", "./t.json", "sub/../t.json"])
def test_a_relative_path_is_the_file_that_it_names(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    write_trace(Path(given))
    runner = CliRunner()
    shown = runner.invoke(app, ["crosscheck", given, "--json"])
    rows = json.loads(shown.stdout)["crosscheck"]["rows"]
    # kernels of 10 µs every 20 µs, three gaps of 10 µs between four of them
    assert [(r["ours_ns"], r["hta_ns"]) for r in rows[:3]] == [
        (70_000, 70_000), (40_000, 40_000), (30_000, 30_000),
    ]  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    done = runner.invoke(app, ["critical-path", given, "-o", "o.json.gz"])
    assert done.exit_code == 0, done.output
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "o.json.gz"])


def test_without_a_place_for_the_overlay_nothing_is_written_beside_the_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "here").mkdir()
    path = write_trace(tmp_path / "theirs" / "t.json")
    monkeypatch.chdir(tmp_path / "here")
    assert CliRunner().invoke(app, ["critical-path", str(path)]).exit_code == 0
    assert list(path.parent.iterdir()) == [path]
    assert Path("traces/t.critical_path.json.gz").exists()


@pytest.mark.parametrize("ending", ["t.json.gz", "t.json", "trace"])
def test_how_a_file_is_stored_is_read_from_it_and_not_from_its_name(
    ending: str, tmp_path: Path
) -> None:
    packed = write_trace(tmp_path / "made.gz").rename(tmp_path / ending)
    assert hta_results.temporal(str(packed)).busy_ns == 40_000
    plain = write_trace(tmp_path / "made.json").rename(tmp_path / f"plain-{ending}")
    assert hta_results.temporal(str(plain)).busy_ns == 40_000


def test_a_trace_without_annotations_is_followed_whole_as_hta_does(tmp_path: Path) -> None:
    trace = kineto.load(write_trace(tmp_path / "t.json"))
    (path,) = critical_path.critical_path(trace).rows
    assert (path.annotation, path.instance, path.wall_ns) == ("whole trace", 0, 90_000)
    assert sum(c.ns for c in path.causes) == path.path_ns > 0
    with pytest.raises(TracekitError, match="no instances"):
        critical_path.critical_path(trace, instance=2)


def test_an_annotated_trace_is_followed_whole_on_request(tmp_path: Path) -> None:
    trace = kineto.load(write_trace(tmp_path / "t.json", annotated=True))
    assert critical_path.critical_path(trace).rows[0].annotation == "step"
    assert critical_path.critical_path(trace, whole=True).rows[0].annotation == "whole trace"


@pytest.mark.parametrize(("marks", "asked"), [((), None), (("ProfilerStep#3",), "ProfilerStep#3")])
def test_a_stage_that_only_we_infer_is_not_asked_of_hta(
    marks: tuple[str, ...], asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str | None] = []

    def stands_in(_path: str, annotation: str | None, *_rest: object) -> list[hta_results.Edge]:
        named.append(annotation)
        return [hta_results.Edge("op", "cpu_bound", "operator", 1_000, False)]

    monkeypatch.setattr(hta_results, "critical_path", stands_in)
    trace = drawn([(5, 1, 1, 1)] * 3, marks=marks)
    assert markers(trace).chosen == "inferred"
    critical_path.critical_path(trace)
    assert named == [asked]


def test_a_fault_of_ours_is_not_said_to_be_of_hta(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_name: str) -> None:
        raise ValueError("ours")

    path = write_trace(tmp_path / "t.json")
    monkeypatch.setattr(hta_results, "category", broken)
    with pytest.raises(ValueError, match="ours"):
        hta_results.gpu_rows(str(path))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(28, "No space left on device"), "No space left"),
        (ImportError("no module named x"), "cannot be loaded"),
    ],
)
def test_a_fault_of_the_machine_is_not_said_to_be_of_hta(
    fault: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_given: object) -> None:
        raise fault

    path = write_trace(tmp_path / "t.json")
    monkeypatch.setattr("hta.trace_analysis.Trace", stopped)
    with pytest.raises(TracekitError, match=said):
        hta_results.temporal(str(path))


def test_a_pandas_on_which_hta_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pandas.__version__", "3.0.1")
    with pytest.raises(TracekitError, match=r"below 3, and 3\.0\.1 is installed"):
        hta_results.version()


def test_the_critical_path_is_slow_and_so_only_on_request() -> None:
    assert not catalog.analysis("critical_path").by_default


def test_the_commands_print_what_the_library_found(tmp_path: Path) -> None:
    runner = CliRunner()
    path = str(shared("traces", "tl_mi210_gpu_only.json.gz"))
    shown = runner.invoke(app, ["crosscheck", path, "--json"])
    rows = json.loads(shown.stdout)["crosscheck"]["rows"]
    assert rows[2]["difference_ns"] == 1_199_000 - 636_081
    assert "rounds" in runner.invoke(app, ["crosscheck", path]).stdout
    alexnet = str(shared("traces", "tl_h100_nsfw.json.gz"))
    target = tmp_path / "out.json.gz"
    done = runner.invoke(app, ["critical-path", alexnet, "-o", str(target)])
    assert done.exit_code == 0
    assert target.exists()
    assert "next: tracekit open" in done.stdout
