"""`tracekit datasets` and the script of the old name."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tracekit.cli.app import app
from tracekit.datasets import entry as dataset_entry
from tracekit.datasets.opening import named, open_samples
from tracekit.errors import TracekitError

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["datasets", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_has_every_data_set_with_its_state() -> None:
    listed = json.loads(run("--json"))
    assert set(listed) == set(dataset_entry.datasets())
    text = run()
    for name in listed:
        assert name in text


@pytest.mark.parametrize("name", dataset_entry.datasets())
def test_info_says_what_how_and_under_which_licence(name: str) -> None:
    facts = json.loads(run("info", name, "--json"))
    for field in ("title", "holds", "source", "licence", "size", "how_to_get", "layout", "fits"):
        assert facts[field], field
    text = run("info", name)
    assert facts["title"] in text
    assert f"licence: {facts['licence']}" in text


def test_every_data_set_of_the_docs_is_there_with_its_state() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    for name in dataset_entry.datasets():
        rows = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        # those that hold two sensors have a row in the table of pairs too
        assert any(dataset_entry.dataset(name).verified in row for row in rows)


def test_check_prints_counts_and_json() -> None:
    folder = shared("datasets", "uci_hapt")
    found = json.loads(run("check", str(folder), "--json"))
    assert found["dataset"] == "uci_hapt"
    assert {"what": "labelled segments", "found": "1,214", "published": "1,214",
            "verdict": "same"} in found["counts"]  # fmt: skip
    assert found["problems"] == []
    assert sum(row["samples"] for row in found["rows"]) == 8192
    assert "fewer recordings" in run("check", str(folder))


def test_check_ends_with_1_where_something_is_wrong(tmp_path: Path) -> None:
    np.save(tmp_path / "uid.npy", np.ones((6, 5)))
    np.save(tmp_path / "uid_timestamps.npy", np.arange(4.0))
    result = CliRunner().invoke(app, ["datasets", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert "problem: uid" in result.stdout


def test_check_sees_holes_units_clocks_and_a_wrong_archive(tmp_path: Path) -> None:
    times = np.arange(400) * 10.0
    times[200:] += 900
    times[300] = times[299] - 5
    np.save(tmp_path / "uid.npy", np.tile([[0], [0], [1], [0], [0], [0]], (1, 400)).astype(float))
    np.save(tmp_path / "uid_timestamps.npy", times)
    found = json.loads(run("check", str(tmp_path), "--json"))
    remarks = " | ".join(found["remarks"])
    assert "1 steps of the clock backward" in remarks
    assert "gaps in the clock" in remarks
    assert "looks like g" in remarks
    (tmp_path / "dataset.zip").write_bytes(b"no")
    (tmp_path / "videoandimus").mkdir()
    result = CliRunner().invoke(app, ["datasets", "check", str(tmp_path), "--name", "vidimu"])
    assert result.exit_code == 1
    assert "md5 of dataset.zip" in result.stdout


@pytest.mark.parametrize(
    ("spec", "kind"),
    [("synthetic", "imu"), ("synthetic", "events"), ("synthetic", "image"), ("synthetic", "audio")],
)
def test_preview_writes_a_page_that_needs_nothing_else(
    tmp_path: Path, spec: str, kind: str
) -> None:
    page = tmp_path / "p.html"
    text = run("preview", spec, "--kind", kind, "-o", str(page), "--sample", "1")
    assert "synthetic, not measured" in text
    html = page.read_text(encoding="utf-8")
    assert "synthetic, not measured" in html
    assert not re.search(r"tracekit-[0-9a-f]{8}-", text + html)  # a folder that is gone by now
    assert "<link" not in html
    assert "src=" not in html.split("</style>")[0]


def test_preview_of_a_real_file_finds_its_kind_by_itself(tmp_path: Path) -> None:
    path = shared("datasets", "hhar", "Watch_accelerometer.csv")
    found = json.loads(run("preview", str(path), "--json", "--sample", "2"))
    assert found["label"] == "sitting"
    assert any("interpolated" in repair for repair in found["repairs"])
    text = tmp_path / "<b>prompt.txt"
    text.write_text("say <script>alert(1)</script>")
    page = tmp_path / "p.html"
    run("preview", str(text), "-o", str(page))
    assert "<script>alert(1)" not in page.read_text(encoding="utf-8")


def test_what_cannot_be_downloaded_says_why(tmp_path: Path) -> None:
    for name, why in (("mujo", "no public release"), ("synthetic", "nothing to download")):
        with pytest.raises(TracekitError, match=why):
            run("download", name, "-o", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_names_may_be_spelt_as_people_do() -> None:
    spelt = ("SensorCaps", "OpenSQA", "UCI-HAR", "MotionSense", "Ego-Exo4D", "EgoVid-5M", "IMHD2")
    assert [named(name) for name in spelt] == [
        "sensorcaps", "opensqa", "uci_har", "motion_sense", "ego_exo4d", "egovid", "imhd"
    ]  # fmt: skip
    assert named("nothing") == "nothing"


def test_the_old_script_is_the_same_command() -> None:
    spec = importlib.util.spec_from_file_location(
        "download_datasets", ROOT / "scripts" / "download_datasets.py"
    )
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    given = ["--dataset", "sensorcaps", "--output_dir", "D", "--subset", "hhar_v2", "--force"]
    assert script.arguments(given) == [
        "datasets", "download", "sensorcaps", "--output-dir", "D", "--subset", "hhar_v2", "--force"
    ]  # fmt: skip


def test_a_new_data_set_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracekit.datasets

    (tmp_path / "mine.py").write_text(
        "from tracekit.datasets.entry import Dataset\n"
        "from tracekit.datasets.local import plain\n"
        "def samples(path, *, subset=None, seed=0, on_error='raise'):\n"
        "    for file in sorted(path.glob('*.mine')):\n"
        "        yield plain.imu(file, rate_hz=25.0, on_error=on_error)\n"
        "DATASET = Dataset(title='Mine', kind='imu', samples=samples, holds='x', source='x',\n"
        "    licence='x', access='local', size='x', layout='*.mine', fits=('onellm',),\n"
        "    verified='built from the documented format', how_to_get='x',\n"
        "    recognise=lambda path: any(path.glob('*.mine')) if path.is_dir() else False)\n"
    )
    monkeypatch.setattr(tracekit.datasets, "__path__", [*tracekit.datasets.__path__, str(tmp_path)])
    assert "mine" in dataset_entry.datasets()
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.mine").write_text("1 2 9 0 0 0\n" * 4)
    (one,) = open_samples(str(folder), kind="imu")
    assert one.parse(one.read()).rate_hz == 25
    assert "Mine" in run("info", "mine")


def test_records_that_are_skipped_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jsonl").write_text('{"messages": []}\n')
    with caplog.at_level(logging.WARNING):
        made = list(open_samples("opensqa", kind="imu", data_dir=tmp_path, on_error="skip"))
    assert made == []
    assert "a.jsonl:1: no message of the user" in caplog.text
