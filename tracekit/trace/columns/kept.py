"""What was computed of a large trace and is kept, as far as there is room for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

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


class Kept:
    """Which values stay in memory: those that take longest to make again, for their bytes.

    GreedyDual-Size (Cao and Irani, 1997): a value is worth its time a byte more than what was last
    forgotten, from when it was last used; the least worth goes first.
    """

    def __init__(self, room: int) -> None:
        self._room = room  # bytes
        self._floor = 0.0  # what the last that was forgotten was worth
        self._lock = threading.Lock()
        self._cost: dict[Any, int] = {}  # ns
        self._bytes: dict[Any, int] = {}
        self._worth: dict[Any, float] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._cost

    def use(self, key: Any) -> None:
        """The value was asked for again."""
        with self._lock:
            if key in self._cost:
                self._worth[key] = self._floor + self._cost[key] / self._bytes[key]

    def add(self, key: Any, size: int, ns: int, weigh: Callable[[Any], int | None]) -> list[Any]:
        """Keeps a value of so many bytes that took so long; which others are to be forgotten.

        `weigh` gives the bytes of one that has grown since, else None.
        """
        with self._lock:
            self._cost[key], self._bytes[key] = ns, size
            self._worth[key] = self._floor + ns / size
            for old in self._bytes:
                self._bytes[old] = weigh(old) or self._bytes[old]
            if size > self._room:  # pushes nothing out, and goes first as the next one comes
                self._worth[key] = self._floor
                return []
            gone, over = [], sum(self._bytes.values()) - self._room
            for old in sorted(self._worth, key=self._worth.__getitem__):
                if over <= 0:
                    break
                if old == key:
                    continue
                gone.append(old)
                over -= self._bytes.pop(old)
                self._floor = max(self._floor, self._worth.pop(old))
                del self._cost[old]
            return gone
