"""MuJo / FiMAD: listed, because it has no public release; its own format can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.formats.csv_rows import OnError
from tracekit.datasets.formats.numpy_files import npz, npz_names
from tracekit.errors import TracekitError

JOINTS = 16
MEMBERS = ("accel", "gyro", "fps")
ABSENT = "no public release was found: no repository, no download, no licence"


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """One sample a clip and joint (`subset` is one joint, 0 to 15) of .npz files of this format:
    accel and gyro (T, 16, 3) in m/s² and rad/s, fps, text.

    Raises: TracekitError where there is no such file, or no such joint.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.npz"))
    if not files:
        raise TracekitError(
            ABSENT, where=path, hint="a .npz with accel, gyro, fps and text is read"
        )
    for file in files:
        text = _load(file, ("text",)).get("text")
        for joint in [int(subset)] if subset else range(JOINTS):
            yield _sample(file, joint, str(text) if text is not None else None)


def _sample(file: Path, joint: int, text: str | None) -> Sample:
    def parse(raw: dict[str, Any]) -> Recording:
        import numpy as np

        accel, gyro = raw["accel"], raw["gyro"]
        shape = (len(accel), JOINTS, 3)
        if accel.shape != shape or gyro.shape != shape:
            raise TracekitError(
                f"shapes {accel.shape} and {gyro.shape} where (T, 16, 3) belongs",
                where=file,
                hint="docs/datasets.md has the format",
            )
        values = np.hstack([accel[:, joint], gyro[:, joint]]).astype(np.float64)
        return Recording(
            "imu",
            values=values,
            rate_hz=float(raw["fps"]),
            repairs=("virtual sensors: derived from video by their authors, not measured",),
        )

    return Sample(
        id=f"{file.stem}-joint{joint:02d}",
        dataset="mujo",
        path=file,
        read=lambda: _load(file, MEMBERS),
        parse=parse,
        answer=text,
        facts={"joint": joint},
    )


def _load(file: Path, members: tuple[str, ...]) -> dict[str, Any]:
    found, _ = npz(file, members)
    missing = [name for name in members if name in MEMBERS and name not in found]
    if missing:
        raise TracekitError(
            f"no {', '.join(missing)}", where=file, hint="docs/datasets.md has the format"
        )
    return found


def recognise(path: Path) -> bool:
    """By a .npz with accel, gyro and fps."""
    files = [path] if path.is_file() else sorted(path.glob("*.npz"))[:1]
    for file in files:
        if file.suffix == ".npz":
            return set(MEMBERS) <= set(npz_names(file))
    return False


DATASET = Dataset(
    title="MuJo / FiMAD: fitness videos with virtual IMUs; not released",
    kind="imu",
    samples=samples,
    holds="by the paper: 9,811 clips, 78 hours at 50 fps, virtual accelerometer and gyroscope at "
    "16 joints, generated descriptions",
    source="arXiv 2406.03857",
    licence="none found",
    access="not released",
    size="not known",
    layout="no public one; read here: CLIP.npz with accel and gyro (T, 16, 3), fps, text",
    fits=("onellm", "llasa"),
    verified="built from the documented format",
    how_to_get=ABSENT + "; `--data synthetic` needs no data",
    subsets=tuple(str(joint) for joint in range(JOINTS)),
    recognise=recognise,
)
