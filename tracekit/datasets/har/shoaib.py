"""Shoaib et al. 2014: 10 people, 7 activities, five phones on the body at 50 Hz."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.formats.csv_rows import Notes, OnError, first_line, read_bytes
from tracekit.datasets.formats.labels import canonical
from tracekit.datasets.formats.text_lines import Run, runs
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 50.0
HASH = "sha256:61d5dcc5ed9c78321a983667c608e4fcf594d3edab7d1cfc7fffae66218e05c2"
LICENCE = "not stated by the authors"
POSITIONS = ("left_pocket", "right_pocket", "wrist", "upper_arm", "belt")
WIDTH = 70  # five blocks of 14, the last of which has the activity where the others have a blank
BLOCK = 14
NAME = re.compile(r"Participant_(\d+)\.csv$")


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Stretches of one person, activity and position; `windows` are LIMU-BERT's, 20 Hz.

    In order of participant, then of the file, then left pocket, right pocket, wrist, upper arm,
    belt. The file's timestamps are ruined (1.39E+12), so time is the row over 50 Hz.
    """
    positions = [subset] if subset in POSITIONS else list(POSITIONS)
    for file in [path] if path.is_file() else _files(_folder(path)):
        for run in runs(file, _activity, skip=2):
            for position in positions:
                if subset != "windows":
                    yield _sample(file, run, position, None, on_error)
                    continue
                for number in range(run.rows // windows_20hz.SPAN):
                    yield _sample(file, run, position, number, on_error)


def _activity(line: bytes) -> bytes | None:
    cells = line.rstrip(b"\r\n").split(b",")
    return cells[-1].strip() if len(cells) == WIDTH and cells[-1].strip() else None


def _sample(file: Path, run: Run, position: str, window: int | None, on_error: OnError) -> Sample:
    base = BLOCK * POSITIONS.index(position)
    person = NAME.search(file.name)

    def parse(raw: bytes) -> Recording:
        import numpy as np

        notes = Notes(on_error)
        values = _rows(raw, file, run.line, base, notes)
        notes.repair("time is the row over 50 Hz: the file's timestamps have lost their digits")
        if window is None:
            values = values[np.isfinite(values).all(axis=1)]
            return Recording("imu", values=values, rate_hz=RATE_HZ, repairs=notes.repairs())
        part = values[window * windows_20hz.SPAN : (window + 1) * windows_20hz.SPAN]
        if len(part) != windows_20hz.SPAN or not np.isfinite(part).all():
            raise TracekitError(
                "a malformed row lies in this window",
                where=f"{file}:{run.line}",
                hint="take the subset 'segments'",
            )
        notes.repair("50 Hz to 20 Hz by means of 2 and 3 samples in turn, as LIMU-BERT does")
        return Recording(
            "imu",
            values=windows_20hz.window(part),
            rate_hz=windows_20hz.RATE_HZ,
            repairs=notes.repairs(),
        )

    name = f"{file.stem}-{run.line}-{position}"
    return Sample(
        id=name if window is None else f"{name}-w{window}",
        dataset="shoaib",
        path=file,
        read=lambda: read_bytes(file, run.start, run.size),
        parse=parse,
        label=canonical(run.key[0]),
        licence=LICENCE,
        facts={"participant": int(person[1]) if person else None, "position": position}
        | {"rows": run.rows, "line": run.line},
    )


def _rows(raw: bytes, file: Path, line: int, base: int, notes: Notes) -> npt.NDArray[np.float64]:
    """[L, 6] Ax Ay Az (with gravity) and Gx Gy Gz of one position; malformed rows are NaN."""
    import numpy as np

    wanted = [base + 1, base + 2, base + 3, base + 7, base + 8, base + 9]
    lines = raw.rstrip().split(b"\n")
    values = np.full((len(lines), 6), np.nan)
    for at, text in enumerate(lines):
        cells = text.split(b",")
        if len(cells) != WIDTH:
            notes.malformed(file, line + at, f"{len(cells)} values where {WIDTH} belong")
            continue
        try:
            row = [float(cells[column]) for column in wanted]
        except ValueError:
            notes.malformed(file, line + at, "not a number among the six channels")
            continue
        if np.isfinite(row).all():
            values[at] = row
        else:
            notes.malformed(file, line + at, "a value is not finite")
    return values


def _files(folder: Path) -> list[Path]:
    found = [(NAME.search(file.name), file) for file in folder.glob("Participant_*.csv")]
    return [file for _, file in sorted((int(match[1]), file) for match, file in found if match)]


def _folder(path: Path) -> Path:
    for folder in (path, path / "DataSet"):
        if _files(folder):
            return folder
    raise TracekitError("no Shoaib data here", where=path, hint="expected Participant_1.csv")


def recognise(path: Path) -> bool:
    """By Participant_N.csv and the 70 columns of its header."""
    if path.is_file():
        return bool(NAME.search(path.name)) and first_line(path).count(",") >= WIDTH - 2
    try:
        return bool(_folder(path))
    except TracekitError:
        return False


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """Participants and LIMU-BERT windows: (on disk, published)."""
    files = _files(_folder(path))
    windows = sum(
        run.rows // windows_20hz.SPAN * len(POSITIONS)
        for file in files
        for run in runs(file, _activity, skip=2)
    )
    return {"participants": (len(files), 10), "LIMU-BERT windows": (windows, 10_500)}


DATASET = Dataset(
    title="Shoaib: 10 people, 7 activities, five phones on the body",
    kind="imu",
    samples=samples,
    holds="accelerometer (m/s², with gravity) and gyroscope (rad/s) at 50 Hz in five places, three "
    "minutes of each activity; linear acceleration and magnetometer are left out",
    source="https://www.utwente.nl/en/eemcs/ps/research/dataset/",
    licence=LICENCE,
    access="public",
    size="10 files of 63,000 rows",
    layout="[DataSet/]Participant_{1..10}.csv: two header lines, then 70 columns, 14 a position "
    "(time, A xyz, L xyz, G xyz, M xyz, blank), the activity last",
    fits=("llasa", "limu_bert", "onellm", "imu2clip"),
    verified="built from the documented format",
    how_to_get="tracekit datasets download shoaib --output-dir DIR (a .rar: needs libarchive)",
    subsets=("segments", "windows", *POSITIONS),
    recognise=recognise,
    download=downloads.by_https(
        "https://www.utwente.nl/en/eemcs/ps/dataset-folder/sensors-activity-recognition-dataset-"
        "shoaib.rar",
        known_hash=HASH,
    ),
    check=check,
    checksums={"sensors-activity-recognition-dataset-shoaib.rar": HASH},
)
