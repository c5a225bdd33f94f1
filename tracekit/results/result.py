"""Any result to JSON, to pandas and to a grid of text; nothing here looks at a trace."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from tracekit import extras, records
from tracekit.records import Record, replace
from tracekit.results import units

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")

SCHEMA = "tracekit/1"

Unit = Literal[
    "text", "ns", "bytes", "count", "share", "number", "flop", "flop/s", "bytes/s", "tokens/s"
]  # fmt: skip


class Result:
    """Base of every result: a frozen record of plain numbers, text and tuples of such rows.

    A record is a `msgspec.Struct` or a dataclass.
    """

    __slots__ = ()
    analysis: ClassVar[str]  # whose answer it is

    def to_json(self) -> dict[str, Any]:
        """Fields as plain JSON values. What is not known is null, never 0."""
        plain = to_plain(self)
        assert isinstance(plain, dict)
        return plain

    def to_pandas(self) -> pd.DataFrame:
        """`rows` as a table, nested fields as `outer.inner`; a result without rows is one row.

        Raises: TracekitError without pandas.
        """
        extras.need("notebook", "pandas", where="to_pandas()")
        import pandas as pd

        plain = self.to_json()
        rows = plain.get("rows", [plain])
        return pd.json_normalize(rows)


def of_rank(result: R, rank: str) -> R:
    """The result with the rank in each row that has a field for it and none in it."""
    rows = {
        name: tuple(_of_rank(row, rank) for row in value)
        for name in records.names(type(result))
        if isinstance(value := getattr(result, name), tuple)
    }
    record: Any = result
    made: R = replace(record, **rows)
    return made


def _of_rank(row: R, rank: str) -> R:
    if not records.is_record_type(type(row)):
        return row
    record: Any = row
    made: R = replace(record, rank=rank) if getattr(row, "rank", "") is None else row
    return made


def to_plain(value: object) -> Any:
    """Records, enums, numpy numbers and tuples as what `json` writes.

    Fields of a dataclass with `metadata={"json": False}` are what `merge` needs beside, and left
    out.
    """
    kind = type(value)
    if kind in _AS_IT_IS:  # most of what there is
        return value
    if kind is tuple or kind is list:
        return [to_plain(item) for item in value]  # type: ignore[attr-defined]
    if records.is_record_type(kind):
        return {name: to_plain(getattr(value, name)) for name in records.json_names(kind)}
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return to_plain(value.tolist())
    if isinstance(value, float):
        # JSON has no NaN and no infinity: what is not a number is not known
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, int):
        return value
    if isinstance(value, Iterable):
        return [to_plain(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


_AS_IT_IS = frozenset({str, int, bool, type(None)})


class Column(Record, frozen=True):
    """One column of a grid: what it is called, its unit, and its one-sentence definition."""

    label: str
    unit: Unit = "text"
    definition: str = ""

    def show(self, value: Any) -> str:
        """One value as text; None is 'not measured' and never 0."""
        if value is None:
            return "not measured"
        match self.unit:
            case "ns":
                return units.duration(value)
            case "bytes":
                return units.bytes_(value)
            case "count":
                return units.count(value)
            case "share":
                return units.share(value)
            case "flop":
                return units.rate(value, "FLOP")
            case "flop/s":
                return units.rate(value, "FLOP/s")
            case "bytes/s":
                return units.rate(value, "B/s")
            case "tokens/s":
                return f"{value:,.1f} tokens/s"
            case "number":
                return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
            case _:
                return str(value)


def defined(definitions: Mapping[str, str], columns: Mapping[str, Unit]) -> tuple[Column, ...]:
    """Columns, by label and unit, that mean what `definitions` says of their labels."""
    return tuple(Column(label, unit, definitions[label]) for label, unit in columns.items())


class Grid(Record, frozen=True):
    """A table of raw values, to be drawn in a terminal, as HTML, as Markdown or as CSV.

    `key` is stable and unique within an analysis. A row is as long as `columns`; values are in
    the column's unit (ns, bytes, fractions of one).
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    note: str = ""  # what is left out, and what a reader should know
    total: Sequence[Any] | None = None
    absent: str = "– is not measured."  # what a cell without a value says
    beyond: int = 0  # rows that the answer has after these: in its JSON

    def left_out(self, most: int) -> int:
        """How many rows of the answer are not among the first `most` of the table."""
        return max(len(self.rows) - most, 0) + self.beyond

    def to_json(self) -> dict[str, object]:
        """The title, the columns with their units, the rows in raw units, the note."""
        return {
            "title": self.title,
            "columns": [{"label": c.label, "unit": c.unit} for c in self.columns],
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }


def unmeasured(grid: Grid) -> list[int]:
    """Places of the columns, but the first, in which no row and no total has a value."""
    return [
        i for i in range(1, len(grid.columns))
        if grid.rows and all(row[i] is None for row in grid.rows)
        and (grid.total is None or grid.total[i] is None)
    ]  # fmt: skip


def add_fields(one: R, two: R) -> R:
    """Two results of one kind, every number added, nested ones too; text must be equal.

    Raises: ValueError where two texts, or the lengths of two rows, differ.
    """
    if records.is_record_type(type(one)):
        sums = {
            name: add_fields(getattr(one, name), getattr(two, name))
            for name in records.names(type(one))
        }
        return type(one)(**sums)
    if isinstance(one, int | float) and not isinstance(one, bool):
        return one + two  # type: ignore[operator,return-value]
    if one != two:
        raise ValueError(f"cannot add {one!r} and {two!r}")
    return one
