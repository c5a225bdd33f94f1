"""The text of a gzip file, unpacked part by part into memory that stays."""

from __future__ import annotations

from typing import IO

from tracekit.trace.json import quick
from tracekit.trace.json.careful import Careful
from tracekit.trace.json.window import Window


class Inflate:
    """A window on the text of a gzip file, any number of members."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._text = Window()
        self._floor = 0  # nothing before this will be asked for
        of = quick.reader()
        self._source: quick.Quick | Careful = (
            Careful(file, self._text) if of is None else quick.Quick(file, self._text, of)
        )

    @property
    def fault(self) -> str | None:
        """What is wrong with the file, and what of it was left out, as far as it was read."""
        return self._source.fault

    @property
    def size(self) -> int | None:
        return self._text.end if self._source.done else None

    def read(self, start: int, length: int | None) -> bytes:
        return bytes(self._at(start, length))

    def into(self, view: memoryview, start: int) -> None:
        view[:] = self._at(start, len(view))

    def handed(self, start: int, length: int, more: int, other: memoryview) -> memoryview:
        self._at(start, length)
        return self._text.handed(start, length, more, other)

    def _at(self, start: int, length: int | None) -> memoryview:
        wanted = None if length is None else start + length
        while not self._source.done and (wanted is None or self._source.end < wanted):
            self._more(wanted)
        return self._text.at(start, length)

    def drain(self) -> None:
        while not self._source.done:
            self._floor = self._text.end
            self._more(None)
        self._text.close()

    def forget(self, before: int) -> None:
        self._floor = max(before, self._floor)
        self._text.drop(self._floor)

    def _more(self, wanted: int | None) -> None:
        self.forget(self._floor)
        try:
            self._source.more(wanted)
        except quick.UnusualError:
            # from the start of the file again: all that was read so far comes out the same
            self._file.seek(0)
            self._text = Window()
            self._source = Careful(self._file, self._text)
