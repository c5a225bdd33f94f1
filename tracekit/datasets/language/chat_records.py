"""Chat records on disk, found by byte offset: the files are up to 2 GB and never held whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import InputKind, Recording, Sample
from tracekit.datasets.formats.csv_rows import Notes, OnError, read_bytes
from tracekit.datasets.formats.labels import canonical
from tracekit.datasets.formats.text_lines import lines
from tracekit.datasets.language import sensor_text
from tracekit.errors import TracekitError

LICENCE = "Hippocratic License HL3-CL-ECO-EXTR-FFD-LAW-MEDIA-MIL-MY-SOC-SV-TAL-USTA"


@dataclass(frozen=True, slots=True)
class Record:
    """One record, and where it lies."""

    path: Path
    start: int
    size: int
    line: int
    turn: sensor_text.Turn
    facts: Mapping[str, Any]


def candidates(path: Path) -> list[Path]:
    """The .jsonl files of a folder, or of its `data`, or the one file."""
    if path.is_file():
        return [path] if path.suffix in (".jsonl", ".json") else []
    return sorted(path.glob("*.jsonl")) or sorted((path / "data").glob("*.jsonl"))


def files(path: Path, subset: str | None, mine: Callable[[Path], bool]) -> list[Path]:
    """The files of a subset, such as hhar, v2 or hhar_v2, in order of name.

    Raises: TracekitError where there is none.
    """
    every = candidates(path)
    found = every if path.is_file() else [file for file in every if mine(file)]
    if subset:
        parts = subset.split("_")
        found = [f for f in found if all(p in re.split(r"[_\-.]", f.stem.lower()) for p in parts)]
    if not found:
        raise TracekitError(
            f"no records{f' of {subset}' if subset else ''} here",
            where=path,
            hint=f"files: {', '.join(file.name for file in every[:8]) or 'no .jsonl'}",
        )
    return found


def records(path: Path, on_error: OnError) -> Iterator[Record]:
    """Records with readings, line by line.

    Raises: TracekitError with file and line for any other, unless skipped.
    """
    notes = Notes(on_error)
    for start, size, line, data in lines(path):
        try:
            one = sensor_text.turn(data)
            # found here, so that a sample that is handed out can be parsed
            for label in (sensor_text.GYRO, sensor_text.ACCEL):
                if label.search(one.user) is None:
                    raise sensor_text.NotReadingsError("no readings in the user's text")
            if on_error == "skip":
                sensor_text.recording(one.user)
        except ValueError as fault:
            notes.malformed(path, line, str(fault))
            notes.tell()
            continue
        yield Record(path, start, size, line, one, sensor_text.facts(one.user))


def first(path: Path) -> sensor_text.Turn | None:
    """The first record, or None where the file does not begin with one."""
    try:
        for _, _, _, data in lines(path):
            one = sensor_text.turn(data)
            return one if sensor_text.GYRO.search(one.user) else None
    except (ValueError, OSError):
        pass
    return None


def count(path: Path) -> int:
    """Lines that are not blank."""
    return sum(1 for _ in lines(path))


def sample(
    record: Record,
    dataset: str,
    *,
    kind: InputKind,
    prompt: str | None,
    answer: str | None,
    name: str,
    more: dict[str, object] | None = None,
) -> Sample:
    """A sample that reads its own line again, and parses the readings out of it."""

    def parse(raw: bytes) -> Recording:
        if kind == "text":
            return Recording("text", text=prompt)
        try:
            return sensor_text.recording(sensor_text.turn(raw).user)
        except ValueError as fault:
            raise TracekitError(
                str(fault),
                where=f"{record.path}:{record.line}",
                hint="mend the file, or skip it: --on-error skip",
            ) from None

    summary = record.turn.summary
    return Sample(
        id=name,
        dataset=dataset,
        path=record.path,
        read=lambda: read_bytes(record.path, record.start, record.size),
        parse=parse,
        prompt=prompt,
        answer=answer,
        label=canonical(summary) if summary else None,
        licence=LICENCE,
        facts={
            "line": record.line,
            **record.facts,
            **(more or {}),
        },
    )
