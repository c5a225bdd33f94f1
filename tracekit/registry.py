"""An entry by its name: an analysis, a model, a data set; built in, or brought by a package.

A built-in entry is a module with the kind's constant (`ANALYSIS`, `MODEL`, `DATASET`), and nothing
else lists it: `NAME.py`, `NAME/analysis.py` where it needs files of its own, or `FAMILY/NAME.py`.
An installed package brings entries by entry points of the kind's group (`tracekit.analyses`,
`tracekit.models`, `tracekit.datasets`); a built-in name stays what it is.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Generic, TypeVar

from tracekit.errors import TracekitError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Kind(Generic[E]):
    """One kind of entry: `package` holds the built-in ones and names the entry points' group."""

    package: str
    constant: str  # of an entry's module
    module: str  # the file of an entry that is a folder
    title: str  # in words
    type: type[E]

    def names(self) -> list[str]:
        """Names of all entries, alphabetically; none of them is imported."""
        return sorted({*_built_in(self), *_brought(self)})

    def named(self, name: str) -> str:
        """The name of an entry as it is listed: `critical-path` is `critical_path`, and back.

        Raises: UsageError for an unknown one.
        """
        known = self.names()
        for spelling in (name, name.replace("-", "_"), name.replace("_", "-")):
            if spelling in known:
                return spelling
        raise UsageError(
            f"there is no {self.title} of that name", where=name, hint=_near(name, known)
        )

    def load(self, name: str) -> E:
        """The entry of this name. Raises: UsageError for an unknown one; TracekitError for what a
        package brings in vain."""
        return _entry(self, self.named(name))

    def every(self) -> dict[str, E]:
        """All entries that there are, by name; what a package brings in vain is said once, on the
        log, and left out."""
        built_in, found = _built_in(self), {}
        for name in self.names():
            try:
                found[name] = _entry(self, name)
            except TracekitError as fault:  # a package's: what is built in raises what it raises
                _say(f"left out: {fault}")
        for name, point in _brought(self).items():
            if name in built_in:
                _say(f"left out: {_whose(self, point)}: a built-in {self.title} has this name")
        return found


def _entry(kind: Kind[E], name: str) -> E:
    """The entry of a name as it is listed."""
    built_in = _built_in(kind)
    if name in built_in:
        # asked thousands of times: importlib takes longer to find that it is there
        there: E | None = getattr(sys.modules.get(built_in[name]), kind.constant, None)
        if there is not None:
            return there
        entry: E = getattr(importlib.import_module(built_in[name]), kind.constant)
        return entry
    return _load(kind, _brought(kind)[name])


@cache
def _package(name: str) -> ModuleType:
    return importlib.import_module(name)


def _load(kind: Kind[E], point: EntryPoint) -> E:
    try:
        entry = point.load()
        if isinstance(entry, ModuleType):
            entry = getattr(entry, kind.constant)
    except Exception as fault:  # foreign code may raise anything as it is imported
        said = " ".join(str(fault).split()) or "no message"
        raise TracekitError(
            f"cannot be loaded ({type(fault).__name__}: {said[:200]})",
            where=_whose(kind, point),
            hint="update that package, or uninstall it",
        ) from fault
    if not isinstance(entry, kind.type):
        raise TracekitError(
            f"not {kind.type.__name__}(…) but {type(entry).__name__}",
            where=_whose(kind, point),
            hint=f"its entry point must name the {kind.constant} of a module",
        )
    return entry


def _whose(kind: Kind[E], point: EntryPoint) -> str:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    return f"{kind.title} {point.name} of package {package}"


@lru_cache(maxsize=256)
def _say(text: str) -> None:
    import logging

    logging.getLogger("tracekit.registry").warning("%s", text)


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def modules(package: str, constant: str) -> Sequence[str]:
    """Modules of a package, at any depth, that set a constant; none of them is imported."""
    return _setting(constant, _files(_paths(package), package))


def _paths(package: str) -> tuple[str, ...]:
    return tuple(_package(package).__path__)


def _built_in(kind: Kind[E]) -> Mapping[str, str]:
    """Entry to module."""
    return _entries(_paths(kind.package), kind.package, kind.constant, kind.module)


@lru_cache(maxsize=32)
def _entries(paths: tuple[str, ...], package: str, constant: str, module: str) -> Mapping[str, str]:
    """One answer asks for others hundreds of times."""
    files = _files(paths, package, entry=f"{module}.py")
    parts = [name.split(".") for name in _setting(constant, files)]
    return MappingProxyType({p[-2] if p[-1] == module else p[-1]: ".".join(p) for p in parts})


def _setting(constant: str, files: Iterable[tuple[Path, str]]) -> Sequence[str]:
    """By the text of each file: importing them costs seconds."""
    word = constant.encode()
    line = re.compile(rb"^%b\b[^\n]*=" % word, re.MULTILINE)

    def sets(file: Path) -> bool:
        text = file.read_bytes()
        at = text.find(
            word
        )  # where there is no such word, trying each line takes ten times as long
        return at >= 0 and line.search(text, at) is not None

    return tuple(name for file, name in files if sets(file))


def _files(
    paths: Sequence[str], package: str, entry: str | None = None
) -> Iterator[tuple[Path, str]]:
    """The modules of a package; of a folder with a file named `entry` that alone."""
    for found in pkgutil.iter_modules(paths):
        name = f"{package}.{found.name}"
        for path in paths:
            inner, file = Path(path) / found.name, Path(path) / f"{found.name}.py"
            if found.ispkg and entry and (inner / entry).is_file():
                yield inner / entry, f"{name}.{entry.removesuffix('.py')}"
            elif found.ispkg and inner.is_dir():
                yield from _files([str(inner)], name, entry)
            elif file.is_file():
                yield file, name


def _may_be_brought(group: str) -> bool:
    """Whether a package may have entry points of a group.

    A look into folders of packages; what knows them in archives and other places too takes longer
    to load than such a look.
    """
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder
           for finder in sys.meta_path):  # fmt: skip
        return True
    for path in sys.path:
        try:
            names = os.listdir(path or ".")
        except FileNotFoundError:
            continue
        except OSError:  # an archive
            return True
        for name in names:
            if name.endswith((".egg", ".egg-link")):
                return True
            if name.endswith("-info") and _says(os.path.join(path, name), group):
                return True
    return False


def _says(package: str, group: str) -> bool:
    try:
        with open(os.path.join(package, "entry_points.txt"), "rb", buffering=0) as file:
            return f"[{group}]".encode() in file.read()
    except OSError:
        return False


@lru_cache(maxsize=8)
def _points(group: str) -> Mapping[str, EntryPoint]:
    """Of one name in two packages that of the first, by the packages' names."""
    if not _may_be_brought(group):
        return MappingProxyType({})
    from importlib.metadata import entry_points

    found = sorted(entry_points(group=group), key=lambda p: p.dist.name if p.dist else "")
    return MappingProxyType({point.name: point for point in reversed(found)})


def _brought(kind: Kind[E]) -> Mapping[str, EntryPoint]:
    return _points(kind.package)
