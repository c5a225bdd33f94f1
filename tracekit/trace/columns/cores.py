"""How many cores there are, and work on another one while a block runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread


def cores() -> int:
    """The cores that this process may use, by its affinity and its control group."""
    count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(int(quota) // int(period), 1))  # ValueError: "max"
    return count


@contextmanager
def meanwhile(work: Callable[[Event], None], name: str) -> Iterator[None]:
    """`work` is given what is set as the block ends, and is waited for then."""
    over = Event()
    thread = Thread(target=work, args=(over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
