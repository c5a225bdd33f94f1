"""Two sensors of HHAR on one clock. Times are whole nanoseconds: float64 would lose them."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit import extras
from tracekit.datasets.entry import Recording
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.formats.csv_rows import Notes, cells_per_line, line_starts
from tracekit.datasets.formats.text_lines import Run
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BIN_NS = 50_000_000
BRIDGE_NS = 250_000_000  # the gyroscope is not interpolated over a longer hole


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one sensor in file order."""

    creation: npt.NDArray[np.int64]  # [n] ns
    arrival: npt.NDArray[np.int64]  # [n] ms
    xyz: npt.NDArray[np.float64]  # [n, 3]
    line: npt.NDArray[np.int64]  # [n] line within the bytes, from 0
    starts: npt.NDArray[np.int64]  # [lines + 1] byte offsets of those lines


def rows(data: bytes, path: Path, first_line: int, notes: Notes) -> Rows:
    """Rows of the csv without its header.

    Raises: TracekitError with file and line for a malformed row that is not skipped.
    """
    import io

    extras.need("datasets", "pandas", where=path)
    import numpy as np
    import pandas as pd

    starts = line_starts(data)
    whole = bool((cells_per_line(data.rstrip(), ",") == 10).all())
    with (
        suppress(ValueError, OverflowError, RuntimeWarning, pd.errors.ParserError),
        warnings.catch_warnings(),
    ):
        # pandas only warns where a number does not fit an integer
        warnings.simplefilter("error", RuntimeWarning)
        frame = pd.read_csv(
            io.BytesIO(data),
            header=None,
            names=list(range(10)),
            usecols=[1, 2, 3, 4, 5],
            dtype={1: np.int64, 2: np.int64, 3: np.float64, 4: np.float64, 5: np.float64},
            index_col=False,
            skip_blank_lines=False,
            float_precision="round_trip",
        )
        xyz = frame[[3, 4, 5]].to_numpy(np.float64)
        if whole and len(frame) == len(starts) - 1 and np.isfinite(xyz).all():
            line = np.arange(len(frame), dtype=np.int64)
            return Rows(frame[2].to_numpy(), frame[1].to_numpy(), xyz, line, starts)
    return _one_by_one(data, path, first_line, notes, starts)


def _one_by_one(
    data: bytes, path: Path, first_line: int, notes: Notes, starts: npt.NDArray[np.int64]
) -> Rows:
    import numpy as np

    times: list[tuple[int, int]] = []
    xyz: list[tuple[float, ...]] = []
    lines: list[int] = []
    for at, line in enumerate(data.splitlines()):
        cells = line.split(b",")
        if len(cells) != 10:
            notes.malformed(path, first_line + at, f"{len(cells)} values where 10 belong")
            continue
        try:
            clock = (int(cells[2]), int(cells[1]))
            if max(map(abs, clock)) >= 2**63:
                raise ValueError("a time that no clock has")
            reading = tuple(float(cell) for cell in cells[3:6])
        except ValueError:
            text = line[:60].decode("utf-8", "replace")
            notes.malformed(path, first_line + at, f"not a number: {text!r}")
            continue
        if not np.isfinite(reading).all():
            notes.malformed(path, first_line + at, "a value is not finite")
            continue
        times.append(clock)
        xyz.append(reading)
        lines.append(at)
    clocks = np.array(times, np.int64).reshape(-1, 2)
    values = np.array(xyz, np.float64).reshape(-1, 3)
    return Rows(clocks[:, 0], clocks[:, 1], values, np.array(lines, np.int64), starts)


def joined(accel: Rows, gyro: Rows, path: Path, notes: Notes) -> Recording:
    """Both sensors at the accelerometer's times, the gyroscope interpolated between its rows.

    Rows are sorted by Creation_Time; of rows with one time the first is kept. Where the
    gyroscope has no rows on both sides within 250 ms, the accelerometer's rows are left out.

    Raises: TracekitError where nothing is left.
    """
    import numpy as np

    a_time, g_time = _common_clock(accel, gyro, notes)
    a_time, a = _in_order(a_time, accel.xyz, "accelerometer", notes)
    g_time, g = _in_order(g_time, gyro.xyz, "gyroscope", notes)
    after = np.searchsorted(g_time, a_time)
    covered = (after > 0) & (after < len(g_time))
    # exact on the outer row too
    covered |= np.isin(a_time, g_time)
    after = np.clip(after, 1, max(len(g_time) - 1, 1))
    if len(g_time) > 1:
        covered &= g_time[after] - g_time[after - 1] <= BRIDGE_NS
    if not covered.any():
        raise TracekitError(
            "accelerometer and gyroscope have no time in common", where=path, hint="skip it"
        )
    if not covered.all():
        notes.repair(f"left out {int((~covered).sum())} rows without gyroscope rows around them")
    a_time, a = a_time[covered], a[covered]
    origin = a_time[0]
    ms = (a_time - origin) / 1e6
    turned = [np.interp(ms, (g_time - origin) / 1e6, g[:, axis]) for axis in range(3)]
    notes.repair("gyroscope interpolated to the accelerometer's times")
    steps = np.diff(ms)
    step = float(np.median(steps)) if len(steps) else 0.0
    gaps = steps[steps > 5 * step]
    if len(gaps):
        notes.repair(
            f"left as it is: {len(gaps)} gaps in the clock, the longest {gaps.max() / 1e3:.2f} s"
        )
    return Recording(
        "imu",
        values=np.column_stack([a, *turned]),
        rate_hz=1e3 / step if step > 0 else None,
        timestamps_ms=ms,
        repairs=notes.repairs(),
    )


def _common_clock(
    accel: Rows, gyro: Rows, notes: Notes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Times in ns on one clock: Creation_Time, or Arrival_Time where those do not overlap."""
    one, two = accel.creation, gyro.creation
    if len(one) and len(two) and (one.max() < two.min() or two.max() < one.min()):
        notes.repair("timed by Arrival_Time (ms): the two sensors' Creation_Time do not overlap")
        return accel.arrival * 1_000_000, gyro.arrival * 1_000_000
    return one, two


def _in_order(
    time: npt.NDArray[np.int64], xyz: npt.NDArray[np.float64], name: str, notes: Notes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    import numpy as np

    back = int((np.diff(time) < 0).sum())
    if back:
        notes.repair(f"sorted the {name} by time: its clock went back {back} times")
    kept, first = np.unique(time, return_index=True)
    if len(kept) < len(time):
        notes.repair(f"left out {len(time) - len(kept)} {name} rows with the time of another")
    return kept, xyz[first]


def window_starts(accel: Rows, gyro: Rows, origin: int) -> list[int]:
    """Start in ns of each window: 120 bins of 50 ms in a row, each with rows of both sensors.

    Bins count from `origin`, the stretch's first event. A bin without rows restarts the window.
    """
    import numpy as np

    both = np.intersect1d((accel.creation - origin) // BIN_NS, (gyro.creation - origin) // BIN_NS)
    starts = []
    count = 0
    for at, number in enumerate(both):
        count = count + 1 if at and both[at - 1] == number - 1 else 1
        if count == windows_20hz.LENGTH:
            starts.append(origin + (int(number) - windows_20hz.LENGTH + 1) * BIN_NS)
            count = 0
    return starts


def window(accel: Rows, gyro: Rows, span: tuple[int, int]) -> npt.NDArray[np.float64]:
    """[120, 6] means of the bins of one window."""
    import numpy as np

    out = np.zeros((windows_20hz.LENGTH, 6))
    for side, column in ((accel, 0), (gyro, 3)):
        inside = (side.creation >= span[0]) & (side.creation < span[1])
        number = (side.creation[inside] - span[0]) // BIN_NS
        rows_in = np.bincount(number, minlength=windows_20hz.LENGTH)
        for axis in range(3):
            sums = np.bincount(
                number, weights=side.xyz[inside, axis], minlength=windows_20hz.LENGTH
            )
            out[:, column + axis] = sums / rows_in
    return out


def place(side: Rows, span: tuple[int, int], group: list[Run]) -> list[tuple[int, int]]:
    """(byte offset, size) in the file of the lines that hold a window's rows.

    A clock that goes back scatters them, so these are all lines from the first to the last.
    """
    import numpy as np

    inside = np.flatnonzero((side.creation >= span[0]) & (side.creation < span[1]))
    begin = int(side.starts[side.line[inside].min()])
    end = int(side.starts[side.line[inside].max() + 1])
    found = []
    base = 0  # where this run's bytes start among those of all
    for run in group:
        low, high = max(begin, base), min(end, base + run.size)
        if low < high:
            found.append((run.start + low - base, high - low))
        base += run.size
    return found
