"""Writes docs/fields.md and docs/definitions.md from the catalogue of analyses.

    python scripts/write_docs.py

A test fails where they are stale.
"""

from __future__ import annotations

import enum
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tracekit import records  # noqa: E402
from tracekit.results import catalog  # noqa: E402

HEAD = (
    "<!-- Written by scripts/write_docs.py from the catalogue: change the analyses, not this. -->"
)

FIELDS_INTRO = """# Every field of every answer

The keys of `tracekit analyze --json`, analysis by analysis, as the code has them; what is promised
of them is in [json.md](json.md), what they mean in [definitions.md](definitions.md).

A page holds the same answers as `<script type="application/json" id="tk-NAME">`, lists cut where
they are long; `left_out` then says how many entries of which list are missing.

Below, `?` is a value that may be null, `[]` a list of what follows, `{}` an object by name.
"""

DEFINITIONS_INTRO = """# What every number means

One sentence for each measure, as the report and the notebook show it, analysis by analysis.
"""


def fields_doc() -> str:
    """docs/fields.md."""
    parts = [HEAD, "", FIELDS_INTRO]
    for name in catalog.analyses():
        entry = catalog.analysis(name)
        answer = typing.get_type_hints(entry.run)["return"]
        parts += [f"## {name}", "", f"{entry.question}", "", "```", *fields(answer), "```", ""]
    return "\n".join(parts)


def fields(kind: Any, depth: int = 0) -> Iterable[str]:
    """A line for each field of a record, nested ones indented."""
    hints = typing.get_type_hints(kind)
    for name in records.json_names(kind):
        said, inner = describe(hints[name])
        yield f"{'  ' * depth}{name}: {said}".rstrip()
        if inner is not None and depth < 4:
            yield from fields(inner, depth + 1)


def describe(kind: Any) -> tuple[str, Any]:
    """A type in JSON's words, and the record inside it, if there is one."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        some = [one for one in inside if one is not type(None)]
        said, inner = describe(some[0]) if len(some) == 1 else ("number or text", None)
        return (f"{said}?" if type(None) in inside else said), inner
    if origin in (tuple, list):
        said, inner = describe(inside[0])
        return f"[] {said}".rstrip(), inner
    if isinstance(origin, type) and issubclass(origin, Mapping):
        said, inner = describe(inside[1])
        return f"{{}} {said}".rstrip(), inner
    if origin is typing.Literal:
        return " | ".join(f'"{one}"' for one in inside), None
    if records.is_record_type(kind):
        return "", kind
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "text", None
    plain = {int: "integer", float: "number", str: "text", bool: "true or false"}
    return plain.get(kind, "any"), None


def definitions_doc() -> str:
    """docs/definitions.md."""
    parts = [HEAD, "", DEFINITIONS_INTRO]
    for name in sorted(catalog.analyses(), key=lambda n: (catalog.analysis(n).order, n)):
        entry = catalog.analysis(name)
        parts += [f"## {entry.title} (`{name}`)", "", entry.question, ""]
        if entry.definitions:
            rows = [f"| {cell(k)} | {cell(v)} |" for k, v in entry.definitions.items()]
            parts += ["| measure | definition |", "| --- | --- |", *rows, ""]
    return "\n".join(parts)


def cell(text: str) -> str:
    """Text inside a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"fields.md": fields_doc, "definitions.md": definitions_doc}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (ROOT / "docs" / page).write_text(make(), encoding="utf-8")
        print(f"docs/{page}")
