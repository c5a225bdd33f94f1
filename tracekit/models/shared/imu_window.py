"""An IMU window as OneLLM and IMU2CLIP see it: cut, resampled to 200 Hz, cropped or padded.

Source: our own words of `get_imu_frames` of OneLLM (csuhan/OneLLM, data/imu_utils.py), which
IMU2CLIP uses too; the resampler is torchaudio's windowed sinc with its defaults, after its
documentation and J. O. Smith, Digital Audio Resampling, ccrma.stanford.edu/~jos/resample.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, gcd
from typing import TYPE_CHECKING

import numpy as np

from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt

    from tracekit.datasets.entry import Recording
    from tracekit.models.shared.golden import Golden

    Signal = npt.NDArray[np.float64]

RATE_HZ = 200
FAR_MS = 4000.0  # a sample further from the wanted edge than this is not of the window
FEWEST = 10  # samples
ZEROS = 6  # of the sinc on each side: lowpass_filter_width
ROLLOFF = 0.99

GOLDENS = ("OneLLM / IMU2CLIP IMU window preprocessing (get_imu_frames)",)


@dataclass(frozen=True, slots=True)
class Window:
    """A window and how it came about."""

    signal: Signal  # [6, S], S = 200 · round(duration)
    timestamps_ms: Signal  # [n] of the samples before cropping and padding, resampled or not
    rate_hz: int  # as estimated from the timestamps, truncated; 0 where it was not


def resample(signal: Signal, rate: int, wanted: int) -> Signal:
    """`signal` [C, n] at `rate` Hz as [C, ceil(wanted·n/rate)] at `wanted` Hz.

    A sinc with 6 zero crossings a side under a Hann window, cut off at 0.99 of the lower Nyquist
    frequency; rates are divided by their greatest common divisor first.
    """
    common = gcd(rate, wanted)
    old, new = rate // common, wanted // common
    if old == new:
        return signal
    cutoff = min(old, new) * ROLLOFF
    width = ceil(ZEROS * old / cutoff)
    # [new, taps]: for each of the `new` output phases, times of the input samples around it
    at = np.arange(-width, width + old)[None, :] / old - np.arange(new)[:, None] / new
    t = np.clip(at * cutoff, -ZEROS, ZEROS)
    hann = np.cos(t * np.pi / ZEROS / 2) ** 2
    kernel = np.sinc(t) * hann * (cutoff / old)
    count = signal.shape[1]
    padded = np.pad(signal, ((0, 0), (width, width + old)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1], axis=1)[:, ::old]
    out = np.einsum("cft,pt->cfp", frames, kernel).reshape(signal.shape[0], -1)
    return np.ascontiguousarray(out[:, : ceil(new * count / old)])


def cut(
    values: Signal, timestamps_ms: Signal, start_s: float, end_s: float
) -> tuple[Signal, Signal] | None:
    """The samples [n, 6] between two times, and their times; None where the data has no such.

    Source: both edges must lie within 4 s of a sample and before the last; at least 10 samples.
    """
    start, end = start_s * 1000, end_s * 1000
    last = len(timestamps_ms) - 1
    if last < 0 or max(start, end) > timestamps_ms[-1]:
        return None
    first = int(np.searchsorted(timestamps_ms, start, side="left"))
    stop = int(np.searchsorted(timestamps_ms, end, side="left"))
    if (
        abs(timestamps_ms[min(first, last)] - start) > FAR_MS
        or abs(timestamps_ms[min(stop, last)] - end) > FAR_MS
    ):
        return None
    if first == stop:
        first, stop = max(first - 1, 0), stop + 1
    if stop - first < FEWEST:
        return None
    return values[first:stop], timestamps_ms[first:stop]


def window(values: Signal, timestamps_ms: Signal, start_s: float, end_s: float) -> Window | None:
    """The window [6, 200·round(duration)] of samples [N, 6]; None where the data has none.

    The rate is 1 / mean interval, truncated to whole Hz, so a gap lowers it and stretches the
    window. `round` is half to even: 2.5 s are 400 samples, 1.5 s too, 0.5 s none.
    """
    found = cut(values, timestamps_ms, start_s, end_s)
    if found is None:
        return None
    return _at_200_hz(*found, round(end_s - start_s) * RATE_HZ)


def _at_200_hz(part: Signal, times: Signal, length: int) -> Window:
    """The window [6, length] of the samples [n, 6] that lie in it."""
    rate = int(1000 * (1 / float(np.mean(np.diff(times)))))
    signal = np.ascontiguousarray(part.T)
    if rate != RATE_HZ and rate > 0:
        signal = resample(signal, rate, RATE_HZ)
        # the original counts in float32
        steps = (np.arange(signal.shape[1]) / RATE_HZ).astype(np.float32)
        times = times[0] + steps.astype(np.float64) * 1000
    return Window(_to_length(signal, length), times, rate)


def _to_length(signal: Signal, length: int) -> Signal:
    """Cropped at the end, or padded there with zeros."""
    kept = signal[:, :length]
    return np.pad(kept, ((0, 0), (0, length - kept.shape[1])))


def channels_last(values: Signal, where: object) -> Signal:
    """[N, 6] from [N, 6] or [6, N]; what is both is taken as the first.

    Raises: TracekitError for any other shape.
    """
    if values.ndim == 2 and values.shape[1] == 6:
        return values
    if values.ndim == 2 and values.shape[0] == 6:
        return values.T
    shape = " x ".join(map(str, values.shape))
    raise TracekitError(
        f"an IMU recording has 6 channels, this one is {shape}",
        where=where,
        hint="acceleration xyz in m/s², then angular velocity xyz in rad/s",
    )


def of_recording(recording: Recording, duration_s: float, where: object) -> Signal:
    """The [6, 200·duration] window a recording asks for, from its `start_s` or its beginning.

    A recording without timestamps is taken to be even at `rate_hz`, counted from 0. One that ends
    before the window does is padded with zeros, as the original pads, where it has 10 samples.

    Raises: TracekitError for a recording that is no IMU data, is too short, or has neither
    timestamps nor rate.
    """
    values = recording.values
    if values is None:
        raise TracekitError(
            f"not an IMU recording, but of kind {recording.kind!r}",
            where=where,
            hint="choose an IMU data set: tracekit datasets",
        )
    values = channels_last(values, where)
    times: Signal | None = recording.timestamps_ms
    if times is None:
        if not recording.rate_hz:
            raise TracekitError(
                "neither timestamps nor a sampling rate", where=where, hint="state the rate"
            )
        times = np.arange(len(values), dtype=np.float64) * (1000.0 / recording.rate_hz)
    if len(values) < FEWEST:
        raise TracekitError(
            f"only {len(values)} samples", where=where, hint=f"at least {FEWEST} are needed"
        )
    begin = recording.start_s
    start_s = float(times[0]) / 1000 if begin is None else begin
    found = window(values, times, start_s, start_s + duration_s)
    if found is None:
        found = _shorter(values, times, start_s, duration_s)
    if found is None:
        raise TracekitError(
            f"no window of {duration_s:g} s at {start_s:g} s "
            f"(the recording spans {times[0] / 1000:g} to {times[-1] / 1000:g} s)",
            where=where,
            hint="choose a start inside the recording",
        )
    return found.signal


def _shorter(values: Signal, times: Signal, start_s: float, duration_s: float) -> Window | None:
    """The window of a recording that ends too early: what there is, then zeros."""
    first = int(np.searchsorted(times, start_s * 1000, side="left"))
    part, part_times = values[first:], times[first:]
    if len(part) < FEWEST or part_times[0] - start_s * 1000 > FAR_MS:
        return None
    return _at_200_hz(part, part_times, round(duration_s) * RATE_HZ)


def golden(case: Golden) -> dict[str, object]:
    """Our windows for every case of imu_window_preprocess."""
    out: dict[str, object] = {}
    for name, asked in case.sidecar["cases"].items():
        given = case.under(f"{name}.in.")
        found = window(
            given["signal"].T, given["timestamps_ms"], asked["start_sec"], asked["end_sec"]
        )
        if asked["returns_none"]:
            out[f"{name}.none"] = True if found is None else "a window where none is expected"
        elif found is None:
            out[f"{name}.none"] = "no window"
        else:
            out[f"{name}.out.signal"] = found.signal
            out[f"{name}.out.timestamps_ms"] = found.timestamps_ms
            rate = asked["estimated_rate_int"]
            right = found.rate_hz == rate
            out[f"{name}.rate"] = True if right else f"{found.rate_hz} Hz, expected {rate}"
    return out
