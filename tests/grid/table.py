"""The kinds of models that the grid tries, as docs/models.md shows them.

`python -m tests.grid.table --write` puts them there; without, it prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.grid import families
from tracekit.models.huggingface.kinds import REFUSED

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- grid: python -m tests.grid.table --write -->\n", "<!-- end of grid -->"


def tried() -> Mapping[str, list[str]]:
    """Model types by what they are, each captured in `tests/grid` with the text of `generate`."""
    from tests.grid import pictures, test_encoders

    return {
        "text": sorted(families.DENSE),
        "text, mixtures of experts": sorted(families.MIXTURES),
        "text, latent attention": sorted(families.LATENT),
        "text, recurrent layers, all or some": sorted(families.RECURRENT),
        "text to text, with an encoder": sorted(test_encoders.TEXT_TO_TEXT),
        "a picture and text": sorted(pictures.FAMILIES),
        "sound": sorted([*test_encoders.SPEECH, "qwen2_audio"]),
    }


def table() -> str:
    """The section as Markdown."""
    kinds = tried()
    lines = [
        f"Tried on tiny random models, {sum(map(len, kinds.values()))} kinds: captured, the stages "
        "add up to the request, and the",
        "tokens are those of `generate()` (pictures in batches of two).",
        "",
        "| takes | model types |",
        "| --- | --- |",
        *(f"| {what} | {', '.join(names)} |" for what, names in kinds.items()),
        "",
        "Refused, with the reason; other types are tried, and a failure inside transformers is one "
        "line:",
        "",
        "| model types | why |",
        "| --- | --- |",
    ]
    reasons: dict[str, list[str]] = {}
    for kind, why in sorted(REFUSED.items()):
        reasons.setdefault(why, []).append(kind)
    lines += [f"| {', '.join(names)} | {why} |" for why, names in reasons.items()]
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """The document with the table in its place."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    if "--write" in sys.argv:
        DOCS.write_text(written(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
