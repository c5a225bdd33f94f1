"""One grammar for all commands: the same option means the same thing, and old spellings stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import fresh
from tests.unit.test_hta import write_trace
from tracekit.cli import process
from tracekit.cli.app import app
from tracekit.results import engine
from tracekit.version import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "t.json")


WRONG = {
    "unknown option": ("analyze", "t.json", "--hlp"),
    "no such command": ("analyse", "t.json"),
    "two documents": ("analyze", "t.json", "--json", "--markdown"),
    "two documents of a comparison": ("compare", "t.json", "t.json", "--json", "--markdown"),
    "two documents of benchmarks": ("bench", "compare", "a.json", "b.json", "--json", "--markdown"),
    "two places": ("analyze", "t.json", "-o", "p.html", "--output-dir", "d"),
    "quiet and verbose": ("analyze", "t.json", "-q", "-v"),
    "named twice": ("analyze", "t.json", "./t.json"),
    "no such analysis": ("analyze", "t.json", "--only", "critcal-path"),
    "no such model": ("capture", "onelm"),
    "no such choice": ("capture", "onellm", "--attention", "slow"),
    "no such size": ("capture", "onellm", "--size", "huge"),
    "no such dtype": ("capture", "onellm", "--dtype", "int3"),
    "no such device": ("capture", "onellm", "--device", "abacus"),
    "no value": ("capture", "onellm", "--set", "x"),
    "no such option of a model": ("capture", "onellm", "--set", "x=1"),
    "nothing to do": ("capture", "onellm", "--samples", "0"),
    "no whole number": ("bench", "onellm", "--batch-size", "two"),
    "no model": ("bench", "--samples", "3"),
    "no such data set": ("datasets", "info", "sensorcap"),
    "no such subset": ("datasets", "preview", "synthetic:flying"),
    "no folder of the data set": ("datasets", "preview", "uci-har"),
    "no such track": ("export", "t.json", "o.json", "--tracks", "trams"),
    "no length of time": ("export", "t.json", "o.json", "--from", "soon"),
    "nowhere to export to": ("export", "t.json"),
    "two places to export to": ("export", "t.json", "o.json", "-o", "p.json"),
    "another kind of table": ("convert", "t.json", "o.csv"),
}


def run(*words: str) -> int:
    """The exit code of a command run in this process."""
    return process.run(lambda: app(list(words), prog_name="tracekit"))


@pytest.mark.parametrize("case", sorted(WRONG))
def test_wrong_usage_ends_with_2_and_writes_nothing(
    case: str, trace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trace.parent)
    assert run(*WRONG[case]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "rror" in said.err
    assert list(trace.parent.iterdir()) == [trace]


@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "none.json"),
        ("capture", "onellm", "--device", "cuda:63"),
        ("export", "t.json", "o.json", "--from", "90s"),
        ("bench", "compare", "none.json", "none.json"),
    ],
    ids=lambda words: words[0],
)
def test_what_only_the_machine_or_a_file_makes_wrong_ends_with_1(
    words: tuple[str, ...], trace: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(trace.parent)
    assert run(*words) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_same_word_lists_and_the_group_alone_still_does(tmp_path: Path) -> None:
    for group in ("models", "datasets"):
        listed = fresh.tracekit(group, "list", "--json", cwd=tmp_path)
        assert listed.returncode == 0, listed.stderr
        assert listed.stdout == fresh.tracekit(group, "--json", cwd=tmp_path).stdout
        assert len(json.loads(listed.stdout)) > 4


def test_names_take_dashes_and_underscores_alike(trace: Path) -> None:
    for only in ("critical-path", "critical_path"):
        assert engine.wanted(["idle", only]) == engine.wanted(["critical_path", "idle"])
    said = fresh.tracekit("models", "info", "limu-bert", "--json", cwd=trace.parent)
    assert json.loads(said.stdout)[0]["name"] == "limu_bert"


def test_output_is_a_file_and_output_dir_a_folder(trace: Path) -> None:
    here = trace.parent
    words = ("analyze", trace, "--only", "idle", "--json", "--output-dir", "d")
    assert json.loads(fresh.tracekit(*words, cwd=here).stdout)
    assert [path.name for path in (here / "d").iterdir()] == ["t-idle.html"]
    for words in (("--output", "a.json"), ("-o", "b.json"), ("c.json",)):
        assert fresh.tracekit("export", trace, *words, cwd=here).returncode == 0
        assert (here / words[-1]).exists()


def test_quiet_leaves_results_and_says_no_hints(trace: Path) -> None:
    plain = fresh.tracekit("analyze", trace, cwd=trace.parent)
    assert "next:" in plain.stderr
    for words in (("-q", "analyze"), ("analyze", "--quiet")):
        quiet = fresh.tracekit(*words, trace, cwd=trace.parent)
        assert quiet.stdout == plain.stdout
        assert "next:" not in quiet.stderr
        assert "report: " in quiet.stderr


@pytest.mark.parametrize("words", [("-v", "analyze"), ("analyze", "--verbose")])
def test_verbose_says_the_steps_and_where_an_error_arose(
    words: tuple[str, ...], trace: Path
) -> None:
    ran = fresh.tracekit(*words, trace, "--only", "idle", "--no-html", cwd=trace.parent)
    assert "t.json: reading" in ran.stderr
    assert "t.json: done" in ran.stderr
    failed = fresh.tracekit(*words, "none.json", cwd=trace.parent)
    assert failed.returncode == 1
    assert failed.stderr.count("error: none.json: cannot be read") == 1
    assert "Traceback" in failed.stderr
    assert "Traceback" not in fresh.tracekit("analyze", "none.json", cwd=trace.parent).stderr


def test_python_runs_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tracekit", "--version"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tracekit {__version__}\n"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tracekit capture one", ["onellm"]),
        ("tracekit bench one", ["onellm"]),
        ("tracekit models info limu", ["limu_bert"]),
        ("tracekit analyze t.json --only roo", ["roofline"]),
        ("tracekit compare a b --only idle,ke", ["idle,kernels"]),
        ("tracekit analyze t.json --only idle,idl", []),
        ("tracekit datasets info uci", ["uci_hapt", "uci_har"]),
        ("tracekit datasets check d --name moti", ["motion_sense"]),
        ("tracekit capture onellm --data synth", ["synthetic"]),
        ("tracekit capture onellm --data reco", ["recording.npy", "recordings/"]),
        ("tracekit datasets preview reco", ["recording.npy", "recordings/"]),
    ],
)
def test_the_shell_is_offered_names(
    line: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recording.npy").touch()
    (tmp_path / "recordings").mkdir()
    monkeypatch.chdir(tmp_path)
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    asked = CliRunner().invoke(
        app, [], env={**words, "_TRACEKIT_COMPLETE": "complete_bash"}, prog_name="tracekit"
    )
    assert asked.output.split() == offered


def test_the_codes_are_documented_where_they_are_looked_for(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for code in (0, 1, 2, 3, 130, 143):
        assert f"| {code} |" in page
    assert "Exit codes" in fresh.tracekit("--help", cwd=tmp_path).stdout
