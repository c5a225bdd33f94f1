"""Docs that are written from the code are as the code is."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_docs", ROOT / "scripts" / "write_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["fields.md", "definitions.md"])
def test_written_docs_are_not_stale(page: str) -> None:
    kept = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert kept == script().PAGES[page](), "run: python scripts/write_docs.py"


def test_fields_that_may_be_null_say_so() -> None:
    found = script().fields_doc()
    assert "  wall_ns: integer" in found
    assert "clock: ?" in found


SHOWN = [
    pytest.param(name, code, id=f"{page.name}: {name}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for name, code in re.findall(
        r"^```python\n# ((?:analyses|tests|tracekit)/\S+\.py)\n(.*?)^```$",
        page.read_text("utf-8"),
        re.M | re.S,
    )
]


@pytest.mark.parametrize(("name", "code"), SHOWN)
def test_a_file_that_is_shown_whole_is_as_ci_wants_it(name: str, code: str) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("no ruff")
    for words in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        done = subprocess.run(
            [ruff, *words, "--stdin-filename", name, "-"],
            cwd=ROOT, input=code, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
