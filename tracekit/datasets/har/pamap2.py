"""UCI 231, PAMAP2: 9 people, 18 activities, IMUs at hand, chest and ankle at 100 Hz."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats.csv_rows import Notes, OnError, number_rows, read_bytes
from tracekit.datasets.formats.labels import canonical
from tracekit.datasets.formats.text_lines import Run, runs
from tracekit.errors import TracekitError

RATE_HZ = 100.0
HASH = "sha256:76b3580bd5a804121f507717cb498c66a312ef5c774f4a78ac470e6558add352"
WIDTH = 54
LICENCE = "CC BY 4.0"
PLACES = {"hand": 3, "chest": 20, "ankle": 37}  # first column of each: temperature
NAME = re.compile(r"subject(10\d)\.dat$")
ACTIVITIES = {
    1: "lying",
    2: "sitting",
    3: "standing",
    4: "walking",
    5: "running",
    6: "cycling",
    7: "nordic walking",
    9: "watching tv",
    10: "computer work",
    11: "car driving",
    12: "ascending stairs",
    13: "descending stairs",
    16: "vacuum cleaning",
    17: "ironing",
    18: "folding laundry",
    19: "house cleaning",
    20: "playing soccer",
    24: "rope jumping",
}


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Stretches of one person, activity and place, in file order, hand then chest then ankle.

    Activity 0 (between activities) is left out. `subset` is one place.
    """
    for file in [path] if path.is_file() else _files(_folder(path)):
        for run in runs(file, _activity):
            if run.key[0] != "0":
                for place in [subset] if subset else PLACES:
                    yield _sample(file, run, place, on_error)


def _activity(line: bytes) -> bytes | None:
    cells = line.split(None, 2)
    return cells[1] if len(cells) == 3 and cells[1].isdigit() else None


def _sample(file: Path, run: Run, place: str, on_error: OnError) -> Sample:
    def parse(raw: bytes) -> Recording:
        import numpy as np

        notes = Notes(on_error)
        table = number_rows(raw, file, width=WIDTH, notes=notes, first_line=run.line, finite=False)
        table = table[np.isfinite(table[:, 0])]
        base = PLACES[place]
        values = table[:, [base + 1, base + 2, base + 3, base + 7, base + 8, base + 9]]
        whole = np.isfinite(values).all(axis=1)
        if not whole.any():
            raise TracekitError(
                f"no reading of the {place} in this stretch", where=f"{file}:{run.line}", hint=""
            )
        if not whole.all():
            notes.repair(f"left out {int((~whole).sum())} rows that the radio lost (NaN)")
        times = (table[whole, 0] - table[whole, 0][0]) * 1e3
        return Recording(
            "imu",
            values=values[whole],
            rate_hz=RATE_HZ,
            timestamps_ms=times,
            repairs=notes.repairs(),
        )

    person = NAME.search(file.name)
    number = int(run.key[0])
    return Sample(
        id=f"{file.stem}-{run.line}-{place}",
        dataset="pamap2",
        path=file,
        read=lambda: read_bytes(file, run.start, run.size),
        parse=parse,
        label=canonical(ACTIVITIES.get(number, f"activity {number}")),
        licence=LICENCE,
        facts={"subject": int(person[1]) if person else None, "place": place, "rows": run.rows},
    )


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("subject10*.dat") if NAME.search(file.name))


def _folder(path: Path) -> Path:
    for folder in (path, path / "Protocol", path / "PAMAP2_Dataset" / "Protocol"):
        if _files(folder):
            return folder
    raise TracekitError("no PAMAP2 here", where=path, hint="expected Protocol/subject101.dat")


def recognise(path: Path) -> bool:
    """By subject10N.dat."""
    if path.is_file():
        return bool(NAME.search(path.name))
    try:
        return bool(_folder(path))
    except TracekitError:
        return False


DATASET = Dataset(
    title="UCI 231 PAMAP2: 9 people, 18 activities, IMUs at hand, chest and ankle",
    kind="imu",
    samples=samples,
    holds="accelerometer (±16 g range, m/s², with gravity) and gyroscope (rad/s) at 100 Hz in "
    "three places, with timestamps; rows that the radio lost are NaN",
    source="https://archive.ics.uci.edu/dataset/231",
    licence=LICENCE,
    access="public",
    size="about 650 MB zipped",
    layout="[PAMAP2_Dataset/]Protocol/subject10{1..9}.dat: 54 columns in white space",
    fits=("llasa", "limu_bert", "onellm", "imu2clip"),
    verified="built from the documented format",
    how_to_get="tracekit datasets download pamap2 --output-dir DIR",
    subsets=tuple(PLACES),
    recognise=recognise,
    download=downloads.by_https(
        "https://archive.ics.uci.edu/static/public/231/pamap2+physical+activity+monitoring.zip",
        known_hash=HASH,
    ),
    checksums={"pamap2_physical_activity_monitoring.zip": HASH},
)
