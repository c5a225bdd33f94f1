"""scripts/gpu_check on the CPU, so that it works on the day when there is a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.on_gpu import check, goldens, steps, traces
from scripts.on_gpu.setup import MODELS, PartError, Said, Setup, Step, part, read_rows
from tests import fresh, real
from tests.integration import small_model
from tracekit.capture import plan as planning
from tracekit.capture.run import capture

ROOT = Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX", "g++")


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
    return Setup("cpu", True, tmp_path / "out", tmp_path / "work", tmp_path / "work/rows.jsonl")


def step(words: list[str]) -> int:
    """One step as its process runs it, in one that has torch from the start."""
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    return check.main(words)


def rows_of(out: Path, *names: str) -> dict[tuple[str, str], Any]:
    """The rows of a check of these steps, which all passed, by step and part."""
    content = json.loads((out / "report.json").read_text())
    rows = {(row["step"], row["part"]): row for row in content["rows"]}
    assert list(rows) == [(s.name, p) for s in steps.STEPS for p in s.parts if s.name in names]
    assert all(row["passed"] for row in content["rows"])
    files = {path.name: path.stat().st_size for path in out.iterdir()}
    assert set(files) == set(content["files"])
    assert max(files.values()) <= traces.LIMIT
    table = (out / "report.md").read_text()
    assert table.startswith("# GPU check: all passed")
    assert table.count("| yes |") == len(rows)
    return rows


@pytest.mark.slow
def test_the_script_runs_a_step_in_a_process_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "found"
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check", "--pretend", "--out", out, "--only", "tiny"],
        capture_output=True, text=True, check=False, timeout=560, cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows_of(out, "tiny")
    assert len(zipfile.ZipFile(out / "tiny.zip").namelist()) == 5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"--compile needs {COMPILER}")
def test_the_other_steps_pass_on_the_cpu_and_leave_a_few_small_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process(setup: Setup, name: str, _seconds: float) -> str:
        words = ["--step", name, "--out", str(setup.out), "--work", str(setup.work), "--pretend"]
        return f"exit code {fresh.called(f'{__name__}:step', words)}"

    monkeypatch.setattr(check, "process", process)
    out = tmp_path / "found"
    # llasa's step does what onellm's does
    assert (
        check.main(["--pretend", "--out", str(out), "--only", "goldens", "--only", "onellm"]) == 0
    )
    rows = rows_of(out, "goldens", "onellm")
    assert len(list(out.iterdir())) <= 4  # with tiny's one and llasa's two at most 8
    assert rows["goldens", "llasa, float32"]["figures"]["error_of_largest"]["decode"] == 0.0
    assert rows["onellm", steps.COMPILED]["figures"]["compile"] == "decode step, default"
    assert rows["onellm", steps.DECODE]["figures"]["tpot_ns"] > 0


def test_without_a_gpu_there_is_nothing_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert check.main(["--out", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: --device cuda: ")
    assert check.main(["--device", "cpu", "--out", str(tmp_path / "none")]) == 2
    assert "--pretend runs the same on the CPU" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    assert check.main(["--pretend", "--out", str(tmp_path)]) == 2
    assert "the folder is not empty" in capsys.readouterr().err


def test_a_part_that_fails_is_a_row_and_the_next_goes_on(setup: Setup) -> None:
    with part(setup, "s", "wrong"):
        raise PartError("two is not three")
    with part(setup, "s", "broken") as said:
        said.figures["seen"] = 1
        {}["absent"]
    with part(setup, "s", "right") as said:
        said.text = "as it should be"
    rows = read_rows(setup.rows)
    assert [(row["passed"], row["said"]) for row in rows] == [
        (False, "two is not three"), (False, "KeyError: 'absent'"), (True, "as it should be")
    ]  # fmt: skip
    assert "test_gpu_check" in rows[1]["figures"]["traceback"]
    with setup.rows.open("a") as file:
        file.write('{"step": "cut o')
    assert len(read_rows(setup.rows)) == 3


def test_a_step_that_hangs_or_dies_leaves_rows_that_say_so(setup: Setup) -> None:
    slow = check.one(setup, Step("tiny", 0, ("onellm", "kept")), 1.1)
    assert [row["said"] for row in slow] == ["not reached: stopped after 1 s"] * 2
    late = check.one(setup, Step("tiny", 0, ("onellm",)), 0.5)
    assert late[0]["said"] == "not reached: there was no time left"


def test_a_failing_row_is_exit_code_1(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def process(setup: Setup, name: str, _seconds: float) -> str:
        with part(setup, name, "a") as said:
            said.text = "x | y"
        return "its process ended with code -11: Fatal Python error: Segmentation fault"

    monkeypatch.setattr(check, "process", process)
    assert check.checked(setup, [Step("s", 5, ("a", "b"))], 60) == 1
    text = (setup.out / "report.md").read_text()
    assert "# GPU check: 1 of 2 failed" in text
    assert "| s | a | yes | 0.0 | x \\| y |" in text
    assert "| s | b | **no** | 0 | not reached: its process ended with code -11: Fatal" in text
    assert "FAIL s: b: not reached" in capsys.readouterr().out


def test_what_was_done_before_an_interrupt_stays(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process(setup: Setup, name: str, _seconds: float) -> str:
        with part(setup, name, "a"):
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "process", process)
    assert check.checked(setup, [Step("s", 5, ("a", "b"))], 60) == 1
    content = json.loads((setup.out / "report.json").read_text())
    assert [(row["part"], row["passed"]) for row in content["rows"]] == [
        ("a", True), ("what was left", False)
    ]  # fmt: skip


def test_another_value_on_the_device_is_found(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = goldens.outputs

    def bent(twin: Any, adapter: Any, ids: Any) -> Any:
        made, own = outputs(twin, adapter, ids)
        if adapter is twin.device:
            made["encode"] = made["encode"] * 1.001
        return made, own

    monkeypatch.setattr(goldens, "outputs", bent)
    with pytest.raises(PartError, match=r"beyond 0.0001 of the largest value: {'encode': 0\.00"):
        goldens.float32(setup, "limu_bert", Said())


def test_logits_that_are_off_in_half_precision_are_found(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = goldens.outputs

    def bent(twin: Any, adapter: Any, ids: Any) -> Any:
        made, own = outputs(twin, adapter, ids)
        if adapter is twin.device:
            made["decode"] = made["decode"].clone()
            made["decode"][0, 3] *= -1
        return made, own

    said = Said()
    goldens.half(setup, "llasa", "bfloat16", said)
    assert said.figures["agreed"] >= goldens.AGREE
    monkeypatch.setattr(goldens, "outputs", bent)
    with pytest.raises(PartError, match=r"\d+ of 23 best ids agree, logits off by \d\d\.\d%"):
        goldens.half(setup, "llasa", "bfloat16", said)


def small_trace(setup: Setup) -> Path:
    plan = planning.plan("small", model=small_model.model(), size="tiny", device="cpu", samples=1,
                         warmup=0, max_new_tokens=8)  # fmt: skip
    sample = small_model.recording(setup.work / "data")
    return capture(plan, setup.work / "t.pt.trace.json.gz", samples=[sample]).path


def test_a_trace_is_cut_until_it_is_small_enough(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said, target = small_trace(setup), Said(), setup.out / "t.json.gz"
    traces.kept(setup, path, target, said)
    assert (target.read_bytes(), said.text) == (path.read_bytes(), "")
    monkeypatch.setattr(traces, "LIMIT", path.stat().st_size // 2)
    traces.kept(setup, path, target, said)
    assert 1_000 < target.stat().st_size <= traces.LIMIT
    assert said.text.startswith("; kept: its first ")
    traces.untouched(setup, target)
    monkeypatch.setattr(traces, "LIMIT", 10)
    with pytest.raises(PartError, match=r"bytes after cutting, 10 allowed"):
        traces.kept(setup, path, target, said)
    assert not target.exists()


def test_a_trace_without_kernels_or_with_slices_that_cross_is_found(
    setup: Setup, tmp_path: Path
) -> None:
    path = small_trace(setup)
    traces.examined(setup, path, Said())
    on_a_gpu = Setup("cuda", False, setup.out, setup.work, setup.rows)
    with pytest.raises(PartError, match="no kernel is in the trace"):
        traces.examined(on_a_gpu, path, Said())
    crossing = tmp_path / "crossing.json"
    slices = [{"ph": "X", "cat": "cpu_op", "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": 10}
              for name, ts in (("a", 0), ("b", 5))]  # fmt: skip
    crossing.write_text(json.dumps({"traceEvents": slices}))
    with pytest.raises(PartError, match="1 slices that cross another"):
        traces.untouched(setup, crossing)


@pytest.mark.parametrize(
    "name", ["tl_mi300_torch_compile_triton", "tl_vllm_prefilldecode_piecewise"]
)
def test_an_export_of_a_real_gpu_has_what_is_asked_of_ours(setup: Setup, name: str) -> None:
    from tracekit.capture import save

    path = setup.work / "saved.pt.trace.json.gz"
    save.save(real.trace_file(name), path, {})
    on_a_gpu, said = Setup("cuda", False, setup.out, setup.work, setup.rows), Said()
    traces.examined(on_a_gpu, path, said)
    assert said.figures["kernels"] > 10
    traces.kept(on_a_gpu, path, setup.out / "kept.json.gz", said)
    assert 0 < (setup.out / "kept.json.gz").stat().st_size <= traces.LIMIT


@pytest.mark.gpu
@pytest.mark.parametrize("name", MODELS)
def test_on_a_real_gpu_each_model_gives_what_it_gives_on_the_cpu(setup: Setup, name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA or ROCm device")
    goldens.strict()
    there = Setup("cuda", False, setup.out, setup.work, setup.rows)
    goldens.float32(there, name, Said())
    goldens.half(there, name, steps.half_dtype(there), Said())


def test_sums_that_are_off_by_a_nanosecond_are_found(setup: Setup) -> None:
    from tracekit.answers.stages import Stages
    from tracekit.records import replace
    from tracekit.results import engine

    answers = engine.answers(small_trace(setup))
    assert traces.conserved(answers) == 5
    stages = answers.get(Stages)
    assert stages is not None
    first = replace(stages.rows[0], wall_ns=stages.rows[0].wall_ns + 1)
    bent = replace(stages, rows=(first, *stages.rows[1:]))
    with pytest.raises(PartError, match="tracekit::load: wall time, of the host is"):
        traces.conserved(replace(answers, answers={**answers.answers, "stages": bent}))
    with pytest.raises(PartError, match="no stage and no device"):
        traces.conserved(replace(answers, answers={}))


def test_a_share_that_no_memory_can_have_is_found(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracekit.bench import tables

    monkeypatch.setattr(tables, "device_name", lambda _content: "NVIDIA H200")
    monkeypatch.setattr(traces, "PLAIN", {**traces.PLAIN, "warmup": 0})
    said = Said()
    traces.benched(setup, "onellm", said, tokens=3, size="tiny", dtype="float32")
    assert 0 < said.figures["mbu"]["used"] < 1e-2
    assert "MBU 0.0% of 4.80 TB/s" in said.text
    found = tables.Bandwidth(1.2, 1.1, 1e9, 4.8e12)
    monkeypatch.setattr(tables, "bandwidth", lambda *_given: found)
    with pytest.raises(PartError, match=r"MBU 120.0% is more than the memory can give"):
        traces.benched(setup, "onellm", said, tokens=3, size="tiny", dtype="float32")
