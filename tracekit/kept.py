"""What was computed of a large trace and its selections, as far as there is room for it."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Key = tuple[int, Any]

_inside = threading.local()


def timed(make: Callable[[], T]) -> tuple[T, int]:
    """`make()`, and the CPU time in ns that it took beside what it had others make, by `timed`."""
    above = getattr(_inside, "ns", 0)
    _inside.ns, start = 0, time.thread_time_ns()
    try:
        made = make()
    finally:
        spent = time.thread_time_ns() - start
        own, _inside.ns = spent - _inside.ns, above + spent
    return made, own


class Owner(Protocol):
    """Who remembers values by their keys."""

    @property
    def memo(self) -> dict[Any, Any]:
        """What it remembers, by key."""


@dataclass(slots=True)
class _Value:
    owner: weakref.ref[Any]  # values of who is no more are no more either
    key: Any
    bytes: int
    ns: int  # to make it again
    worth: float = 0.0
    used: int = 0  # the last use of any has the highest number


class Kept:
    """Which values stay in memory: those that take longest to make again, for their bytes.

    GreedyDual-Size (Cao and Irani, 1997): a value is worth its time a byte more than what was last
    forgotten, from when it was last used; the least worth goes first, of several what was not used
    for longest.
    """

    def __init__(self, room: int, weigh: Callable[[Any], int | None]) -> None:
        """`room` is in bytes; `weigh` gives those of a value that has grown since, else None."""
        self._room, self._weigh = room, weigh
        self._floor = 0.0  # what the last that was forgotten was worth
        self._lock = threading.Lock()
        self._values: dict[Key, _Value] = {}
        self._uses = itertools.count()

    def use(self, owner: Owner, key: Any) -> None:
        """A value was asked for again."""
        one = self._values.get((id(owner), key))
        if one is not None:
            one.worth, one.used = self._floor + one.ns / one.bytes, next(self._uses)

    def add(self, owner: Owner, key: Any, size: int, ns: int) -> None:
        """Keeps a value of so many bytes that took so long, and forgets others for it."""
        one = _Value(weakref.ref(owner), key, size, ns, used=next(self._uses))
        with self._lock:
            self._values[id(owner), key] = one
            over = self._total() - self._room
            if size > self._room:  # pushes nothing out, and goes first as the next one comes
                one.worth = self._floor
                return
            one.worth = self._floor + ns / size
            for value in sorted(self._values.values(), key=lambda v: (v.worth, v.used)):
                if over <= 0:
                    break
                if value is not one:
                    over -= value.bytes
                    self._forget(value)

    def _total(self) -> int:
        """Bytes of all values that are still there."""
        for place, value in tuple(self._values.items()):
            owner = value.owner()
            if owner is None or value.key not in owner.memo:
                del self._values[place]
            else:
                value.bytes = self._weigh(owner.memo[value.key]) or value.bytes
        return sum(value.bytes for value in self._values.values())

    def _forget(self, value: _Value) -> None:
        owner = value.owner()
        self._floor = max(self._floor, value.worth)
        if owner is not None:
            self._values.pop((id(owner), value.key), None)
            owner.memo.pop(value.key, None)
