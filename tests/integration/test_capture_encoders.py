"""LIMU-BERT, IMU2CLIP and EventGPT, captured at tiny size and analysed, as a user would."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import shared
from tracekit.attribution.roofline import model_bounds
from tracekit.capture import plan as planning
from tracekit.capture.run import Captured, capture
from tracekit.errors import TracekitError
from tracekit.results import engine
from tracekit.taxonomy import Stage
from tracekit.trace import kineto
from tracekit.trace.trace import Cat

ENCODERS = ("limu_bert", "imu2clip")
NAMES = (*ENCODERS, "eventgpt")
STEPS = 4  # tokens asked for; the first is prefill's


def take(folder: Path, name: str, **given: Any) -> Captured:
    given = {"size": "tiny", "device": "cpu", "samples": 2, "warmup": 1, **given}
    if name == "eventgpt":
        given = {"max_new_tokens": STEPS, "extra": {"ignore_eos": "true"}, **given}
    return capture(planning.plan(name, **given), folder / "t.pt.trace.json.gz")


@pytest.fixture(scope="module", params=NAMES)
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    return take(tmp_path_factory.mktemp(request.param), request.param, batch_size=2)


def counts(path: Path) -> dict[str, int]:
    """How often each of our markers is in a trace."""
    marks = kineto.load(path).of(Cat.ANNOTATION)
    names = [marks.text(row) for row in range(len(marks))]
    return {name: names.count(name) for name in names if name.startswith("tracekit::")}


def test_the_trace_has_the_stages_of_the_model_and_no_others(captured: Captured) -> None:
    found = counts(captured.path)
    for stage in Stage:
        assert found.get(stage.marker, 0) == (2 if stage in captured.stages else 0)
    steps = sum(name.startswith("tracekit::decode_step#") for name in found)
    assert steps == (STEPS - 1 if Stage.DECODE in captured.stages else 0)
    lacking = {"prefill", "decode"} if captured.metadata["model"] in ENCODERS else set()
    assert set(captured.metadata["absent_stages"]) == lacking


def test_each_stage_is_split_and_adds_up(captured: Captured) -> None:
    found = engine.to_json([engine.answers(captured.path, only=["stages"])])
    (trace,) = found["traces"]
    rows = trace["answers"]["stages"]["rows"]
    assert {row["stage"] for row in rows} == {stage.value for stage in captured.stages}
    for row in rows:
        assert row["clock"] is None  # a CPU has no kernels, and none are claimed
        host = row["host"]
        assert host["op_ns"] + host["copy_ns"] + host["other_ns"] == row["wall_ns"] > 0
    assert {row["stage"] for row in rows if row["host"]["op_ns"]} >= {"encode"}


def test_the_metadata_says_what_ran(captured: Captured) -> None:
    facts = captured.metadata
    assert facts["random_weights"] is True
    assert facts["dims"]["batch_size"] == 2
    assert facts["dims"]["encode"]["flops"] > 0
    assert facts["dims"]["encode"]["weight_parameters"] <= sum(facts["parameters"].values())
    assert json.loads(json.dumps(facts)) == facts


def test_the_least_work_of_each_stage_follows_from_the_metadata(captured: Captured) -> None:
    found = {need.stage: need for need in model_bounds.needs(kineto.load(captured.path))}
    computed = {Stage.ENCODE, Stage.PREFILL, Stage.DECODE} & set(captured.stages)
    assert set(found) == {stage.value for stage in computed}
    one_row = captured.metadata["dims"]["encode"]["flops"]
    assert [flops for flops, _bytes in found["encode"].passes] == [2 * one_row] * 2


@pytest.mark.parametrize("captured", ["eventgpt"], indirect=True)  # has all stages
def test_perfetto_imports_the_trace_whole(captured: Captured) -> None:
    check = shared("tools", "perfetto-check")
    if shutil.which("node") is None:
        pytest.skip("no node to run Perfetto's engine with")
    done = subprocess.run(
        [check, "--engine", "node", "--find", "tracekit::*", captured.path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip(f"perfetto-check could not run: {done.stderr[:200]}")
    assert json.loads(done.stdout)["problems"] == []


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    events = np.stack([np.arange(900), np.arange(900), np.arange(900), np.zeros(900)], axis=1)
    np.save(tmp_path / "txyp.npy", events)
    with pytest.raises(TracekitError, match="third column is no polarity"):
        take(tmp_path, "eventgpt", data=str(tmp_path / "txyp.npy"))


def test_the_same_seed_gives_the_same_text(tmp_path: Path) -> None:
    one, two = (take(tmp_path / n, "eventgpt", samples=1, warmup=0) for n in ("a", "b"))
    assert one.profiled[0].ids == two.profiled[0].ids
    assert one.metadata["text"] == two.metadata["text"]


def test_a_static_cache_is_said_to_be_one(tmp_path: Path) -> None:
    taken = take(tmp_path, "eventgpt", cache="static", attention="eager", samples=1, warmup=0)
    assert (taken.metadata["cache"], taken.metadata["attention"]) == ("static", "eager")


def test_eventgpt_runs_on_an_events_file_of_ones_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y, p = (rng.integers(0, most, 900) for most in (64, 48, 2))
    t = np.sort(rng.integers(0, 40_000, 900))
    np.save(tmp_path / "e.npy", np.stack([x, y, p, t], axis=1))
    taken = take(tmp_path, "eventgpt", data=str(tmp_path / "e.npy"), samples=1, warmup=0)
    assert taken.metadata["model"] == "eventgpt"
    assert len(taken.profiled[0].ids[0]) == STEPS
