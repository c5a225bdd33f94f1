"""The command line as a user meets it: quick, clear about bad input, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import fresh
from tests.conftest import shared


def loaded_by(*args: str) -> set[str]:
    """Top-level modules that a command imports."""
    code = (
        "import sys\nfrom tracekit.cli.app import app\n"
        f"try: app({list(args)!r})\nexcept SystemExit: pass\n"
        "print('MODULES', *{name.split('.')[0] for name in sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return set(ran.stdout.rsplit("MODULES", 1)[1].split())


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "numpy", "pandas", "plotly", "pyarrow", "msgspec", "scipy"}
    assert not loaded_by("--help") & heavy


def test_analyze_imports_no_torch_and_no_plotly() -> None:
    trace = shared("traces", "tl_sglang_decode.json.gz")
    modules = loaded_by("analyze", str(trace), "--json")
    assert "numpy" in modules
    assert not modules & {"torch", "transformers", "plotly", "pandas", "hta"}


@pytest.mark.parametrize(
    "command",
    [
        "analyze",
        "capture",
        "export",
        "open",
        "models",
        "datasets",
        "convert",
        "cache",
        "compare",
        "bench",
        "crosscheck",
        "critical-path",
    ],
)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    ran = fresh.tracekit(command, "--help", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Usage" in ran.stdout


def bad_inputs(tmp_path: Path) -> dict[str, tuple[object, ...]]:
    (tmp_path / "page.html").write_text("<!doctype html><p>not a trace")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "list.json").write_text('{"a": 1}')
    (tmp_path / "none.json").write_text('{"traceEvents": []}')
    (tmp_path / "ok.json").write_text(
        '{"traceEvents": [{"ph":"X","cat":"cpu_op","name":"a","pid":1,"tid":1,"ts":1,"dur":1}]}'
    )
    (tmp_path / "nothing").mkdir()
    return {
        "missing": ("analyze", tmp_path / "no.json"),
        "folder": ("analyze", tmp_path / "nothing"),
        "html": ("analyze", tmp_path / "page.html"),
        "empty": ("analyze", tmp_path / "empty.json"),
        "no events key": ("analyze", tmp_path / "list.json"),
        "no events": ("analyze", tmp_path / "none.json"),
        "unknown analysis": ("analyze", tmp_path / "ok.json", "--only", "stagez"),
        "bad pattern": ("analyze", tmp_path / "ok.json", "--stages", "("),
        "export of nothing": ("export", tmp_path / "no.json", tmp_path / "o.json"),
        "export to a folder": ("export", tmp_path / "ok.json", tmp_path),
        "bad time": ("export", tmp_path / "ok.json", tmp_path / "o.json", "--from", "soon"),
        "open of nothing": ("open", tmp_path / "no.json", "--no-browser"),
        "unknown model": ("capture", "onelm"),
        "no device": ("capture", "onellm", "--device", "cuda:63"),
        "no checkpoint": ("capture", "onellm", "--checkpoint", tmp_path / "none.pth"),
        "no data": ("capture", "onellm", "--size", "tiny", "--data", tmp_path / "none.npy"),
        "unknown data set": ("datasets", "info", "sensorcap"),
    }


WRITTEN_WRONGLY = {
    "unknown analysis", "bad pattern", "bad time", "unknown model", "unknown data set",
}  # fmt: skip


@pytest.mark.parametrize("case", [
    "missing", "folder", "html", "empty", "no events key", "no events", "unknown analysis",
    "bad pattern", "export of nothing", "export to a folder", "bad time", "open of nothing",
    "unknown model", "no device", "no checkpoint", "no data", "unknown data set",
])  # fmt: skip
def test_bad_input_is_one_clear_line(case: str, tmp_path: Path) -> None:
    args = bad_inputs(tmp_path)[case]
    before = sorted(tmp_path.iterdir())
    ran = fresh.tracekit(*args, cwd=tmp_path)
    assert ran.returncode == (2 if case in WRITTEN_WRONGLY else 1), (ran.stdout, ran.stderr)
    assert "Traceback" not in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran.stderr
    assert ";" in lines[0]  # what, then what to do next
    left = [p for p in sorted(tmp_path.rglob("*")) if p.is_file() and p not in before]
    assert not left, "something half-written was left"


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """As Python starts it; the other tests fork what has been started."""
    ran = subprocess.run(
        [sys.executable, "-m", "tracekit.cli.app", "analyze", tmp_path / "no.json"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: {tmp_path / 'no.json'}: ")
