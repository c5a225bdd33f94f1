"""LLaSA's training form: one JSON array of {id, image, conversations}, with or without its arrays.

The published file is a JSON array under the name .jsonl. Its ids repeat between sources, its
acceleration is over 9.8, and in every PAMAP2 item the text holds another window's arrays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tracekit.datasets.entry import InputKind, Recording, Sample
from tracekit.datasets.formats.csv_rows import Notes, OnError, read_bytes
from tracekit.datasets.formats.text_lines import items
from tracekit.datasets.language import sensor_text
from tracekit.datasets.language.chat_records import LICENCE
from tracekit.errors import TracekitError

RATE_HZ = 20.0
READINGS = re.compile(r"\s*Gyroscope:\s*\[")


HEAD = 1 << 16  # bytes in which a record's keys stand: its text comes after them


def is_array(path: Path) -> bool:
    """Whether the file is one JSON array, whatever it is called."""
    with open(path, "rb") as file:
        return file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def is_training_form(path: Path) -> bool:
    """Whether it is an array whose first record holds a conversation."""
    with open(path, "rb") as file:
        return is_array(path) and b'"conversations"' in file.read(HEAD)


def count(path: Path) -> int:
    """Records, without holding the file."""
    return sum(1 for _ in items(path))


def samples(path: Path, *, kind: InputKind, on_error: OnError) -> Iterator[Sample]:
    """One sample a record. The array beside the file is read where it is there, the text otherwise.

    Raises: TracekitError for a record that has neither, unless skipped.
    """
    notes = Notes(on_error)
    for number, item in enumerate(items(path)):
        try:
            value = json.loads(item.data)
            question, answer = _turns(value)
            array = _array(path, str(value.get("image", "")))
            if array is None and kind == "imu":
                sensor_text.triples(question, sensor_text.GYRO)
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            notes.malformed(path, item.line, f"record {number}: {fault}")
            notes.tell()
            continue
        place = (item.start, item.size, item.line)
        yield _sample(path, place, number, value, array, (question, answer), kind)


def _turns(value: Any) -> tuple[str, str]:
    said = {turn["from"]: turn["value"] for turn in reversed(value["conversations"])}
    return said["human"], said.get("gpt", "")


def _array(path: Path, image: str) -> Path | None:
    """The .npy that the absolute path of another machine means, where it is beside the file."""
    parts = PurePosixPath(image).parts
    for keep in (3, 2, 1):  # images/hhar/sensor_image_0.npy, hhar/…, …
        found = path.parent.joinpath(*parts[-keep:]) if len(parts) >= keep else None
        if found is not None and found.suffix == ".npy" and found.is_file():
            return found
    return None


def _sample(
    path: Path,
    place: tuple[int, int, int],
    number: int,
    value: Any,
    array: Path | None,
    turns: tuple[str, str],
    kind: InputKind,
) -> Sample:
    from tracekit.datasets.formats.numpy_files import npy

    start, size, line = place
    question = turns[0].replace("<image>", "").strip()
    asked = READINGS.split(question, maxsplit=1)[0].strip()

    def parse(raw: Any) -> Recording:
        if kind == "text":
            return Recording("text", text=question)
        if array is not None:
            return _windowed(raw, array)
        try:
            return sensor_text.recording(_turns(json.loads(raw))[0])
        except ValueError as fault:
            raise TracekitError(str(fault), where=f"{path}:{line}", hint="skip it") from None

    from_array = array is not None and kind == "imu"
    return Sample(
        id=f"{path.stem}:{number}:{value.get('id', '')}",
        dataset="opensqa",
        path=array if array is not None and from_array else path,
        read=(lambda: npy(array, array))
        if array is not None and from_array
        else (lambda: read_bytes(path, start, size)),
        parse=parse,
        prompt=question if kind == "text" else asked,
        answer=turns[1] or None,
        licence=LICENCE,
        facts={"line": line, "image": value.get("image"), "characters": len(turns[0])},
    )


def _windowed(raw: Any, path: Path) -> Recording:
    """(120, 6), acceleration first and over 9.8, at 20 Hz."""
    import numpy as np

    if raw.ndim != 2 or raw.shape[1] < 6:
        raise TracekitError(
            f"shape {raw.shape} where (120, 6) belongs", where=path, hint="fetch it again"
        )
    values = np.array(raw[:, :6], np.float64)
    values[:, :3] *= sensor_text.LIMU_G
    return Recording(
        "imu",
        values=values,
        rate_hz=RATE_HZ,
        repairs=("acceleration times 9.8: the file has it over 9.8",),
    )
