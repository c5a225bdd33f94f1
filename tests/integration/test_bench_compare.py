"""Two benchmarks compared, on times that were recorded: nothing here is timed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tracekit.bench import comparison, file
from tracekit.errors import TracekitError

# one model, run again and again on a machine with four times as much to do as it has cores
FOLDER = Path(__file__).parents[1] / "golden" / "bench"
RUNS = ("run-1", "run-2", "busy-1", "busy-2")


def recorded(name: str) -> dict[str, Any]:
    return file.load(FOLDER / f"{name}.json")


def slowed(content: dict[str, Any], factor: float, *stages: str) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(content))
    for row in copy["configurations"]:
        for sample in row["samples"]:
            for stage in stages or file.STAGES:
                sample[stage] = round(sample[stage] * factor)
    return copy


def test_files_that_are_no_benchmarks_are_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("{}", "[]", "not json", '{"schema": "tracekit-bench/1"}'):
        path.write_text(text)
        with pytest.raises(TracekitError, match="not a result of tracekit bench"):
            file.load(path)
    with pytest.raises(TracekitError, match="cannot be read"):
        file.load(tmp_path / "absent.json")


def test_settings_that_differ_are_said() -> None:
    base = recorded("run-1")
    other = slowed(base, 1)
    other["configurations"][0]["options"]["dtype"] = "bfloat16"
    other["environment"]["versions"]["torch"] = "9.9"
    found = comparison.differing(base, other)
    assert "dtype: float32 → bfloat16" in found
    assert any(text.startswith("torch: ") for text in found)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("0%", 0.0)])
def test_a_threshold_is_a_share(text: str, share: float) -> None:
    assert comparison.threshold(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["five", "-1%", "nan", "inf%", "5", "1"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(TracekitError, match="must be a share"):
        comparison.threshold(text)


def test_configurations_that_only_one_file_has_are_said() -> None:
    base = recorded("run-1")
    row = base["configurations"][0]
    base["configurations"] = [{**row, "axes": {"batch_size": size}} for size in (1, 2)]
    new = json.loads(json.dumps(base))
    new["configurations"][1]["axes"]["batch_size"] = 8
    compared = comparison.compare(base, new)
    assert compared.unmatched == ("only in one: batch size 2", "only in one: batch size 8")
    assert {line.config for line in compared.lines} == {"batch size 1"}
    base["configurations"][0]["samples"] = []
    with pytest.raises(TracekitError, match="nothing that can be compared"):
        comparison.compare(base, new)


@pytest.mark.parametrize(("base", "new"), itertools.permutations(RUNS, 2))
def test_runs_of_the_same_thing_are_no_change(base: str, new: str) -> None:
    found = comparison.compare(recorded(base), recorded(new))
    assert {line.change.verdict for line in found.lines} == {"no change"}
    assert found.regressions(0.05) == []
    assert comparison.verdict(found, 0.05) == "No change beyond noise."
    assert comparison.alone(found)


@pytest.mark.parametrize(
    ("base", "new"),
    [("run-1", "run-1"), ("run-1", "run-2"), ("run-2", "run-1"), ("busy-1", "busy-1")],
)
def test_a_fifth_more_time_is_a_regression(base: str, new: str) -> None:
    found = comparison.compare(recorded(base), slowed(recorded(new), 1.2))
    assert found.regressions(0.05)
    assert comparison.verdict(found, 0.05).startswith("Regression beyond 5.0%: ")


def test_one_slower_stage_is_named_and_the_others_are_not() -> None:
    found = comparison.compare(recorded("run-1"), slowed(recorded("run-1"), 1.5, "prefill"))
    named = {line.measure for line in found.regressions(0.05)}
    assert "prefill" in named
    assert not named & {"load", "preprocess", "encode", "decode", "tpot"}


def test_less_than_the_threshold_is_no_regression() -> None:
    found = comparison.compare(recorded("run-1"), slowed(recorded("run-1"), 1.2))
    assert found.regressions(0.25) == []


def test_a_faster_run_is_faster_and_passes() -> None:
    found = comparison.compare(slowed(recorded("run-1"), 1.5), recorded("run-1"))
    assert "faster" in {line.change.verdict for line in found.lines}
    assert found.regressions(0.0) == []


def test_a_slower_machine_is_not_taken_for_slower_code() -> None:
    new = slowed(recorded("run-1"), 1.3)
    row = new["configurations"][0]
    row["yardstick_ns"] = [round(ns * 1.3) for ns in row["yardstick_ns"]]
    found = comparison.compare(recorded("run-1"), new)
    assert found.regressions(0.05) == []
    assert any("machine itself was 30.0% slower" in note for note in found.notes)


def test_a_busy_machine_is_said_to_be_one() -> None:
    found = comparison.compare(recorded("run-1"), recorded("busy-1"))
    assert any("waited for a core" in note for note in found.notes)


def test_the_command_line_compares_and_gates(tmp_path: Path) -> None:
    from tracekit.cli.app import app

    base = FOLDER / "run-1.json"
    new = tmp_path / "new.json"
    new.write_text(json.dumps(slowed(file.load(base), 3.0)))
    runner = CliRunner()
    same = runner.invoke(app, ["bench", "compare", str(base), str(base), "--fail-slower-than=5%"])
    assert same.exit_code == 0
    assert "No change beyond noise" in same.output
    worse = runner.invoke(app, ["bench", "compare", str(base), str(new), "--fail-slower-than=5%"])
    assert worse.exit_code == 3
    assert "Regression beyond 5.0%" in worse.output
    shown = runner.invoke(app, ["bench", "compare", str(base), str(new), "--markdown"])
    assert shown.exit_code == 0
    assert "| measure | base | new | change | verdict |" in shown.output
    plain = runner.invoke(app, ["bench", "compare", str(new), str(base), "--json"])
    assert {line["change"]["verdict"] for line in json.loads(plain.output)["lines"]} == {"faster"}
