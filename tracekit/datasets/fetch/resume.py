"""A downloader for pooch that goes on where an earlier run ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

CHUNK = 1 << 18


class Resuming:
    """Called by pooch with (url, output_file, pooch). What has come is kept in `part`.

    The server's ETag (or date) is kept beside it and sent as If-Range, so that a file that has
    changed meanwhile is fetched anew. Source: RFC 9110, sections 13.1.5 and 14.
    """

    def __init__(self, part: Path) -> None:
        self.part = part
        self.tag = part.with_name(part.name + ".tag")

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        import requests

        headers = {"Accept-Encoding": "identity"}  # ranges count bytes of the file itself
        held = self.part.stat().st_size if self.part.exists() else 0
        tag = self.tag.read_text() if self.tag.exists() else ""
        if held and tag:
            headers |= {"Range": f"bytes={held}-", "If-Range": tag}
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            if answer.status_code == 416:  # nothing after what is held: begin anew
                self._forget()
                raise OSError("the server has no more than what came before; begin again")
            answer.raise_for_status()
            going_on = answer.status_code == 206 and _starts_at(answer.headers, held)
            self._keep(answer, held if going_on else 0)
        os.replace(self.part, output_file)
        self._forget()

    def _keep(self, answer: Any, held: int) -> None:
        """The body, after the bytes that are held."""
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        # a weak ETag must not be used with If-Range
        tag = answer.headers.get("ETag", "")
        tag = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        self.tag.write_text(tag)
        length = answer.headers.get("Content-Length")
        total = held + int(length) if length else None
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            transient=True,
        )
        with bar, open(self.part, "r+b" if held else "wb") as file:
            file.seek(held)
            task = bar.add_task(self.part.stem, total=total, completed=held)
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
            came = file.tell()
        if total is not None and came != total:
            raise OSError(f"{came} of {total} bytes came")

    def _forget(self) -> None:
        for path in (self.part, self.tag):
            path.unlink(missing_ok=True)


def _starts_at(headers: Any, held: int) -> bool:
    return str(headers.get("Content-Range", "")).startswith(f"bytes {held}-")
