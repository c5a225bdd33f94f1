"""The text of a trace: a plain file, gzip, standard input or an address, read part by part."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from tracekit import extras, files
from tracekit.errors import TracekitError, reason

if TYPE_CHECKING:
    from tracekit.trace.json.inflate import Inflate

_COPY_BLOCK = 1 << 20


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
        self._inflate = _inflate(self._file) if self.compressed else None

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

    def handed(self, start: int, length: int, more: int, other: memoryview) -> memoryview:
        """Memory of a compressed file's text, in exchange for `other`, as `Window.handed` has it.

        No text before the end of this will be asked for again.
        """
        assert self._inflate is not None
        return self._inflate.handed(start, length, more, other)

    def again(self) -> None:
        """Text may be asked for from the start, also where it was forgotten."""
        if self._inflate is not None:
            self._file.seek(0)
            self._inflate = _inflate(self._file)

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


def _inflate(file: IO[bytes]) -> Inflate:
    from tracekit.trace.json.inflate import Inflate  # many traces are no gzip

    return Inflate(file)


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
