"""Which arguments the kernel keeps, and how they become side tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.columns.side_tables import ARGUMENTS, Array, Part, allowed
from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.memory import mixed
from tracekit.trace.trace import GPU_WORK, I32, I64, Cat

CONNECTION = "connection"
LOOSE = frozenset({"memory", "flows", "counters"})  # tables whose rows are no slices
_COLUMNS = {"device": "device", "stream": "stream", "correlation": "correlation"}  # in this order
_TEXTS = (
    "copy_kind", "source_kind", "target_kind", "rocm_kind", "module_fqn", "kernel",
)  # fmt: skip
_TRIPLES = ("grid", "block")
_DECIMALS = ("warps_per_sm", "occupancy")
_POWERS = 10.0 ** np.arange(32)  # exact up to 22, and no more are asked for


class Spec(Record, frozen=True):
    """A side table: the categories of its rows, and what of a slice's arguments each column is."""

    cats: tuple[Cat, ...]  # any where none is named
    columns: Mapping[str, tuple[str, ...]]  # the first that a slice has
    least: int | None = None  # of a value of the one column, for a slice to have a row


SPECS: Mapping[str, Spec] = {
    "copies": Spec(
        (Cat.MEMCPY, Cat.MEMSET),
        {"bytes": ("bytes",), "kind": ("copy_kind", "rocm_kind"), "source": ("source_kind",),
         "target": ("target_kind",)},
    ),
    "grids": Spec(
        (Cat.KERNEL,),
        {name: (name,) for name in ("grid", "block", "shared", "registers", *_DECIMALS)},
    ),
    "shapes": Spec(
        (Cat.CPU_OP, Cat.ANNOTATION),
        {"dims": ("dims", "dims_old"), "types": ("types",), "concrete": ("concrete",),
         "strides": ("strides",)},
    ),
    "ops": Spec((), {"external": ("external", "external_old")}),
    "python": Spec(
        (Cat.PYTHON,), {name: (name,) for name in ("python_id", "parent_id", "module_id")}
    ),
    "syncs": Spec(
        (), {"wait_stream": ("wait_stream",), "wait_event_correlation": ("wait_event",)}
    ),
    "kernel_modules": Spec(GPU_WORK, {"path": ("module_fqn",)}, least=0),
    "graph_nodes": Spec(GPU_WORK, {"node": ("graph_node",)}, least=1),
    "launched": Spec((Cat.RUNTIME,), {name: (name,) for name in ("kernel", "grid", "block")}),
}  # fmt: skip
# arguments that alone do not make a slice a row of its table
_NO_ROW = {"grids": _DECIMALS, "shapes": ("strides",), "launched": ("block",)}


class Keys(Record, frozen=True):
    """The arguments that are kept: the table that the kernel looks names up in."""

    table: npt.NDArray[np.uint8]  # [lay.KEYS, lay.KEY_ROW]
    kinds: npt.NDArray[np.uint8]  # [S] by slot
    slots: Mapping[str, int]  # by attribute


def keys(tables: frozenset[str]) -> Keys:
    """The arguments that the columns and these tables need."""
    names = dict(_COLUMNS) | {CONNECTION: "connection_id"}
    for table in sorted(tables):
        names |= ARGUMENTS.get(table, {})
    # a slice with an argument of any other table is read by the code that knows that table
    others = tables - SPECS.keys() - LOOSE
    left = {attribute for table in others for attribute in ARGUMENTS.get(table, {})}
    rows = np.zeros((lay.KEYS, lay.KEY_ROW), np.uint8)
    kinds: list[int] = []
    slots: dict[str, int] = {}
    for attribute, key in names.items():
        slots[attribute] = len(kinds)
        _enter(rows, key.encode(), len(kinds))
        kind = lay.LEFT if attribute in left else _kind(attribute)
        kinds += [kind] * (3 if kind == lay.TRIPLE else 1)
    return Keys(rows, np.array(kinds, np.uint8), slots)


def _kind(attribute: str) -> int:
    if attribute in _COLUMNS:
        return lay.COLUMN
    if attribute in _TEXTS:
        return lay.TEXT
    if attribute in ARGUMENTS["shapes"]:
        return lay.RAW
    if attribute in _TRIPLES:
        return lay.TRIPLE
    return lay.DECIMAL if attribute in _DECIMALS else lay.INTEGER


def _enter(rows: npt.NDArray[np.uint8], key: bytes, slot: int) -> None:
    """Puts a name where the kernel will look for it."""
    assert len(key) <= lay.KEY_BYTES
    one = int.from_bytes(key[:8], "little", signed=True)
    two = int.from_bytes(key[-8:], "little", signed=True)
    if len(key) < 8:
        one = two = int.from_bytes(key, "little")
    place = mixed(mixed(one, two), len(key)) & (lay.KEYS - 1)
    while rows[place].any():
        place = (place + 1) & (lay.KEYS - 1)
    head = np.array([one, two, len(key), slot], np.int64).view(np.uint8)
    rows[place, :32] = head
    rows[place, 32 : 32 + len(key)] = np.frombuffer(key, np.uint8)


class Records(Record, frozen=True):
    """The arguments of a piece, by slot."""

    keys: Keys
    starts: I64  # [S + 1] where each slot's records begin
    row: I32  # [R]
    value: I64  # [R]

    def of(self, attribute: str, more: int = 0) -> tuple[I32, I64]:
        """[K] the rows that have an argument, and its values."""
        at = self.keys.slots[attribute] + more
        some = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.row[some], self.value[some]

    def moved(self, place: I32) -> Records:
        """The same of other rows: [N] where each row is now, -1 for one that is no more."""
        row = np.take(place, self.row)
        is_kept = row >= 0
        before = np.concatenate([[0], np.cumsum(is_kept)])
        kept = np.flatnonzero(is_kept)
        return Records(
            self.keys, before[self.starts], np.take(row, kept), np.take(self.value, kept)
        )


def records(keys_: Keys, row: I32, slot: npt.NDArray[np.uint8], value: I64) -> Records:
    """Sorts the arguments of a piece by slot."""
    order = np.argsort(slot, kind="stable")
    starts = np.zeros(len(keys_.kinds) + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(slot, minlength=len(keys_.kinds)))
    return Records(keys_, starts, row[order], value[order])


def part(name: str, found: Records, cat: npt.NDArray[np.uint8], texts: I32) -> Part:
    """The rows of one side table; `cat` [N] of the slices, `texts` the trace's index of a text."""
    spec = SPECS[name]
    every = [one for many in spec.columns.values() for one in many]
    given = [row for one in every
             if one not in _NO_ROW.get(name, ()) and len(row := found.of(one)[0])]  # fmt: skip
    if len(cat) and not given:
        return _empty(name, found, texts)  # most pieces have nothing of most tables
    rows = _united(given, len(cat))
    if spec.cats:
        rows = rows[allowed(spec.cats)[cat[rows]]]
    if spec.least is not None:
        (attribute,) = next(iter(spec.columns.values()))
        row, value = found.of(attribute)
        named = np.asarray(texts[value] if attribute in _TEXTS else value, np.int64)
        rows = np.setdiff1d(rows, row[named < spec.least], assume_unique=True)
    places = Places(rows, len(cat))
    columns = {
        column: _column(attributes, found, places, texts)
        for column, attributes in spec.columns.items()
    }
    return Part(rows.astype(np.int64), columns, shared=True)


def _united(rows: Sequence[I32], count: int) -> I32:
    """The rows that are in one of these, in order; `count` of all rows."""
    if rows and all(np.array_equal(rows[0], more) for more in rows[1:]):
        return rows[0]  # mostly a slice has all arguments of a table, or none
    has = np.zeros(count, bool)
    for some in rows:
        has[some] = True
    return np.flatnonzero(has).astype(np.int32)


class Places:
    """Where the rows of a table are: `rows` [K] of `count`."""

    def __init__(self, rows: I32 | I64, count: int) -> None:
        self.rows, self.count = rows, count

    @cached_property
    def of(self) -> I32:
        """[count] by row, -1 for one that the table has not."""
        place = np.full(self.count, -1, np.int32)
        place[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        return place

    def fill(self, out: npt.NDArray[Any], row: I32, value: npt.NDArray[Any]) -> None:
        """Puts the values of some rows into `out` [K]; those of others are left out."""
        if np.array_equal(row, self.rows):
            out[:] = value
            return
        at = self.of[row]
        kept = np.flatnonzero(at >= 0)
        out[at[kept]] = value[kept]


_EMPTY: dict[str, Mapping[str, Array]] = {}  # by table: the columns of no rows


def _empty(name: str, found: Records, texts: I32) -> Part:
    if name not in _EMPTY:
        none = Records(found.keys, np.zeros_like(found.starts), found.row[:0], found.value[:0])
        _EMPTY[name] = part(name, none, np.empty(0, np.uint8), texts).columns
    return Part(np.empty(0, np.int64), dict(_EMPTY[name]), shared=True)


def _column(attributes: Sequence[str], found: Records, places: Places, texts: I32) -> Array:
    """[K] one column of a side table."""
    kind = int(found.keys.kinds[found.keys.slots[attributes[0]]])
    if kind == lay.TRIPLE:
        three = np.zeros((len(places.rows), 3), np.int64)
        for k in range(3):
            places.fill(three[:, k], *found.of(attributes[0], k))
        return three
    if kind == lay.DECIMAL:
        out: npt.NDArray[Any] = np.full(len(places.rows), np.nan)
        row, value = found.of(attributes[0])
        places.fill(out, row, (value >> lay.POWERS) / _POWERS[value & ((1 << lay.POWERS) - 1)])
        return out
    out = np.full(len(places.rows), -1, np.int64)
    for attribute in reversed(attributes):
        places.fill(out, *found.of(attribute))
    return texts[out] if kind in (lay.TEXT, lay.RAW) else out
