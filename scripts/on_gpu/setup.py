"""What a check is run with, and how a part of it says what came out."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODELS = ("onellm", "llasa", "eventgpt", "limu_bert", "imu2clip")
LARGE = ("onellm", "llasa")
PLAIN: Mapping[str, Any] = {"samples": 1, "warmup": 1, "data": "synthetic"}


@dataclass(frozen=True, slots=True)
class Setup:
    """Where to run and where to write. With `pretend` the CPU stands in, with tiny models only."""

    device: str
    pretend: bool
    out: Path  # what is kept: few, small files
    work: Path  # what is not
    rows: Path  # of all parts, one JSON object a line

    @property
    def large(self) -> str:
        """The size of the models that are checked at full size."""
        return "tiny" if self.pretend else "full"

    def takes(self, name: str) -> dict[str, str]:
        """Options that make every request as long as it may be."""
        return {"ignore_eos": "true"} if name in ("onellm", "llasa", "eventgpt") else {}


class PartError(Exception):
    """A part that ran and is wrong; the text says how."""


@dataclass(slots=True)
class Said:
    """What a part found: one sentence, and the numbers behind it."""

    text: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A process of its own with so many seconds at most; its parts are rows of the table."""

    name: str
    seconds: float
    parts: Sequence[str]


@contextmanager
def part(setup: Setup, step: str, name: str) -> Iterator[Said]:
    """A part of a step as a row: passed where nothing is raised inside, else failed with why."""
    begin, said, passed = time.monotonic(), Said(), True
    try:
        yield said
    except Exception as fault:  # whatever it is: it is a row, and the rest goes on
        passed = False
        plain = isinstance(fault, PartError)
        said.text = str(fault) if plain else f"{type(fault).__name__}: {fault}"
        if not plain:
            said.figures["traceback"] = traceback.format_exc()[-4000:]
    row = {
        "step": step, "part": name, "passed": passed, "said": said.text.strip()[:600],
        "seconds": round(time.monotonic() - begin, 1), "figures": said.figures,
    }  # fmt: skip
    with setup.rows.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows so far; a line that was cut off by the end of its process is none."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
