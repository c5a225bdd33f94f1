"""What is imported is what pyproject.toml declares, and what is absent is one clear line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest

import tracekit
from tests import fresh
from tracekit import extras
from tracekit.errors import TracekitError
from tracekit.results.figures.chart import Chart
from tracekit.results.result import Result
from tracekit.trace import kineto

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# modules that are not named as the package that has them
PACKAGES = {
    "IPython": "ipython",
    "PIL": "pillow",
    "hta": "holistictraceanalysis",
    "huggingface_hub": "huggingface-hub",
    "libarchive": "libarchive-c",
    "projectaria_tools": "projectaria-tools",
    "pynvml": "nvidia-ml-py",
}
OWN = {"tracekit", "analyses"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", text, maxsplit=1)[0].lower() for text in requirements}


CORE = names(PROJECT["dependencies"])
ANY = CORE.union(*(names(EXTRAS[extra]) for extra in EXTRAS if extra not in ("all", "dev")))


def package(module: str) -> str:
    top = module.split(".")[0]
    return PACKAGES.get(top, top.lower())


def sources() -> list[Path]:
    return sorted(path for room in OWN for path in (ROOT / room).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether importing the file imports it) of what is neither ours nor Python's."""
    return list(imported(parsed(path)))


def imported(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    for node, early in statements(tree.body, early=True):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found = [node.module]
        else:
            continue
        for name in found:
            if name.split(".")[0] not in OWN | sys.stdlib_module_names:
                yield name, early


def statements(body: Sequence[ast.AST], *, early: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """All statements at any depth, and whether importing the file runs them."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node, early
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            inner = [part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.expr)]
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            )
            yield from statements(inner, early=early and not later)


def needed(path: Path) -> Iterator[tuple[str, str]]:
    """(extra, module) of each call of extras.need in a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "extras.need":
            extra, *modules = [a.value for a in node.args if isinstance(a, ast.Constant)]
            assert len(modules) == len(node.args) - 1 > 0, f"{path}: literal names only"
            yield from ((str(extra), str(module)) for module in modules)


def test_every_import_is_declared() -> None:
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources()
        for module, _ in imports(path)
        if package(module) not in ANY
    }
    assert not undeclared


def test_every_declared_package_is_imported_or_named_with_its_reason() -> None:
    # what fsspec asks for, by the protocol of an address
    by_others = {"aiohttp", "s3fs", "viztracer"}
    used = {package(module) for path in sources() for module, _ in imports(path)}
    assert ANY - used == by_others


def test_only_the_networks_of_models_import_what_an_extra_brings_as_they_are_imported() -> None:
    at_once = {
        path.relative_to(ROOT).parts[:2]
        for path in sources()
        for module, early in imports(path)
        if early and package(module) not in CORE
    }
    assert at_once == {("tracekit", "models")}


def test_every_extra_that_is_asked_for_brings_what_is_needed() -> None:
    asked = [pair for path in sources() for pair in needed(path)]
    assert len(asked) > 15
    wrong = [(e, m) for e, m in asked if package(m) not in names(EXTRAS[e])]
    assert not wrong


def test_all_is_every_extra_and_the_tests_have_what_they_run() -> None:
    own = {extra for extra in EXTRAS if extra not in ("all", "dev")}
    every, tested = (
        set(EXTRAS[name][0].removeprefix("tracekit[").removesuffix("]").split(","))
        for name in ("all", "dev")
    )
    assert every == own
    assert own - tested == {"aria", "offline-ui", "peft", "remote"}  # stood in for, or not needed


def test_the_version_is_that_of_the_project() -> None:
    assert tracekit.__version__ == PROJECT["version"]


# ---------------------------------------------------------------- what is absent


def test_what_is_absent_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    extras.need("capture", "json", where="here")
    with pytest.raises(TracekitError) as caught:
        extras.need("capture", "torch", "json", where="onellm")
    assert str(caught.value) == (
        "onellm: needs torch, which is not installed; pip install 'tracekit[capture]'"
    )
    with pytest.raises(TracekitError, match="needs torch and no_such_module, which are not"):
        extras.need("capture", "torch", "no_such_module", where="onellm")


def test_a_notebook_without_pandas_or_plotly_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pandas", "plotly"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TracekitError, match=r"to_pandas\(\): needs pandas.*tracekit\[notebook\]"):
        Result().to_pandas()
    with pytest.raises(TracekitError, match=r"needs plotly.*tracekit\[notebook\]"):
        Chart("key", "title", "summary", []).figure()


def test_a_parquet_file_without_pyarrow_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.parquet"
    path.write_bytes(b"PAR1" + bytes(64))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TracekitError, match=r"needs pyarrow.*tracekit\[parquet\]"):
        kineto.load(path)


TRACE = ROOT / "traces" / "sample-onellm-tiny-cpu.pt.trace.json.gz"


def brought(packages: set[str]) -> set[str]:
    """These, and what they require themselves: HTA brings plotly."""
    known, new = set[str](), packages
    while new:
        known |= new
        lines = [line for name in new for line in _requires(name) if "extra ==" not in line]
        new = names(lines) - known
    return known


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # for another system
        return []


def core(folder: Path, *args: object, extra: str = "") -> subprocess.CompletedProcess[str]:
    """`tracekit …` where the core and at most one extra are installed, with all that they bring."""
    there = brought(CORE | names(EXTRAS[extra] if extra else []))
    absent = [m for m in {*ANY, *PACKAGES} if package(m) not in there and m.isidentifier()]
    return fresh.tracekit(*args, cwd=folder, absent=absent)


@pytest.mark.parametrize(
    ("args", "made"),
    [
        (("analyze", TRACE, "-o", "page.html"), "page.html"),
        (("compare", TRACE, TRACE, "-o", "diff.html"), "diff.html"),
        (("export", TRACE, "out.json.gz"), "out.json.gz"),
        (("datasets",), None),
        (("models",), None),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_the_core_alone_answers(tmp_path: Path, args: tuple[object, ...], made: str | None) -> None:
    ran = core(tmp_path, *args)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
    assert made is None or (tmp_path / made).stat().st_size > 1000


@pytest.mark.parametrize(
    ("args", "extra"),
    [
        (("capture", "onellm", "--samples", 1, "--max-new-tokens", 2, "-o", "t.json"), "capture"),
        (("crosscheck", TRACE), "hta"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else str(given),
)
def test_an_extra_brings_all_that_its_command_needs(
    tmp_path: Path, args: tuple[object, ...], extra: str
) -> None:
    ran = core(tmp_path, *args, extra=extra)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


@pytest.mark.parametrize(
    ("args", "extra"),
    [
        (("capture", "onellm"), "capture"),
        (("bench", "onellm"), "capture"),
        (("models", "info", "hf:a/b"), "capture"),
        (("models", "download", "hf:a/b", "--yes"), "capture"),
        (("datasets", "download", "opensqa", "-o", "x"), "datasets"),
        (("crosscheck", TRACE), "hta"),
        (("critical-path", TRACE), "hta"),
        (("analyze", TRACE, "--only", "critical_path"), "hta"),
        (("convert", TRACE, "out.parquet"), "parquet"),
        (("open", TRACE, "--offline"), "offline-ui"),
        (("analyze", "s3://bucket/trace.json"), "remote"),
    ],
    ids=lambda given: " ".join(map(str, given[:2])) if isinstance(given, tuple) else str(given),
)
def test_a_command_without_its_extra_says_the_one_line(
    tmp_path: Path, args: tuple[object, ...], extra: str
) -> None:
    ran = core(tmp_path, *args)
    assert ran.returncode == 1, ran.stderr
    said = ran.stderr.splitlines()[-1]
    assert re.fullmatch(
        rf"error: .*needs .* not installed; pip install 'tracekit\[{extra}\]'", said
    ), ran.stderr
    assert list(tmp_path.iterdir()) == []
