"""UCI 240, UCI HAR v1: windows of 2.56 s at 50 Hz of 30 people, 6 activities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats.csv_rows import (
    G,
    Notes,
    OnError,
    line_starts,
    number_rows,
    read_bytes,
)
from tracekit.datasets.formats.folders import inside
from tracekit.datasets.formats.labels import canonical
from tracekit.errors import TracekitError

RATE_HZ = 50.0
LENGTH = 128
LICENCE = "CC BY 4.0 on the UCI page; its own older README prohibits commercial use"
ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")
SIGNALS = tuple(f"{name}_{axis}" for name in ("total_acc", "body_gyro") for axis in "xyz")
PUBLISHED = {"train": 7352, "test": 2947}


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Windows in file order, train before test. Neighbours overlap by half: split by subject.

    Raises: TracekitError where the files of a split differ in length, or there is none.
    """
    folder = _folder(path)
    for split in [subset] if subset else PUBLISHED:
        signals = inside(folder, split, "Inertial Signals")
        files = [inside(signals, f"{name}_{split}.txt") for name in SIGNALS]
        if not subset and not signals.is_dir():
            continue
        places = [line_starts(read_bytes(file)) for file in files]
        labels = _column(inside(folder, split, f"y_{split}.txt"), on_error, len(ACTIVITIES))
        people = _column(inside(folder, split, f"subject_{split}.txt"), on_error)
        lengths = {len(at) - 1 for at in places} | ({len(labels)} if labels else set())
        if len(lengths) != 1:
            raise TracekitError(
                f"files differ in length: {sorted(lengths)} windows",
                where=signals,
                hint="fetch them again",
            )
        for row in range(lengths.pop()):
            spans = [(int(at[row]), int(at[row + 1] - at[row])) for at in places]
            label = ACTIVITIES[labels[row] - 1] if labels and labels[row] else None
            yield _window(files, spans, split, row, label, people, on_error)


def _window(
    files: list[Path],
    spans: list[tuple[int, int]],
    split: str,
    row: int,
    label: str | None,
    people: list[int],
    on_error: OnError,
) -> Sample:
    def read() -> list[bytes]:
        return [read_bytes(file, *span) for file, span in zip(files, spans, strict=True)]

    def parse(raw: list[bytes]) -> Recording:
        import numpy as np

        columns = [
            number_rows(data, file, width=LENGTH, notes=Notes(), first_line=row + 1)[0]
            for data, file in zip(raw, files, strict=True)
        ]
        values = np.stack(columns, axis=1)
        values[:, :3] *= G
        return Recording("imu", values=values, rate_hz=RATE_HZ)

    return Sample(
        id=f"{split}-{row:05d}",
        dataset="uci_har",
        path=files[0],
        read=read,
        parse=parse,
        label=canonical(label) if label else None,
        licence=LICENCE,
        facts={"split": split, "row": row} | ({"subject": people[row]} if people else {}),
    )


def _column(path: Path, on_error: OnError, most: int | None = None) -> list[int]:
    """Whole numbers from 1 to `most`, one a line; [] without the file.

    A line that holds another is refused, or said and 0.

    Raises: TracekitError with file and line for a malformed one that is not skipped.
    """
    import numpy as np

    if not path.is_file():
        return []
    notes = Notes(on_error)
    found = number_rows(read_bytes(path), path, width=1, notes=notes)[:, 0]
    known = f"1 to {most}" if most else "1 or more"
    for row in np.flatnonzero(
        (found % 1 != 0) & ~np.isnan(found) | (found < 1) | (found > (most or np.inf))
    ):
        notes.malformed(path, int(row) + 1, f"{found[row]:g} is no label that is known: {known}")
        found[row] = 0
    notes.tell()
    return [int(value) for value in np.nan_to_num(found)]


def _folder(path: Path) -> Path:
    for folder in (path, inside(path, "UCI HAR Dataset")):
        if any(inside(folder, split, "Inertial Signals").is_dir() for split in PUBLISHED):
            return folder
    raise TracekitError("no UCI HAR here", where=path, hint="expected train/Inertial Signals")


def recognise(path: Path) -> bool:
    """By `train/Inertial Signals` or `test/Inertial Signals`."""
    try:
        return path.is_dir() and bool(_folder(path))
    except TracekitError:
        return False


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """Windows by split: (on disk, published)."""
    folder = _folder(path)
    found: dict[str, tuple[int, int | None]] = {}
    for split, published in PUBLISHED.items():
        file = inside(folder, split, "Inertial Signals", f"total_acc_x_{split}.txt")
        if file.is_file():
            found[f"{split} windows"] = (len(line_starts(read_bytes(file))) - 1, published)
    return found


DATASET = Dataset(
    title="UCI 240 UCI HAR v1: 30 people, 6 activities, windows of 128 samples",
    kind="imu",
    samples=samples,
    holds="total acceleration (g in the file, m/s² here) and gyroscope (rad/s) at 50 Hz in windows "
    "of 2.56 s with half overlap, 7,352 train and 2,947 test; too short for LIMU-BERT's 6 s",
    source="https://archive.ics.uci.edu/dataset/240",
    licence=LICENCE,
    access="public",
    size="58 MiB zipped",
    layout="[UCI HAR Dataset/]{train,test}/Inertial Signals/{total_acc,body_acc,body_gyro}_{x,y,z}_"
    "{train,test}.txt, y_*.txt, subject_*.txt",
    fits=("onellm",),
    verified="verified on real files",
    how_to_get="tracekit datasets download uci_har --output-dir DIR",
    subsets=("train", "test"),
    recognise=recognise,
    download=downloads.by_https(
        "https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+"
        "smartphones.zip"
    ),
    check=check,
)
