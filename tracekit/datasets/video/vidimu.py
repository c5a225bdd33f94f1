"""VIDIMU: 16 people with five orientation sensors; quaternions only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit import extras
from tracekit.datasets.entry import Dataset, InputKind, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import video_events
from tracekit.datasets.formats.csv_rows import Notes, OnError, first_line, read_bytes
from tracekit.datasets.video import orientations
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 50.0
HASH = "md5:368d34d13651b44e6d4444c4a6c41380"
LICENCE = "CC BY 4.0"
HEADER = "QUAT,w,x,y,z,timestamp"
LOWER = ("qsHIPS", "qsRUL", "qsRLL", "qsLUL", "qsLLL")
UPPER = ("qsBACK", "qsRUA", "qsRLA", "qsLUA", "qsLLA")
CALIBRATION = 5  # rows of the N-pose, one a sensor, before the recording
NAME = re.compile(r"(S\d+)_(A\d+)_(T\d+)\.raw$")
UNITS = {1e9: "s", 1e6: "ms", 1e3: "µs", 1.0: "ns"}  # ns in one unit of the timestamp


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    also: Sequence[InputKind] = (),
    **events: float,
) -> Iterator[Sample]:
    """One sample a recording and sensor, with `derived` only: nothing here was an accelerometer.

    With `also` events each holds those of its video, begun when the sensors were.

    Raises: TracekitError without that subset, and where there is no recording.
    """
    if subset != "derived":
        raise TracekitError(
            "VIDIMU has quaternions: no accelerometer and no gyroscope were recorded",
            where=path,
            hint="take `vidimu:derived` for angular velocity from the orientation, and gravity "
            "alone as the acceleration",
        )
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise TracekitError(
            "no recording here", where=path, hint="expected videoandimus/Sxx/Sxx_Ayy_Tzz.raw"
        )
    for file in files:
        match = NAME.search(file.name)
        lower = match is not None and int(match[2][1:]) <= 4
        for sensor in LOWER if lower else UPPER:
            one = _sample(file, sensor, on_error)
            yield _with_events(one, events) if "events" in also else one


def _with_events(sample: Sample, options: Mapping[str, float]) -> Sample:
    """The sample beside the events of its video. Raises: TracekitError where that is not there."""
    video = sample.path.with_suffix(".mp4")
    if not video.is_file():
        raise TracekitError(
            "its video is not on disk", where=video, hint="it lies beside the .raw in dataset.zip"
        )
    return replace(sample, also={"events": video_events.view(sample, video, 0.0, **options)})


def _sample(file: Path, sensor: str, on_error: OnError) -> Sample:
    match = NAME.search(file.name)
    return Sample(
        id=f"{file.stem}-{sensor}",
        dataset="vidimu",
        path=file,
        read=lambda: read_bytes(file),
        parse=lambda raw: _parse(raw, file, sensor, on_error),
        label=match[2] if match else None,
        licence=LICENCE,
        facts={"sensor": sensor, "derived": True} | ({"subject": match[1]} if match else {}),
    )


def _parse(raw: bytes, file: Path, sensor: str, on_error: OnError) -> Recording:
    extras.need("datasets", "scipy", where=file)
    import numpy as np
    from scipy.spatial.transform import Rotation

    notes = Notes(on_error)
    quaternions: list[tuple[float, ...]] = []
    clock: list[float] = []
    read = repeated = 0
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines()[1:], 2):
        cells = line.split(",")
        if number - 2 < CALIBRATION or cells[0] != sensor:
            continue
        try:
            *quaternion, time = (float(cell) for cell in cells[1:6])
            if len(cells) != 6 or not 0.9 < float(np.linalg.norm(quaternion)) < 1.1:
                raise ValueError("not a unit quaternion and a timestamp")
        except ValueError as fault:
            notes.malformed(file, number, str(fault))
            continue
        read += 1
        if quaternions and tuple(quaternion) == quaternions[-1]:
            repeated += 1  # the reader polled faster than the sensor sent
            continue
        quaternions.append(tuple(quaternion))
        clock.append(time)
    if len(clock) < 2:
        raise TracekitError(
            f"{len(clock)} different readings of {sensor}", where=file, hint="another sensor"
        )
    times, unit = _seconds(np.array(clock), file)
    forward = np.concatenate([[True], np.diff(times) > 0])
    if not forward.all():
        notes.repair(f"left out {int((~forward).sum())} readings whose clock does not go on")
    times = times[forward]
    turned = Rotation.from_quat(np.array(quaternions)[forward], scalar_first=True)
    values = np.hstack([orientations.gravity(turned), orientations.body_rates(turned, times)])
    notes.repair(f"left out {repeated} of {read} readings that repeat the one before")
    notes.repair("derived: angular velocity is the rate of the orientation, not a gyroscope's")
    notes.repair(
        "derived: acceleration is gravity alone, with the quaternions' z axis taken as up (which "
        "the authors do not state); the body's own acceleration is not in the data"
    )
    notes.repair(f"timestamps taken as {unit}: the steps are then nearest to 50 Hz")
    return Recording(
        "imu",
        values=values,
        rate_hz=RATE_HZ,
        timestamps_ms=(times - times[0]) * 1e3,
        repairs=notes.repairs(),
    )


def _seconds(clock: npt.NDArray[np.float64], file: Path) -> tuple[npt.NDArray[np.float64], str]:
    """Times in s and the unit they had: the one with steps of 10 to 40 ms.

    Raises: TracekitError where no unit gives such steps.
    """
    import numpy as np

    steps = np.diff(clock)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    for ns, unit in UNITS.items():
        if 0.010 <= step * ns / 1e9 <= 0.040:
            return clock * (ns / 1e9), unit
    raise TracekitError(
        f"a median step of {step:g} is 50 Hz in no unit", where=file, hint="is it a .raw file?"
    )


def _files(path: Path) -> list[Path]:
    for folder in (path / "dataset" / "videoandimus", path / "videoandimus", path):
        found = sorted(f for f in folder.glob("**/S*_A*_T*.raw") if NAME.search(f.name))
        if found:
            return found
    return []


def recognise(path: Path) -> bool:
    """By Sxx_Ayy_Tzz.raw with a header of quaternions."""
    if path.is_file():
        return bool(NAME.search(path.name)) and first_line(path).strip() == HEADER
    return any((path / name).is_dir() for name in ("videoandimus", "dataset/videoandimus"))


def _download(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
    record = "https://zenodo.org/records/15075076/files/"
    downloads.by_https(
        f"{record}dataset.zip",
        known_hash=HASH,
        size=336_819_642,
    )(folder, force=force)


DATASET = Dataset(
    title="VIDIMU: 54 people on video, 16 of them with five orientation sensors",
    kind="imu",
    samples=samples,
    holds="unit quaternions of five sensors at 50 Hz, 208 recordings, 13 activities; no "
    "accelerometer and no gyroscope, so angular velocity and gravity are derived on request",
    source="https://doi.org/10.5281/zenodo.15075076",
    licence=LICENCE,
    access="public",
    size="337 MB zipped",
    layout="[dataset/]videoandimus/Sxx/Sxx_Ayy_Tzz.raw: " + HEADER + ", CRLF, one row a sensor",
    fits=("llasa", "onellm"),
    verified="built from the documented format",
    how_to_get="tracekit datasets download vidimu --output-dir DIR",
    subsets=("derived",),
    takes=video_events.TAKES,
    pairs={
        "events": "of the video Sxx_Ayy_Tzz.mp4, which sees the person, from its first frame on, "
        "by a log-intensity threshold model; that video and sensors begin together is not stated; "
        "needs 'tracekit[video]'",
    },
    recognise=recognise,
    download=_download,
    checksums={"dataset.zip": HASH},
)
