"""Records are taken where dataclasses are."""

import copy
import dataclasses
import inspect
import pickle

import pytest

from tracekit import records
from tracekit.answers.kernels import PhaseTotal


def test_a_record_is_what_a_dataclass_is_to_who_asks() -> None:
    row = PhaseTotal("decode", 2, 30, 4, 5, None)
    assert dataclasses.is_dataclass(row)
    assert tuple(f.name for f in dataclasses.fields(row)) == records.names(PhaseTotal)
    assert dataclasses.asdict(row)["total_ns"] == 30
    assert dataclasses.replace(row, count=3) == records.replace(row, count=3) != row
    assert list(inspect.signature(PhaseTotal).parameters) == list(records.names(PhaseTotal))
    assert pickle.loads(pickle.dumps(row)) == copy.deepcopy(row) == row
    with pytest.raises(AttributeError):
        row.count = 3  # type: ignore[misc]


def test_rows_of_records_are_a_frame_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    row = PhaseTotal("decode", 2, 30, 4, 5, None)
    assert list(pandas.DataFrame([row, row])["total_ns"]) == [30, 30]
