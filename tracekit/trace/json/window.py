"""Memory for the text of a gzip file, of which only what is being read is held."""

from __future__ import annotations

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

    def room(self, length: int) -> memoryview:
        """Memory for so much text after what is held, which `grow` then counts."""
        if self._stop + length > len(self._room):
            held = self._room[self._first : self._stop]
            if 3 * (len(held) + length) > 2 * len(self._room):
                self._room = memoryview(bytearray(2 * (len(held) + length)))
            self._room[: len(held)] = held
            self._first, self._stop = 0, len(held)
        return self._room[self._stop : self._stop + length]

    def grow(self, count: int) -> None:
        """So much text was written to the room after what is held."""
        self._stop += count

    def append(self, some: bytes) -> None:
        self.room(len(some))[:] = some
        self.grow(len(some))

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
