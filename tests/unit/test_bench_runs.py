"""Many fresh processes a side: what is claimed of them, and how they are run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tracekit.bench import comparison, file, repeats, statistics
from tracekit.errors import TracekitError

FOLDER = Path(__file__).parents[1] / "golden" / "bench"


def recorded() -> dict[str, Any]:
    return file.load(FOLDER / "run-1.json")


def processes(random: np.random.Generator, apart: float, change: float = 0.0) -> list[list[float]]:
    """Five processes of 40 requests; `apart` is how far processes of one thing lie apart."""
    return [
        (np.exp(random.normal(size=40) * 0.02 + random.normal() * apart) * (1 + change)).tolist()
        for _ in range(5)
    ]


@pytest.mark.parametrize("apart", [0.0, 0.03, 0.06])
def test_processes_of_one_thing_are_no_change_however_far_apart(apart: float) -> None:
    random, wrong = np.random.default_rng(3), 0
    for _ in range(200):
        found = statistics.compare_runs(processes(random, apart), processes(random, apart))
        assert found is not None
        wrong += found.verdict != "no change"
    assert wrong <= 17  # of 200: what 5 % can give by chance once in a thousand


def test_a_twentieth_more_is_found() -> None:
    random, caught = np.random.default_rng(4), 0
    for _ in range(100):
        found = statistics.compare_runs(processes(random, 0.0), processes(random, 0.0, 0.05))
        assert found is not None
        assert found.change == pytest.approx(0.05, abs=0.02)
        caught += found.verdict == "slower"
    assert caught >= 95


def test_the_interval_is_welchs() -> None:
    # medians e, e², e³ against e⁴, e⁶: means of logs 2 and 5, variances 1/3 and 2/2
    base, new = ([[float(np.exp(k))] * 5 for k in ks] for ks in ((1, 2, 3), (4, 6)))
    found = statistics.compare_runs(base, new)
    assert found is not None
    assert np.log1p(found.change) == pytest.approx(3)
    freedom = (1 / 3 + 1) ** 2 / ((1 / 3) ** 2 / 2 + 1)
    from scipy.special import stdtrit

    half = stdtrit(freedom, 0.975) * (1 / 3 + 1) ** 0.5
    assert np.log1p(found.high) == pytest.approx(3 + half, rel=1e-2)
    assert np.log1p(found.low) == pytest.approx(3 - half, abs=0.1)


def test_one_process_a_side_is_compared_otherwise_and_says_what_it_cannot_know() -> None:
    assert statistics.compare_runs([[1.0] * 9], [[2.0] * 9] * 3) is None
    base = recorded()
    new = json.loads(json.dumps(base))
    for sample in new["configurations"][0]["samples"]:
        for stage in file.STAGES:
            sample[stage] = round(sample[stage] * 1.5)
    found = comparison.compare(base, new)
    assert found.runs == (1, 1)
    assert "One process a side" in comparison.verdict(found, 0.05)
    assert "One process a side" in comparison.grid(found).note


def test_files_of_many_processes_are_compared_over_processes() -> None:
    one = repeats.merged([recorded()] * 3)
    assert {s["run"] for s in one["configurations"][0]["samples"]} == {0, 1, 2}
    parts = file.by_run(one["configurations"][0])
    assert [len(p["samples"]) for p in parts] == [
        len(recorded()["configurations"][0]["samples"])
    ] * 3
    assert all(len(p["yardstick_ns"]) == len(p["samples"]) for p in parts)
    found = comparison.compare(one, one)
    assert found.runs == (3, 3)
    assert {line.change.verdict for line in found.lines} == {"no change"}
    assert "3 fresh processes of the base" in comparison.grid(found).note
    assert comparison.verdict(found) == "No change beyond noise."


def test_what_each_process_is_given_lacks_what_is_the_whole_commands() -> None:
    words = ["bench", "onellm", "--runs", "5", "--samples", "9", "-o", "x.json", "--json",
             "--against=/p", "--dtype", "float32"]  # fmt: skip
    assert repeats.arguments(words) == ["onellm", "--samples", "9", "--dtype", "float32"]
    assert repeats.arguments(["bench", "run", "onellm"]) == ["onellm"]


def test_the_command_runs_fresh_processes_of_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracekit.cli.app import app

    tiny = ["bench", "limu_bert", "--size", "tiny", "--samples", "5", "--warmup", "0"]
    # the base's interpreter is a stand-in: it notes what it is asked, and gives what was measured;
    # so is ours, but for the first process, which loads torch as any fresh one does
    measured, asked, base, ours = (
        tmp_path / name for name in ("measured.json", "asked", "base", "ours")
    )
    CliRunner().invoke(app, [*tiny, "-o", str(measured)], catch_exceptions=False)
    given = f'for last; do :; done\ncp {measured} "$last"\n'
    base.write_text(f'#!/bin/sh\necho base "$@" >> {asked}\n{given}')
    first = f'[ "$(grep -c ours {asked})" != 1 ] || exec {sys.executable} "$@"\n'
    ours.write_text(f'#!/bin/sh\necho ours "$@" >> {asked}\n{first}{given}')
    for interpreter in (base, ours):
        interpreter.chmod(0o700)
    out = tmp_path / "out.json"
    words = [*tiny, "--runs", "2", "--against", str(base), "-o", str(out)]
    monkeypatch.setattr(sys, "argv", ["tracekit", *words])
    side = repeats.Side
    monkeypatch.setattr(repeats, "Side", lambda name, python=str(ours): side(name, python))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert [line.split()[:6] for line in asked.read_text().splitlines()] == [
        [who, "-m", "tracekit.cli.app", "bench", "run", "limu_bert"]
        for who in ("ours", "base", "base", "ours")  # in turns
    ]
    assert "New against base" in done.output
    for path in (out, tmp_path / "out-against.json"):
        content = file.load(path)
        assert len(content["runs"]) == 2
        assert len(content["configurations"][0]["samples"]) == 10
    assert comparison.compare(file.load(out), file.load(tmp_path / "out-against.json")).lines


def test_a_process_that_fails_says_why_in_one_line() -> None:
    with pytest.raises(TracekitError, match="there is no model of that name") as caught:
        repeats.run(["nosuchmodel"], 1, [repeats.Side("ours")])
    assert "exit code 2" in str(caught.value)
    with pytest.raises(TracekitError, match="cannot be run"):
        repeats.run(["limu_bert"], 1, [repeats.Side("ours", "/no/such/python")])
