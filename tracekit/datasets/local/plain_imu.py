"""Six channels out of an array or a text file whose layout nobody wrote down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Recording
from tracekit.datasets.formats.csv_rows import Notes, OnError, csv_columns, number_rows
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HINT = "say how fast the samples came, as in --rate-hz 50"
# ms in one unit of a time column, by how its name ends
TIME_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3}
TIME = re.compile(
    r"^(?:t|time|timestamp|time_?stamp)(?:[\s_.\[(]*(ns|us|µs|ms|sec|seconds|s)\W*)?$"
)
ACCEL = re.compile(r"^(?:a|acc|accl|accel|accelerometer|acceleration)[\s_.\-]*([xyz])\b")
GYRO = re.compile(r"^(?:g|w|gyr|gyro|gyroscope|rotationrate|angular_?velocity)[\s_.\-]*([xyz])\b")


def parse_array(array: npt.NDArray[Any], path: Path, rate_hz: float | None) -> Recording:
    """[N, 6] or [6, N] numbers.

    Raises: TracekitError for another shape, values that are not finite, or no stated rate.
    """
    import numpy as np

    notes = Notes()
    if array.ndim != 2 or 6 not in array.shape or not np.issubdtype(array.dtype, np.number):
        raise TracekitError(
            f"shape {array.shape} of {array.dtype} where [N, 6] or [6, N] numbers belong",
            where=path,
            hint="six channels: accelerometer x y z (m/s²), gyroscope x y z (rad/s)",
        )
    if array.shape == (6, 6):
        raise TracekitError(
            "six samples of six channels: rows and columns cannot be told apart",
            where=path,
            hint="give more samples",
        )
    if array.shape[1] != 6:
        array = array.T
    values = np.asarray(array, np.float64)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise TracekitError(
            f"{len(bad)} samples are not finite, the first is number {bad[0]}",
            where=path,
            hint="fill or drop them before",
        )
    return _made(values, _stated(rate_hz, path), None, notes)


def parse_text(raw: bytes, path: Path, rate_hz: float | None, on_error: OnError) -> Recording:
    """Rows of six numbers, or a header that names six channels and perhaps the time.

    Names tell the order of channels; without a header it is accelerometer x y z, gyroscope x y z.

    Raises: TracekitError for a malformed row unless it is skipped, and for no rate and no time.
    """
    notes = Notes(on_error)
    top = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    separator = next((s for s in (",", ";", "\t") if s in top), None)
    cells = [cell.strip().strip('"') for cell in top.split(separator)]
    if not top or _is_number(cells[0] or "0"):
        values = number_rows(raw, path, width=6, notes=notes, separator=separator)
        values = values[~_nan_rows(values)]
        return _made(_some(values, path), _stated(rate_hz, path), None, notes)
    if separator is None:  # columns in white space, so the names have none
        separator = " "
        raw = b"\n".join(b" ".join(line.split()) for line in raw.split(b"\n"))
    time, scale, channels = _columns(cells, path)
    wanted = [*channels, *([time] if time else [])]
    table, _ = csv_columns(raw, path, wanted, notes=notes, separator=separator)
    values = _some(table[:, :6], path)
    if time is None:
        return _made(values, _stated(rate_hz, path), None, notes)
    times = table[:, 6]
    if scale is None:
        if rate_hz is None:
            raise TracekitError(
                f"the unit of column {time!r} is not known", where=path, hint=RATE_HINT
            )
        notes.repair(f"column {time!r} left out: its unit is not known")
        return _made(values, rate_hz, None, notes)
    from tracekit.datasets.video.ego4d import nominal_rate

    times = (times - times[0]) * scale
    rate = rate_hz or nominal_rate(times)
    return _made(values, _stated(rate, path), times, notes)


def _columns(cells: list[str], path: Path) -> tuple[str | None, float | None, list[str]]:
    """Name of the time column and ms in its unit, and the names of the six channels in order."""
    found: dict[str, str] = {}
    time, scale = None, None
    for cell in cells:
        name = cell.lower()
        if match := TIME.match(name):
            if time is None:
                time, scale = cell, TIME_UNITS.get(match[1] or "")
        elif match := ACCEL.match(name):
            found.setdefault(f"a{match[1]}", cell)
        elif match := GYRO.match(name):
            found.setdefault(f"g{match[1]}", cell)
    wanted = ["ax", "ay", "az", "gx", "gy", "gz"]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise TracekitError(
            f"no column for {', '.join(missing)} among: {', '.join(cells[:12])}",
            where=f"{path}:1",
            hint="name them acc_x acc_y acc_z gyro_x gyro_y gyro_z, or leave the header out",
        )
    return time, scale, [found[name] for name in wanted]


def _made(
    values: npt.NDArray[np.float64],
    rate_hz: float,
    times: npt.NDArray[np.float64] | None,
    notes: Notes,
) -> Recording:
    import numpy as np

    usual = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
    if 0.5 < usual < 2.0:
        notes.repair(f"left as it is: |acceleration| is {usual:.2f}, which looks like g, not m/s²")
    return Recording(
        "imu", values=values, rate_hz=rate_hz, timestamps_ms=times, repairs=notes.repairs()
    )


def _stated(rate_hz: float | None, path: Path) -> float:
    if rate_hz is None:
        raise TracekitError("no rate is stated", where=path, hint=RATE_HINT)
    if not 0 < rate_hz < float("inf"):
        raise TracekitError(f"a rate of {rate_hz:g} Hz", where=path, hint=RATE_HINT)
    return rate_hz


def _some(values: npt.NDArray[np.float64], path: Path) -> npt.NDArray[np.float64]:
    if not len(values):
        raise TracekitError("no row of numbers", where=path, hint="rows of six numbers")
    return values


def _nan_rows(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    import numpy as np

    bad: npt.NDArray[np.bool_] = np.asarray(np.isnan(values).any(axis=1))
    return bad


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
