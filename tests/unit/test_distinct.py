"""Distinct rows by packing, held to numpy's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tracekit.trace.spans import segments
from tracekit.trace.trace import I64

numbers = st.one_of(st.integers(-3, 3), st.integers(-(1 << 62), 1 << 62))


@given(arrays.arrays(np.int64, st.tuples(st.integers(0, 30), st.integers(1, 4)), elements=numbers))
def test_distinct_rows_and_places_are_those_of_numpy(key: np.ndarray) -> None:  # type: ignore[type-arg]
    rows, place = segments.distinct(key)
    want, inverse = np.unique(key, axis=0, return_inverse=True)
    assert rows.tolist() == want.tolist()
    assert place.tolist() == inverse.reshape(-1).tolist()
    assert (rows[place] == key).all()


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 30), st.just(3)), elements=numbers))
def test_columns_are_told_apart_as_rows_are(key: I64) -> None:
    found = segments.distinct([key[:, 0], key[:, 1].astype(np.int32), key[:, 2]])
    narrow = key.copy()
    narrow[:, 1] = key[:, 1].astype(np.int32)
    want, inverse = np.unique(narrow, axis=0, return_inverse=True)
    assert [part.tolist() for part in found] == [want.tolist(), inverse.reshape(-1).tolist()]
