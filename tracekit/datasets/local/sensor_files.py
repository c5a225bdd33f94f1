"""A folder with a file for each sensor, as phyphox and Sensor Logger export it, on one clock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.datasets.entry import Recording
from tracekit.datasets.formats import tables, text_tables
from tracekit.datasets.formats.csv_rows import read_bytes
from tracekit.datasets.formats.tables import Table
from tracekit.datasets.local import channels, plain_imu
from tracekit.datasets.local.plain_imu import Options
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BRIDGE_MS = 250.0  # no sensor is interpolated over a longer hole
# files by what they hold, in lower case; the acceleration with gravity in it first
ACCELERATION = ("totalacceleration.csv", "accelerometer.csv", "acceleration.csv")
ROTATION = ("gyroscope.csv",)
GRAVITY = ("gravity.csv",)


def found(folder: Path) -> dict[str, Path]:
    """The files of `acc`, `gyro` and perhaps `gravity`; {} where one of the first two lacks."""
    there = {path.name.lower(): path for path in sorted(folder.glob("*")) if path.is_file()}
    files = {
        name: next((there[one] for one in known if one in there), None)
        for name, known in (("acc", ACCELERATION), ("gyro", ROTATION), ("gravity", GRAVITY))
    }
    if files["acc"] is None or files["gyro"] is None:
        return {}
    return {name: path for name, path in files.items() if path is not None}


def read(files: Mapping[str, Path]) -> dict[str, bytes]:
    """The bytes of each."""
    return {name: read_bytes(path) for name, path in files.items()}


def parse(raw: Mapping[str, bytes], files: Mapping[str, Path], options: Options) -> Recording:
    """The sensors at the accelerometer's times, the others interpolated between their rows.

    Rows around which another sensor has none within 250 ms are left out, and told.

    Raises: TracekitError where a file has no x, y, z and time, or they have no time in common,
    and what `plain_imu.from_table` raises.
    """
    import numpy as np

    acc = text_tables.read(raw["acc"], least=3)
    names = acc.names or ()
    # Sensor Logger takes gravity out of this one file
    bare = "seconds_elapsed" in names and files["acc"].name.lower() == "accelerometer.csv"
    head, own = _columns(acc, "acc", files["acc"])
    times, bad = tables.numbers(acc.columns[head.column])
    if bad:
        raise _no_clock(files["acc"])
    sensor = "user_acceleration" if bare else "acc"
    columns: list[tuple[str, npt.NDArray[np.float64]]] = [(head.text, times)]
    columns += [
        (f"{sensor}_{axis} [{unit}]" if unit else f"{sensor}_{axis}", values)
        for axis, (unit, values) in own.items()
    ]
    said, covered = list(acc.said), np.ones(len(times), bool)
    for name in ("gyro", "gravity") if bare and "gravity" in raw else ("gyro",):
        other = text_tables.read(raw[name], least=3)
        clock, its = _columns(other, name, files[name])
        at, _ = tables.numbers(other.columns[clock.column])
        at, kept = np.unique(at, return_index=True)
        scale = (clock.scale or 1.0) / (head.scale or 1.0)
        covered &= _covered(times * (head.scale or 1.0), at * (clock.scale or 1.0))
        for axis, (unit, values) in its.items():
            between = np.interp(times, at * scale, values[kept])
            columns.append((f"{name}_{axis} [{unit}]" if unit else f"{name}_{axis}", between))
        said.append(f"{name} of {files[name].name} interpolated to the accelerometer's times")
    if not covered.any():
        raise TracekitError(
            "the sensors have no time in common", where=files["acc"], hint="export them together"
        )
    if not covered.all():
        said.append(f"left out {int((~covered).sum())} rows without another sensor's around them")
    table = Table(
        tuple(name for name, _ in columns), tuple(values[covered] for _, values in columns),
        None if acc.lines is None else acc.lines[covered], malformed=acc.malformed,
        said=tuple(said),
    )  # fmt: skip
    return plain_imu.from_table(table, options)


def _columns(
    table: Table, sensor: str, path: Path
) -> tuple[channels.Heading, dict[str, tuple[str | None, npt.NDArray[np.float64]]]]:
    """The clock, and unit and values by axis. Raises: TracekitError where one of them lacks."""
    names = table.names or ()
    clock = channels.clock(channels.headings(names))
    if clock is None:
        raise _no_clock(path)
    axes: dict[str, tuple[str | None, npt.NDArray[np.float64]]] = {}
    for column, name in enumerate(names):
        # the file says which sensor it is, so x alone will do
        one = channels.heading(column, name) or channels.heading(column, f"{sensor} {name}")
        if one is not None and one.axis and one.axis not in axes:
            axes[one.axis] = (one.unit, tables.numbers(table.columns[column])[0])
    if len(axes) < 3:
        raise TracekitError(
            f"no columns x, y and z among: {', '.join(names[:12])}", where=path,
            hint="export it as csv, with its header",
        )  # fmt: skip
    return clock, {axis: axes[axis] for axis in "xyz"}


def _no_clock(path: Path) -> TracekitError:
    return TracekitError("no column of time", where=path, hint="export it with its time")


def _covered(
    times: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which times have another sensor's on both sides within 250 ms. In ms, `other` in order."""
    import numpy as np

    after = np.searchsorted(other, times)
    inner = (after > 0) & (after < len(other))
    after = np.clip(after, 1, max(len(other) - 1, 1))
    if len(other) > 1:
        inner &= other[after] - other[after - 1] <= BRIDGE_MS
    return np.logical_or(inner, np.isin(times, other))
