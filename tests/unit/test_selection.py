"""Selections take columns when asked; a large trace forgets what was not asked for longest."""

import pickle

import numpy as np
import pytest

from tests.drawing import draw
from tracekit import kept
from tracekit.records import replace
from tracekit.trace import trace as module
from tracekit.trace.trace import COLUMNS, GPU_WORK, Cat, Trace

PICTURE = """
mark      pppppppppppp....dddddddd
op        .xxxxx...xxx...xxx......
host      ..a..b....a....c........
stream 7  ...AAA..BBB.AA...CC.....
"""


def taken(part: Trace) -> set[str]:
    """The columns that are there."""
    found = set()
    for name in COLUMNS:
        try:
            object.__getattribute__(part, name)
        except AttributeError:
            continue
        found.add(name)
    return found


def same(part: Trace, whole: Trace, rows: object) -> bool:
    return all(
        (getattr(part, n) == getattr(whole, n)[rows]).all()
        and getattr(part, n).dtype == getattr(whole, n).dtype
        for n in COLUMNS
    )


def test_a_selection_has_the_rows_that_it_names_however_they_are_named() -> None:
    whole = draw(PICTURE)
    mask = whole.is_(*GPU_WORK)
    by_mask, by_rows = whole.where(mask), whole.where(np.flatnonzero(mask))
    assert len(by_mask) == len(by_rows) == mask.sum() == 4
    assert same(by_mask, whole, mask)
    assert same(by_rows, whole, mask)
    last = by_mask.where(np.array([3, 1]))
    assert same(last, whole, np.flatnonzero(mask)[[3, 1]])
    assert [last.text(row) for row in range(2)] == ["C", "B"]
    assert len(whole.where(np.zeros(len(whole), bool)).ts) == 0


def test_columns_are_taken_when_they_are_asked_for_and_kept() -> None:
    whole = draw(PICTURE)
    rows = np.array([1, 2])
    part = whole.where(rows)
    assert taken(part) == set()
    assert part.ts is part.ts
    assert taken(part) == {"ts"}
    rows[:] = 0  # of the caller: the selection has its own
    assert same(part, whole, [1, 2])
    with pytest.raises(AttributeError, match="tss"):
        _ = part.tss  # type: ignore[attr-defined]


def test_a_selection_is_copied_as_any_trace() -> None:
    part = draw(PICTURE).of(Cat.CPU_OP)
    named = replace(part, memo={}, aside=())
    assert named.picked is None
    assert same(named, part, slice(None))
    again = pickle.loads(pickle.dumps(replace(part, memo={})))
    assert same(again, part, slice(None))


@pytest.fixture
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any trace is large, and two arrays of 8,000 bytes have room beside it."""
    monkeypatch.setattr(module, "_LARGE", 0)
    monkeypatch.setattr(module, "_LIGHT", 1)
    monkeypatch.setattr(module, "_ROOM", 20_000)
    monkeypatch.setattr(module, "_ROOM_A_SLICE", 0)
    monkeypatch.setattr(kept, "timed", lambda make: (make(), 1_000))  # all as costly


@pytest.mark.usefixtures("room_for_two")
def test_what_was_not_asked_for_longest_is_forgotten_and_the_trace_itself_weighs_nothing() -> None:
    whole, made = draw(PICTURE), []

    def of(name: str) -> object:
        def make() -> object:
            made.append(name)
            return whole if name == "itself" else np.zeros(1_000, np.int64)

        return whole.once(name, make)

    for name in ("itself", "a", "b", "a", "c", "itself"):
        of(name)
    assert made == ["itself", "a", "b", "c"]
    for name in ("a", "itself", "b"):
        of(name)
    assert made == ["itself", "a", "b", "c", "b"]


@pytest.mark.usefixtures("room_for_two")
def test_what_has_no_room_pushes_nothing_out_and_goes_first() -> None:
    whole, made = draw(PICTURE), []

    def of(name: str, size: int) -> None:
        def make() -> object:
            made.append(name)
            return np.zeros(size, np.int64)

        whole.once(name, make)

    for name, size in (("a", 1_000), ("giant", 9_000), ("giant", 9_000), ("b", 1_000)):
        of(name, size)
    assert made == ["a", "giant", "b"]
    for name, size in (("a", 1_000), ("b", 1_000), ("giant", 9_000)):
        of(name, size)
    assert made == ["a", "giant", "b", "giant"]
