"""The text of a trace: a plain file, gzip, standard input or an address, read part by part."""

from __future__ import annotations

import errno
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any

from tracekit import extras, files
from tracekit.errors import TracekitError, reason
from tracekit.trace.json.swollen import Swollen

_STORED_BLOCK = 1 << 16  # compressed bytes at a time
_COPY_BLOCK = 1 << 20
_WINDOW = 8 << 20  # bytes of unpacked text held at first: a piece, and what follows it


class Text:
    """The uncompressed text of an open file. Offsets never go back past `forget`."""

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = str(path)
        self.name = name or self.path  # what messages call it
        self._file = open(path, "rb")  # noqa: SIM115
        self._lock = Lock()
        self.stored = os.fstat(self._file.fileno()).st_size
        self._magic = self._file.read(8)
        self.compressed = self._magic[:2] == b"\x1f\x8b"
        self._file.seek(0)
        self._inflate = _Inflate(self._file) if self.compressed else None

    def starts_with(self, magic: bytes) -> bool:
        """Whether the file, as stored, starts with at most 8 bytes."""
        return self._magic.startswith(magic)

    def read(self, start: int, length: int | None = None) -> bytes:
        """Text from `start`, at most `length` bytes; fewer only where the text ends."""
        if self._inflate is not None:
            return self._inflate.read(start, length)
        self._file.seek(start)
        return self._file.read(-1 if length is None else length)

    def into(self, buffer: Any, start: int) -> None:
        """Fills a writable buffer with text from `start`; of a plain file several threads may.

        Raises: TracekitError where the text ends before.
        """
        view = memoryview(buffer).cast("B")
        if self._inflate is not None:
            self._inflate.into(view, start)
            return
        done = 0
        while done < len(view):
            if hasattr(os, "preadv"):
                got = os.preadv(self._file.fileno(), [view[done:]], start + done)
            else:
                with self._lock:
                    self._file.seek(start + done)
                    got = self._file.readinto(view[done:])
            if not got:
                raise TracekitError(
                    "has changed while it was read", where=self.name, hint="run the command again"
                )
            done += got

    def forget(self, before: int) -> None:
        """No text before this offset will be asked for again."""
        if self._inflate is not None:
            self._inflate.forget(before)

    def drain(self) -> None:
        """Reads to the end, keeping nothing: then `size` and `fault` are known, and no text."""
        if self._inflate is not None:
            self._inflate.drain()

    @property
    def fault(self) -> str | None:
        """What is wrong with the compressed file, as far as it was read."""
        return self._inflate.fault if self._inflate is not None else None

    @property
    def size(self) -> int | None:
        """Length of the text, once it is known."""
        return self._inflate.size if self._inflate is not None else self.stored

    def close(self) -> None:
        self._file.close()


class _Window:
    """A stretch of text that grows at its end and shrinks at its start, in memory that stays."""

    def __init__(self) -> None:
        self.base = 0  # offset in the text of what is held
        self._room = memoryview(bytearray(_WINDOW))
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


class _Inflate:
    """A window on the text of a gzip file, any number of members."""

    def __init__(self, file: IO[bytes]) -> None:
        from isal import isal_zlib

        self._file = file
        self._new: Any = lambda: isal_zlib.decompressobj(wbits=31)
        self._bad: Any = (isal_zlib.error, zlib.error, EOFError)
        self._member = self._new()
        self._fresh = True  # the member has given nothing yet
        self._first = True
        self._member_at = 0  # where the member starts in the file
        self._text = _Window()
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
            try:
                self._text.append(self._swollen.take(self._member.decompress(stored), len(stored)))
            except self._bad as fault:
                self._done = True
                self._text.append(self._swollen.take(self._salvaged(len(stored)), len(stored)))
                self._text.append(self._swollen.rest())
                self._fault = f"the compressed file is damaged ({fault})"
                return
            self._fresh = False
            stored = self._member.unused_data if self._member.eof else b""
            if self._member.eof:
                self._member, self._fresh, self._first = self._new(), True, False
                self._member_at = self._file.tell() - len(stored)

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


@contextmanager
def opened(path: str | Path) -> Iterator[Text]:
    """The text of what `path` names: a file, `-` for standard input, or an address.

    Raises: TracekitError where it cannot be read.
    """
    text = open_text(path)
    try:
        yield text
    finally:
        text.close()


def open_text(path: str | Path) -> Text:
    """As `opened`, for the caller to close."""
    name = str(path)
    try:
        if name == "-":
            return Text(_spooled(sys.stdin.buffer), "standard input")
        if "://" in name and not os.path.exists(name):
            return Text(_fetched(name), name)
        if "!/" in name and not os.path.exists(name):
            from tracekit.trace.inputs import archives  # zipfile and tarfile, for few

            if (inside := archives.split(name)) is not None:
                return Text(archives.unpacked(*inside), name)
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            with open(path, "rb") as pipe:  # a named pipe, /dev/stdin, <(command)
                return Text(_spooled(pipe), name)
        return Text(path)
    except OSError as fault:
        raise _unreadable(name, fault) from None
    except ValueError as fault:  # a NUL byte in the path
        raise TracekitError(
            f"cannot be read ({fault})", where=name, hint="check the path"
        ) from None


def _unreadable(name: str, fault: OSError) -> TracekitError:
    if fault.errno == errno.EISDIR or os.path.isdir(name):
        return TracekitError(
            "is a folder", where=name, hint="tracekit analyze takes folders; here name a file in it"
        )
    return TracekitError(
        f"cannot be read ({fault.strerror or fault})", where=name, hint="check the path"
    )


def _spooled(stream: IO[bytes]) -> str:
    """The path of a copy of a stream that can be read only once.

    It lives as long as the process: side tables are read later.
    """
    place = files.passing() / "copy.trace"
    with open(place, "wb") as copy:
        while block := stream.read(_COPY_BLOCK):
            copy.write(block)
    return str(place)


def _fetched(address: str) -> str:
    """The path of a temporary copy of what an address holds."""
    if address.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        return unquote(urlsplit(address).path)
    extras.need("remote", "fsspec", where=address)
    import fsspec

    try:
        with fsspec.open(address, "rb") as stream:
            return _spooled(stream)
    except ImportError as fault:
        raise extras.MissingExtraError(
            f"needs what is not installed ({reason(fault)})",
            where=address,
            hint=extras.install("remote"),
        ) from None
    except Exception as fault:
        # each protocol raises errors of its own library: all mean that it cannot be had
        raise TracekitError(
            f"cannot be fetched ({type(fault).__name__}: {reason(fault)})",
            where=address,
            hint="check the address and your access to it",
        ) from None
