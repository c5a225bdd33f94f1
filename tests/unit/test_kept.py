"""What stays in memory of what was computed: the dear for its bytes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.drawing import Slice, build
from tracekit import kept
from tracekit.trace import trace as traces
from tracekit.trace.columns import release
from tracekit.trace.trace import Cat


class Owner:
    """Remembers values, as a trace does."""

    def __init__(self) -> None:
        self.memo: dict[Any, Any] = {}

    def keeps(self, room: kept.Kept, key: object, size: int, ns: int) -> set[Any]:
        """What is there after a value of so many bytes came that took so long."""
        self.memo[key] = size
        room.add(self, key, size, ns)
        return set(self.memo)


def same(_value: object) -> None:
    """Nothing grew."""
    return


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_the_cheapest_to_make_again_for_its_bytes_goes_first(owner: Owner) -> None:
    room = kept.Kept(100, same)
    owner.keeps(room, "dear", 40, 4_000)
    assert owner.keeps(room, "cheap", 40, 40) == {"dear", "cheap"}
    assert owner.keeps(room, "new", 40, 400) == {"dear", "new"}


def test_what_nobody_asks_for_again_goes_at_last_however_dear(owner: Owner) -> None:
    room = kept.Kept(100, same)
    owner.keeps(room, "dear", 50, 500)
    assert owner.keeps(room, 0, 50, 60) == {"dear", 0}
    assert owner.keeps(room, 1, 50, 60) == {"dear", 1}
    for turn in range(2, 20):
        last = owner.keeps(room, turn, 50, 60)
    assert "dear" not in last


def test_what_is_asked_for_again_stays(owner: Owner) -> None:
    room = kept.Kept(100, same)
    owner.keeps(room, "used", 50, 500)
    for turn in range(40):
        room.use(owner, "used")
        assert "used" in owner.keeps(room, turn, 50, 60)


def test_what_is_more_than_the_room_pushes_nothing_out_and_goes_first(owner: Owner) -> None:
    room = kept.Kept(100, same)
    owner.keeps(room, "small", 60, 1)
    assert owner.keeps(room, "vast", 500, 10_000) == {"small", "vast"}
    assert owner.keeps(room, "next", 10, 1) == {"small", "next"}


def test_what_grew_is_weighed_again(owner: Owner) -> None:
    room = kept.Kept(100, lambda value: 90 if value == 10 else None)
    owner.keeps(room, "grows", 10, 1)
    assert owner.keeps(room, "next", 50, 100) == {"next"}


def test_selections_share_the_room_and_leave_it_as_they_end(owner: Owner) -> None:
    room, part = kept.Kept(100, same), Owner()
    part.keeps(room, "of a part", 60, 6_000)
    assert owner.keeps(room, "cheap", 40, 40) == {"cheap"}
    assert owner.keeps(room, "next", 30, 60) == {"next"}  # beside the dear one of the part
    del part
    assert owner.keeps(room, "last", 60, 60) == {"next", "last"}


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


@pytest.mark.parametrize(("most", "given_back"), [(0, True), (1 << 50, False)])
def test_what_is_free_goes_back_while_a_process_takes_more_than_it_may(
    monkeypatch: pytest.MonkeyPatch, most: int, given_back: bool
) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system does not say what a process takes")
    seen = threading.Event()
    monkeypatch.setattr(release, "_LOOK_S", 0.001)
    monkeypatch.setattr(release, "freed", seen.set)
    with release.beyond(most):
        assert seen.wait(30 if given_back else 0.05) is given_back
    assert not [one for one in threading.enumerate() if one.name == "tracekit memory"]
