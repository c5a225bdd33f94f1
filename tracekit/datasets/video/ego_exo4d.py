"""Ego-Exo4D: Aria glasses with two IMUs, 1000 and 800 Hz, in VRS files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats.csv_rows import Notes, OnError, csv_columns, first_line, read_bytes
from tracekit.datasets.video.ego4d import nominal_rate
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LICENCE = "Ego-Exo4D licence agreement; no redistribution"
# asked for by label: stream numbers mean another side on later glasses
SIDES = ("imu-left", "imu-right")
CLOCK = "capture_timestamp_ns"
CHANNELS = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """One sample a take, of imu-right unless `imu-left` is named, in order of take.

    A take is its VRS file, or what was exported of it: NAME_imu-right.csv with the columns
    capture_timestamp_ns, accel_x … gyro_z.

    Raises: TracekitError where there is none.
    """
    side = subset or "imu-right"
    files = [path] if path.is_file() else _files(path, side)
    if not files:
        raise TracekitError(
            "no take here",
            where=path,
            hint="expected takes/NAME/aria01.vrs or …_noimagestreams.vrs",
        )
    folder = path.parent if path.is_file() else path
    described = _descriptions(folder)
    for file in files:
        yield _sample(file, side, described.get(file.parent.name, []), on_error)


def _sample(file: Path, side: str, described: list[str], on_error: OnError) -> Sample:
    exported = file.suffix == ".csv"
    return Sample(
        id=f"{file.parent.name}-{side}",
        dataset="ego_exo4d",
        path=file,
        read=(lambda: read_bytes(file)) if exported else (lambda: read_vrs(file, side)),
        parse=(lambda raw: _parse_csv(raw, file, on_error))
        if exported
        else (lambda raw: _recording(raw, file, Notes())),
        answer=described[0] if described else None,
        licence=LICENCE,
        facts={"take": file.parent.name, "side": side, "descriptions": len(described)},
    )


def read_vrs(file: Path, side: str) -> npt.NDArray[np.float64]:
    """[N, 7]: capture time in ns, less that of the first sample, and the six channels.

    A sample whose accelerometer or gyroscope is not valid is NaN there.

    Raises: TracekitError where projectaria-tools is missing, the file is no VRS, or it has no
    such IMU.
    """
    import numpy as np

    extras.need("aria", "projectaria_tools", where=file)
    from projectaria_tools.core import data_provider

    provider = data_provider.create_vrs_data_provider(str(file))
    if provider is None:
        raise TracekitError("not a VRS file", where=file, hint="is it whole?")
    stream = provider.get_stream_id_from_label(side)
    number = provider.get_num_data(stream) if stream is not None else 0
    if not number:
        raise TracekitError(f"no stream {side!r}", where=file, hint=f"one of {', '.join(SIDES)}")
    table = np.empty((number, 7))
    first = provider.get_imu_data_by_index(stream, 0).capture_timestamp_ns
    for at in range(number):
        one = provider.get_imu_data_by_index(stream, at)
        accel = one.accel_msec2 if one.accel_valid else (np.nan,) * 3
        gyro = one.gyro_radsec if one.gyro_valid else (np.nan,) * 3
        # whole ns of the device's clock do not fit a float64; differences do
        table[at] = (one.capture_timestamp_ns - first, *accel, *gyro)
    return table


def _parse_csv(raw: bytes, file: Path, on_error: OnError) -> Recording:
    import numpy as np

    notes = Notes(on_error)
    table, _ = csv_columns(raw, file, (CLOCK, *CHANNELS), notes=notes, empty=True)
    table[:, 0] -= table[0, 0] if len(table) else 0.0
    return _recording(np.asarray(table), file, notes)


def _recording(table: npt.NDArray[np.float64], file: Path, notes: Notes) -> Recording:
    import numpy as np

    whole = np.isfinite(table).all(axis=1)
    if not whole.any():
        raise TracekitError("no valid sample", where=file, hint="another take")
    if not whole.all():
        notes.repair(f"left out {int((~whole).sum())} samples that the glasses marked as not valid")
    table = table[whole]
    order = np.argsort(table[:, 0], kind="stable")
    if (np.diff(order) < 0).any():
        notes.repair("sorted by capture time")
    table = table[order]
    times = (table[:, 0] - table[0, 0]) / 1e6
    return Recording(
        "imu",
        values=table[:, 1:].copy(),
        rate_hz=nominal_rate(times),
        timestamps_ms=times,
        repairs=notes.repairs(),
    )


def _files(path: Path, side: str) -> list[Path]:
    found: dict[Path, Path] = {}
    for folder in (path / "takes", path):
        for file in sorted(folder.glob("*/*.vrs")) + sorted(folder.glob(f"*/*_{side}.csv")):
            found.setdefault(file.parent, file)
        if found:
            break
    return [found[take] for take in sorted(found)]


def _descriptions(folder: Path) -> dict[str, list[str]]:
    """Texts of each take by its name, from takes.json and annotations/atomic_descriptions_*.json.

    An empty mapping where those are not there; the IMU can be read without.
    """
    takes = folder / "takes.json"
    if not takes.is_file():
        return {}
    names = {one.get("take_uid"): one.get("take_name") for one in _json(takes)}
    found: dict[str, list[str]] = {}
    for file in sorted((folder / "annotations").glob("atomic_descriptions_*.json")):
        for uid, passes in _json(file).get("annotations", {}).items():
            texts = [
                d["text"] for one in passes for d in one.get("descriptions", []) if "text" in d
            ]
            found.setdefault(str(names.get(uid, uid)), []).extend(texts)
    return found


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as fault:
        raise TracekitError(f"not JSON ({fault})", where=file, hint="fetch it again") from None


def recognise(path: Path) -> bool:
    """By takes/NAME/*.vrs, a .vrs file, or the header of an exported csv."""
    if path.is_file():
        return path.suffix == ".vrs" or (path.suffix == ".csv" and CLOCK in first_line(path))
    return any(_files(path, side) for side in SIDES)


def _command(folder: Path, subset: str | None) -> list[str]:
    line = ["egoexo", "-o", str(folder), "--parts", "metadata", "annotations"]
    line += ["take_vrs_noimagestream", "-y"]
    return [*line, "--uids", *subset.split(",")] if subset else line


DATASET = Dataset(
    title="Ego-Exo4D: skilled activities seen through Aria glasses with two IMUs",
    kind="imu",
    samples=samples,
    holds="accelerometer (m/s²) and gyroscope (rad/s) of two IMUs, imu-right 1000 Hz and imu-left "
    "800 Hz (taken from the timestamps here), atomic descriptions",
    source="https://ego-exo4d-data.org",
    licence=LICENCE,
    access="licence",
    size="434 GiB without images",
    layout="takes.json, annotations/atomic_descriptions_{train,val}.json, takes/NAME/aria01.vrs or "
    "aria01_noimagestreams.vrs; or an export takes/NAME/aria01_imu-right.csv",
    fits=("onellm", "imu2clip", "llasa"),
    verified="built from the documented format",
    how_to_get="sign the licence at https://ego4ddataset.com/egoexo-license (AWS keys, valid 14 "
    "days), pip install ego4d, then: egoexo -o DIR --parts metadata annotations "
    "take_vrs_noimagestream -y; pip install 'tracekit[aria]' to read it",
    subsets=SIDES,
    recognise=recognise,
    download=downloads.by_command(
        _command, package="ego4d", licence_at="https://ego4ddataset.com/egoexo-license"
    ),
)
