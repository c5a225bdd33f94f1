"""Memory that is free, or that can be read anew from its file, given back to the system.

Only where the system has a call for it: elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Event

from tracekit.trace.columns.cores import meanwhile

_LOOK_S = 0.1
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h; other C libraries do not know it
_FAULTS = (OSError, AttributeError, TypeError, ValueError)  # another system, another C library


def freed() -> None:
    """What was freed in small parts, which the C library keeps for more of them."""
    with suppress(*_FAULTS):
        ctypes.CDLL(None).malloc_trim(0)


def in_two_heaps() -> None:
    """At most two heaps of the C library, as many as threads that work at a time.

    Called before the first thread begins; afterwards it changes nothing.
    What is free at the end of a heap of a thread is not given back, and each new thread has a heap
    of its own: of several large traces, one after the other, they take as much as a trace.
    """
    with suppress(*_FAULTS):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def beyond(most: int) -> AbstractContextManager[None]:
    """Meanwhile what is free goes back whenever this process has more bytes in memory."""

    def look(over: Event) -> None:
        while not over.wait(_LOOK_S):
            if _resident() > most:
                freed()

    return meanwhile(look, "tracekit memory")


def _resident() -> int:
    """Bytes; 0 where the system does not say."""
    with suppress(*_FAULTS):
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    return 0


def code_of(library: str) -> None:
    """The code of a library that is seldom needed again; LLVM's is 40 MB."""
    with suppress(*_FAULTS):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for line in Path("/proc/self/maps").read_text().splitlines():
            # nothing but code: what is written to would be lost
            if library in line and line.split()[1] == "r-xp":
                start, stop = (int(place, 16) for place in line.split()[0].split("-"))
                madvise(start, stop - start, mmap.MADV_DONTNEED)
