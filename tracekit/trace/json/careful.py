"""A gzip file block by block: what is damaged or swells is found, and what can be read is kept."""

from __future__ import annotations

import zlib
from typing import IO, Any

from tracekit.trace.json.swollen import BLOCK, Swollen
from tracekit.trace.json.window import Window

_PART = 1 << 18  # bytes unpacked at a time: the memory of the last is used again, and is at hand


class Careful:
    """Adds the text of a gzip file, any number of members, to a window."""

    def __init__(self, file: IO[bytes], text: Window) -> None:
        from isal import igzip_lib

        self._file = file
        self._new: Any = lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        self._bad: Any = (igzip_lib.error, EOFError)
        self._member = self._new()
        self._fresh = True  # the member has given nothing yet
        self._first = True
        self._member_at = 0  # where the member starts in the file
        self._text = text
        self._swollen = Swollen()
        self._fault: str | None = None
        self.done = False

    @property
    def fault(self) -> str | None:
        """What is wrong with the file, and what of it was left out, as far as it was read."""
        return "; ".join(filter(None, (self._fault, self._swollen.fault))) or None

    @property
    def end(self) -> int:
        """Offset after the text that may be read."""
        return self._text.end

    def more(self, wanted: int | None) -> None:
        """Inflates one block, however much is wanted."""
        stored = self._file.read(BLOCK)
        if not stored:
            self._text.append(self._swollen.rest())
            self.done = True
            if not self._fresh:
                self._fault = "the compressed file is cut short"
            return
        while stored:
            if self._fresh and not self._first and stored[:1] != b"\x1f":
                self._text.append(self._swollen.rest())
                self.done = True
                if stored.strip(b"\0"):
                    self._fault = "what follows the compressed data is no gzip and was not read"
                return
            end = self._text.end
            try:
                self._unpack(stored)
            except self._bad as fault:
                self.done = True
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
                member.decompress(self._file.read(min(BLOCK, end - length - self._file.tell())))
            for byte in self._file.read(length):
                kept += member.decompress(bytes([byte]))
        except zlib.error:
            pass
        return bytes(kept)
