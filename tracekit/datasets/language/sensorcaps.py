"""SensorCaps (LLaSA): windows of phone IMU as text, each with a caption."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tracekit.datasets.entry import Dataset, InputKind, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats.csv_rows import OnError
from tracekit.datasets.language import chat_records

SOURCES = ("hhar", "motion", "shoaib", "uci", "pamap2")


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    kind: InputKind = "imu",
) -> Iterator[Sample]:
    """One sample a record, in order of file name and line.

    The prompt is what the record itself asks for (its system text and the summary); the answer
    is the caption. `kind` text: the prompt has the readings too, as they are written there.

    Raises: TracekitError with file and line for a record without readings, unless skipped.
    """
    for file in chat_records.files(path, subset, _mine):
        for record in chat_records.records(file, on_error):
            text = record.turn.user
            shown = f"Summary: {record.turn.summary}" if record.turn.summary else ""
            prompt = "\n".join(part for part in (record.turn.system, shown) if part)
            if kind == "text":
                prompt = "\n".join(part for part in (record.turn.system, text) if part)
            yield chat_records.sample(
                record,
                "sensorcaps",
                kind=kind,
                prompt=prompt or None,
                answer=record.turn.assistant or None,
                name=f"{file.stem}:{record.line}",
            )


def _mine(path: Path) -> bool:
    return "opensqa" not in path.name.lower()


def recognise(path: Path) -> bool:
    """By a .jsonl whose first record has readings in the user's text and a caption as answer."""
    for file in chat_records.candidates(path):
        one = chat_records.first(file)
        if one is not None:
            return bool(re.match(r"\W*Features:", one.assistant))
    return False


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """Records by file; how many are published is not known."""
    return {
        f"{f.name} records": (chat_records.count(f), None)
        for f in chat_records.files(path, None, _mine)
    }


DATASET = Dataset(
    title="SensorCaps: 35,960 windows of phone IMU with captions",
    kind="imu",
    samples=samples,
    holds="60 samples of gyroscope (rad/s) and accelerometer (m/s², with gravity) over 6 s, "
    "nominally 10 Hz, as text in chat records, with features and a narration; five sources",
    source="https://huggingface.co/datasets/BASH-Lab/SensorCaps",
    licence="Hippocratic License HL3-CL-ECO-EXTR-FFD-LAW-MEDIA-MIL-MY-SOC-SV-TAL-USTA",
    access="public",
    size="not known",
    layout="JSONL, one record a line: {messages: [system, user, assistant]}; the user's text has "
    "Summary, Gyroscope [[x, y, z] × 60], Accelerometer [[x, y, z] × 60]",
    fits=("llasa", "limu_bert", "onellm", "hf:PATH_OR_ID"),
    verified="verified on real files",
    how_to_get="tracekit datasets download sensorcaps --output-dir DIR, or: hf download "
    "BASH-Lab/SensorCaps --repo-type dataset --local-dir DIR",
    subsets=(*SOURCES, "v1", "v2", *(f"{s}_{v}" for s in SOURCES for v in ("v1", "v2"))),
    takes={"kind": "imu, or text for a language model that reads the numbers themselves"},
    recognise=recognise,
    download=downloads.by_hub("BASH-Lab/SensorCaps"),
    check=check,
)
