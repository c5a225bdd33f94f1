"""How many workers this machine has room for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tracekit.trace.columns.cores import cores
from tracekit.trace.inputs import archives

_RATIO = 12  # of text to gzip in traces, about
_MEMORY = 3  # bytes at the peak for each of text, at most, with every answer
_AROUND = 150 << 20  # bytes of a process that has read nothing
_WORTH = 192 << 20  # of text, all traces together: less is read before workers have started
_BOTH = 192 << 20  # of text: to read and to answer a trace as large keeps two cores busy


def text_bytes(paths: Sequence[str]) -> list[int]:
    """About how long each text is; 0 for what lies elsewhere."""
    return [_text_bytes(path) for path in paths]


def _text_bytes(path: str) -> int:
    inside = archives.split(path)
    try:
        size = os.stat(archives.unpacked(*inside) if inside is not None else path).st_size
    except (OSError, ValueError):
        return 0
    return size * (_RATIO if path.lower().endswith(".gz") else 1)


def workers(texts: Sequence[int]) -> int:
    """As many as there are cores, traces, and memory for the largest; 1 where none is worth it.

    Two large traces at a time on two cores would take as long as one after the other, and twice the
    memory.
    """
    if len(texts) < 2 or sum(texts) < _WORTH or (cores() <= 2 and max(texts) >= _BOTH):
        return 1
    each = _AROUND + _MEMORY * max(texts)
    free = _free()
    room = max(free // each, 1) if free is not None else len(texts)
    return min(cores(), len(texts), room)


def _free() -> int | None:
    """Bytes of memory that are to be had; None where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None
