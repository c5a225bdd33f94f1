"""Side tables are small in memory, and as wide as ever to who asks."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.conftest import shared
from tests.examples import examples
from tracekit.trace import kineto
from tracekit.trace.tables.packed import Columns, Packed, packed, restored
from tracekit.trace.tables.table import TABLES, Table

VALUES = examples(300)
SHAPES = array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=20)
LEAST, MOST = -(1 << 63), (1 << 63) - 1


def bits(values: np.ndarray[Any, Any]) -> list[Any]:
    """The values to the last bit, those that are no number too."""
    whole = values.view(np.int64) if values.dtype == np.float64 else values
    return [values.dtype.str, values.shape, whole.tolist()]


def table(**columns: np.ndarray[Any, Any]) -> Table:
    count = len(next(iter(columns.values())))
    return Table(np.arange(count, dtype=np.int32), columns)


@VALUES
@given(st.one_of(
    arrays(np.int64, SHAPES),
    arrays(np.int64, SHAPES, elements=st.integers(-3, 300)),
    arrays(np.int64, SHAPES, elements=st.sampled_from([LEAST, -1, 0, 1, MOST])),
    arrays(np.int64, SHAPES, elements=st.integers(-(1 << 40), 1 << 40).map(lambda n: n * 512)),
    arrays(np.int32, SHAPES),
    arrays(np.int32, SHAPES, elements=st.integers(-1, 70_000)),
    arrays(np.float64, SHAPES, elements=st.floats(allow_nan=True)),
    arrays(np.float64, SHAPES, elements=st.integers(-300, 300).map(float)),
    arrays(np.float64, SHAPES, elements=st.floats(width=32)),
    arrays(np.uint64, SHAPES), arrays(np.bool_, SHAPES),
))  # fmt: skip
def test_any_column_comes_back_as_it_was_given(values: np.ndarray[Any, Any]) -> None:
    held = packed(values)
    assert bits(held.values()) == bits(values)
    assert held.nbytes <= values.nbytes
    if values.dtype.kind in "if":
        assert bits(restored(held.codes, held.form).values()) == bits(values)
    if len(values):
        rows = np.array([len(values) - 1, 0, 0])
        assert bits(held.at(rows).values()) == bits(values[rows])


@pytest.mark.parametrize(
    ("values", "bytes_a_row"),
    [
        (np.arange(1000) % 200 - 1, 1),
        (np.arange(1000) * 60, 2),
        (np.arange(1000) * (1 << 20) + 5 * 10**18, 2),  # far from 0, in units of a MiB
        (np.arange(1000) * 4_000_001, 4),
        (np.arange(1000) * ((1 << 40) + 1), 8),
        (np.arange(1000, dtype=np.int32) % 7, 1),
        (np.arange(1000) * 0.5, 4),
        (np.arange(1000) * 1.0, 2),
        (np.arange(1000) * 0.1, 8),
        (np.where(np.arange(1000) < 500, np.nan, 0.5), 4),
    ],
)
def test_a_column_takes_the_bytes_that_its_numbers_need(
    values: np.ndarray[Any, Any], bytes_a_row: int
) -> None:
    assert packed(values).nbytes == bytes_a_row * len(values)


@pytest.mark.parametrize("number", [-1, 25_286, -(1 << 40), MOST])
def test_a_column_of_one_number_takes_no_room(number: int) -> None:
    held = packed(np.full(1_000_000, number))
    assert held.nbytes == 1
    assert held.values().tolist() == [number] * 1_000_000
    assert held.at(np.array([3, 4])).values().tolist() == [number] * 2


def test_products_of_grids_do_not_overflow() -> None:
    grid = np.array([[2**31 - 1, 65_535, 65_535], [1, 1, 1]])
    found = table(grid=grid)
    assert found.columns["grid"].prod(axis=1).tolist() == [(2**31 - 1) * 65_535**2, 1]
    taken = found.take(np.array([0], np.int32), "grid", -1)
    assert (taken.dtype.name, taken.prod()) == ("int64", (2**31 - 1) * 65_535**2)


def test_values_beyond_32_bits_stay() -> None:
    address = np.array([LEAST, -1, 140_000_000_000_001, MOST])
    assert table(address=address).columns["address"].tolist() == address.tolist()


def test_rows_that_a_slice_has_not_are_missing() -> None:
    found = Table(np.array([2, 5], np.int32), {
        "bytes": np.array([1, 2]), "share": np.array([0.1, np.nan]), "pid": np.array([7, 7]),
        "kind": np.array([0, -1], np.int32),
    }, ("a",))  # fmt: skip
    ids = np.array([5, 3, 2], np.int32)
    assert found.take(ids, "bytes", -(1 << 60)).tolist() == [2, -(1 << 60), 1]
    assert found.take(ids, "pid", -1).tolist() == [7, -1, 7]
    kind = found.take(ids, "kind", -2)
    assert (kind.dtype.name, kind.tolist()) == ("int32", [-1, -2, 0])
    assert np.isnan(found.take(ids, "share", np.nan)).tolist() == [True, True, False]


def test_columns_are_a_mapping_only_for_reading() -> None:
    found = table(a=np.array([1, 2, 3]), b=np.array([0.1, 0.2, 0.3])).columns
    assert (list(found), len(found), "a" in found, "c" in found) == (["a", "b"], 2, True, False)
    for values in found.values():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 5
    with pytest.raises(KeyError):
        found["c"]


def test_an_empty_table_keeps_its_types() -> None:
    none = table(grid=np.empty((0, 3), np.int64), path=np.empty(0, np.int32), f=np.empty(0))
    assert {name: (v.shape, v.dtype.name) for name, v in none.columns.items()} == {
        "grid": ((0, 3), "int64"), "path": ((0,), "int32"), "f": ((0,), "float64"),
    }  # fmt: skip
    assert none.at(np.array([-1, -1]), "grid", 4).tolist() == [[4, 4, 4]] * 2


def test_a_column_of_numbers_with_fractions_keeps_its_type_where_whole_ones_become_wider() -> None:
    for values in (np.empty(0), np.array([0.5]), np.empty(0, np.float32)):
        assert bits(packed(values, np.int64).values()) == bits(values)
    assert packed(np.empty(0, np.int32), np.int64).values().dtype == np.int64


def test_rows_of_a_mask_and_later_times() -> None:
    found = Table(np.full(3, -1, np.int32), {"ts": np.array([1, 5, 1 << 50]), "b": np.arange(3)})
    assert found.held.later(-1).at(np.array([0, 2]))["ts"].tolist() == [0, (1 << 50) - 1]
    part = found.where(np.array([False, True, True]))
    assert (part.id.tolist(), part.columns["b"].tolist()) == ([-1, -1], [1, 2])
    assert found.nbytes == found.held.nbytes  # their ids take no room


def test_tables_are_pickled() -> None:
    found = Table(np.full(9, -1, np.int32), {"a": np.arange(9), "pid": np.full(9, 1 << 40)}, ("x",))
    again = pickle.loads(pickle.dumps(found))
    assert (again.id.tolist(), again.strings) == ([-1] * 9, ("x",))
    assert {k: v.tolist() for k, v in again.columns.items()} == {
        "a": list(range(9)), "pid": [1 << 40] * 9,
    }  # fmt: skip


@pytest.mark.parametrize("form", [
    ("<i8", 0, 1, 0), ("<i8", 0, 255, -1), ("<i8", 0, 255, 64), ("<i8", MOST, 255, 0),
    ("<i8", 0.5, 255, 0), ("<i4", (1 << 31) - 3, 255, 0), ("<f4", 0, 255, 0), ("O", 0, 255, 0),
    ("<i8", 0, 0, None), ("<u8", 0, 255, 0),
])  # fmt: skip
def test_codes_that_are_of_no_column_are_refused(form: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        restored(np.array([0, 255], np.uint8), form)


@pytest.mark.parametrize("name", ["tl_h100_qwen15_05b", "hta_ns_resolution_v100"])
def test_tables_of_a_real_trace_are_small(name: str) -> None:
    trace = kineto.load(shared("traces", f"{name}.json.gz"), tables=frozenset(TABLES))
    for side in trace.tables.values():
        for key, values in side.columns.items():
            assert values.dtype in (np.int64, np.int32, np.float64), key
    wide = sum(c.nbytes for t in trace.tables.values() for c in (t.id, *t.columns.values()))
    assert 2 * sum(one.nbytes for one in trace.tables.values()) < wide


def test_numbers_of_two_pieces_of_other_widths_are_one_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, 500))
    numbers = [n * 512 + (1 << 47) * (n > 20) for n in range(40)]
    events = [{"ph": "i", "name": "[memory]", "pid": "left" if n % 2 else 3, "tid": n, "ts": 40 - n,
               "args": {"Addr": number, "Bytes": -n, "Device Id": -1}}
              for n, number in enumerate(numbers)]  # fmt: skip
    kernel = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 0, "dur": 1,
              "args": {"grid": [2**31 - 1, 1, 1], "est. achieved occupancy %": 0.1}}  # fmt: skip
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"traceEvents": [*events, kernel]}))
    trace = kineto.load(path, tables=frozenset({"memory", "grids"}), processes=1)
    memory = trace.table("memory").columns
    assert memory["address"].tolist() == numbers[::-1]
    assert memory["bytes"].tolist() == [-n for n in range(40)][::-1]
    assert memory["ts"].tolist() == [1000 * n for n in range(1, 41)]
    assert [trace.source.labels.get(pid, pid) for pid in memory["pid"].tolist()] == [
        "left" if n % 2 else 3 for n in range(40)
    ][::-1]
    grids = trace.table("grids").columns
    assert grids["grid"].tolist() == [[2**31 - 1, 1, 1]]
    assert grids["occupancy"].tolist() == [0.1]
    assert np.isnan(grids["warps_per_sm"]).all()


def test_columns_that_are_packed_are_not_packed_again() -> None:
    one = packed(np.arange(5))
    assert isinstance(one, Packed)
    held = Columns({"a": one})
    assert Table(np.arange(5, dtype=np.int32), held).columns is held
    assert held.packed["a"] is one
