"""A download that goes on where an earlier run ended, and is whole when it takes its name."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CHUNK = 1 << 18
_TAG = re.compile(r"[\x20-\x7e]{1,512}")  # what a header may hold
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class Resuming:
    """Called with (url, output_file). What has come is kept in `part`.

    The server's ETag (or date) is kept beside it and sent as If-Range, so that a file that has
    changed meanwhile is fetched anew. Source: RFC 9110, sections 13.1.5 and 14.
    """

    def __init__(self, part: Path, size: int | None = None) -> None:
        self.part = part
        self.tag = part.with_name(part.name + ".tag")
        self.size = size  # as published; None where nobody has said

    def __call__(self, url: str, output_file: Path) -> None:
        """Raises: OSError where it cannot be had, or not whole; what has come is kept."""
        held, tag = self._held(), self._tag()
        if not (held and tag and self._fetch(url, held, tag)):
            self._forget()
            self._fetch(url, 0, "")
        os.replace(self.part, output_file)
        self._forget()

    def _held(self) -> int:
        """Bytes that may be gone on from."""
        with suppress(OSError):
            held = self.part.stat().st_size
            return held if self.size is None or held <= self.size else 0
        return 0

    def _tag(self) -> str:
        """What was said of the bytes that are held; empty where that cannot be read."""
        with suppress(OSError):
            text = self.tag.read_bytes().decode("latin-1")
            return text if _TAG.fullmatch(text) else ""
        return ""

    def _fetch(self, url: str, held: int, tag: str) -> bool:
        """Whether the file is whole; False where it has to be fetched from its start."""
        import requests

        headers = {"Accept-Encoding": "identity"}  # ranges count bytes of the file itself
        if held:
            headers |= {"Range": f"bytes={held}-", "If-Range": tag}
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            start, total = _range(answer.headers)
            if answer.status_code == 416:  # nothing after what is held: it may be all
                return held > 0 and held == total
            answer.raise_for_status()
            if answer.status_code == 206 and (not held or start != held):
                if held:
                    return False
                raise OSError("the server sent a part that nobody asked for")
            if answer.status_code != 206:
                held, total = 0, None
            self._keep(answer, held, total)
        return True

    def _keep(self, answer: Any, held: int, total: int | None) -> None:
        """The body, after the bytes that are held; `total` are those of the file, if known."""
        # a weak ETag must not be used with If-Range
        tag = answer.headers.get("ETag", "")
        tag = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        self.tag.write_bytes(tag.encode("latin-1", "replace"))
        # of a body that is packed although nobody asked for that, the length says nothing
        packed = answer.headers.get("Content-Encoding", "identity") != "identity"
        length = None if packed else _whole(answer.headers.get("Content-Length"))
        if total is None and length is not None:
            total = held + length
        total = self.size if total is None else total
        with _bar() as bar, open(self.part, "r+b" if held else "wb") as file:
            file.seek(held)
            task = bar.add_task(self.part.stem, total=total, completed=held)
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
            came = file.tell()
            file.truncate()
        if total is not None and came != total:
            if came > total:
                self._forget()
            raise OSError(f"{came:,} of {total:,} bytes came")
        if not came:
            raise OSError("nothing came")

    def _forget(self) -> None:
        for path in (self.part, self.tag):
            path.unlink(missing_ok=True)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),  # standard output is the answer's
        disable=not (sys.stderr is not None and sys.stderr.isatty()),
        transient=True,
    )


def _range(headers: Any) -> tuple[int | None, int | None]:
    """(first byte, bytes of the file) of Content-Range; None for what it does not say."""
    found = _RANGE.fullmatch(str(headers.get("Content-Range", "")).strip())
    return (_whole(found[1]), _whole(found[3])) if found else (None, None)


def _whole(text: str | None) -> int | None:
    """A number of bytes; None for what is none: a header is input like all else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
