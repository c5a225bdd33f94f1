"""`tracekit bench MODEL MODEL`: several models in turns, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tracekit.bench import comparison, file, measured, paper, runner
from tracekit.errors import UsageError

PLAN: dict[str, Any] = {"size": "tiny", "samples": 6, "warmup": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> runner.Done:
    path = tmp_path_factory.mktemp("bench") / "two.json"
    wanted = runner.Wanted(name="limu_bert", others=["imu2clip"], plan=PLAN, output=path)
    return runner.run(wanted)


def test_models_take_turns_and_each_has_its_configuration(done: runner.Done) -> None:
    content = file.load(done.files["JSON"])
    rows = content["configurations"]
    assert [row["model"] for row in rows] == ["limu_bert", "imu2clip"]
    assert all(row["interleaved"] and len(row["samples"]) == 6 for row in rows)
    assert content["model"] == "limu_bert, imu2clip"
    assert content["stages"] == ["load", "preprocess", "encode"]
    assert [row[0] for row in done.grids[0].rows] == ["limu_bert", "imu2clip"]


def test_the_table_of_a_paper_has_a_column_a_model(done: runner.Done) -> None:
    head = paper.markdown(paper.columns([done.content])).splitlines()[0]
    assert head == "| measure | LIMU-BERT, base\\_v1 | IMU2CLIP |"


def test_others_read_it_model_by_model(done: runner.Done) -> None:
    found = measured.read([done.files["JSON"]])
    assert set(found) == {"limu_bert", "imu2clip"}
    same = comparison.compare(done.content, done.content)
    assert {line.config for line in same.lines} == {"model limu_bert", "model imu2clip"}


@pytest.mark.parametrize("more", [{"trace": True}, {"stage": "encode"}])
def test_what_is_of_one_model_is_refused(more: dict[str, Any]) -> None:
    wanted = runner.Wanted(name="limu_bert", others=["imu2clip"], plan=PLAN, **more)
    with pytest.raises(UsageError, match="is of one model"):
        runner.run(wanted)


def test_weights_are_of_one_model(tmp_path: Path) -> None:
    plan = {**PLAN, "checkpoint": tmp_path / "weights"}
    with pytest.raises(UsageError):
        runner.run(runner.Wanted(name="limu_bert", others=["imu2clip"], plan=plan))
