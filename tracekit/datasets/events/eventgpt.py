"""EventGPT's instruction subset: events of DSEC in pickled .npy files, with conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import event_files
from tracekit.datasets.formats.csv_rows import Notes, OnError
from tracekit.datasets.formats.text_lines import items
from tracekit.errors import TracekitError

LIST = "EventGPT_Instruction_Subset.json"
SPAN_US = 100_000  # EventGPT refuses events that span so much
LICENCE = "not stated; the events are DSEC's"


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    trust_pickle: bool = False,
) -> Iterator[Sample]:
    """One sample an entry, with its first question and answer, in file order.

    Raises: TracekitError where the list is missing; with file and line for a malformed entry or
    one whose events are not there, unless skipped.
    """
    listed = path if path.is_file() else path / LIST
    if not listed.is_file():
        raise TracekitError("no list of conversations", where=path, hint=f"expected {LIST}")
    notes = Notes(on_error)
    for number, item in enumerate(items(listed)):
        notes.tell()
        try:
            value = json.loads(item.data)
            said = {turn["from"]: turn["value"] for turn in reversed(value["conversations"])}
            events = _place(listed.parent, str(value["event_data"]))
        except (KeyError, TypeError, ValueError) as fault:
            notes.malformed(listed, item.line, f"entry {number}: {fault!r}")
            continue
        if events is None:
            notes.malformed(listed, item.line, f"entry {number}: no file {value['event_data']}")
            continue
        yield _sample(number, value, said, events, trust_pickle)
    notes.tell()


def _place(folder: Path, name: str) -> Path | None:
    for base in (folder / "event_npy", folder):
        # a name from the file must not lead out of the folder
        found = (base / name).resolve()
        if found.is_file() and found.is_relative_to(folder.resolve()):
            return found
    return None


def _sample(
    number: int, value: dict[str, Any], said: dict[str, str], events: Path, trust: bool
) -> Sample:
    def parse(raw: Any) -> Recording:
        recording = event_files.parse(raw, events)
        span = int(recording.arrays["t"][-1] - recording.arrays["t"][0])
        if span >= SPAN_US:
            raise TracekitError(
                f"events span {span} µs, and EventGPT refuses {SPAN_US} or more",
                where=events,
                hint="cut a shorter window",
            )
        return recording

    return Sample(
        id=f"{number}:{value.get('id', '')}",
        dataset="eventgpt",
        path=events,
        read=lambda: event_files.read(events, trust_pickle=trust),
        parse=parse,
        prompt=said.get("human", "").replace("<event>", "").strip() or None,
        answer=said.get("gpt"),
        licence=LICENCE,
        facts={"split": value.get("split"), "turns": len(value["conversations"])},
    )


def recognise(path: Path) -> bool:
    """By the name of its list."""
    return path.name == LIST if path.is_file() else (path / LIST).is_file()


DATASET = Dataset(
    title="EventGPT instruction subset: 50 ms of DSEC events with conversations",
    kind="events",
    samples=samples,
    holds="events x, y, p, t (µs, 16 bit in the files) of DSEC windows as pickled dicts, each with "
    "questions and answers",
    source="https://huggingface.co/datasets/XduSyL/EventGPT-datasets",
    licence=LICENCE,
    access="public",
    size="not known",
    layout=f"{LIST}: a list of {{id, split, event_data, conversations}}; event_npy/SEQ/000000.npy",
    fits=("eventgpt",),
    verified="built from the documented format",
    how_to_get="tracekit datasets download eventgpt --output-dir DIR",
    takes={"trust_pickle": "read the pickles, numpy arrays only"},
    recognise=recognise,
    download=downloads.by_hub("XduSyL/EventGPT-datasets", patterns={"": [LIST, "event_npy/**"]}),
)
