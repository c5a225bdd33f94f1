"""What the shell offers for a value: names of models, analyses, data sets; nothing is imported.

`tracekit --install-completion` sets it up; files are offered where a path may stand.
"""

from __future__ import annotations

from collections.abc import Iterable
from glob import glob
from os.path import isdir


def models(incomplete: str) -> list[str]:
    """Models, and the schemes of those that lie elsewhere."""
    from tracekit.models import entry

    return _begin([*entry.models(), "hf:"], incomplete)


def analyses(incomplete: str) -> list[str]:
    """Analyses, also after a comma; those that stand already are not offered again."""
    from tracekit.results import catalog

    before, comma, last = incomplete.rpartition(",")
    there = set(before.split(","))
    return [
        f"{before}{comma}{name}" for name in _begin(catalog.analyses(), last) if name not in there
    ]


def datasets(incomplete: str) -> list[str]:
    """Data sets."""
    from tracekit.datasets import entry

    return _begin(entry.datasets(), incomplete)


def data(incomplete: str) -> list[str]:
    """What `--data` takes: data sets, and files."""
    return [*datasets(incomplete), *files(incomplete)]


def files(incomplete: str) -> list[str]:
    """Files and folders that begin so."""
    return [f"{path}/" if isdir(path) else path for path in sorted(glob(f"{incomplete}*"))]


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
