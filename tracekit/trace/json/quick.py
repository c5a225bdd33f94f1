"""A gzip file with nothing unusual, inflated straight to where its text is read.

isal's own way to do so is the reader below its files. It has no public name: `IGzipFile.readinto`
reads into memory of its own and copies, and `IgzipDecompressor` gives new `bytes` each time.
"""

from __future__ import annotations

import io
from typing import IO, Any

from tracekit.trace.json.swollen import BLOCK, SWOLLEN
from tracekit.trace.json.window import Window

_LEAST, _MOST = 1 << 16, 1 << 20  # bytes of text at a time; of what swells so many before it shows
# The end of a member shorter than 16 MB, or padding, and a member after it: the reader reads on
# after padding, where text ends that is read block by block. One in 170 files of 26 MB has it by
# chance.
_ANOTHER = b"\0\x1f\x8b\x08"


class UnusualError(Exception):
    """What the file holds is to be looked at block by block."""


def reader() -> Any:
    """The type that inflates into memory it is given; None where isal has none of its name."""
    from isal import isal_zlib

    return getattr(isal_zlib, "_GzipReader", None)


class Quick:
    """Adds the text of a gzip file to a window as long as nothing in it is unusual."""

    fault = None

    def __init__(self, file: IO[bytes], text: Window, of: Any) -> None:
        self._blocks = _Blocks(file)
        self._reader = of(self._blocks, BLOCK)
        self._text = text
        self.done = False

    @property
    def end(self) -> int:
        """Offset after the text that may be read: of blocks that do not swell."""
        return self._blocks.end

    def more(self, wanted: int | None) -> None:
        """Inflates up to an offset, or as much as is inflated at a time.

        Raises: UnusualError, and what was not to be read yet is not to be used.
        """
        lacking = _MOST if wanted is None else wanted - self._text.end
        room = self._text.room(min(max(lacking, _LEAST), _MOST))
        self._blocks.reader = self._reader
        try:
            count = self._reader.readinto(room)
            self._blocks.look()
        except Exception as fault:  # whatever it is, reading block by block will say it
            raise UnusualError from fault
        finally:
            self._blocks.reader = None  # which has these, and is no matter of garbage collection
        self._text.grow(count)
        self.done = not count


class _Blocks(io.RawIOBase):
    """The file as the reader takes it: the next block once all text of the last was given."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file: Any = file
        self.reader: Any = None  # while it reads
        self.end = 0  # of the text of blocks that do not swell
        self._stored = 0  # bytes of the last block
        self._before = b""  # its end

    def look(self) -> None:
        """Raises: UnusualError where the last block swells."""
        if self.reader.tell() - self.end > SWOLLEN * self._stored:
            raise UnusualError

    def readinto(self, view: Any) -> int:
        self.look()
        self.end = self.reader.tell()
        self._stored = self._file.readinto(view)
        seen = self._before + bytes(view[: self._stored])
        if _ANOTHER in seen:
            raise UnusualError
        self._before = seen[1 - len(_ANOTHER) :]
        return self._stored
