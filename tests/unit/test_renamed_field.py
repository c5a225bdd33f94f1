"""Readers of an answer read attributes of its type: mypy names those of a renamed field."""

import re
import shutil
from pathlib import Path

import pytest

from tests.typecheck import errors

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# result, field, and the rooms in which it is read; of answers that few modules read, since mypy
# looks at all readers of each
FIELDS = {
    ("ops", "Op", "self_ns"): ("analyses/ops", "tracekit/comparison", "tracekit/report/one"),
    ("tokens", "Latency", "tpot_ns"): ("tracekit/comparison/fleet", "tracekit/report/many"),
    ("collectives", "Collectives", "waiting"): ("tracekit/report/many",),
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of a copy in which these fields have other names."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("tracekit", "analyses"):
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy2(ROOT / "pyproject.toml", copy)
    for answer, kind, field in FIELDS:
        file = copy / "tracekit" / "answers" / f"{answer}.py"
        source = file.read_text(encoding="utf-8")
        new, count = re.subn(
            rf"(class {kind}\b(?:(?!\nclass ).)*?\n    ){field}:", rf"\1{field}_renamed:", source,
            count=1, flags=re.DOTALL,
        )  # fmt: skip
        assert count == 1
        file.write_text(new, encoding="utf-8")
    return errors(cwd=copy, cache=copy / ".mypy_cache")


@pytest.mark.parametrize(("answer", "kind", "field"), FIELDS)
def test_the_readers_of_a_renamed_field_are_named(
    named: list[str], answer: str, kind: str, field: str
) -> None:
    said = [line for line in named if f'"{kind}" has no attribute "{field}"' in line]
    assert said
    for room in FIELDS[answer, kind, field]:
        assert [line for line in said if line.startswith(f"{room}/")], f"no reader in {room}"


def test_nothing_else_is_wrong_with_the_copy(named: list[str]) -> None:
    fields = [field for _, _, field in FIELDS]
    readers = {place(line) for line in named if any(field in line for field in fields)}
    # what such a line gives has no type, which is said of the same line
    assert [line for line in named if place(line) not in readers] == []


def place(line: str) -> str:
    """`FILE:LINE` of what mypy says."""
    return line.partition(": error: ")[0]
