"""What a newcomer types first: the blocks of the README, the scripts before installing too."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
import tomllib
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tracekit.capture import plan
from tracekit.cli import process
from tracekit.cli.app import app
from tracekit.models import entry as model_entry
from tracekit.trace.capture_facts import caution

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def lines(block: str) -> list[list[str]]:
    """The commands of a block as words, without remarks."""
    found = (shlex.split(line, comments=True) for line in block.splitlines())
    return [words for words in found if words]


def fetched(address: str) -> bool:
    """Stands in for the browser: Perfetto's page fetches the trace that its address names."""
    inner = parse_qs(urlsplit(address.replace("#!/", "")).query)["url"][0]

    def fetch() -> None:
        with urllib.request.urlopen(inner, timeout=30) as answer:
            answer.read()

    threading.Thread(target=fetch, daemon=True).start()
    return True


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", words)
    return process.run(lambda: app(words[1:], prog_name="tracekit"))


def test_each_block_is_run_by_ci_or_here() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for block in BLOCKS:
        for words in lines(block):
            if words[0].startswith("./scripts/"):
                assert words[0] in ci
            else:
                assert words[0] in ("tracekit", "source")
    for extra in re.findall(r"pip install -e '\.\[(\w+)\]'", README):
        assert extra in extras


def test_the_block_of_commands_works_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", fetched)
    commands = [w for block in BLOCKS for w in lines(block) if w[0] == "tracekit"]
    assert [w[1] for w in commands][:2] == ["capture", "capture"]
    # with a third of the tokens and one warm-up; scripts/demo is run by CI as it is
    shorter = {"capture": ["--warmup", "1", "--max-new-tokens", "5"],
               "bench": ["--warmup", "1", "--max-new-tokens", "5"]}  # fmt: skip
    for words in commands:
        more = shorter.get(words[1], [])
        assert run([*words, *more], monkeypatch) == 0, (words, capsys.readouterr().err)
    said = capsys.readouterr().out
    assert "Tiny random network: times are of this network, not of OneLLM 7B." in said
    assert "tracekit models download onellm" in said
    assert not re.search("[\ufffd\ue000-\uf8ff]", said)
    assert "sample 0:" not in said
    made = {path.suffix: path for path in (tmp_path / "reports").iterdir()}
    assert set(made) == {".html", ".json", ".md", ".tex", ".csv"}
    for form in (".md", ".tex", ".csv"):
        assert "tiny, random weights" in made[form].read_text()


def test_what_the_demo_and_the_docs_say_of_the_full_size_is_so() -> None:
    page = (ROOT / "docs" / "capture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) ([GM]B) \| ([\d.]+ GB|any)", page, re.MULTILINE)
    assert [name for name, *_ in rows] == sorted(
        model_entry.models(), key=[name for name, *_ in rows].index
    )
    for name, number, unit, room in rows:
        size = plan.weight_bytes(model_entry.model(name), "full", "bfloat16")
        assert f"{size / {'GB': 1e9, 'MB': 1e6}[unit]:.1f}" == number
        if room != "any":
            assert room == f"{size * plan.HEADROOM / 1e9:.1f} GB"
    for said in (README, (ROOT / "scripts" / "demo").read_text()):
        assert "18 GB free" in " ".join(said.split())
        assert "15 GB of weights" in " ".join(said.split())


def test_only_a_tiny_random_network_is_said_to_be_one() -> None:
    pair = "EventGPT 7B drafts for OneLLM 7B, γ = 4"
    assert caution(pair, "tiny", True).endswith("of these, not of EventGPT 7B and OneLLM 7B.")
    two = caution("OneLLM 7B, LLaSA 7B", "tiny", True, several=True)
    assert two == "Tiny random networks: times are of these, not of OneLLM 7B, LLaSA 7B."
    assert caution("EventGPT 7B: an event camera", "tiny", True).endswith("not of EventGPT 7B.")
    assert caution("OneLLM 7B", "full", True) == caution("OneLLM 7B", "tiny", False) == ""


@pytest.mark.parametrize(
    "script",
    ["benchmark_onellm_5stages.py", "benchmark_inference_5stages.py", "download_datasets.py"],
)
def test_before_installation_a_script_says_what_to_run_first(script: str, tmp_path: Path) -> None:
    # -S: a Python with nothing installed
    given = ["--dataset", "x", "--output_dir", "d"] if "datasets" in script else []
    command = [sys.executable, "-S", "-E", str(ROOT / "scripts" / script), *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "run ./scripts/demo first" in done.stderr
