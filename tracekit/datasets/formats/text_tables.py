"""Tables as text: separators, comments, headers and decimal commas found out, lines remembered."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tracekit.datasets.formats.tables import MISSING, Table, is_number

SEPARATORS = ("\t", ";", "|", ",", None)  # of equal merit the first; None is white space
COMMENTS = ("#", "%", "//")
EXACT = 2.0**53  # float64 has every whole number below
MARKS = frozenset("#%/")
SAMPLE = 60  # lines that are looked at to find the separator and the header


class Line(NamedTuple):
    """One line, and its number in the file."""

    number: int
    text: str

    @property
    def comment(self) -> str | None:
        """Its text without the mark; None where it is no comment."""
        start = self.text.lstrip(' "')
        if start[:1] in MARKS and start.startswith(COMMENTS):
            return start.lstrip("#%/ ").rstrip()
        return None


def decoded(raw: bytes) -> str:
    """Text of a file in UTF-8, UTF-16 with its mark, or Latin-1; every line ends in a line feed."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    return text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")


def read(raw: bytes, *, least: int = 6) -> Table:
    """The table in a text file, cells as text. A row has at least `least` cells.

    Lines that are comments are passed over; so are lines before the header, and the header where
    it comes again, which `said` tells. Rows of another width are in `malformed`.
    """
    text = decoded(raw).rstrip()
    lines = [Line(at, line) for at, line in enumerate(text.split("\n"), 1)] if text else []
    separator, lines = _separator(lines, least)
    plain = [line for line in lines if line.comment is None]
    while plain and not plain[0].text.strip():
        plain.pop(0)
    if not plain:
        return Table(None, ())
    first = _first(plain, separator, least)
    lines_before = f"{first} line{'' if first == 1 else 's'}"
    said = [f"passed over {lines_before} before the header"] if first else []
    plain = plain[first:]
    clean = _clean(plain, lines, separator, said)
    if clean is not None:
        return clean
    rows = [(line.number, cells(line.text, separator)) for line in plain]
    names = _header(rows, lines, separator, said)
    units = _units(rows, len(names)) if names else None
    width = _width(rows, names)
    if names is not None and len(names) == width - 1:
        names = ("", *names)
        units = ("", *units) if units else None
        said.append("the rows have one cell more than the header: the first is an index")
    elif names is not None and len(names) == width + 1 and not names[-1]:
        names, units = names[:-1], units[:-1] if units else None
    return _made(rows, names, units, width, said)


def _clean(
    plain: list[Line], lines: list[Line], separator: str | None, said: list[str]
) -> Table | None:
    """The table where every cell below the header is a number and every row as wide: at once.

    None where it is not so, and where float64 would round whole numbers.
    """
    import numpy as np

    rows = [(line.number, cells(line.text, separator)) for line in plain[:SAMPLE]]
    many, told = len(rows), list(said)
    names = _header(rows, lines, separator, told)
    units = _units(rows, len(names)) if names else None
    width = _width(rows, names)
    body = plain[many - len(rows) :]
    if not rows or many - len(rows) > 2 or (names is not None and len(names) != width):
        return None
    try:
        found = np.loadtxt(
            [line.text for line in body], delimiter=separator, ndmin=2, comments=None
        )
    except ValueError:
        return None
    with np.errstate(invalid="ignore"):
        exact = not (np.abs(found) >= EXACT).any()
    if found.shape != (len(body), width) or not exact:
        return None
    numbers = np.array([line.number for line in body], np.int64)
    return Table(names, tuple(found.T), numbers, units, said=tuple(told))


def cells(text: str, separator: str | None) -> list[str]:
    """The cells of a line, without the quotation marks around them."""
    if separator is None:
        return text.split()
    if '"' not in text:
        return [cell.strip() for cell in text.split(separator)]
    try:
        found = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        found = text.split(separator)
    return [cell.strip() for cell in found]


def _separator(lines: list[Line], least: int) -> tuple[str | None, list[Line]]:
    """What parts the cells, and the lines without one that states it as Excel does."""
    top = lines[0].text.strip().strip('"') if lines else ""
    if top.lower().startswith("sep=") and len(top) == 5:
        return top[4], lines[1:]
    sample = [line.text for line in lines[:SAMPLE] if line.comment is None]

    def merit(separator: str | None) -> tuple[int, int]:
        # a decimal comma is a number too, so a comma that parts cells must part more of them
        split = [cells(text, separator) for text in sample]
        numeric = sum(sum(map(is_number, row)) for row in split if len(row) >= least)
        return numeric, max((len(row) for row in split), default=0)

    return max(SEPARATORS, key=merit), lines


def _first(plain: list[Line], separator: str | None, least: int) -> int:
    """How many lines come before the header, or before the first row."""
    for at, line in enumerate(plain[:SAMPLE]):
        row = cells(line.text, separator)
        if len(row) >= least and (_is_header(row) or sum(map(is_number, row)) >= least):
            return at
    return 0


def _is_header(row: list[str]) -> bool:
    """Most of what is in it is words."""
    filled = [cell for cell in row if cell.lower() not in MISSING]
    words = [c for c in filled if not is_number(c) and any(k.isalpha() for k in c)]
    return 2 * len(words) > len(filled)


def _header(
    rows: list[tuple[int, list[str]]], lines: list[Line], separator: str | None, said: list[str]
) -> tuple[str, ...] | None:
    """The names, taken off the rows: the first row, or the comment above it."""
    number, top = rows[0]
    if _is_header(top):
        rows.pop(0)
        again = [one for one, row in rows if row == top]
        if again:
            rows[:] = [(one, row) for one, row in rows if row != top]
            said.append(f"passed over the header where it comes again, first in line {again[0]}")
        return tuple(top)
    counted = [str(k) for k in range(len(top))]
    if top == counted or (top[0] == "" and top[1:] == counted[:-1]):
        rows.pop(0)
        said.append("passed over the first line, which only numbers the columns")
        return ("", *counted[:-1]) if top[0] == "" else None
    for line in reversed([one for one in lines if one.number < number]):
        above = cells(line.comment or "", separator)
        if len(above) == len(top) and _is_header(above):
            return tuple(above)
    return None


def _units(rows: list[tuple[int, list[str]]], width: int) -> tuple[str, ...] | None:
    """The row of units below a header of `width` cells, taken off the rows."""
    if not rows or len(rows) == 1 or any(map(is_number, rows[0][1])):
        return None
    if not any(rows[0][1]) or not any(map(is_number, rows[1][1])):
        return None
    found = rows[0][1]
    if len(found) == width + 1 and not (found[0] and found[-1]):  # an index, a separator at the end
        found = found[1:] if not found[0] else found[:-1]
    if len(found) != width:
        return None
    rows.pop(0)
    return tuple(found)


def _width(rows: list[tuple[int, list[str]]], names: tuple[str, ...] | None) -> int:
    """How many cells a row has: as the header, but for an index or an end that it leaves out."""
    many = Counter(len(row) for _, row in rows)
    usual = many.most_common(1)[0][0] if many else 0
    if names is None:
        trailing = sum(row[-1:] == [""] for _, row in rows) > len(rows) / 2
        return usual - 1 if trailing else usual
    if usual == len(names) + 1:
        full = sum(row[-1:] != [""] for _, row in rows if len(row) == usual)
        return usual if 2 * full > many[usual] else len(names)
    if usual == len(names) - 1 and not names[-1]:
        return usual
    return len(names)


def _made(
    rows: list[tuple[int, list[str]]],
    names: tuple[str, ...] | None,
    units: tuple[str, ...] | None,
    width: int,
    said: list[str],
) -> Table:
    import numpy as np

    kept: list[list[str]] = []
    lines: list[int] = []
    odd: list[tuple[int, str]] = []
    for number, row in rows:
        if len(row) == width + 1 and row[-1] == "":  # a separator after the last cell
            row = row[:-1]
        if len(row) == width:
            kept.append(row)
            lines.append(number)
        else:
            odd.append((number, f"{len(row)} values where {width} belong"))
    columns: tuple[tuple[str, ...], ...] = tuple(_columns(kept, width))
    return Table(
        names, columns, np.array(lines, np.int64), units, malformed=tuple(odd), said=tuple(said)
    )


def _columns(rows: list[list[str]], width: int) -> Iterator[tuple[str, ...]]:
    yield from zip(*rows, strict=True) if rows else (() for _ in range(width))
