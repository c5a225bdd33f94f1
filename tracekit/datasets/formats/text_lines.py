"""Where things lie in a file too large to hold: runs of lines, JSON records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines of a file that share a key."""

    path: Path
    key: tuple[str, ...]
    start: int  # byte offset
    size: int  # bytes
    line: int  # number of the first line, from 1
    rows: int
    first: bytes
    last: bytes


def runs(
    path: Path,
    key_of: Callable[[bytes], bytes | None],
    *,
    skip: int = 0,
    same: Callable[[bytes, bytes], bool] | None = None,
) -> Iterator[Run]:
    """Runs of lines with an equal key, in file order; never more than a line in memory.

    `key_of` gives the key of a line, or None for a line that belongs to the run it is in (a
    malformed one: it is reported when the run is parsed). `same(line, key)` may say quickly that
    a line has that key. The first `skip` lines are a header.
    """
    with open(path, "rb") as file:
        offset = sum(len(file.readline()) for _ in range(skip))
        key: bytes | None = None
        begun, first_line, first, last, rows = offset, skip + 1, b"", b"", 0
        for number, line in enumerate(file, skip + 1):
            if not (key is not None and same is not None and same(line, key)):
                found = key_of(line)
                if found is not None and found != key:
                    if key is not None:
                        yield _run(path, key, begun, offset, first_line, rows, first, last)
                        begun, first_line, rows = offset, number, 0
                    key, first = found, line
            offset += len(line)
            if line.strip():
                last = line
                rows += 1
        if key is not None:
            yield _run(path, key, begun, offset, first_line, rows, first, last)


def _run(
    path: Path, key: bytes, begun: int, end: int, line: int, rows: int, first: bytes, last: bytes
) -> Run:
    names = tuple(part.strip() for part in key.decode("utf-8", "replace").split(","))
    return Run(path, names, begun, end - begun, line, rows, first, last)


def lines(path: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """Byte offset, size, line number and bytes of each line that is not blank."""
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield offset, len(line), number, line
            offset += len(line)


TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]"\n]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Item:
    """One object or list within the JSON array, or the JSON object, that a file is."""

    key: str | None  # its name, in an object
    start: int  # byte offset
    line: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


def items(path: Path) -> Iterator[Item]:
    """The members of the file's one array or object, in file order, one at a time in memory.

    Members that are plain numbers or text are passed over.
    """
    depth, begun, begun_line, line = 0, 0, 1, 1
    key: bytes | None = None  # the last string at depth 1: the name of what follows
    held, base, at = b"", 0, 0  # bytes not yet done with, offset of their first, how far read
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            held += chunk
            for token in TOKENS.finditer(held, at):
                text = token[0]
                if text == b'"':  # a string that goes on in the next chunk
                    at = token.start()
                    break
                at = token.end()
                if text in (b"{", b"["):
                    depth += 1
                    if depth == 2:
                        begun, begun_line = base + token.start(), line
                elif text in (b"}", b"]"):
                    depth -= 1
                    if depth == 1:
                        name = json.loads(key) if key is not None else None
                        yield Item(name, begun, begun_line, held[begun - base : token.end()])
                        key = None
                elif text == b"\n":
                    line += 1
                elif depth == 1:
                    key = text
            else:
                # a string may begin behind the last token and end in the next chunk: none does
                # without its quotation mark, which is a token
                at = len(held)
            keep = begun - base if depth >= 2 else at
            held, base, at = held[keep:], base + keep, at - keep
