"""The plan of the house: what import-linter does not hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path for room in ("tracekit", "analyses") for path in sorted((ROOT / room).rglob("*.py"))
]
LOOSE = {
    "errors",
    "extras",
    "files",
    "kept",
    "patterns",
    "plain",
    "records",
    "registry",
    "taxonomy",
    "version",
}  # everyone uses them
MOST = 14  # modules of a folder
# torch names it in its documentation, and exports it from nowhere else
NO_PUBLIC_PLACE = {
    "torch.utils._python_dispatch.TorchDispatchMode",
    "threading._shutdown", "atexit._run_exitfuncs", "os._exit",  # how a process ends at once
}  # fmt: skip
# a file for each analysis, or command: not a room that one reads through
ONE_FOR_EACH = {"tracekit/answers", "tracekit/cli/commands"}
# private words, for which the field has others (docs/architecture.md names the rooms)
PRIVATE_WORDS = {
    "beside", "compared", "doing", "doings", "floors", "gauge", "gauges", "lane", "lanes", "mend",
    "mended", "mending", "peer", "peers", "race", "samework", "sides", "tile", "tiles",
}  # fmt: skip
IN_JSON = {"doings", "floors"}  # fields that docs/json.md promises


SEEN = ast.ImportFrom | ast.Import | ast.Attribute | ast.ClassDef | ast.FunctionDef


def seen(tree: ast.Module) -> Sequence[ast.AST]:
    """What the rules below look at, in one walk."""
    return [node for node in ast.walk(tree) if isinstance(node, SEEN)]


@cache
def modules() -> Sequence[tuple[str, Sequence[ast.AST]]]:
    """Each module by its path."""
    return [
        (str(path.relative_to(ROOT)), seen(ast.parse(path.read_text(encoding="utf-8"))))
        for path in SOURCES
    ]


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_uses(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """What a module takes of another that begins with an underscore: its line and its name."""
    modules = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                modules.add(alias.asname or alias.name)
                parts = (node.module or "").split(".")
                if private(alias.name) or any(map(private, parts)):
                    yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    for node in nodes:
        if (
            isinstance(node, ast.Attribute) and private(node.attr)
            and isinstance(node.value, ast.Name) and node.value.id in modules
        ):  # fmt: skip
            yield node.lineno, f"{node.value.id}.{node.attr}"


def test_nothing_private_is_used_outside_its_module() -> None:
    assert [
        f"{path}:{line}: {name}" for path, nodes in modules() for line, name in private_uses(nodes)
        if name not in NO_PUBLIC_PLACE
    ] == []  # fmt: skip


def test_a_private_name_of_another_module_would_be_seen() -> None:
    source = "from tracekit.trace import kineto\nfrom a import _b\nkineto._made()\nkineto.load()\n"
    assert list(private_uses(seen(ast.parse(source)))) == [(2, "a._b"), (3, "kineto._made")]


def test_no_module_is_loose_but_the_few_that_everyone_uses() -> None:
    found = {path.stem for path in (ROOT / "tracekit").glob("*.py")} - {"__init__", "__main__"}
    assert found <= LOOSE


def test_a_folder_can_be_read_through() -> None:
    folders: dict[str, int] = {}
    for path in SOURCES:
        if path.stem != "__init__":
            folder = str(path.parent.relative_to(ROOT))
            folders[folder] = folders.get(folder, 0) + 1
    assert {f: n for f, n in folders.items() if n > MOST and f not in ONE_FOR_EACH} == {}


def words(name: str) -> set[str]:
    """The words of a name: `StageBound`, `stage_bound` and `_stage_bound` are stage and bound."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Classes, functions, and fields of classes."""
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            yield node.name
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    yield part.target.id
        elif isinstance(node, ast.FunctionDef):
            yield node.name


def test_names_are_the_fields_terms() -> None:
    """Of modules everywhere; of classes, functions and fields in every room but the report's."""
    odd = [
        f"{path}: {name}" for path, nodes in modules() for name in {Path(path).stem, *names(nodes)}
        if words(name) & PRIVATE_WORDS and name not in IN_JSON
        and (name == Path(path).stem or not path.startswith("tracekit/report/"))
    ]  # fmt: skip
    odd += [str(p) for p in (ROOT / "tests").rglob("*.py") if words(p.stem) & PRIVATE_WORDS]
    assert odd == []


@pytest.mark.parametrize("name", ["_Lane", "host_doings", "PeerError", "sides"])
def test_a_private_word_would_be_seen(name: str) -> None:
    assert words(name) & PRIVATE_WORDS
