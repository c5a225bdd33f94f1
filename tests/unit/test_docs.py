"""Docs that are written from the code are as the code is."""

from __future__ import annotations

import importlib.util
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
