"""Rows of numbers out of text, and what is done about a row that is none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracekit import extras
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

OnError = Literal["raise", "skip"]
G = 9.80665  # m/s² in one g, by definition
SHOWN = 5  # malformed rows named one by one; the rest are counted

log = logging.getLogger("tracekit.datasets")


@dataclass(slots=True)
class Notes:
    """What was wrong with one input: the first is refused, or each is skipped and kept here."""

    on_error: OnError = "raise"
    bad: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    def malformed(self, path: object, line: int | None, why: str) -> None:
        """Refuse, or note that a row or record is left out.

        Raises: TracekitError with file and line, unless `on_error` is 'skip'.
        """
        where = f"{path}:{line}" if line is not None else str(path)
        if self.on_error == "raise":
            raise TracekitError(why, where=where, hint="mend the file, or skip it: --on-error skip")
        self.bad.append(f"{where}: {why}")

    def repair(self, what: str) -> None:
        """Note a repair, or something that was derived and not measured."""
        if what not in self.repaired:
            self.repaired.append(what)

    def repairs(self) -> tuple[str, ...]:
        """All of it in words; of many malformed rows the first few and a count."""
        skipped = [f"skipped {text}" for text in self.bad[:SHOWN]]
        if len(self.bad) > SHOWN:
            skipped.append(f"skipped {len(self.bad) - SHOWN} more malformed rows")
        return (*self.repaired, *skipped)

    def tell(self) -> None:
        """Say now what was skipped; for records that no Recording will ever speak of."""
        for text in self.bad:
            log.warning("skipped %s", text)
        self.bad.clear()


def number_rows(
    data: bytes,
    path: Path,
    *,
    width: int,
    notes: Notes,
    separator: str | None = None,
    first_line: int = 1,
    finite: bool = True,
) -> npt.NDArray[np.float64]:
    """[L, width] float64, one row a line of `data`; a malformed row is all NaN and noted.

    `separator` None is any run of white space; `first_line` is the number of the first line in
    its file. Blank lines at the end do not count. `finite`: NaN and infinity are malformed too.

    Raises: TracekitError with file and line for a malformed row, unless the notes skip it.
    """
    import io

    import numpy as np

    data = data.removeprefix(b"\xef\xbb\xbf").rstrip()
    if not data:
        return np.empty((0, width))
    rows = None
    with suppress(ValueError):  # some row is malformed: found below
        rows = np.loadtxt(io.BytesIO(data), delimiter=separator, ndmin=2, comments=None)
    # loadtxt leaves blank lines out, which would shift all that follows
    if rows is None or rows.shape != (data.count(b"\n") + 1, width):
        return _one_by_one(data, path, width, notes, separator, first_line, finite)
    if finite:
        for at in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
            notes.malformed(path, first_line + int(at), "a value is not finite")
            rows[at] = np.nan
    return rows


def _one_by_one(
    data: bytes,
    path: Path,
    width: int,
    notes: Notes,
    separator: str | None,
    first_line: int,
    finite: bool,
) -> npt.NDArray[np.float64]:
    import numpy as np

    lines = data.decode("latin-1").split("\n")
    rows = np.full((len(lines), width), np.nan)
    for at, line in enumerate(lines):
        cells = line.split(separator)
        if len(cells) != width:
            notes.malformed(path, first_line + at, f"{len(cells)} values where {width} belong")
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            notes.malformed(path, first_line + at, f"not a number: {line.strip()[:60]!r}")
            continue
        if finite and not np.isfinite(row).all():
            notes.malformed(path, first_line + at, "a value is not finite")
            continue
        rows[at] = row
    return rows


def line_starts(data: bytes) -> npt.NDArray[np.int64]:
    """[L + 1] byte offsets at which the lines of `data` start, and the end of the last."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    if not len(ends) or ends[-1] != len(data):
        ends = np.append(ends, len(data))
    return np.concatenate([[0], ends]) if len(data) else np.zeros(1, np.int64)


def read_bytes(path: Path, start: int = 0, size: int = -1) -> bytes:
    """Bytes of a file, from `start`; -1 is to the end.

    Raises: TracekitError where it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(size)
    except OSError as fault:
        raise TracekitError(
            f"cannot be read ({fault.strerror})", where=path, hint="check the path"
        ) from None


def first_line(path: Path) -> str:
    """The first line as text without its end; '' for what is not a readable text file."""
    try:
        with open(path, "rb") as file:
            line = file.readline(4096)
    except OSError:
        return ""
    return line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r\n")


def csv_columns(
    data: bytes,
    path: Path,
    names: Sequence[str],
    *,
    notes: Notes,
    empty: bool = False,
    separator: str = ",",
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Columns of a csv with one header line, by name: [L, len(names)] and [L] the rows kept.

    A row number counts from 0 after the header; malformed rows are noted and not among them.
    `empty`: a cell may be empty, which gives NaN; otherwise such a row is malformed.

    Raises: TracekitError where a column is absent, for a malformed row that is not skipped, and
    without pandas.
    """
    import io

    extras.need("datasets", "pandas", where=path)
    import numpy as np
    import pandas as pd

    data = data.removeprefix(b"\xef\xbb\xbf").rstrip()
    top, _, body = data.partition(b"\n")
    header = [cell.strip().strip('"') for cell in top.decode("utf-8", "replace").split(separator)]
    absent = [name for name in names if name not in header]
    if absent:
        raise TracekitError(
            f"no column {', '.join(repr(a) for a in absent)}",
            where=path,
            hint=f"the first line has: {', '.join(header[:12])}",
        )
    at = [header.index(name) for name in names]
    if not body.strip():
        return np.empty((0, len(names))), np.empty(0, np.int64)
    frame = None
    with suppress(ValueError, pd.errors.ParserError):  # some row is malformed: found below
        frame = pd.read_csv(
            io.BytesIO(body),
            header=None,
            names=list(range(len(header))),
            usecols=sorted(set(at)),
            index_col=False,
            dtype=np.float64,
            sep=separator,
            skip_blank_lines=False,
            float_precision="round_trip",
        )
    # pandas ends a line at a lone carriage return too
    if frame is None or len(frame) != body.count(b"\n") + 1:
        suspects = np.arange(body.count(b"\n") + 1)
        rows = np.full((len(suspects), len(names)), np.nan)
    else:
        rows = np.array(frame[at], dtype=np.float64)
        # pandas passes over cells that a line has too many
        odd = cells_per_line(body, separator) != len(header)
        suspects = np.flatnonzero(odd | ~np.isfinite(rows).all(axis=1))
    kept = np.ones(len(rows), bool)
    if len(suspects):
        lines = body.split(b"\n")
        for line in suspects:
            cells = lines[line].decode("utf-8", "replace").split(separator)
            why = _cells_into(rows[line], cells, at, len(header), empty)
            if why:
                notes.malformed(path, int(line) + 2, why)
                kept[line] = False
    return rows[kept], np.flatnonzero(kept)


def cells_per_line(data: bytes, separator: str) -> npt.NDArray[np.int64]:
    """[L] how many cells each line has; a quoted separator counts, numbers need no quotes."""
    import numpy as np

    starts = line_starts(data)
    marks = np.flatnonzero(np.frombuffer(data, np.uint8) == ord(separator))
    return np.diff(np.searchsorted(marks, starts)) + 1


def _cells_into(
    row: npt.NDArray[np.float64], cells: list[str], at: Sequence[int], width: int, empty: bool
) -> str:
    """What is wrong with a line, after its cells were put in `row`; '' is nothing."""
    if len(cells) != width:
        return f"{len(cells)} values where {width} belong"
    for place, column in enumerate(at):
        cell = cells[column].strip().strip('"')
        missing = cell.lower() in ("", "nan", "null", "none")
        try:
            row[place] = float("nan") if missing else float(cell)
        except ValueError:
            return f"not a number: {cell[:60]!r}"
        if not (empty and missing) and not abs(row[place]) < float("inf"):
            return "a value is missing" if missing else "a value is not finite"
    return ""
