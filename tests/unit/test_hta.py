"""Beside Holistic Trace Analysis: the critical path as ours, and every difference explained."""

import gzip
import json
import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tracekit.analyses import critical_path
from tracekit.attribution import hta_results
from tracekit.cli.app import app
from tracekit.compare import crosscheck
from tracekit.compare.crosscheck import CrossCheck
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


def test_left_out_work_is_counted() -> None:
    ours, hta, why = checked("tl_mi300_resnet_act_checkpoint")["busy"]
    assert ours == 84_002_056
    assert hta is not None
    assert hta < ours
    assert "leaves out 968 of 3,653" in why


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
