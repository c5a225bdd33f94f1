"""An entry by its name: an analysis, a model, a data set; built in, or brought by a package.

A built-in entry is a module with the kind's constant (`ANALYSIS`, `MODEL`, `DATASET`), and nothing
else lists it: `NAME.py`, `NAME/analysis.py` where it needs files of its own, or `FAMILY/NAME.py`.
An installed package brings entries by entry points of the kind's group (`tracekit.analyses`,
`tracekit.models`, `tracekit.datasets`); a built-in name stays what it is.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Generic, TypeVar

from tracekit.errors import TracekitError

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

    def load(self, name: str) -> E:
        """The entry of this name. Raises: TracekitError for an unknown one, or what is none."""
        built_in, brought = _built_in(self), _brought(self)
        if name in built_in:
            entry = getattr(importlib.import_module(built_in[name]), self.constant)
        elif name in brought:
            entry = brought[name].load()
            if isinstance(entry, ModuleType):
                entry = getattr(entry, self.constant, None)
        else:
            raise TracekitError(
                f"there is no {self.title} of that name", where=name, hint=_near(name, self.names())
            )
        if not isinstance(entry, self.type):
            raise TracekitError(
                f"not {self.type.__name__}(…) but {type(entry).__name__}",
                where=f"{self.title} {name}",
                hint=f"its entry point must name the {self.constant} of a module",
            )
        return entry


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def modules(package: str, constant: str) -> Sequence[str]:
    """Modules of a package, at any depth, that set a constant; none of them is imported."""
    return _modules(tuple(importlib.import_module(package).__path__), package, constant)


def _built_in(kind: Kind[E]) -> Mapping[str, str]:
    """Entry to module."""
    parts = [name.split(".") for name in modules(kind.package, kind.constant)]
    return {p[-2] if p[-1] == kind.module else p[-1]: ".".join(p) for p in parts}


@lru_cache(maxsize=32)
def _modules(paths: tuple[str, ...], package: str, constant: str) -> Sequence[str]:
    """By the text of each file: importing them costs seconds."""
    there = re.compile(rf"^{constant}\b[^\n]*=", re.MULTILINE)
    return tuple(
        module
        for file, module in _files(paths, package)
        if there.search(file.read_text(encoding="utf-8"))
    )


def _files(paths: Sequence[str], package: str) -> Iterator[tuple[Path, str]]:
    for found in pkgutil.iter_modules(paths):
        name = f"{package}.{found.name}"
        for path in paths:
            if found.ispkg and (inner := Path(path) / found.name).is_dir():
                yield from _files([str(inner)], name)
            elif (file := Path(path) / f"{found.name}.py").is_file():
                yield file, name


@lru_cache(maxsize=8)
def _points(group: str) -> Mapping[str, EntryPoint]:
    return MappingProxyType({point.name: point for point in entry_points(group=group)})


def _brought(kind: Kind[E]) -> Mapping[str, EntryPoint]:
    return _points(kind.package)
