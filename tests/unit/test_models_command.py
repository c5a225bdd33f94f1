"""`tracekit models`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tracekit.cli.app import app
from tracekit.datasets.fetch import downloads, network
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models import listing
from tracekit.models.shared import download


def run(*arguments: str, answer: str | None = None) -> Any:
    return CliRunner().invoke(app, ["models", *arguments], input=answer)


def test_every_model_is_listed_with_what_one_needs_to_know() -> None:
    done = run()
    assert done.exit_code == 0
    for name in model_entry.models():
        assert name in done.output
    assert "llm 6,738,415,616" in done.output
    assert "cache_offset" in done.output


def test_json_has_the_parameters_of_every_component() -> None:
    found = {one["name"]: one for one in json.loads(run("--json").output)}
    assert set(found) == set(model_entry.models())
    assert found["onellm"]["parameters_total"] == 7_359_031_299
    assert found["limu_bert"]["parameters_total"] == 62_646
    for facts in found.values():
        assert facts["licence"]
        assert facts["weights"]


@pytest.mark.parametrize("name", model_entry.models())
def test_the_parameters_that_are_listed_are_those_of_the_network(name: str) -> None:
    entry = model_entry.model(name)
    assert {size: dict(entry.parameters(size)) for size in entry.sizes} == entry.counts


def test_listing_the_models_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from tracekit.models import entry, listing\n"
        "found = [listing.about(name) for name in entry.models()]\n"
        "assert all(one['parameters_total'] for one in found)\n"
        "print({'torch', 'transformers', 'scipy', 'pandas'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_download_shows_the_licence_and_asks_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, Path | None]] = []
    monkeypatch.setattr(download, "fetch", lambda what, to, **_: asked.append((what, to)))
    refused = run("download", "onellm", "--to", str(tmp_path), answer="n\n")
    assert refused.exit_code == 1
    assert "LLaMA 2 Community License" in refused.output
    for nobody in ("", "\n"):
        assert run("download", "onellm", "--to", str(tmp_path), answer=nobody).exit_code == 1
    with pytest.raises(TracekitError, match=r"not accepted, and nothing was fetched; .*--yes"):
        raise refused.exception or AssertionError
    assert not asked
    done = run("download", "onellm", "--to", str(tmp_path), answer="y\n")
    assert asked == [("csuhan/OneLLM-7B", tmp_path)]
    assert "tracekit capture onellm --checkpoint" in done.output.replace("\n", " ")
    run("download", "hf:someone/something", "--yes")
    assert asked[-1] == ("someone/something", None)


def test_a_download_without_a_place_or_a_source_is_one_clear_error() -> None:
    with pytest.raises(TracekitError, match="no folder to download to"):
        listing.download("onellm", None)
    with pytest.raises(TracekitError, match="not published where a command"):
        listing.download("eventgpt", Path("x"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is where nobody listens: the libraries raise what they raise without a network."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    # HF_HUB_OFFLINE, which forbids to ask at all, is another line
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")


@pytest.mark.usefixtures("no_network")
def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    for fetch in (
        lambda: download.fetch("csuhan/OneLLM-7B", tmp_path),
        lambda: downloads.hub("BASH-Lab/SensorCaps", tmp_path, None, ["*"], force=False),
        lambda: downloads.https("http://127.0.0.1:9/a.zip", tmp_path, "a.zip"),
    ):
        with pytest.raises(TracekitError) as told:
            fetch()
        line = str(told.value)
        assert "cannot be reached (Connection refused)" in line
        assert len(line) < 200, line
        assert "run the same command again" in line


def test_a_full_disk_is_not_said_to_be_the_network(tmp_path: Path) -> None:
    said = network.failed(OSError(28, "No space left on device"), tmp_path)
    assert "cannot be kept (No space left on device)" in str(said)
    assert "network" not in str(said)


def test_a_fault_of_ours_in_a_download_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    def broken(*_given: Any, **_named: Any) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(KeyError):
        download.fetch("csuhan/OneLLM-7B", tmp_path)
