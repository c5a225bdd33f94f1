"""The arrays that LIMU-BERT is trained on: windows of 6 s at 20 Hz of four data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.formats.csv_rows import OnError
from tracekit.datasets.formats.labels import canonical
from tracekit.datasets.formats.numpy_files import npy
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NAME = "data_20_120.npy"
# windows, channels, column of the activity among the labels, and the activities in their order
SETS = {
    "hhar": (9166, 6, 2, ("bike", "sit", "downstairs", "upstairs", "stand", "walk")),
    "motion": (
        4534,
        6,
        0,
        ("downstairs", "upstairs", "sitting", "standing", "walking", "jogging"),
    ),
    "uci": (2088, 6, 0, ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")),
    "shoaib": (
        10500,
        9,
        0,
        ("walking", "sitting", "standing", "jogging", "biking", "upstairs", "downstairs"),
    ),
}


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Windows in the order of the array; each is read from its own place in the file.

    Raises: TracekitError for an array of another shape.
    """
    for file in [path] if path.is_file() else _files(path):
        name = file.parent.name
        if subset and name != subset:
            continue
        array = npy(file, file, mapped=True)
        if array.ndim != 3 or array.shape[1] != windows_20hz.LENGTH or array.shape[2] < 6:
            raise TracekitError(
                f"shape {array.shape} where (N, 120, 6 or 9) belongs", where=file, hint=NAME
            )
        labels = _labels(file, name, len(array))
        for row in range(len(array)):
            yield _window(file, name, row, labels[row] if labels else None)


def _window(file: Path, name: str, row: int, label: str | None) -> Sample:
    def read() -> npt.NDArray[np.float64]:
        import numpy as np

        return np.array(npy(file, file, mapped=True)[row], np.float64)

    return Sample(
        id=f"{name}-{row:05d}",
        dataset="limu_bert",
        path=file,
        read=read,
        parse=lambda raw: Recording("imu", values=raw[:, :6], rate_hz=windows_20hz.RATE_HZ),
        label=label,
        licence="that of the set it was cut from",
        facts={"set": name, "row": row},
    )


def _labels(file: Path, name: str, length: int) -> list[str | None]:
    beside = file.with_name(file.name.replace("data_", "label_"))
    if name not in SETS or not beside.is_file():
        return []
    *_, column, activities = SETS[name]
    numbers = npy(beside, beside, mapped=True)
    # as published the label is repeated along time
    numbers = numbers[:, 0, column] if numbers.ndim == 3 else numbers[:, column]
    if len(numbers) != length:
        raise TracekitError(
            f"{len(numbers)} labels for {length} windows", where=beside, hint="fetch it again"
        )
    return [canonical(activities[int(n)]) if 0 <= n < len(activities) else None for n in numbers]


def _files(path: Path) -> list[Path]:
    places = (path, *(path / name for name in SETS), *(path / "dataset" / name for name in SETS))
    return [folder / NAME for folder in places if (folder / NAME).is_file()]


def recognise(path: Path) -> bool:
    """By data_20_120.npy."""
    return path.name == NAME if path.is_file() else bool(_files(path))


def check(path: Path) -> dict[str, tuple[int, int | None]]:
    """Windows by set: (on disk, published)."""
    return {
        f"{file.parent.name} windows": (
            len(npy(file, file, mapped=True)),
            SETS[file.parent.name][0],
        )
        for file in _files(path)
        if file.parent.name in SETS
    }


DATASET = Dataset(
    title="LIMU-BERT arrays: HHAR, MotionSense, UCI HAPT and Shoaib in windows of 6 s",
    kind="imu",
    samples=samples,
    holds="accelerometer (m/s², with gravity) and gyroscope (rad/s) at 20 Hz, windows of 120 "
    "samples; of nine channels the magnetometer is left out",
    source="https://github.com/dapowan/LIMU-BERT-Public",
    licence="that of each source; the code is MIT",
    access="public",
    size="182 MB for the four",
    layout="[dataset/]{hhar,motion,uci,shoaib}/data_20_120.npy (N, 120, 6 or 9) float64 and "
    "label_20_120.npy",
    fits=("llasa", "limu_bert"),
    verified="built from the documented format",
    how_to_get="the repository's README says how; or let tracekit cut the same windows: "
    "--data uci_hapt:windows, hhar:windows, motion_sense:windows, shoaib:windows",
    subsets=tuple(SETS),
    recognise=recognise,
    check=check,
)
