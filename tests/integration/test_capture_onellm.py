"""`tracekit capture onellm` and the benchmark scripts as a user runs them, tiny, on real input."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tracekit.cli.app import app
from tracekit.taxonomy import Stage
from tracekit.trace import kineto

ROOT = Path(__file__).parents[2]
SMALL = ["--size", "tiny", "--samples", "1", "--max-new-tokens", "3", "--warmup", "1"]


def capture(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["capture", "onellm", *SMALL, *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_newcomer_gets_a_trace_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = capture()
    (trace,) = (tmp_path / "traces").iterdir()
    assert trace.name.startswith("onellm-tiny-float32-cpu-")
    assert trace.name.endswith(".pt.trace.json.gz")
    assert f"tracekit analyze traces/{trace.name}" in said
    assert "size tiny, as asked for" in said
    assert "The text is noise" in said
    facts = kineto.load(trace).source.meta["tracekit"]
    tokens = facts["tokens"]
    assert (tokens["sensor"], tokens["tags"]) == (30, 2)
    assert tokens["prompt"] == facts["dims"]["prefill"]["text_tokens"]
    assert tokens["prompt"] + tokens["sensor"] + tokens["tags"] == tokens["prefill"]
    assert tokens["generated"] == [3]
    assert facts["dims"]["llm"]["weight_parameters"] > 0
    assert sum(facts["parameters"].values()) > 10_000


def test_a_real_recording_goes_through_all_stages(tmp_path: Path) -> None:
    data = shared("datasets", "uci_hapt")
    trace = tmp_path / "t.json.gz"
    capture("--data", str(data), "-o", str(trace), "--record-shapes", "--prompt", "What is it?")
    loaded = kineto.load(trace)
    facts = loaded.source.meta["tracekit"]
    assert facts["data"]["dataset"] == "uci_hapt"
    assert facts["data"]["synthetic"] is False
    assert "What is it?" in facts["prompt"]
    for stage in Stage:
        assert int(loaded.named(f"^{stage.marker}$").sum()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["capture", "onelm"], "did you mean 'onellm'"),
        (["capture", "onellm", "--data", "absent.npy"], "absent.npy"),
        (["capture", "onellm", "--size", "huge"], "no such size"),
        (["capture", "onellm", "--set", "wings=2"], "takes no such option"),
        (["capture", "onellm", "--set", "wings"], "must be NAME=VALUE"),
        (["capture", "onellm", "--attention", "fast"], "no such choice"),
        (["capture", "onellm", *SMALL, "--checkpoint", "absent.pth"], "absent.pth"),
        (["capture", "onellm", *SMALL, "-o", "file/t.json"], "cannot be written"),
        (["bench", "onellm", "--batch-size", "two"], "must be whole numbers"),
        (["bench", "onellm", "--dtype", "int3"], "no such dtype"),
        (["bench", "compare", "absent.json", "absent.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0
    assert said in f"{done.output}{done.exception}"
    assert [path.name for path in tmp_path.iterdir() if path.name != "traces"] == ["file"]
    assert not list(tmp_path.glob("traces/*"))


@pytest.mark.parametrize(
    ("script", "name"),
    [("benchmark_onellm_5stages.py", "onellm"), ("benchmark_inference_5stages.py", "llasa")],
)
def test_the_scripts_print_five_stages_and_write_json(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    name: str,
) -> None:
    path = str(ROOT / "scripts" / script)
    given = ["--max_samples", "2", "--size", "tiny", "--max_gen_len", "3", "--duration_sec", "2",
             "--warmup", "0", "--device", "cpu", "--output_dir", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [path, *given])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(path, run_name="__main__")
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    for stage in Stage:
        assert stage.value in said.out
    assert "TTFT" in said.out
    assert "decode throughput" in said.out
    content = json.loads((tmp_path / f"{name}_5stages.json").read_text())
    assert len(content["configurations"][0]["samples"]) == 2
    assert "| weights | tiny, random weights |" in said.out
    assert "| n | 2 |" in said.out
    for ending, word in ((".md", "dtype"), (".tex", r"\toprule"), (".csv", "measure,unit")):
        assert word in (tmp_path / f"{name}_5stages.table{ending}").read_text()
