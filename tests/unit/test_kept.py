"""What stays in memory of what was computed: the dear for its bytes."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest

from tests.drawing import Slice, build
from tracekit.trace import trace as traces
from tracekit.trace.columns import kept
from tracekit.trace.trace import Cat


def same(_key: object) -> None:
    """Nothing grew."""
    return


def test_the_cheapest_to_make_again_for_its_bytes_goes_first() -> None:
    heavy = kept.Kept(100)
    assert heavy.add("dear", 40, 4_000, same) == []
    assert heavy.add("cheap", 40, 40, same) == []
    assert heavy.add("new", 40, 400, same) == ["cheap"]
    assert "dear" in heavy
    assert "new" in heavy
    assert "cheap" not in heavy


def test_what_nobody_asks_for_again_goes_at_last_however_dear() -> None:
    heavy = kept.Kept(100)
    heavy.add("dear", 50, 500, same)
    gone = [old for turn in range(20) for old in heavy.add(turn, 50, 60, same)]
    assert gone[0] == 0
    assert "dear" in gone


def test_what_is_asked_for_again_stays() -> None:
    heavy = kept.Kept(100)
    heavy.add("used", 50, 500, same)
    for turn in range(40):
        heavy.use("used")
        assert "used" not in heavy.add(turn, 50, 60, same)


def test_what_is_more_than_the_room_pushes_nothing_out_and_goes_first() -> None:
    heavy = kept.Kept(100)
    heavy.add("small", 60, 1, same)
    assert heavy.add("vast", 500, 10_000, same) == []
    assert heavy.add("next", 10, 1, same) == ["vast"]


def test_what_grew_is_weighed_again() -> None:
    heavy = kept.Kept(100)
    heavy.add("grows", 10, 1, same)
    assert heavy.add("next", 50, 100, lambda key: 90 if key == "grows" else None) == ["grows"]


def test_the_time_of_what_is_made_on_the_way_is_its_own() -> None:
    def spin(ns: int) -> None:
        until = time.thread_time_ns() + ns
        while time.thread_time_ns() < until:
            pass

    inner: list[int] = []

    def outer() -> None:
        inner.append(kept.timed(lambda: spin(20_000_000))[1])
        spin(5_000_000)

    _, own = kept.timed(outer)
    assert inner[0] >= 20_000_000
    assert 5_000_000 <= own < 20_000_000


def test_a_large_trace_computes_again_what_it_forgot(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = build([Slice(0, 5, "aten::mm", Cat.CPU_OP)])
    for name, value in (("_LARGE", 1), ("_LIGHT", 1), ("_ROOM", 1_000), ("_ROOM_A_SLICE", 0)):
        monkeypatch.setattr(traces, name, value)
    made: list[str] = []

    def column(name: str) -> npt.NDArray[np.int64]:
        def make() -> npt.NDArray[np.int64]:
            made.append(name)
            return np.full(100, len(name))  # 800 bytes

        return trace.once(name, make)

    assert (column("a") == 1).all()
    assert (column("a") == 1).all()
    assert (column("bb") == 2).all()  # no room for both
    assert (column("a") == 1).all()
    assert made == ["a", "bb", "a"]
