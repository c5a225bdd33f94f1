"""OpenSQA (LLaSA): questions and answers about windows of phone IMU, and LLaSA's training form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tracekit.datasets.entry import Dataset, InputKind, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats.csv_rows import Notes, OnError
from tracekit.datasets.language import chat_records, llasa_json, qa_pairs, sensor_text

REVISION = "ed16a14854a531ba9e71a6786e92a8f427b06b95"
SOURCES = ("hhar", "motion", "shoaib", "uci", "pamap2")
# rows (windows) and pairs of each published file, as counted by others; parsers differ by a little
PUBLISHED = {
    "train_hhar_v1-00000-of-00001.jsonl": (9166, 88_961),
    "train_hhar_v2-00000-of-00001.jsonl": (9166, 45_825),
    "train_motion_v1-00000-of-00001.jsonl": (4534, 44_162),
    "train_motion_v2-00000-00001.jsonl": (4534, 22_650),
    "train_pamap2_v2-00000-of-00001.jsonl": (9672, 48_345),
    "train_shoaib_v1-00000-of-00001.jsonl": (10_500, 101_972),
    "train_shoaib_v2-00000-of-00001.jsonl": (10_500, 52_480),
    "train_uci_v1-00000-of-00001.jsonl": (2088, 20_343),
    "train_uci_v2-00000-of-00001.jsonl": (2088, 10_440),
}


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    kind: InputKind = "imu",
) -> Iterator[Sample]:
    """One sample a question, in order of file, line and question.

    `kind` text: the prompt has the readings after the question, as LLaSA was trained.

    Raises: TracekitError with file and line for a record without readings or without a pair,
    unless skipped.
    """
    for file in chat_records.files(path, subset, lambda _: True):
        if llasa_json.is_array(file):
            yield from llasa_json.samples(file, kind=kind, on_error=on_error)
        else:
            yield from _pairs(file, kind, on_error)


def _pairs(file: Path, kind: InputKind, on_error: OnError) -> Iterator[Sample]:
    notes = Notes(on_error)
    for record in chat_records.records(file, on_error):
        found = qa_pairs.pairs(record.turn.assistant)
        if not found:
            notes.malformed(file, record.line, "no question with an answer in the assistant's text")
            notes.tell()
        caption = sensor_text.caption(record.turn.user)
        for number, (question, answer) in enumerate(found, 1):
            prompt = question
            if kind == "text":
                prompt = f"{question} {_readings(record.turn.user)}"
            yield chat_records.sample(
                record,
                "opensqa",
                kind=kind,
                prompt=prompt,
                answer=answer,
                # ids within the files repeat, so the place is the id
                name=f"{file.stem}:{record.line}:{number}",
                more={"caption": caption, "pair": number, "pairs": len(found)},
            )


def _readings(user: str) -> str:
    """The two lists as text, without the caption and the statistics around them."""
    parts = []
    for name, label in (("Gyroscope", sensor_text.GYRO), ("Accelerometer", sensor_text.ACCEL)):
        found = label.search(user)
        if found:
            rest = user[found.end() :]
            end = re.search(r"\]\s*\]", rest)
            parts.append(f"{name}: {rest[: end.end()] if end else rest}")
    return "".join(parts)


def recognise(path: Path) -> bool:
    """By a .jsonl whose first record's answer is numbered questions, or by LLaSA's array."""
    for file in chat_records.candidates(path):
        if llasa_json.is_array(file):
            return llasa_json.is_training_form(file)
        one = chat_records.first(file)
        if one is not None:
            return bool(qa_pairs.pairs(one.assistant))
    return False


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """Rows and pairs by file: (on disk, published). Pairs within 1 % are the same."""
    found: dict[str, tuple[int, int | None]] = {}
    for file in chat_records.files(path, None, lambda _: True):
        rows, published = PUBLISHED.get(file.name, (None, None))
        if llasa_json.is_array(file):
            found[f"{file.name} records"] = (llasa_json.count(file), None)
            continue
        found[f"{file.name} rows"] = (chat_records.count(file), rows)
        counted = sum(
            len(qa_pairs.pairs(r.turn.assistant)) for r in chat_records.records(file, "skip")
        )
        found[f"{file.name} pairs"] = (counted, published)
    return found


DATASET = Dataset(
    title="OpenSQA: questions and answers about 35,960 windows of phone IMU",
    kind="imu",
    samples=samples,
    holds="the windows of SensorCaps with about 10 (v1) or 5 (v2) questions each, about 435,000 "
    "pairs in all, each row with its caption; also LLaSA's training form, where the arrays may lie "
    "beside it",
    source="https://huggingface.co/datasets/BASH-Lab/OpenSQA",
    licence=chat_records.LICENCE,
    access="public",
    size="about 2 GB",
    layout="data/train_{hhar,motion,pamap2,shoaib,uci}_{v1,v2}-….jsonl, as SensorCaps with the "
    "caption in the user's text and all pairs in the assistant's; or llasa_training_….jsonl, one "
    "JSON array of {id, image, conversations}",
    fits=("llasa", "limu_bert", "onellm", "hf:PATH_OR_ID"),
    verified="verified on real files",
    how_to_get="tracekit datasets download opensqa --output-dir DIR, or: hf download "
    f"BASH-Lab/OpenSQA --repo-type dataset --revision {REVISION} --include 'data/*.jsonl' "
    "--local-dir DIR",
    subsets=(*SOURCES, "v1", "v2", *(f"{s}_{v}" for s in SOURCES for v in ("v1", "v2"))),
    takes={"kind": "imu, or text for a language model that reads the numbers themselves"},
    recognise=recognise,
    download=downloads.by_hub(
        "BASH-Lab/OpenSQA",
        revision=REVISION,
        patterns={
            "": ["data/*.jsonl"],
            **{s: [f"data/train_{s}_*.jsonl"] for s in SOURCES},
            **{v: [f"data/train_*_{v}-*.jsonl"] for v in ("v1", "v2")},
            **{f"{s}_{v}": [f"data/train_{s}_{v}-*.jsonl"] for s in SOURCES for v in ("v1", "v2")},
        },
    ),
    check=check,
)
