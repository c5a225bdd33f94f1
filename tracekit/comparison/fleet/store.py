"""An index as a file: Parquet, CSV or lines of JSON, whole or absent."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tracekit import extras, plain
from tracekit.comparison.fleet.columns import BY_NAME, COLUMNS, SCHEMA, Column, Row, Value
from tracekit.errors import TracekitError, UsageError
from tracekit.files import starts, writing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK = b"tracekit_index"  # with which our CSV and lines begin: their first column


def form(path: Path) -> str:
    """parquet, csv or jsonl, by the ending. Raises: UsageError for another."""
    found = path.suffix.lower().removeprefix(".")
    if found not in _WRITERS:
        raise UsageError(
            "its ending says no form", where=path, hint="end it in .parquet, .csv or .jsonl"
        )
    if found == "parquet":
        extras.need("parquet", "pyarrow", where=path)
    return found


def is_index(path: Path) -> bool:
    """Whether a file is an index that this module wrote."""
    head = starts(path, 64)
    if head.startswith(b"PAR1"):
        try:
            extras.need("parquet", "pyarrow", where=path)
            return _schema_of(path) == SCHEMA
        except TracekitError:
            return False
    return _MARK in head


def write(rows: Sequence[Row], path: Path) -> None:
    """Replaces the index. Raises: TracekitError where it cannot be written."""
    make = _WRITERS[form(path)]
    with writing(path) as temporary:
        make(rows, temporary)


def read(path: Path) -> list[Row]:
    """The rows of an index. Raises: TracekitError where the file is none."""
    kind = form(path)
    if not is_index(path):
        raise TracekitError(
            "is no index of traces" if path.is_file() else "is not there",
            where=path, hint=f"make one with `tracekit index FOLDER -o {path}`",
        )  # fmt: skip
    try:
        return _READERS[kind](path)
    except (ValueError, KeyError, TypeError, OSError) as fault:
        raise TracekitError(
            f"cannot be read as an index ({type(fault).__name__}: {fault})"[:200],
            where=path, hint="make it anew under another name",
        ) from fault  # fmt: skip


def _only_known(row: Mapping[str, Any]) -> Row:
    """A row of this version's columns; what another version added is left out."""
    return {column.name: row.get(column.name) for column in COLUMNS}


# ---------------------------------------------------------------- Parquet


def _to_parquet(rows: Sequence[Row], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "text": pa.string(), "integer": pa.int64(), "number": pa.float64(),
        "time": pa.timestamp("us", tz="UTC"), "list": pa.list_(pa.string()),
    }  # fmt: skip
    schema = pa.schema(
        [pa.field(column.name, kinds[column.type]) for column in COLUMNS],
        metadata={b"tracekit": SCHEMA.encode()},
    )
    columns = [
        pa.array([row[column.name] for row in rows], kinds[column.type]) for column in COLUMNS
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path, compression="zstd")


def _schema_of(path: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return ""
    return str(found.get(b"tracekit", b"").decode("utf-8", "replace"))


def _of_parquet(path: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowException as fault:
        raise ValueError(str(fault)) from fault
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            own = table.column(place).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
            table = table.set_column(place, field.name, own)
    return [_only_known(row) for row in table.to_pylist()]


# ---------------------------------------------------------------- text


def _text(column: Column, value: Value) -> Value:
    if value is None or column.type != "time":
        return value
    assert isinstance(value, int)
    return (_EPOCH + timedelta(microseconds=value)).isoformat()


def _us(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _to_csv(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow([_MARK.decode(), *BY_NAME])
        for row in rows:
            cells = (_text(column, row[column.name]) for column in COLUMNS)
            flat = (";".join(cell) if isinstance(cell, list) else cell for cell in cells)
            table.writerow([SCHEMA, *(_quoted(c) if isinstance(c, str) else c for c in flat)])


def _quoted(text: str) -> str:
    """What no spreadsheet runs; a quote that was there before is doubled, so that all come back."""
    return f"'{text}" if text.startswith("'") else plain.cell(text)


def _of_csv(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [_only_known(_of_cells(row)) for row in csv.DictReader(file)]


def _of_cells(row: Mapping[str, str]) -> Row:
    kinds: Mapping[str, Callable[[str], Value]] = {
        "text": str, "integer": int, "number": float, "time": _us,
        "list": lambda text: text.split(";"),
    }  # fmt: skip
    # an empty list and nothing are one cell: without findings a trace that was read has none
    found: Row = {
        name: kinds[BY_NAME[name].type](cell.removeprefix("'")) if cell else None
        for name, cell in row.items() if name in BY_NAME
    }  # fmt: skip
    if found.get("findings") is None and found.get("verdict") is not None:
        found["findings"] = []
    return found


def _to_lines(rows: Sequence[Row], path: Path) -> None:
    def line(row: Row) -> str:
        told = {name: _text(BY_NAME[name], value) for name, value in row.items()}
        return json.dumps({_MARK.decode(): SCHEMA, **told}, ensure_ascii=False) + "\n"

    with path.open("w", encoding="utf-8") as out:
        out.writelines(line(row) for row in rows)


def _of_lines(path: Path) -> list[Row]:
    return [_only_known(dict(_of_line(line))) for line in path.read_text("utf-8").splitlines()]


def _of_line(text: str) -> Iterable[tuple[str, Value]]:
    for name, value in json.loads(text).items():
        column = BY_NAME.get(name)
        if column is not None:
            yield name, _us(value) if column.type == "time" and value is not None else value


_WRITERS: Mapping[str, Callable[[Sequence[Row], Path], None]] = {
    "parquet": _to_parquet, "csv": _to_csv, "jsonl": _to_lines,
}  # fmt: skip
_READERS: Mapping[str, Callable[[Path], list[Row]]] = {
    "parquet": _of_parquet, "csv": _of_csv, "jsonl": _of_lines,
}  # fmt: skip
