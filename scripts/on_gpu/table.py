"""What came out, as Markdown for people and as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SCHEMA = "tracekit-gpu-check/1"


def write(out: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """report.md and report.json in the folder."""
    content = {"schema": SCHEMA, **about, "rows": rows}
    text = json.dumps(content, ensure_ascii=False, indent=1, default=str)
    (out / "report.json").write_text(text, encoding="utf-8")
    (out / "report.md").write_text(markdown(rows, about), encoding="utf-8")


def markdown(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The table."""
    failed = sum(not row["passed"] for row in rows)
    verdict = "all passed" if not failed else f"{failed} of {len(rows)} failed"
    head = "pretended on the CPU, tiny models only" if about["pretend"] else str(about["device"])
    lines = [
        f"# GPU check: {verdict}", "",
        f"{about['finished']}, {head}, {about['seconds']:.0f} s, exit code {about['exit_code']}.",
        "",
        "| step | part | passed | s | what came out |", "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for row in rows:
        said = str(row["said"]).replace("|", "\\|").replace("\n", " ")
        passed = "yes" if row["passed"] else "**no**"
        lines.append(f"| {row['step']} | {row['part']} | {passed} | {row['seconds']} | {said} |")
    files = "\n".join(f"- {name}" for name in about["files"])
    return "\n".join([*lines, "", "Files:", "", files, ""])
