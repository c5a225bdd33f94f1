"""The page's script: its modules run under node, and fit into one file."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tracekit.report.html import scripts

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "tracekit/report/html/assets/js").rglob("*.js"))
_TOP = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+|\{[\w, ]+\})", re.M)


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: the script of the page is tried in a browser only")
    return found


def test_its_own_tests_pass() -> None:
    done = subprocess.run(
        [node(), "--test", "tests/js"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^# pass [1-9]", done.stdout, re.M)


def test_all_modules_are_in_the_page_as_one_script_without_imports() -> None:
    whole = scripts.joined()
    assert not re.search(r"^\s*(?:import|export)\b", whole, re.M)
    assert "</script" not in whole
    assert "<!--" not in whole
    for source in SOURCES:
        for name in _TOP.findall(source.read_text(encoding="utf-8")):
            assert name in whole, f"{source.name} is imported by nobody"
    without = scripts.joined(picture=False)  # what a page without one carries
    assert len(without) < 0.55 * len(whole)
    assert "canvas" not in without


def test_no_two_modules_give_one_name_to_different_things() -> None:
    names = [name for path in SOURCES for name in _TOP.findall(path.read_text(encoding="utf-8"))]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_it_parses_as_it_stands_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "page.js").write_text(scripts.joined(), encoding="utf-8")
    subprocess.run([node(), "--check", tmp_path / "page.js"], check=True, timeout=60)
