"""MotionSense: 24 people, 6 activities, an iPhone 6s at 50 Hz."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.formats.csv_rows import (
    G,
    Notes,
    OnError,
    csv_columns,
    line_starts,
    read_bytes,
)
from tracekit.datasets.formats.labels import canonical
from tracekit.errors import TracekitError

RATE_HZ = 50.0
LICENCE = "MIT (the repository)"
WINDOW_G = 9.8  # LIMU-BERT's scale for this set, not 9.80665
NAMES = {
    "device_motion": "A_DeviceMotion_data",
    "accel": "B_Accelerometer_data",
    "gyro": "C_Gyroscope_data",
}
TRIAL = re.compile(r"(dws|ups|sit|std|wlk|jog)_(\d+)$")
TURN = tuple(f"rotationRate.{axis}" for axis in "xyz")
GRAVITY = tuple(f"gravity.{axis}" for axis in "xyz")
OWN = tuple(f"userAcceleration.{axis}" for axis in "xyz")
RAW = "https://github.com/mmalekzadeh/motion-sense/raw/master/data/"


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Trials by activity, trial and person. Long trials are 1 to 9, short ones 11 to 16.

    `device_motion` (A): gravity + own acceleration. `raw` (B and C): each sensor's own file, cut
    to the shorter. `windows`: B and C at 20 Hz as LIMU-BERT cuts them.

    Raises: TracekitError where a folder or the other sensor's file is missing.
    """
    if path.is_file():
        yield _trial(path, on_error)
        return
    wanted = subset or ("device_motion" if _find(path, "device_motion") else "raw")
    if wanted == "device_motion":
        for one in _trials(_needed(path, "device_motion")):
            yield _trial(one, on_error)
        return
    accel, gyro = _needed(path, "accel"), _needed(path, "gyro")
    for one in _trials(accel):
        other = gyro / one.relative_to(accel)
        if not other.is_file():
            raise TracekitError("missing", where=other, hint=f"it goes with {one}")
        if wanted == "raw":
            yield _pair(one, other, None, on_error)
            continue
        rows = min(len(line_starts(read_bytes(file))) - 2 for file in (one, other))
        for number in range(max(rows, 0) // windows_20hz.SPAN):
            yield _pair(one, other, number, on_error)


def _find(path: Path, which: str) -> Path | None:
    name = NAMES[which]
    for folder in (path / name / name, path / name, path / "data" / name, path):
        if (folder.name == name or folder != path) and any(folder.glob("*_*/sub_*.csv")):
            return folder
    return None


def _needed(path: Path, which: str) -> Path:
    found = _find(path, which)
    if found is None:
        raise TracekitError(
            f"no {NAMES[which]} here", where=path, hint=f"expected {NAMES[which]}/dws_1/sub_1.csv"
        )
    return found


def _trials(folder: Path) -> list[Path]:
    found = [file for file in folder.glob("*_*/sub_*.csv") if TRIAL.match(file.parent.name)]
    return sorted(found, key=_place)


def _place(path: Path) -> tuple[str, int, int]:
    match = TRIAL.match(path.parent.name)
    person = re.search(r"\d+", path.stem)
    if match is None or person is None:
        raise TracekitError("not a MotionSense trial", where=path, hint="dws_1/sub_1.csv")
    return match[1], int(match[2]), int(person[0])


def _trial(path: Path, on_error: OnError) -> Sample:
    def parse(raw: bytes) -> Recording:
        notes = Notes(on_error)
        table, _ = csv_columns(raw, path, (*GRAVITY, *OWN, *TURN), notes=notes)
        values = table[:, 3:].copy()
        values[:, :3] = (table[:, :3] + table[:, 3:6]) * G
        notes.repair("acceleration is gravity + userAcceleration, from g")
        return Recording("imu", values=values, rate_hz=RATE_HZ, repairs=notes.repairs())

    return _sample(path, "A", lambda: read_bytes(path), parse)


def _pair(accel: Path, gyro: Path, window: int | None, on_error: OnError) -> Sample:
    """A trial out of two files, or one LIMU-BERT window of it."""

    def read() -> tuple[bytes, bytes]:
        return read_bytes(accel), read_bytes(gyro)

    def parse(raw: tuple[bytes, bytes]) -> Recording:
        import numpy as np

        notes = Notes(on_error)
        both = []
        for data, file in zip(raw, (accel, gyro), strict=True):
            table, kept = csv_columns(data, file, ("x", "y", "z"), notes=notes)
            whole = np.full((int(kept[-1]) + 1 if len(kept) else 0, 3), np.nan)
            whole[kept] = table
            both.append(whole)
        length = min(map(len, both))
        if len(both[0]) != len(both[1]):
            notes.repair(f"cut to {length} rows: accelerometer and gyroscope differ in length")
        values = np.hstack([both[0][:length], both[1][:length]])
        if window is None:
            values[:, :3] *= G
            values = values[np.isfinite(values).all(axis=1)]
            return Recording("imu", values=values, rate_hz=RATE_HZ, repairs=notes.repairs())
        values[:, :3] *= WINDOW_G
        part = values[window * windows_20hz.SPAN : (window + 1) * windows_20hz.SPAN]
        if not np.isfinite(part).all():
            raise TracekitError(
                "a malformed row lies in this window", where=accel, hint="take the subset 'raw'"
            )
        notes.repair("50 Hz to 20 Hz by means of 2 and 3 samples in turn, g times 9.8")
        return Recording(
            "imu",
            values=windows_20hz.window(part),
            rate_hz=windows_20hz.RATE_HZ,
            repairs=notes.repairs(),
        )

    return _sample(accel, "BC" if window is None else f"w{window}", read, parse)


def _sample(
    path: Path, which: str, read: Callable[[], Any], parse: Callable[[Any], Recording]
) -> Sample:
    activity, trial, person = _place(path)
    return Sample(
        id=f"{activity}_{trial}-sub_{person}-{which}",
        dataset="motion_sense",
        path=path,
        read=read,
        parse=parse,
        label=canonical(activity),
        licence=LICENCE,
        facts={"subject": person, "trial": trial, "short": trial > 9},
    )


def recognise(path: Path) -> bool:
    """By A_DeviceMotion_data, B_Accelerometer_data or C_Gyroscope_data."""
    if path.is_file():
        return bool(TRIAL.match(path.parent.name)) and path.name.startswith("sub_")
    return any(_find(path, which) is not None for which in NAMES)


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """Files and rows: (on disk, published)."""
    found: dict[str, tuple[int, int | None]] = {}
    for which, name in NAMES.items():
        if folder := _find(path, which):
            files = _trials(folder)
            found[f"{name} files"] = (len(files), 360)
            if which == "device_motion":
                rows = sum(len(line_starts(read_bytes(file))) - 2 for file in files)
                found[f"{name} rows"] = (rows, 1_412_865)
    return found


def _download(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
    wanted = {"device_motion": ["device_motion"], None: list(NAMES)}.get(subset, ["accel", "gyro"])
    for which in wanted:
        downloads.by_https(f"{RAW}{NAMES[which]}.zip")(folder, force=force)
    downloads.https(f"{RAW}data_subjects_info.csv", folder, "data_subjects_info.csv", force=force)


DATASET = Dataset(
    title="MotionSense: 24 people, 6 activities, phone in the trouser pocket",
    kind="imu",
    samples=samples,
    holds="acceleration (g in the files, m/s² here) and rotation rate (rad/s) at 50 Hz, 360 "
    "trials, no timestamps; fused (A) and raw (B, C)",
    source="https://github.com/mmalekzadeh/motion-sense",
    licence=LICENCE,
    access="public",
    size="about 300 MB unpacked",
    layout="{A_DeviceMotion,B_Accelerometer,C_Gyroscope}_data/{dws,ups,sit,std,wlk,jog}_TRIAL/"
    "sub_N.csv, data_subjects_info.csv",
    fits=("llasa", "limu_bert", "onellm", "imu2clip"),
    verified="built from the documented format",
    how_to_get="tracekit datasets download motion_sense --output-dir DIR",
    subsets=("device_motion", "raw", "windows"),
    recognise=recognise,
    download=_download,
    check=check,
)
