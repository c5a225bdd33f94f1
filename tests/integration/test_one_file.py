"""A model and a data set are one file each: those of the docs, as if they lay in its folders."""

from __future__ import annotations

import json
import os
import re
from math import pi
from pathlib import Path
from typing import Any

import pytest

from tests import fresh
from tracekit.datasets import opening
from tracekit.taxonomy import Stage
from tracekit.trace import kineto
from tracekit.trace.trace import Cat

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n# (tracekit/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the docs add, and recordings for them."""
    place = tmp_path_factory.mktemp("added")
    for page in ("models", "datasets"):
        ((path, text),) = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
        assert not (ROOT / path).exists()
        (place / path).parent.mkdir(parents=True)
        (place / path).write_text(text, encoding="utf-8")
    rows = "".join(f"{10 * n},0,0,1,0,0,90\n" for n in range(300))
    (place / "data").mkdir()
    (place / "data" / "ann_up.csv").write_text(rows)
    (place / "data" / "ann_down.csv").write_text(rows + "1,2,three,4,5,6,7\n")
    return place


def folders(place: Path) -> dict[str, Path]:
    """The packages whose folders hold one of the files, or a folder with one."""
    return {
        ".".join(folder.relative_to(place).parts): folder
        for folder in sorted((place / "tracekit").rglob("*"))
        if folder.is_dir() and folder.name != "__pycache__"
    }


def tracekit(place: Path, *args: object) -> str:
    """What a command prints where the two files lie in the folders that the docs say."""
    ran = fresh.tracekit(*args, cwd=place, beside=folders(place), loaded=fresh.MODELS)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_model_of_the_docs_is_listed_and_captured(added: Path) -> None:
    (about,) = json.loads(tracekit(added, "models", "info", "gait", "--json"))
    assert about["parameters"] == {"encoder": 64 * 6 * 9 + 64 + 16 * 64 * 9 + 16}
    made = ("--size", "tiny", "--device", "cpu", "--samples", 1, "--warmup", 0, "-o", "t.json.gz")
    tracekit(added, "capture", "gait", "--data", "data:up", *made)
    trace = kineto.load(added / "t.json.gz")
    marks = trace.of(Cat.ANNOTATION)
    found = {marks.text(row) for row in range(len(marks))}
    stages = {Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE}
    assert {stage for stage in Stage if stage.marker in found} == stages


def recordings(place: str) -> dict[str, Any]:
    """What the data set of the docs makes of the files there."""
    os.chdir(place)
    (one,) = opening.open_samples("data:up", kind="imu")
    values = one.parse(one.read()).values
    assert values is not None
    (bad,) = opening.open_samples("stairs:down", kind="imu", data_dir="data", on_error="skip")
    repairs = str(bad.parse(bad.read()).repairs)
    return {"dataset": one.dataset, "label": one.label, "row": list(values[0]), "repairs": repairs}


def test_the_data_set_of_the_docs_is_listed_and_its_units_are_ours(added: Path) -> None:
    assert "Stairs" in tracekit(added, "datasets", "info", "stairs")
    found = fresh.called(f"{__name__}:recordings", str(added), beside=folders(added))
    assert (found["dataset"], found["label"]) == ("stairs", "up")
    assert found["row"] == pytest.approx([0, 0, 9.80665, 0, 0, pi / 2], abs=1e-12)
    assert "ann_down.csv:301" in found["repairs"]
