"""Ego4D IMU: one csv a video, or the arrays that IMU2CLIP and OneLLM make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Dataset, InputKind, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import video_events
from tracekit.datasets.formats.csv_rows import Notes, OnError, csv_columns, first_line, read_bytes
from tracekit.datasets.formats.numpy_files import npy
from tracekit.datasets.video import ego4d_windows
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LICENCE = "Ego4D licence agreement; no redistribution"
TIME = "canonical_timestamp_ms"
# the file has the gyroscope first; a Recording has the acceleration first
CHANNELS = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")
VIDEOS = (Path("v2/full_scale"), Path("v2/video_540ss"), Path("full_scale"), Path("."))
GAP = 5.0  # a step of more than so many median steps is a gap


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    rate_hz: float | None = None,
    also: Sequence[InputKind] = (),
    **events: float,
) -> Iterator[Sample]:
    """Whole recordings by default, in order of file name; else the windows of a list.

    `narrations` (narration.json, 5 s around each), `eval` and `tuning` (OneLLM's lists), `splits`
    (a csv of IMU2CLIP). Windows of videos that are not on disk are left out, and counted. With
    `also` events each holds those of its video from the window's start on.

    Raises: TracekitError where there is no recording, or not that list.
    """
    found = files(path)
    if not found:
        raise TracekitError(
            "no Ego4D IMU here", where=path, hint="expected v2/imu/UID.csv or UID_timestamps.npy"
        )
    made = [recording(one, on_error=on_error, rate_hz=rate_hz) for one in found]
    folder = path.parent if path.is_file() else path
    each = iter(made)
    if subset is not None:
        wanted = ego4d_windows.windows(folder, subset, on_error)
        each = ego4d_windows.on_disk(wanted, {one.id: one for one in made})
    for one in each:
        yield _with_events(one, folder, events) if "events" in also else one


def _with_events(sample: Sample, folder: Path, options: Mapping[str, float]) -> Sample:
    """The sample beside what its video's events would be, both on the video's clock.

    Raises: TracekitError where the video is not on disk.
    """
    video = next((path for place in VIDEOS if (path := folder / place / f"{sample.path.stem}.mp4")
                  .is_file()), None)  # fmt: skip
    if video is None:
        raise TracekitError(
            "its video is not on disk",
            where=f"{sample.path.stem}.mp4",
            hint=f"expected in {', '.join(map(str, VIDEOS[:-1]))} of {folder}",
        )
    start = sample.facts.get("start_s")
    start = _begins_s(sample.path) if start is None else max(float(start), 0.0)
    return replace(sample, also={"events": video_events.view(sample, video, start, **options)})


def _begins_s(path: Path) -> float:
    """When a recording begins on its video's clock, of the first row that says so."""
    import csv

    import numpy as np

    if path.suffix == ".npy":
        beside = path.with_name(f"{path.stem}_timestamps.npy")
        times = npy(beside, beside) if beside.is_file() else np.zeros(1)
        return max(float(times[0]), 0.0) / 1e3
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            said = row.get(TIME) or ""
            if said and np.isfinite(float(said)):
                return max(float(said), 0.0) / 1e3
    return 0.0


def files(path: Path) -> list[Path]:
    """The csv and npy recordings under a folder, or the one file, in order of name."""
    if path.is_file():
        return [_array_of(path)]
    for folder in (path / "v2" / "imu", path / "imu", path / "processed_imu", path):
        arrays = sorted(_array_of(p) for p in folder.glob("*_timestamps.npy"))
        tables = sorted(p for p in folder.glob("*.csv") if _is_table(p))
        if arrays or tables:
            return arrays + tables
    return []


def _array_of(path: Path) -> Path:
    return path.with_name(path.name.replace("_timestamps.npy", ".npy"))


def _is_table(path: Path) -> bool:
    header = first_line(path)
    return TIME in header and "accl_x" in header


def recognise(path: Path) -> bool:
    """By `UID_timestamps.npy` beside `UID.npy`, or by the header of the csv."""
    if path.is_dir():
        return bool(files(path))
    if path.suffix == ".npy":
        array = _array_of(path)
        return array.with_name(f"{array.stem}_timestamps.npy").is_file()
    return path.suffix == ".csv" and _is_table(path)


def recording(path: Path, *, on_error: OnError = "raise", rate_hz: float | None = None) -> Sample:
    """One whole recording, from a csv or a pair of arrays."""
    if path.suffix == ".npy":
        return pair(path, rate_hz=rate_hz)
    return Sample(
        id=path.stem,
        dataset="ego4d",
        path=path,
        read=lambda: read_bytes(path),
        parse=lambda raw: parse_csv(raw, path, on_error),
        licence=LICENCE,
    )


def pair(path: Path, *, rate_hz: float | None = None) -> Sample:
    """`UID.npy` (6, N), acceleration first, and `UID_timestamps.npy` (N,) in ms.

    Without the second file `rate_hz` says how fast the samples came.
    """
    beside = path.with_name(f"{path.stem}_timestamps.npy")

    def read() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        return npy(path, path), npy(beside, beside) if beside.is_file() else None

    return Sample(
        id=path.stem,
        dataset="ego4d",
        path=path,
        read=read,
        parse=lambda raw: parse_pair(raw, path, rate_hz),
        licence=LICENCE,
    )


def parse_pair(
    raw: tuple[npt.NDArray[Any], npt.NDArray[Any] | None], path: Path, rate_hz: float | None
) -> Recording:
    """The pair as a recording.

    Raises: TracekitError for a wrong shape, for no timestamps and no rate, for values that are
    not numbers.
    """
    import numpy as np

    values, times = raw
    if values.ndim != 2 or values.shape[0] != 6 or not np.issubdtype(values.dtype, np.number):
        raise TracekitError(
            f"shape {values.shape} of {values.dtype} where (6, N) numbers belong",
            where=path,
            hint="six rows: accelerometer x y z (m/s²), gyroscope x y z (rad/s)",
        )
    notes = Notes()
    values = np.asarray(values.T, np.float64)
    if times is not None:
        times = np.asarray(times, np.float64)
        if times.shape != (len(values),) or not np.isfinite(times).all():
            raise TracekitError(
                f"{times.shape} timestamps for {len(values)} samples, or one that is not finite",
                where=path.with_name(f"{path.stem}_timestamps.npy"),
                hint="one timestamp in ms for each sample",
            )
        rate_hz = nominal_rate(times) or rate_hz
        _note_clock(times, notes)
    if rate_hz is None:
        raise TracekitError(
            "no rate is stated and there are no timestamps",
            where=path,
            hint="say how fast the samples came, as in --rate-hz 50, or add UID_timestamps.npy",
        )
    values = _no_holes(values, notes)
    return Recording(
        "imu", values=values, rate_hz=rate_hz, timestamps_ms=times, repairs=notes.repairs()
    )


def parse_csv(raw: bytes, path: Path, on_error: OnError) -> Recording:
    """The csv as IMU2CLIP reads it: rows without canonical time dropped, sorted, holes as 0.

    Raises: TracekitError for a malformed row unless it is skipped, and where the file has no
    accelerometer or no gyroscope at all.
    """
    import numpy as np

    notes = Notes(on_error)
    table, _ = csv_columns(raw, path, (TIME, *CHANNELS), notes=notes, empty=True)
    timed = np.isfinite(table[:, 0])
    if not timed.all():
        notes.repair(f"dropped {int((~timed).sum())} rows without {TIME}")
    table = table[timed]
    for name, columns in (("accelerometer", table[:, 1:4]), ("gyroscope", table[:, 4:7])):
        if not np.isfinite(columns).any():
            raise TracekitError(
                f"no {name} in this recording",
                where=path,
                hint="Ego4D has such files; choose another video",
            )
    order = np.argsort(table[:, 0], kind="stable")
    moved = int((order != np.arange(len(order))).sum())
    if moved:
        notes.repair(f"sorted by {TIME}: {moved} rows were out of place")
    table = table[order]
    times = table[:, 0].copy()
    _note_clock(times, notes)
    return Recording(
        "imu",
        values=_no_holes(table[:, 1:].copy(), notes),
        rate_hz=nominal_rate(times),
        timestamps_ms=times,
        repairs=notes.repairs(),
    )


def nominal_rate(times_ms: npt.NDArray[np.float64]) -> float | None:
    """1000 over the median step; None for fewer than two samples or a clock that stands still.

    The mean step, which the published code uses, is fooled by one long gap.
    """
    import numpy as np

    if len(times_ms) < 2:
        return None
    step = float(np.median(np.diff(times_ms)))
    return 1e3 / step if step > 0 else None


def _note_clock(times: npt.NDArray[np.float64], notes: Notes) -> None:
    import numpy as np

    steps = np.diff(times)
    if not len(steps):
        return
    if (steps < 0).any():
        notes.repair(f"left as it is: the clock goes back {int((steps < 0).sum())} times")
    gaps = steps[steps > GAP * max(float(np.median(steps)), 1e-9)]
    if len(gaps):
        notes.repair(
            f"left as it is: {len(gaps)} gaps in the clock, the longest {gaps.max() / 1e3:.2f} s"
        )


def _no_holes(values: npt.NDArray[np.float64], notes: Notes) -> npt.NDArray[np.float64]:
    import numpy as np

    holes = int((~np.isfinite(values)).sum())
    if holes:
        notes.repair(f"set {holes} missing values to 0, as the published preprocessing does")
        return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return values


def _command(folder: Path, subset: str | None) -> list[str]:
    """The authors' program; `subset` is one video's uid, or several with commas between."""
    line = ["ego4d", f"--output_directory={folder}", "--datasets", "imu", "annotations"]
    videos = ["--video_uids", *subset.split(",")] if subset else []
    return [*line, "--metadata", "-y", *videos]


DATASET = Dataset(
    title="Ego4D: head-worn IMU of egocentric videos, with narrations",
    kind="imu",
    samples=samples,
    holds="gyroscope (rad/s) and accelerometer (m/s²) of the camera, mostly 200 Hz, one csv a "
    "video; units are not stated by the authors, the values fit these",
    source="https://ego4d-data.org/docs/data/imu",
    licence=LICENCE,
    access="licence",
    size="IMU about 100 GB for all videos; the whole is 5 TB and more",
    layout="v2/imu/VIDEO_UID.csv, v2/annotations/narration.json, ego4d.json; or UID.npy (6, N) and "
    "UID_timestamps.npy in ms",
    fits=("onellm", "imu2clip", "llasa"),
    verified="built from the documented format",
    how_to_get="sign the licence at https://ego4ddataset.com (AWS keys come by mail, valid 14 "
    "days), pip install ego4d, then: ego4d --output_directory=DIR --datasets imu annotations "
    "--metadata -y",
    takes={"rate_hz": "rate of a UID.npy that has no UID_timestamps.npy", **video_events.TAKES},
    pairs={
        "events": "of the video, v2/full_scale or v2/video_540ss/VIDEO_UID.mp4, from the window's "
        "start on, by a log-intensity threshold model; needs 'tracekit[video]'",
    },
    subsets=("narrations", "eval", "tuning", "splits"),
    recognise=recognise,
    download=downloads.by_command(_command, package="ego4d", licence_at="https://ego4ddataset.com"),
)
