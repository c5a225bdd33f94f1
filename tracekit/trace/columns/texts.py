"""Texts of a trace as indices, one table for all pieces."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import numpy as np

from tracekit.trace.trace import I32


class Texts:
    """Names, and the texts of side tables; several threads may add to it."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self._lock = Lock()

    def indices(self, texts: Iterable[str]) -> I32:
        """[K] the index of each text, a new one where it is new."""
        with self._lock:
            put = self.index.setdefault
            return np.array([put(text, len(self.index)) for text in texts], np.int32)


def ordered(columns: Iterable[I32], texts: Iterable[str]) -> tuple[list[I32], tuple[str, ...]]:
    """The columns by new indices, and the texts that these index: by first use, then by column.

    Which index a text has depends on which piece was read first; this does not. -1 stays.
    """
    known = list(texts)
    given = list(columns)
    code = np.full(len(known) + 1, -1, np.int32)  # the last is that of -1
    used = 0
    for column in given:
        first = np.full(len(known) + 1, len(column), np.int64)
        # what is written last stays: the first row of each
        first[column[::-1]] = np.arange(len(column) - 1, -1, -1)
        first[-1] = len(column)
        fresh = np.flatnonzero((first < len(column)) & (code < 0))
        fresh = fresh[np.argsort(first[fresh])]
        code[fresh] = np.arange(used, used + len(fresh), dtype=np.int32)
        used += len(fresh)
    of_code = np.argsort(code[:-1], kind="stable")[len(known) - used :]
    return [np.take(code, column) for column in given], tuple(known[at] for at in of_code.tolist())
