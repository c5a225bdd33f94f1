"""Folders whose names are written in another case, as unpacking on another system does."""

from __future__ import annotations

from pathlib import Path


def inside(folder: Path, *names: str) -> Path:
    """`folder/NAME/…`, each name as it is there, or as it is there in another case.

    Where there is none, it is the path as it should be. Of several, the first by name.
    """
    for name in names:
        exact = folder / name
        if not exact.exists() and folder.is_dir():
            alike = (one for one in sorted(folder.iterdir()) if one.name.lower() == name.lower())
            exact = next(alike, exact)
        folder = exact
    return folder
