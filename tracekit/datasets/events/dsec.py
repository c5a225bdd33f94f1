"""DSEC: a car's event cameras, 640 × 480, hours of driving; for EventGPT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tracekit.datasets.entry import Dataset, InputKind, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import event_files
from tracekit.datasets.formats.csv_rows import OnError
from tracekit.datasets.local import synthetic
from tracekit.errors import TracekitError
from tracekit.files import passing

WINDOW_MS = 50
LICENCE = "CC BY-SA 4.0 (from memory, not re-checked)"
ROOT = "https://download.ifi.uzh.ch/rpg/DSEC/"


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    window_ms: float = WINDOW_MS,
    also: Sequence[InputKind] = (),
) -> Iterator[Sample]:
    """Windows of 50 ms of the left camera (`right` for the other), in order of sequence and time.

    With `also` imu each stands beside a synthetic recording of a person who sits: for timing, not
    for what it means. EventGPT refuses a span of 100 ms or more. What a window reads are its own
    rows of the file.

    Raises: TracekitError where there is no events.h5, or h5py or hdf5plugin is missing.
    """
    side = subset or "left"
    files = [path] if path.is_file() else _files(path, side)
    if not files:
        raise TracekitError(
            "no events here", where=path, hint=f"expected SEQUENCE/events/{side}/events.h5"
        )
    length = max(1, round(window_ms))
    made: Iterator[Sample] = iter(())
    if "imu" in also:
        made = synthetic.samples(passing(), subset="sitting", seed=seed, kind="imu")
    for file in files:
        for start, rows in _windows(file, length):
            one = _sample(file, start, length, rows)
            yield replace(one, also={"imu": next(made)}) if "imu" in also else one


def _windows(file: Path, length_ms: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Start in ms, first row and row after the last of each whole window that has events.

    `ms_to_idx[ms]` is the first event at or after that millisecond.
    """
    with event_files.open_h5(file) as opened:
        if "ms_to_idx" not in opened:
            raise TracekitError(
                "no ms_to_idx", where=file, hint="a DSEC events.h5 has it; give a smaller file"
            )
        index = opened["ms_to_idx"][:]
    for at in range(0, len(index) - length_ms, length_ms):
        rows = int(index[at]), int(index[at + length_ms])
        if rows[0] < rows[1]:
            yield at, rows


def _sample(file: Path, start_ms: int, length_ms: int, rows: tuple[int, int]) -> Sample:
    def read() -> dict[str, object]:
        return {**event_files.read(file, rows=rows), "t_offset": _offset(file)}

    def parse(raw: dict[str, object]) -> Recording:
        offset = raw.pop("t_offset")
        found = event_files.parse(raw, file)  # type: ignore[arg-type]
        arrays = {**found.arrays, "t": found.arrays["t"] + offset}
        return replace(
            found,
            arrays=arrays,
            repairs=(*found.repairs, "t_offset added: the clock that all sensors share"),
        )

    sequence = file.parts[-4] if len(file.parts) > 3 else file.stem
    return Sample(
        id=f"{sequence}-{file.parent.name}-{start_ms:07d}ms",
        dataset="dsec",
        path=file,
        read=read,
        parse=parse,
        licence=LICENCE,
        facts={"sequence": sequence, "start_ms": start_ms, "window_ms": length_ms}
        | {"events": rows[1] - rows[0]},
    )


def _offset(file: Path) -> int:
    with event_files.open_h5(file) as opened:
        return int(opened["t_offset"][()]) if "t_offset" in opened else 0


def _files(path: Path, side: str) -> list[Path]:
    for pattern in (f"events/{side}/events.h5", f"*/events/{side}/events.h5"):
        found = sorted(path.glob(pattern))
        if found:
            return found
    return sorted(path.glob(f"*/*/events/{side}/events.h5"))


def recognise(path: Path) -> bool:
    """By events/left/events.h5, or a file of that name."""
    if path.is_file():
        return path.name == "events.h5"
    return any(_files(path, side) for side in ("left", "right"))


def _download(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
    if subset not in (None, "train_events", "test_events"):
        raise TracekitError(
            "no such part", where=f"dsec:{subset}", hint="known: train_events, test_events"
        )
    downloads.by_https(f"{ROOT}{subset or 'train_events'}.zip")(folder, force=force)


DATASET = Dataset(
    title="DSEC: two event cameras on a car, 640 × 480",
    kind="events",
    samples=samples,
    holds="events x, y, polarity and time (µs), frames and depth; an IMU of the car in a rosbag, "
    "which is not read",
    source="https://dsec.ifi.uzh.ch",
    licence=LICENCE,
    access="public",
    size="about 125 GB of events, 216 GB of images",
    layout="[train/]SEQUENCE/events/{left,right}/events.h5: /events/{x,y,p,t}, /ms_to_idx, "
    "/t_offset, compressed with Blosc",
    fits=("eventgpt",),
    verified="built from the documented format",
    how_to_get="tracekit datasets download dsec --output-dir DIR (125 GB; the site has single "
    "sequences), and pip install 'tracekit[events]' to read it",
    subsets=("left", "right"),
    takes={"window_ms": "length of a window, 50 by default"},
    pairs={
        "imu": "synthetic, of a person who sits, and not of the car: for timing, not for meaning",
    },
    recognise=recognise,
    download=_download,
)
