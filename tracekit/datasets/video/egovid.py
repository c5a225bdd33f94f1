"""EgoVid-5M: clips of Ego4D with the IMU as lists, one value a video frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats.csv_rows import Notes, OnError, first_line, read_bytes
from tracekit.errors import TracekitError

LICENCE = "annotations Apache-2.0 by their card; the IMU is Ego4D's, no redistribution"
CHANNELS = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")
CELL = 1 << 26  # lists of numbers exceed csv's own limit of 131,072 characters


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """One sample a clip, in file order, of the first csv that has the IMU's columns.

    Raises: TracekitError where no csv has them, for `poses`, and with file and line for a
    malformed record unless skipped.
    """
    if subset == "poses":
        raise TracekitError(
            "camera poses give no accelerometer: their scale and which way is up are not stated",
            where=path,
            hint="take the csv with the IMU's columns: egovid-val.csv or egovid-kinematic.csv",
        )
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise TracekitError(
            "no csv with gyro_x … accl_z here",
            where=path,
            hint="egovid-text.csv has none: take egovid-val.csv or egovid-kinematic.csv",
        )
    for file in files:
        yield from _clips(file, on_error)


def _clips(file: Path, on_error: OnError) -> Iterator[Sample]:
    notes = Notes(on_error)
    header: list[str] = []
    for start, size, line, cells in records(file):
        if not header:
            header = cells
            absent = [name for name in ("fps", *CHANNELS) if name not in header]
            if absent:
                raise TracekitError(
                    f"no column {', '.join(absent)}", where=file, hint="take egovid-val.csv"
                )
            continue
        if len(cells) != len(header):
            odd = cells[0] if cells[0].startswith("not csv: ") else f"{len(cells)} values"
            notes.malformed(file, line, f"{odd}, where {len(header)} values belong")
            notes.tell()
            continue
        row = dict(zip(header, cells, strict=True))
        try:
            fps = float(row["fps"])
            if not 0 < fps < float("inf"):
                raise ValueError(f"fps is {fps:g}")
        except (KeyError, ValueError) as fault:
            notes.malformed(file, line, f"no rate: {fault}")
            notes.tell()
            continue
        yield _sample(file, (start, size, line), header, row, fps)


def _sample(
    file: Path, place: tuple[int, int, int], header: list[str], row: dict[str, str], fps: float
) -> Sample:
    start, size, line = place

    def parse(raw: bytes) -> Recording:
        import numpy as np

        # a limit of the csv module itself, so it is set where the cells are read
        csv.field_size_limit(CELL)
        text = io.StringIO(raw.decode("utf-8", "replace").removeprefix("\ufeff"), newline="")
        held = dict(zip(header, next(csv.reader(text)), strict=True))
        try:
            columns = [np.array(json.loads(held[name]), np.float64) for name in CHANNELS]
        except (ValueError, TypeError) as fault:
            raise TracekitError(
                f"a cell is no list of numbers ({fault})", where=f"{file}:{line}", hint="skip it"
            ) from None
        lengths = {column.shape for column in columns}
        if len(lengths) != 1 or columns[0].ndim != 1 or not columns[0].size:
            raise TracekitError(
                f"the six lists differ in length: {sorted(lengths)}",
                where=f"{file}:{line}",
                hint="skip it",
            )
        values = np.stack(columns, axis=1)
        holes = int((~np.isfinite(values)).sum())
        repairs = [f"one value a video frame ({fps:g} Hz), not the sensor's own 200 Hz"]
        if holes:
            values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
            repairs.append(f"set {holes} missing values to 0")
        repairs.append("the authors warn that this IMU is faulty and advise the camera poses")
        return Recording("imu", values=values, rate_hz=fps, repairs=tuple(repairs))

    poses = file.parent / "poses" / row.get("video_id", "") / "fused_pose.npy"
    return Sample(
        id=row.get("video_id") or f"{file.stem}:{line}",
        dataset="egovid",
        path=file,
        read=lambda: read_bytes(file, start, size),
        parse=parse,
        answer=row.get("llava_cap") or row.get("name") or None,
        licence=LICENCE,
        facts={"line": line, "fps": fps, "pose": str(poses) if poses.is_file() else None},
    )


def records(file: Path) -> Iterator[tuple[int, int, int, list[str]]]:
    """Byte offset, size, number of the first line, and cells of each record, one at a time.

    A cell may hold line ends, so a record may be several lines.
    """
    csv.field_size_limit(CELL)
    with open(file, "rb") as opened:
        taken = [0, 0]  # bytes and lines handed to the reader

        def coming() -> Iterator[str]:
            for line in opened:
                taken[0] += len(line)
                taken[1] += 1
                yield line.decode("utf-8", "replace").removeprefix("\ufeff")

        start, first = 0, 1
        reader = csv.reader(coming())
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as fault:  # the reader begins anew with the next line
                yield start, taken[0] - start, first, [f"not csv: {fault}"]
            else:
                if cells is None:
                    return
                if cells:
                    yield start, taken[0] - start, first, cells
            start, first = taken[0], taken[1] + 1


def _files(path: Path) -> list[Path]:
    return [f for f in sorted(path.glob("*.csv")) if recognise(f)]


def recognise(path: Path) -> bool:
    """By a csv with video_id, fps and the IMU's columns."""
    if path.is_dir():
        return bool(_files(path))
    header = first_line(path)
    return path.suffix == ".csv" and "video_id" in header and all(c in header for c in CHANNELS)


DATASET = Dataset(
    title="EgoVid-5M: egocentric clips with captions; the validation part has the IMU",
    kind="imu",
    samples=samples,
    holds="accelerometer and gyroscope as lists at the video's frame rate (not 200 Hz; units not "
    "stated, Ego4D's m/s² and rad/s), captions, camera poses",
    source="https://huggingface.co/datasets/Jeff-Wang/EgoVid-5M",
    licence=LICENCE,
    access="public",
    size="egovid-text.csv 5.2 GB, egovid-val.csv 24 MB",
    layout="egovid-val.csv, egovid-kinematic.csv: video_id, frame_num, fps, …, gyro_x … accl_z; "
    "poses/VIDEO_ID/fused_pose.npy",
    fits=("onellm", "imu2clip"),
    verified="built from the documented format",
    how_to_get="tracekit datasets download egovid --output-dir DIR (the validation part)",
    subsets=("poses",),
    recognise=recognise,
    download=downloads.by_hub(
        "Jeff-Wang/EgoVid-5M",
        patterns={
            "": ["egovid-val.csv"],
            "kinematic": ["egovid-kinematic.csv"],
            "text": ["egovid-text.csv"],
            "poses": ["poses.zip"],
        },
    ),
)
