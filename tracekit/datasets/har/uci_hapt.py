"""UCI 341, HAPT: raw phone IMU of 30 people, 12 activities; the 'uci' of LIMU-BERT and LLaSA."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.formats.csv_rows import (
    G,
    Notes,
    OnError,
    line_starts,
    log,
    number_rows,
    read_bytes,
)
from tracekit.datasets.formats.labels import canonical
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 50.0
LICENCE = "CC BY 4.0 on the UCI site; its own README prohibits commercial use"
ACTIVITIES = (
    "walking",
    "walking upstairs",
    "walking downstairs",
    "sitting",
    "standing",
    "lying",
    "stand to sit",
    "sit to stand",
    "sit to lie",
    "lie to sit",
    "stand to lie",
    "lie to stand",
)
STEADY = 6  # the first so many are activities, the others transitions
NAME = re.compile(r"(?:acc|gyro)_exp(\d+)_user(\d+)\.txt$")


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of labels.txt; `start` as published, used as an index from 0 as LIMU-BERT does."""

    experiment: int
    user: int
    activity: int  # 1 to 12
    start: int
    end: int


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Labelled segments at 50 Hz; `recordings` whole files; `windows` those of LIMU-BERT.

    One acc_…txt or gyro_…txt as `path` is that recording whole, without a subset.

    Raises: TracekitError where a file is missing.
    """
    folder = path.parent if path.is_file() else raw_folder(path)
    if subset is None:
        subset = "recordings" if path.is_file() or not _labels(folder).is_file() else "segments"
    for accel, gyro, key in _recordings(path, folder):
        if subset == "recordings":
            yield _sample(accel, gyro, key, None, on_error)
        else:
            yield from _labelled(accel, gyro, key, folder, subset, on_error)


def raw_folder(path: Path) -> Path:
    """The folder with the raw files: `path`, RawData, or `HAPT Data Set/RawData`."""
    for folder in (path, path / "RawData", path / "HAPT Data Set" / "RawData"):
        if any(folder.glob("acc_exp*_user*.txt")):
            return folder
    raise TracekitError(
        "no raw HAPT recordings here", where=path, hint="expected RawData/acc_exp01_user01.txt"
    )


def recognise(path: Path) -> bool:
    """By acc_expEE_userUU.txt."""
    if path.is_file():
        return bool(NAME.match(path.name))
    try:
        return bool(raw_folder(path))
    except TracekitError:
        return False


def segments(folder: Path, notes: Notes) -> list[Segment]:
    """All lines of labels.txt, in its order."""
    import numpy as np

    path = _labels(folder)
    rows = number_rows(read_bytes(path), path, width=5, notes=notes)
    found = []
    for line, row in enumerate(rows, 1):
        if np.isnan(row[0]):
            continue
        one = Segment(*(int(cell) for cell in row))
        if 1 <= one.activity <= len(ACTIVITIES) and 0 <= one.start < one.end:
            found.append(one)
        else:
            notes.malformed(path, line, "no such activity, or a segment that ends as it starts")
    notes.tell()
    return found


def _labels(folder: Path) -> Path:
    return folder / "labels.txt"


def _recordings(path: Path, folder: Path) -> Iterator[tuple[Path, Path, tuple[int, int]]]:
    """Accelerometer file, gyroscope file, and (experiment, user), in order of name."""
    wanted = [path] if path.is_file() else sorted(folder.glob("acc_exp*_user*.txt"))
    for one in wanted:
        match = NAME.match(one.name)
        if not match:
            continue
        rest = one.name.split("_", 1)[1]
        accel, gyro = folder / f"acc_{rest}", folder / f"gyro_{rest}"
        for file in (accel, gyro):
            if not file.is_file():
                raise TracekitError(
                    "half of a recording: the file beside it is missing",
                    where=one,
                    hint=f"expected {file.name} in the same folder",
                )
        yield accel, gyro, (int(match[1]), int(match[2]))


def _labelled(
    accel: Path,
    gyro: Path,
    key: tuple[int, int],
    folder: Path,
    subset: str,
    on_error: OnError,
) -> Iterator[Sample]:
    # where each line starts, so that a sample reads its own bytes only
    lines = [line_starts(read_bytes(file)) for file in (accel, gyro)]
    length = min(len(at) - 1 for at in lines)
    beyond = 0
    for one in segments(folder, Notes(on_error)):
        if (one.experiment, one.user) != key:
            continue
        if one.end > length:
            beyond += 1
        elif subset == "segments":
            yield _sample(accel, gyro, key, (one, one.start, one.end, None, lines), on_error)
        elif one.activity <= STEADY:
            for index in range(windows_20hz.window_count(one.end - one.start)):
                first, last = windows_20hz.window_span(index)
                place = (one, one.start + first, one.start + last, index, lines)
                yield _sample(accel, gyro, key, place, on_error)
    if beyond:
        log.warning(
            "%s has %d rows: %d labelled segments end after that and are left out",
            accel,
            length,
            beyond,
        )


Place = tuple[Segment, int, int, int | None, "list[npt.NDArray[np.int64]]"]


def _sample(
    accel: Path, gyro: Path, key: tuple[int, int], place: Place | None, on_error: OnError
) -> Sample:
    """The whole recording, or rows of one segment of it, or one LIMU-BERT window."""
    name = f"exp{key[0]:02d}_user{key[1]:02d}"
    facts: dict[str, Any] = {"experiment": key[0], "user": key[1]}
    label, first, window = None, 0, None
    if place is not None:
        segment, first, last, window, _ = place
        label = canonical(ACTIVITIES[segment.activity - 1])
        name += f"_{first}" if window is None else f"_{segment.start}_w{window}"
        facts |= {"activity": segment.activity, "first_row": first, "rows": last - first}
    return Sample(
        id=name,
        dataset="uci_hapt",
        path=accel,
        read=_reader((accel, gyro), place),
        parse=lambda raw: _parse(raw, (accel, gyro), first, window is not None, on_error),
        label=label,
        licence=LICENCE,
        facts=facts,
    )


def _reader(files: tuple[Path, Path], place: Place | None) -> Callable[[], tuple[bytes, bytes]]:
    if place is None:
        return lambda: (read_bytes(files[0]), read_bytes(files[1]))
    _, first, last, _, lines = place

    def one(file: Path, at: npt.NDArray[np.int64]) -> bytes:
        return read_bytes(file, int(at[first]), int(at[last] - at[first]))

    return lambda: (one(files[0], lines[0]), one(files[1], lines[1]))


def _parse(
    raw: tuple[bytes, bytes],
    files: tuple[Path, Path],
    first: int,
    as_window: bool,
    on_error: OnError,
) -> Recording:
    import numpy as np

    notes = Notes(on_error)
    both = [
        number_rows(data, file, width=3, notes=notes, first_line=first + 1)
        for data, file in zip(raw, files, strict=True)
    ]
    length = min(len(rows) for rows in both)
    if len(both[0]) != len(both[1]):
        notes.repair(f"cut to {length} rows: accelerometer and gyroscope differ in length")
    values = np.hstack([both[0][:length] * G, both[1][:length]])
    good = np.isfinite(values).all(axis=1)
    if as_window and good.all() and length == windows_20hz.SPAN:
        notes.repair("50 Hz to 20 Hz by means of 2 and 3 samples in turn, as LIMU-BERT does")
        return Recording(
            "imu",
            values=windows_20hz.window(values),
            rate_hz=windows_20hz.RATE_HZ,
            repairs=notes.repairs(),
        )
    if as_window:
        raise TracekitError(
            "a malformed row lies in this window",
            where=f"{files[0]}:{first + 1}",
            hint="mend the file, or take the subset 'segments'",
        )
    return Recording("imu", values=values[good], rate_hz=RATE_HZ, repairs=notes.repairs())


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """What was counted: (on disk, published)."""
    folder = raw_folder(path)
    found: dict[str, tuple[int, int | None]] = {
        "recordings": (len(list(folder.glob("acc_exp*_user*.txt"))), 61)
    }
    if _labels(folder).is_file():
        labelled = segments(folder, Notes("skip"))
        steady = [s for s in labelled if s.activity <= STEADY]
        found["labelled segments"] = (len(labelled), 1214)
        found["LIMU-BERT windows by labels.txt"] = (
            sum(windows_20hz.window_count(s.end - s.start) for s in steady),
            2088,
        )
    return found


DATASET = Dataset(
    title="UCI 341 HAPT: 30 people, 12 activities, phone at the waist",
    kind="imu",
    samples=samples,
    holds="accelerometer (g in the file, m/s² here) and gyroscope (rad/s) at 50 Hz, 61 recordings, "
    "1,214 labelled segments; the 'uci' of LIMU-BERT and LLaSA",
    source="https://archive.ics.uci.edu/dataset/341",
    licence=LICENCE,
    access="public",
    size="76 MiB zipped",
    layout="RawData/acc_expEE_userUU.txt and gyro_expEE_userUU.txt (x y z), RawData/labels.txt "
    "(experiment user activity start end)",
    fits=("llasa", "limu_bert", "onellm", "imu2clip"),
    verified="verified on real files",
    how_to_get="tracekit datasets download uci_hapt --output-dir DIR",
    subsets=("segments", "recordings", "windows"),
    recognise=recognise,
    download=downloads.by_https(
        "https://archive.ics.uci.edu/static/public/341/smartphone+based+recognition+of+human+"
        "activities+and+postural+transitions.zip",
        size=79_596_192,
    ),
    check=check,
)
