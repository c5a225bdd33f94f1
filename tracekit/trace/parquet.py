"""A Trace as one Parquet file, and back: for pandas, polars, DuckDB, and for a second look.

One row per event. `ph` is "X" for slices, which come first, sorted as in the Trace; then "i" for
memory events, "C" for counters, "s" "t" "f" for flows. Fields that an event does not have are null.
What is no event (metadata, names of processes, losses) is JSON in the schema's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import asdict

from tracekit import extras, files, plain
from tracekit.errors import NotATraceError
from tracekit.files import writing
from tracekit.trace.trace import TABLES, Cat, Loss, Source, Table, Trace, Unknown

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"PAR1"
_KEY = b"tracekit"
_VERSION = 1
_PHASES = {"memory": ("i",), "counters": ("C",), "flows": ("s", "t", "f")}
_WHOLE = ("ts", "dur", "pid", "tid", "device", "stream", "correlation")
_NO_SLICE = tuple(_PHASES)


def is_ours(path: Path) -> bool:
    """Whether a file is what `write` wrote: its footer has our key."""
    try:
        with open(path, "rb") as file:
            if file.read(4) != MAGIC:
                return False
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(4), "little")
            file.seek(-8 - length, os.SEEK_END)
            return _KEY in file.read(length)
    except OSError:
        return False


def write(trace: Trace, path: str | Path) -> int:
    """Writes all of a trace, side tables too; how many rows.

    Raises: TracekitError where it cannot be written, or is the trace itself, or pyarrow is not
    installed.
    """
    files.distinct(path, [trace.source.path])
    extras.need("parquet", "pyarrow", where=path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [
        _slices(trace),
        *(_events(trace, name) for name in _NO_SLICE if len(trace.table(name))),
    ]
    joined = pa.concat_tables(tables, promote_options="default")
    metadata = {_KEY: json.dumps(_about(trace)).encode()}
    with writing(path) as temporary:
        whole = joined.replace_schema_metadata(metadata)
        pq.write_table(whole, temporary, compression="zstd", write_page_checksum=True)
    return int(joined.num_rows)


def _about(trace: Trace) -> dict[str, object]:
    source = trace.source
    return {
        "version": _VERSION,
        "path": source.path,
        "bytes": source.bytes,
        "text_bytes": source.text_bytes,
        "origin_ns": trace.origin_ns,
        "meta": source.meta,
        "processes": list(source.processes.items()),
        "threads": [[*key, name] for key, name in source.threads.items()],
        "labels": list(source.labels.items()),
        "events": dict(source.events),
        "cats": dict(source.cats),
        "losses": [asdict(loss) for loss in source.losses],
        "unknown": [asdict(one) for one in source.unknown],
    }


def _dictionary(codes: npt.NDArray[Any], strings: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    index = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(index, pa.array(strings, pa.string()))


def _slices(trace: Trace) -> pa.Table:
    import pyarrow as pa

    count = len(trace)
    cats = tuple(cat.name.lower() for cat in Cat)
    columns: dict[str, Any] = {
        "ph": _dictionary(np.zeros(count, np.int32), ("X",)),
        "id": pa.array(trace.id),
        "name": _dictionary(trace.name, trace.strings),
        "cat": _dictionary(trace.cat.astype(np.int32), cats),
        **{name: pa.array(getattr(trace, name)) for name in ("ts", "dur", "pid", "tid")},
        **{
            name: pa.array(getattr(trace, name), mask=getattr(trace, name) == -1)
            for name in ("device", "stream", "correlation")
        },
    }
    for name, wanted in TABLES.items():
        if name in _NO_SLICE:
            continue
        table = trace.table(name)
        at = np.searchsorted(table.id, trace.id)
        at = np.minimum(at, max(len(table) - 1, 0))
        found = table.id[at] == trace.id if len(table) else np.zeros(count, bool)
        for column in wanted:
            columns[f"{name}.{column.rstrip('*')}"] = _spread(table, column, at, found)
    return pa.table(columns)


def _spread(
    table: Table, column: str, at: npt.NDArray[np.generic], found: npt.NDArray[Any]
) -> pa.Array:
    """A side table's column with a row for each slice, null where a slice has none."""
    import pyarrow as pa

    values = table.columns[column.rstrip("*")]
    if not len(table):
        return pa.nulls(len(at), pa.string() if column.endswith("*") else pa.int64())
    spread = values[at]
    if column.endswith("*"):
        return _dictionary(np.where(found, spread, -1), table.strings)
    if spread.ndim == 2:
        flat = pa.array(spread.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, spread.shape[1], mask=pa.array(~found))
    return pa.array(spread, mask=~found)


def _events(trace: Trace, name: str) -> pa.Table:
    import pyarrow as pa

    table = trace.table(name)
    phases = _PHASES[name]
    which = table.columns["phase"] if name == "flows" else np.zeros(len(table), np.int32)
    columns: dict[str, Any] = {"ph": _dictionary(which, phases)}
    for column in TABLES[name]:
        key = column.rstrip("*")
        values = table.columns[key]
        # what slices have too is the same column; the rest is the table's own
        shared = key in (*_WHOLE, "name") and not (name == "memory" and key == "device")
        label = key if shared else f"{name}.{key}"
        text = column.endswith("*")
        columns[label] = _dictionary(values, table.strings) if text else pa.array(values)
    return pa.table(columns)


def read(path: str | Path) -> Trace:
    """The trace that `write` wrote.

    Raises: NotATraceError for a Parquet file of another kind; TracekitError without pyarrow.
    """
    extras.need("parquet", "pyarrow", where=path)
    import pyarrow.parquet as pq

    try:
        # a file that is only named like one, or is cut short
        texts = ["name", "cat", "ph"]
        table = pq.read_table(path, read_dictionary=texts, page_checksum_verification=True)
        return _of_table(table, path)
    except NotATraceError:
        raise
    except Exception as fault:  # columns and metadata are input: what is damaged raises anything
        said = plain.line(str(fault).split("\n")[0]) or type(fault).__name__
        raise NotATraceError(
            f"not a whole Parquet file ({said})", where=path, hint="convert the trace again"
        ) from None


def _of_table(table: Any, path: str | Path) -> Trace:
    import pyarrow as pa

    about = json.loads((table.schema.metadata or {}).get(_KEY, b"null"))
    if not about or about.get("version") != _VERSION:
        raise NotATraceError(
            "Parquet, but not written by this `tracekit convert`",
            where=path,
            hint="give the trace, or convert it again",
        )
    phase = _codes(table["ph"])
    slices = table.filter(pa.array(np.isin(phase[0], _index(phase[1], "X"))))
    return _trace(table, slices, phase, about, Path(path).stat().st_size)


def _index(strings: tuple[str, ...], *wanted: str) -> list[int]:
    return [at for at, text in enumerate(strings) if text in wanted]


def _codes(column: Any) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """A text column as indices (-1 is null) and the texts."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    one = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(one, pa.ChunkedArray):
        one = one.unify_dictionaries().combine_chunks()
    codes = one.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, tuple(text or "" for text in one.dictionary.to_pylist())


def _numbers(column: Any, missing: int = -1) -> npt.NDArray[np.generic]:
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy())
    return np.asarray(column.fill_null(missing).to_numpy().astype(np.int64))


def _trace(
    table: Any, slices: Any, phase: tuple[Any, Any], about: Mapping[str, Any], stored: int
) -> Trace:
    import pyarrow as pa

    tables: dict[str, Table] = {}
    for side in TABLES:
        if side in _NO_SLICE:
            rows = np.isin(phase[0], _index(phase[1], *_PHASES[side]))
            tables[side] = _loose(side, table.filter(pa.array(rows)))
        else:
            tables[side] = _side(side, slices)
    name, strings = _codes(slices["name"])
    cat, words = _codes(slices["cat"])
    kinds = np.array([int(Cat[word.upper()]) for word in words] or [0], np.uint8)
    columns = {key: _numbers(slices[key]) for key in _WHOLE}
    columns["device"] = columns["device"].astype(np.int32)
    if np.less(columns["ts"][1:], columns["ts"][:-1]).any():
        raise ValueError("its slices are not in the order of their times")
    made: dict[str, Any] = {**columns, "name": name, "cat": kinds[cat]}
    made["id"] = np.arange(len(name), dtype=np.int32)
    for column in made.values():
        column.flags.writeable = False
    source = Source(
        path=about["path"],
        bytes=stored,
        text_bytes=about["text_bytes"],
        meta=about["meta"],
        processes=dict(about["processes"]),
        threads={(pid, tid): text for pid, tid, text in about["threads"]},
        labels=dict(about["labels"]),
        events=about["events"],
        cats=about["cats"],
        losses=tuple(Loss(**loss) for loss in about["losses"]),
        unknown=tuple(Unknown(**one) for one in about.get("unknown", ())),
    )
    return Trace(source, strings, about["origin_ns"], tables=tables, **made)


def _side(name: str, slices: Any) -> Table:
    """The rows of one side table: slices with anything in one of its columns."""
    import pyarrow as pa

    keys = [column.rstrip("*") for column in TABLES[name]]
    for column, key in zip(TABLES[name], keys, strict=True):
        if f"{name}.{key}" not in slices.column_names:  # an older version wrote the file
            kind = pa.string() if column.endswith("*") else pa.int64()
            slices = slices.append_column(f"{name}.{key}", pa.nulls(slices.num_rows, kind))
    present = np.zeros(slices.num_rows, bool)
    for key in keys:
        present |= slices[f"{name}.{key}"].is_valid().to_numpy()
    rows = np.flatnonzero(present).astype(np.int32)
    some = slices.filter(pa.array(present))
    strings: dict[str, int] = {}
    columns: dict[str, npt.NDArray[Any]] = {}
    for column, key in zip(TABLES[name], keys, strict=True):
        values = some[f"{name}.{key}"]
        if column.endswith("*"):
            columns[key] = _merged(values, strings)
        elif key in ("grid", "block") and not len(values):
            columns[key] = np.empty((0, 3), np.int64)
        elif pa.types.is_fixed_size_list(values.type):
            width = values.type.list_size
            flat = values.combine_chunks().flatten() if len(values) else np.empty(0)
            columns[key] = np.asarray(flat, np.int64).reshape(-1, width)
        else:
            columns[key] = _numbers(values)
    return Table(rows, columns, tuple(strings))


def _loose(name: str, some: Any) -> Table:
    strings: dict[str, int] = {}
    columns: dict[str, npt.NDArray[Any]] = {}
    for column in TABLES[name]:
        key = column.rstrip("*")
        label = key if key in some.column_names and f"{name}.{key}" not in some.column_names else ""
        label = label or f"{name}.{key}"
        if label not in some.column_names:
            columns[key] = np.full(some.num_rows, -1, np.int64)
        elif column.endswith("*"):
            columns[key] = _merged(some[label], strings)
        else:
            columns[key] = _numbers(some[label])
    return Table(np.full(some.num_rows, -1, np.int32), columns, tuple(strings))


def _merged(column: Any, strings: dict[str, int]) -> npt.NDArray[np.int32]:
    """Text as indices into the strings of the whole table."""
    if not len(column):
        return np.empty(0, np.int32)
    if str(column.type) == "null":
        return np.full(len(column), -1, np.int32)
    codes, texts = _codes(column)
    known = [strings.setdefault(text, len(strings)) for text in texts]
    return np.array([*known, -1], np.int32)[codes]


__all__ = ["MAGIC", "read", "write"]
