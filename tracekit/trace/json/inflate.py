"""The text of a gzip file, unpacked part by part into memory that stays."""

from __future__ import annotations

import zlib
from typing import IO, Any

from tracekit.trace.json.swollen import Swollen

_STORED_BLOCK = 1 << 15  # compressed bytes at a time
_PART = 1 << 18  # bytes unpacked at a time: the memory of the last is used again, and is at hand
_ROOM = 8 << 20  # bytes of unpacked text held at first: a piece, and what follows it


class Window:
    """A stretch of text that grows at its end and shrinks at its start, in memory that stays."""

    def __init__(self) -> None:
        self.base = 0  # offset in the text of what is held
        self._room = memoryview(bytearray(_ROOM))
        self._first = self._stop = 0  # of the text in the room

    @property
    def end(self) -> int:
        """Offset in the text after what is held."""
        return self.base + self._stop - self._first

    def append(self, some: bytes) -> None:
        if self._stop + len(some) > len(self._room):
            held = self._room[self._first : self._stop]
            if 3 * (len(held) + len(some)) > 2 * len(self._room):
                self._room = memoryview(bytearray(2 * (len(held) + len(some))))
            self._room[: len(held)] = held
            self._first, self._stop = 0, len(held)
        self._room[self._stop : self._stop + len(some)] = some
        self._stop += len(some)

    def cut(self, end: int) -> bytes:
        """Takes the text from an offset on away."""
        stop, self._stop = self._stop, self._stop - (self.end - end)
        return bytes(self._room[self._stop : stop])

    def drop(self, before: int) -> None:
        """Lets go of the text before an offset."""
        count = min(before - self.base, self._stop - self._first)
        if count > 0:
            self.base += count
            self._first += count

    def close(self) -> None:
        """Gives the memory back; nothing is held."""
        self.drop(self.end)
        self._room = memoryview(b"")
        self._first = self._stop = 0

    def at(self, start: int, length: int | None) -> memoryview:
        """Text from an offset, good until more is appended; fewer bytes only where it ends."""
        assert start >= self.base, "the text before this offset is forgotten"
        first = min(self._first + start - self.base, self._stop)
        stop = self._stop if length is None else min(first + length, self._stop)
        return self._room[first:stop]

    def handed(self, start: int, length: int, more: int, other: memoryview) -> memoryview:
        """Memory that begins with so much text, followed by `more` bytes or more to write to.

        What follows the text goes on in `other`, which is given for it, or in new memory.
        """
        assert start >= self.base, "the text before this offset is forgotten"
        first = self._first + start - self.base
        stop = first + length
        given, rest = self._room[first:], self._room[stop : self._stop]
        if len(given) < length + more:
            given = memoryview(bytearray(bytes(given) + bytes(more)))
        if len(other) < len(rest):
            other = memoryview(bytearray(len(rest) + length + length // 4))
        other[: len(rest)] = rest
        self.base, self._room, self._first, self._stop = start + length, other, 0, len(rest)
        return given


class Inflate:
    """A window on the text of a gzip file, any number of members."""

    def __init__(self, file: IO[bytes]) -> None:
        from isal import igzip_lib

        self._file = file
        self._new: Any = lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        self._bad: Any = (igzip_lib.error, EOFError)
        self._member = self._new()
        self._fresh = True  # the member has given nothing yet
        self._first = True
        self._member_at = 0  # where the member starts in the file
        self._text = Window()
        self._floor = 0  # nothing before this will be asked for
        self._done = False
        self._swollen = Swollen()
        self._fault: str | None = None

    @property
    def fault(self) -> str | None:
        """What is wrong with the file, and what of it was left out, as far as it was read."""
        return "; ".join(filter(None, (self._fault, self._swollen.fault))) or None

    @property
    def size(self) -> int | None:
        return self._text.end if self._done else None

    def read(self, start: int, length: int | None) -> bytes:
        return bytes(self._at(start, length))

    def into(self, view: memoryview, start: int) -> None:
        view[:] = self._at(start, len(view))

    def handed(self, start: int, length: int, more: int, other: memoryview) -> memoryview:
        self._at(start, length)
        return self._text.handed(start, length, more, other)

    def _at(self, start: int, length: int | None) -> memoryview:
        while not self._done and (length is None or self._text.end < start + length):
            self._more()
        return self._text.at(start, length)

    def drain(self) -> None:
        while not self._done:
            self._floor = self._text.end
            self._more()
        self._text.close()

    def forget(self, before: int) -> None:
        self._floor = max(before, self._floor)
        self._text.drop(self._floor)

    def _more(self) -> None:
        """Inflates one block."""
        self.forget(self._floor)
        stored = self._file.read(_STORED_BLOCK)
        if not stored:
            self._text.append(self._swollen.rest())
            self._done = True
            if not self._fresh:
                self._fault = "the compressed file is cut short"
            return
        while stored:
            if self._fresh and not self._first and stored[:1] != b"\x1f":
                self._text.append(self._swollen.rest())
                self._done = True
                if stored.strip(b"\0"):
                    self._fault = "what follows the compressed data is no gzip and was not read"
                return
            end = self._text.end
            try:
                self._unpack(stored)
            except self._bad as fault:
                self._done = True
                self._text.cut(end)
                self._text.append(self._swollen.take(self._salvaged(len(stored)), len(stored)))
                self._text.append(self._swollen.rest())
                self._fault = f"the compressed file is damaged ({fault})"
                return
            self._fresh = False
            stored = self._member.unused_data if self._member.eof else b""
            if self._member.eof:
                self._member, self._fresh, self._first = self._new(), True, False
                self._member_at = self._file.tell() - len(stored)

    def _unpack(self, stored: bytes) -> None:
        """Adds what a block of the member holds to the text."""
        end, given = self._text.end, stored
        while True:
            self._text.append(self._member.decompress(given, _PART))
            if self._member.eof or self._member.needs_input:
                break
            given = b""
        if not self._swollen.passes(self._text.end - end, len(stored)):
            self._text.append(self._swollen.take(self._text.cut(end), len(stored)))

    def _salvaged(self, length: int) -> bytes:
        """What the last `length` bytes read still hold: zlib byte by byte, up to the damage."""
        end = self._file.tell()
        self._file.seek(self._member_at)
        member = zlib.decompressobj(wbits=31)
        kept = bytearray()
        try:
            while self._file.tell() < end - length:
                member.decompress(
                    self._file.read(min(_STORED_BLOCK, end - length - self._file.tell()))
                )
            for byte in self._file.read(length):
                kept += member.decompress(bytes([byte]))
        except zlib.error:
            pass
        return bytes(kept)
