"""A model and a data set are one file each: those of the docs, put into a copy of tracekit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.taxonomy import Stage
from tracekit.trace import kineto
from tracekit.trace.trace import Cat

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n# (tracekit/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tracekit with the files that the docs add."""
    place = tmp_path_factory.mktemp("checkout")
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("tracekit", "analyses"):
        shutil.copytree(ROOT / name, place / name, ignore=leave)
    for page in ("models", "datasets"):
        ((path, text),) = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
        assert not (place / path).exists()
        (place / path).write_text(text, encoding="utf-8")
    rows = "".join(f"{10 * n},0,0,1,0,0,90\n" for n in range(300))
    (place / "data").mkdir()
    (place / "data" / "ann_up.csv").write_text(rows)
    (place / "data" / "ann_down.csv").write_text(rows + "1,2,three,4,5,6,7\n")
    return place


def tracekit(place: Path, *args: object) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "tracekit.cli.app", *map(str, args)],
        capture_output=True, text=True, timeout=120, cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_model_of_the_docs_is_listed_and_captured(checkout: Path) -> None:
    (about,) = json.loads(tracekit(checkout, "models", "info", "gait", "--json"))
    assert about["parameters"] == {"encoder": 64 * 6 * 9 + 64 + 16 * 64 * 9 + 16}
    made = ("--size", "tiny", "--device", "cpu", "--samples", 1, "--warmup", 0, "-o", "t.json.gz")
    tracekit(checkout, "capture", "gait", "--data", "data:up", *made)
    trace = kineto.load(checkout / "t.json.gz")
    marks = trace.of(Cat.ANNOTATION)
    found = {marks.text(row) for row in range(len(marks))}
    stages = {Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE}
    assert {stage for stage in Stage if stage.marker in found} == stages


def test_the_data_set_of_the_docs_is_listed_and_its_units_are_ours(checkout: Path) -> None:
    assert "Stairs" in tracekit(checkout, "datasets", "info", "stairs")
    code = (
        "from math import pi\n"
        "from tracekit.datasets.opening import open_samples\n"
        "(one,) = open_samples('data:up', kind='imu')\n"
        "row = one.parse(one.read()).values[0]\n"
        "assert one.dataset == 'stairs' and one.label == 'up'\n"
        "assert abs(row - [0, 0, 9.80665, 0, 0, pi / 2]).max() < 1e-12\n"
        "(bad,) = open_samples('stairs:down', kind='imu', data_dir='data', on_error='skip')\n"
        "assert 'ann_down.csv:301' in str(bad.parse(bad.read()).repairs)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=checkout, env=environment)
