"""Optional dependencies, by the extra of pyproject.toml that brings them, asked for where used."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from tracekit.errors import TracekitError


class MissingExtraError(TracekitError):
    """What was asked for needs packages that this installation has not; the hint installs them."""


def need(extra: str, *modules: str, where: object) -> None:
    """Nothing where all `modules` are installed, none of which is imported.

    Raises: MissingExtraError that names the absent ones, and the line that installs `extra`.
    """
    absent = [name for name in modules if not _there(name)]
    if absent:
        raise MissingExtraError(
            f"needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} "
            "not installed",
            where=where,
            hint=install(extra),
        )


def _there(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None


def install(extra: str) -> str:
    """The line that installs an extra."""
    return f"pip install 'tracekit[{extra}]'"
