"""Which seconds of Ego4D recordings were asked about: narrations, and the lists of the models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.formats.csv_rows import Notes, OnError, first_line, log
from tracekit.datasets.formats.text_lines import items
from tracekit.errors import TracekitError

HALF_S = 2.5  # IMU2CLIP: a narration's time, so much before and after
LONGEST = 128  # characters of a narration that IMU2CLIP keeps
EVAL_PROMPT = "Describe the scene."
LISTS = {
    "narrations": "narration.json",
    "eval": "imu_2000_cococap.json",
    "tuning": "imu_fixed_50k.json",
}


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds of one recording, and what is said of them."""

    uid: str
    start_s: float
    end_s: float
    name: str
    prompt: str | None = None
    answer: str | None = None
    label: str | None = None


def windows(folder: Path, subset: str, on_error: OnError) -> Iterator[Window]:
    """Windows in the order of their list.

    Raises: TracekitError where the list is not there; with file and line for a malformed entry,
    unless skipped.
    """
    notes = Notes(on_error)
    path = _list_file(folder, subset)
    match subset:
        case "narrations":
            found = _narrations(path, notes)
        case "eval":
            found = _coco(path, notes)
        case "tuning":
            found = _conversations(path, notes)
        case _:
            found = _splits(path, notes)
    for window in found:
        notes.tell()
        yield window
    notes.tell()


def _list_file(folder: Path, subset: str) -> Path:
    name = LISTS.get(subset, "*.csv")
    for place in (folder, folder / "v2" / "annotations", folder / "annotations", folder / "splits"):
        for found in sorted(place.glob(name)):
            if subset != "splits" or "window_start" in first_line(found):
                return found
    raise TracekitError(
        f"no list of windows for {subset!r}",
        where=folder,
        hint=f"expected {name} there, in v2/annotations, annotations or splits",
    )


def cut(sample: Sample, window: Window) -> Sample:
    """The sample of one window: it reads the whole file, as the published code does."""

    def parse(raw: Any) -> Recording:
        recording = sample.parse(raw)
        return replace(recording, start_s=window.start_s, duration_s=window.end_s - window.start_s)

    return replace(
        sample,
        id=window.name,
        parse=parse,
        prompt=window.prompt,
        answer=window.answer,
        label=window.label,
        facts={**sample.facts, "video_uid": window.uid, "start_s": window.start_s}
        | {"end_s": window.end_s},
    )


def on_disk(found: Iterator[Window], recordings: dict[str, Sample]) -> Iterator[Sample]:
    """Windows of the recordings that are there; how many are not is said at the end."""
    missing = 0
    for window in found:
        if window.uid in recordings:
            yield cut(recordings[window.uid], window)
        else:
            missing += 1
    if missing:
        log.warning("%d windows are of videos that are not on disk and were left out", missing)


def clean(text: str) -> str:
    """A narration as IMU2CLIP gives it to the text encoder."""
    text = text.replace("#C C ", "").replace("#C", "").replace("#unsure", "something")
    return re.sub(r"\s+", " ", text).strip().lower()[:LONGEST]


def _narrations(path: Path, notes: Notes) -> Iterator[Window]:
    for item in items(path):
        passes = json.loads(item.data)
        for name in ("narration_pass_1", "narration_pass_2"):
            for entry in (passes.get(name) or {}).get("narrations", []):
                try:
                    at, text = float(entry["timestamp_sec"]), str(entry["narration_text"])
                except (KeyError, TypeError, ValueError) as fault:
                    notes.malformed(path, item.line, f"a narration of {item.key}: {fault!r}")
                    continue
                uid = str(item.key)
                yield Window(
                    uid,
                    max(0.0, at - HALF_S),
                    max(0.0, at - HALF_S) + 2 * HALF_S,
                    f"{uid}:{name[-1]}:{entry.get('annotation_uid', at)}:{at:g}",
                    answer=clean(text),
                )


def _coco(path: Path, notes: Notes) -> Iterator[Window]:
    value = _json(path)
    captions: dict[Any, list[str]] = {}
    for entry in value.get("annotations", []):
        captions.setdefault(entry.get("image_id"), []).append(str(entry.get("caption", "")))
    for number, image in enumerate(value.get("images", [])):
        try:
            yield Window(
                str(image["video_uid"]),
                float(image["window_start"]),
                float(image["window_end"]),
                f"eval:{image['id']}",
                prompt=EVAL_PROMPT,
                answer=next(iter(captions.get(image["id"], [])), None),
            )
        except (KeyError, TypeError, ValueError) as fault:
            notes.malformed(path, None, f"image {number}: {fault!r}")


def _conversations(path: Path, notes: Notes) -> Iterator[Window]:
    for number, item in enumerate(items(path)):
        try:
            value = json.loads(item.data)
            said = {turn["from"]: turn["value"] for turn in reversed(value["conversations"])}
            yield Window(
                str(value["video_uid"]),
                float(value["window_start"]),
                float(value["window_end"]),
                f"tuning:{number}",
                prompt=said.get("human"),
                answer=said.get("gpt"),
            )
        except (KeyError, TypeError, ValueError) as fault:
            notes.malformed(path, item.line, f"item {number}: {fault!r}")


def _splits(path: Path, notes: Notes) -> Iterator[Window]:
    import csv

    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        while True:
            try:
                row = next(reader, None)
                if row is None:
                    return
                yield Window(
                    row["video_uid"],
                    float(row["window_start"]),
                    float(row["window_end"]),
                    f"{row['video_uid']}:{row['narration_uid']}",
                    answer=clean(row["text"] or ""),
                    label=row.get("label") or None,
                )
            except (KeyError, TypeError, ValueError, csv.Error) as fault:
                notes.malformed(path, reader.line_num, repr(fault))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as fault:
        raise TracekitError(f"not JSON ({fault})", where=path, hint="fetch it again") from None
