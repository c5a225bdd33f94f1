"""IMHD²: an IMU on the object that a person handles; orientation and acceleration, pickled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import pickles
from tracekit.datasets.formats.csv_rows import OnError, read_bytes
from tracekit.datasets.video import orientations
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 60.0
LICENCE = "non-commercial, no copy, share or sub-license (LICENSE; the README says CC BY-NC-SA)"
READINGS = ("objectImuOri", "objectImuAcc")


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    trust_pickle: bool = False,
) -> Iterator[Sample]:
    """One sample a sequence, in order of path, once you say what the orientation's numbers are.

    Raises: TracekitError without a subset, without `trust_pickle`, and where there is none.
    """
    if subset is None:
        raise TracekitError(
            "IMHD has no gyroscope, and its authors do not say how three numbers give the "
            "orientation",
            where=path,
            hint="if you know: imhd:rotvec (axis times angle, rad) or imhd:euler (xyz, degrees); "
            "the angular velocity is then derived",
        )
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise TracekitError(
            "no IMU here", where=path, hint="expected imu_preprocessed/DATE/SEGMENT/…/imu_*.pkl"
        )
    for file in files:
        yield Sample(
            id="-".join([*file.parent.parts[-3:], file.stem]),
            dataset="imhd",
            path=file,
            read=lambda file=file: read_bytes(file),  # type: ignore[misc]
            parse=_parser(file, subset, trust_pickle),
            licence=LICENCE,
            facts={"derived": True, "on": "object"},
        )


def _parser(file: Path, subset: str, trust: bool) -> Any:
    return lambda raw: parse(pickles.loads(raw, file, trust=trust), file, subset)


def parse(value: Any, file: Path, subset: str) -> Recording:
    """A recording whose angular velocity is derived from the orientation.

    Raises: TracekitError for other arrays than (T, 3) of both readings.
    """
    extras.need("datasets", "scipy", where=file)
    import numpy as np
    from scipy.spatial.transform import Rotation

    found = [value.get(name) if isinstance(value, dict) else None for name in READINGS]
    arrays = [np.asarray(array, np.float64) for array in found if isinstance(array, np.ndarray)]
    shapes = {array.shape for array in arrays}
    if len(arrays) != 2 or len(shapes) != 1 or arrays[0].ndim != 2 or arrays[0].shape[1] != 3:
        raise TracekitError(
            f"not {' and '.join(READINGS)} of shape (T, 3) each", where=file, hint="an imu_*.pkl"
        )
    orientation, accel = arrays
    if not (np.isfinite(orientation).all() and np.isfinite(accel).all()):
        raise TracekitError("readings that are not finite", where=file, hint="another sequence")
    if subset == "euler":
        turned = Rotation.from_euler("xyz", orientation, degrees=True)
    else:
        turned = Rotation.from_rotvec(orientation)
    times = np.arange(len(accel)) / RATE_HZ
    with_gravity, said = _with_gravity(accel, turned)
    values = np.hstack([with_gravity, orientations.body_rates(turned, times)])
    return Recording(
        "imu",
        values=values,
        rate_hz=RATE_HZ,
        repairs=(
            f"derived: angular velocity is the rate of the orientation, read as {subset}",
            said,
            "the sensor was on the object, not on the person",
        ),
    )


def _with_gravity(
    accel: npt.NDArray[np.float64], turned: object
) -> tuple[npt.NDArray[np.float64], str]:
    import numpy as np

    usual = float(np.median(np.linalg.norm(accel, axis=1)))
    if usual > 6.0:
        return accel, f"acceleration as it is: its usual size, {usual:.1f} m/s², has gravity in it"
    return (
        accel + orientations.gravity(turned),
        "derived: gravity added by the orientation, world z being up; the file's acceleration "
        f"has none (usual size {usual:.1f} m/s²)",
    )


def _files(path: Path) -> list[Path]:
    folder = path / "imu_preprocessed"
    return sorted((folder if folder.is_dir() else path).glob("**/imu_*.pkl"))


def recognise(path: Path) -> bool:
    """By imu_preprocessed or imu_*.pkl."""
    if path.is_file():
        return path.suffix == ".pkl" and path.name.startswith("imu_")
    return (path / "imu_preprocessed").is_dir() or any(path.glob("imu_*.pkl"))


DATASET = Dataset(
    title="IMHD²: people handling objects, the IMU on the object",
    kind="imu",
    samples=samples,
    holds="orientation and acceleration (T, 3) at 60 Hz of a sensor on the object, no gyroscope, "
    "in pickles of numpy arrays; poses of body and object beside them",
    source="https://huggingface.co/datasets/AfterJourney/IMHD-Dataset",
    licence=LICENCE,
    access="licence",
    size="not known",
    layout="imu_preprocessed/DATE/SEGMENT/SEQUENCE/imu_PART_START_END.pkl: {objectImuOri, "
    "objectImuAcc}",
    fits=("onellm", "llasa"),
    verified="built from the documented format",
    how_to_get="accept the licence on its page, then: hf download AfterJourney/IMHD-Dataset "
    "--repo-type dataset --include 'imu_preprocessed/**' --local-dir DIR",
    subsets=("rotvec", "euler"),
    takes={"trust_pickle": "read the pickles, numpy arrays only"},
    recognise=recognise,
    download=downloads.by_hub(
        "AfterJourney/IMHD-Dataset", patterns={"": ["imu_preprocessed/**", "LICENSE*"]}
    ),
)
