"""A recording to what LIMU-BERT takes: 20 Hz, up to 120 samples, acceleration over 9.8.

The published data sets are cut into windows by `tracekit.datasets`; this is for one recording of
any rate, such as a file that a user names.
Source: github.com/dapowan/LIMU-BERT-Public (MIT); paper: Xu et al., SenSys 2021.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from tracekit.datasets.formats.windows_20hz import ACCEL_SCALE, LENGTH, RATE_HZ
from tracekit.errors import TracekitError
from tracekit.models.shared import imu_window

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tracekit.datasets.entry import Recording

    Signal = npt.NDArray[np.float64]

SLACK = 0.02  # a clock may be this far off and still count as 20 Hz
SLOWEST_HZ = 5.0  # below, a step of a walk falls between two samples


def block_means(values: Signal, ratio: float) -> Signal:
    """Means of consecutive groups of samples, without a filter: `ratio` samples become one.

    Where the ratio is no whole number, the sizes of the groups alternate: 2, 3, 2, 3 for 2.5. A
    group that the end cuts is left out.

    Shapes: [N, C] to [floor(N / ratio), C].
    """
    import numpy as np

    exact = Fraction(ratio).limit_denominator(1000)
    rows = int(len(values) / exact)
    edges = np.array([int(k * exact) for k in range(rows + 1)], np.int64)
    if not rows:
        return values[:0]
    sums = np.add.reduceat(values[: edges[-1]], edges[:-1], axis=0)
    means: Signal = sums / np.diff(edges)[:, None]
    return means


def interpolated(values: Signal, times_ms: Signal) -> Signal:
    """Straight lines between samples that are further apart than 20 Hz, from the first one on.

    What comes after the last sample, within its period, keeps its value. No original does this:
    SensorCaps is published at 10 Hz only, made from the 20 Hz that the model was trained on.

    Shapes: [N, C] and [N] to [M, C].
    """
    import numpy as np

    period = float(np.median(np.diff(times_ms))) if len(times_ms) > 1 else 0.0
    step = 1000 / RATE_HZ
    # the last may lie a rounding error before the end, not on it
    at = np.arange(times_ms[0], times_ms[-1] + max(period, step) - step / 1000, step)
    return np.stack([np.interp(at, times_ms, column) for column in values.T], axis=1)


def _rate(timestamps_ms: Signal | None) -> float:
    """Samples a second by the median interval; arrays without times are published at 20 Hz."""
    import numpy as np

    if timestamps_ms is None or len(timestamps_ms) < 2:
        return RATE_HZ
    between = float(np.median(np.diff(timestamps_ms)))
    return 1000 / between if between > 0 else 0.0


def _first(recording: Recording, rate: float) -> int:
    """The first sample of the window: by its timestamps where the recording has them."""
    import numpy as np

    start_s = recording.start_s
    if start_s is None:
        return 0
    if recording.timestamps_ms is None:
        return max(0, round(start_s * rate))
    return int(np.searchsorted(recording.timestamps_ms, start_s * 1000))


def window(recording: Recording, *, where: object, length: int = LENGTH) -> npt.NDArray[np.float32]:
    """The first window of a recording, from where it says to start, as the model takes it.

    Shapes: [T, 6] with T ≤ `length`; a shorter recording is not padded, as published.

    Raises: TracekitError where it is no IMU recording, is slower than 5 Hz, is empty from there
        on, or holds what is not a number.
    """
    import numpy as np

    if recording.kind != "imu" or recording.values is None:
        raise TracekitError(
            f"LIMU-BERT takes IMU recordings, this one is of kind {recording.kind!r}",
            where=where,
            hint="choose an IMU data set: tracekit datasets",
        )
    values = imu_window.channels_last(recording.values, where)
    rate = recording.rate_hz or _rate(recording.timestamps_ms)
    ratio = rate / RATE_HZ
    if not rate >= SLOWEST_HZ:
        raise TracekitError(
            f"was recorded at {rate:g} Hz, LIMU-BERT takes {RATE_HZ:g} Hz",
            where=where,
            hint=f"give a recording of {SLOWEST_HZ:g} Hz or more",
        )
    first = _first(recording, rate)
    last = len(values)
    if recording.duration_s is not None:
        last = min(last, first + round(recording.duration_s * rate))
    values = values[first:last]
    if ratio > 1 + SLACK:
        values = block_means(values[: int(np.ceil((length + 1) * ratio))], ratio)
    elif ratio < 1 - SLACK and len(values):
        even: Signal = np.arange(last, dtype=np.float64) * (1000 / rate)
        times = even if recording.timestamps_ms is None else recording.timestamps_ms
        few = slice(first, min(last, first + int(np.ceil((length + 1) * ratio)) + 1))
        values = interpolated(values[: few.stop - first], times[few])
    values = values[:length]
    if not len(values):
        raise TracekitError(
            f"has no samples from {recording.start_s or 0:g} s on",
            where=where,
            hint="start earlier, or give a longer recording",
        )
    if not np.isfinite(values).all():
        raise TracekitError(
            f"{int((~np.isfinite(values)).any(axis=1).sum())} of {len(values)} rows of the window "
            "hold what is not a number",
            where=where,
            hint="choose another part with a start, or mend the recording",
        )
    out = values.astype(np.float32)
    out[:, :3] /= np.float32(ACCEL_SCALE)
    return out
