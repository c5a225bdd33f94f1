"""Columns that a file has, text or numbers, before anybody knows what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MISSING = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})
COMMA = re.compile(r"[+-]?\d*,\d+(?:e[+-]?\d+)?", re.IGNORECASE)  # a number with a decimal comma


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length. Text cells are as in the file; arrays are numbers already."""

    names: tuple[str, ...] | None  # None: the file names none
    columns: tuple[Sequence[str] | npt.NDArray[Any], ...]
    lines: npt.NDArray[np.int64] | None = None  # [N] where each row is in its file, from 1
    units: tuple[str, ...] | None = None  # of a row of units, or of the columns' types
    malformed: tuple[tuple[int, str], ...] = ()  # (line, why) of rows that are not in it
    said: tuple[str, ...] = ()  # what was passed over, in words
    rate_hz: float | None = None  # that the file states

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.columns[0]) if self.columns else 0

    def place(self, row: int) -> str:
        """A row as a reader of the file finds it; `row` counts from 0."""
        if self.lines is None:
            return f"row {row + 1}"
        return f"row {row + 1} (line {self.lines[row]})"


def number(cell: str) -> float:
    """The number in a cell, with a decimal point or comma; NaN where it is empty.

    Raises: ValueError where it is none.
    """
    text = cell.strip()
    if text.lower() in MISSING:
        return float("nan")
    if "_" in text:  # Python's own, no file's
        raise ValueError(text)
    return float(text.replace(",", ".") if COMMA.fullmatch(text) else text)


def is_number(cell: str) -> bool:
    """Whether a cell has a number in it."""
    try:
        return cell.strip().lower() not in MISSING and number(cell) is not None
    except ValueError:
        return False


def numbers(
    column: Sequence[str] | npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """[N] float64, and the rows whose cell is text that is no number; NaN is what is missing."""
    import numpy as np

    if isinstance(column, np.ndarray):
        return np.asarray(column, np.float64), []
    try:
        if "_" not in "".join(column):
            return np.array([float(cell) for cell in column]), []
    except ValueError:  # some cell is empty, has a decimal comma or is none: found below
        pass
    found = np.full(len(column), np.nan)
    bad = []
    for row, cell in enumerate(column):
        try:
            found[row] = number(cell)
        except ValueError:
            bad.append(row)
    return found, bad
