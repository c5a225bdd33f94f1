"""Grouped span arithmetic against a slow, obvious version."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracekit.trace.spans import segments
from tracekit.trace.trace import I64

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-20, 20), st.integers(-3, 15)), max_size=30
)


def columns(rows: list[tuple[int, int, int]]) -> tuple[I64, I64, I64]:
    group, start, length = np.array(rows, np.int64).reshape(-1, 3).T
    return group, start, start + length


@given(ROWS)
def test_a_union_counts_the_instants_that_its_group_covers(
    rows: list[tuple[int, int, int]],
) -> None:
    group, start, end = columns(rows)
    found = segments.union_ns(group, start, end, 4)
    for number in range(4):
        covered = {
            instant
            for g, s, e in zip(group, start, end, strict=True)
            if g == number
            for instant in range(s, e)
        }
        assert found[number] == len(covered)


@given(ROWS)
def test_a_union_is_exact_where_floats_are_not(rows: list[tuple[int, int, int]]) -> None:
    group, start, end = columns(rows)
    far = 2**60
    assert (
        segments.union_ns(group, start + far, end + far, 4)
        == segments.union_ns(group, start, end, 4)
    ).all()


@given(ROWS)
def test_bounds_are_the_first_start_and_the_last_end(rows: list[tuple[int, int, int]]) -> None:
    group, start, end = columns(rows)
    first, last = segments.bounds(group, start, np.maximum(start, end), 4)
    for number in range(4):
        mine = group == number
        if mine.any():
            assert first[number] == start[mine].min()
            assert last[number] == np.maximum(start, end)[mine].max()
        else:
            assert (first[number], last[number]) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8))
def test_runs_name_every_index_of_every_range(ranges: list[tuple[int, int]]) -> None:
    low, high = np.array(ranges, np.int64).reshape(-1, 2).T
    which, index = segments.runs(low, high)
    assert list(zip(which.tolist(), index.tolist(), strict=True)) == [
        (i, at) for i, (a, b) in enumerate(ranges) for at in range(a, b)
    ]


@given(st.lists(st.integers(-50, 50)))
def test_distinct_values_are_ascending(values: list[int]) -> None:
    assert segments.sorted_unique(np.array(values, np.int64)).tolist() == sorted(set(values))


@given(st.lists(st.integers(-3, 3) | st.integers(-(1 << 62), 1 << 62)))
def test_order_leaves_equal_values_as_they_come(values: list[int]) -> None:
    found = segments.order(np.array(values, np.int64))
    assert found.tolist() == sorted(range(len(values)), key=values.__getitem__)


@given(ROWS, st.sampled_from([1, 1 << 59]))
def test_values_are_sorted_within_their_groups(rows: list[tuple[int, int, int]], far: int) -> None:
    group, start, _ = columns(rows)
    pairs = sorted(zip(group.tolist(), (start % 8 * far).tolist(), strict=True))
    found = segments.sorted_within(group, start % 8 * far)
    assert found.tolist() == [value for _, value in pairs]
