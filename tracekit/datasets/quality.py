"""What is good and what is not of one recording: clock, gaps, clipping, what moves how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tracekit.datasets import checks
from tracekit.datasets.checks import Probe
from tracekit.datasets.entry import Recording
from tracekit.results.first_screen import sentence
from tracekit.results.units import plural, share

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SEGMENT = 1024  # samples of a piece whose spectrum is taken
FEWEST = 32  # samples, for a spectrum
SLOWEST_HZ = 0.3  # below, it is posture and drift, not motion
OFF = 0.05  # of the stated rate: the clock is at another
MADE = "synthetic"  # how the remark on a sample of a formula begins
CLIPPED = 0.002  # of an axis' samples at one and the same extreme
FEW = 3  # samples at an extreme: fewer are no clipping
AXES = ("acceleration x", "acceleration y", "acceleration z", "angular velocity x",
        "angular velocity y", "angular velocity z")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gaps:
    """Steps of the clock that are more than five times as long as the median."""

    count: int
    longest_s: float
    lost: float  # share of the time from first to last sample


@dataclass(frozen=True, slots=True)
class Clipping:
    """The axis with most samples at its own extreme."""

    axis: str
    value: float
    share: float  # of its samples


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Amplitude by frequency, of all axes of a sensor together: mean over pieces (Welch).

    Shapes: F frequencies. Source: Welch, IEEE Trans. Audio Electroacoust. 15(2), 1967.
    """

    hz: Floats  # [F]
    acceleration: Floats  # [F] m/s²; of sound its own unit
    angular: Floats | None  # [F] rad/s

    @property
    def peak_hz(self) -> float | None:
        """Where most of the motion is; None where there is none above SLOWEST_HZ."""
        moving = self.hz >= SLOWEST_HZ
        if not moving.any() or not self.acceleration[moving].max() > 0:
            return None
        return float(self.hz[moving][self.acceleration[moving].argmax()])

    @property
    def peak(self) -> float | None:
        """The amplitude there."""
        moving = self.hz >= SLOWEST_HZ
        return float(self.acceleration[moving].max()) if moving.any() else None


@dataclass(frozen=True, slots=True)
class Quality:
    """None is what cannot be said of such a recording."""

    rate_hz: float | None  # by its clock, else as stated
    duration_s: float | None
    gaps: Gaps | None
    clipping: Clipping | None
    spectrum: Spectrum | None


def quality(recording: Recording) -> Quality:
    """Of motion and of sound; of other kinds nothing is known."""
    import numpy as np

    if recording.values is not None:
        rate, gaps = _clock(recording)
        count = len(recording.values)
        times = recording.timestamps_ms
        span = count / rate if rate else None
        if times is not None and count > 1:
            span = float(times[-1] - times[0]) / 1e3
        return Quality(rate, span, gaps, _clipping(recording.values, AXES),
                       _motion(recording, rate))  # fmt: skip
    wave = recording.arrays.get("waveform")
    if wave is None:
        return Quality(None, None, None, None, None)
    samples = np.asarray(wave, np.float64)[:, None]
    rate = recording.rate_hz
    return Quality(
        rate, len(samples) / rate if rate else None, None, _clipping(samples, ("waveform",)),
        _spectrum(samples, None, rate),
    )  # fmt: skip


def verdict(probe: Probe, found: Quality) -> tuple[Literal["", "warn", "bad"], str, str]:
    """(level, word, one reason): whether a model may be given the recording as it is."""
    for level, reason in _faults(probe, found):
        return level, "Look before use" if level == "warn" else "Unfit as it is", reason
    mended = [text for text in probe.repairs if not text.startswith(MADE)]
    if mended:
        more = f" And {len(mended) - 1} more below." if mended[1:] else ""
        return "warn", "Mended while read", sentence(mended[0]) + more
    checked = ["no gap", "no value missing"] if found.gaps is not None else ["no value missing"]
    if found.clipping is None and found.spectrum is not None:
        checked.append("nothing clipped")
    word = "Clean" if not probe.repairs else "Clean, and synthetic"
    return "", word, f"{', '.join(checked).capitalize()}."


def _faults(probe: Probe, found: Quality) -> list[tuple[Literal["warn", "bad"], str]]:
    """The worst first."""
    said: list[tuple[Literal["warn", "bad"], str]] = []
    if probe.backward:
        said.append(("bad", f"The clock runs backward in {plural(probe.backward, 'step')}."))
    if probe.missing:
        said.append(("bad", f"{plural(probe.missing, 'value is', 'values are')} not finite."))
    if found.gaps is not None and found.gaps.count:
        g = found.gaps
        said.append((
            "warn",
            f"{plural(g.count, 'gap')} in the clock, the longest {g.longest_s:.3g} s: "
            f"{share(g.lost)} of the time has no samples.",
        ))  # fmt: skip
    if found.clipping is not None:
        c = found.clipping
        said.append(("warn", f"{share(c.share)} of {c.axis} is at its extreme, {c.value:.4g}: it "
                     "is clipped, or stands still."))  # fmt: skip
    if probe.rate_hz and probe.measured_hz and abs(probe.measured_hz / probe.rate_hz - 1) > OFF:
        said.append(("warn", f"The clock says {probe.measured_hz:.4g} Hz, the file "
                     f"{probe.rate_hz:.4g} Hz."))  # fmt: skip
    low, high = checks.NORMS["m/s²"]
    if probe.norm is not None and not low <= probe.norm <= high:
        said.append(("warn", f"Acceleration has a median of {probe.norm:.3g} m/s², where gravity "
                     "alone is 9.81: its unit, or gravity, is not as stated."))  # fmt: skip
    return said


def _clock(recording: Recording) -> tuple[float | None, Gaps | None]:
    import numpy as np

    times = recording.timestamps_ms
    if times is None or len(times) < 2:
        return recording.rate_hz, None
    steps = np.diff(times)
    middle = float(np.median(steps))
    if middle <= 0:
        return recording.rate_hz, None
    wide = steps[steps > checks.GAP * middle]
    span = float(times[-1] - times[0])
    lost = float((wide - middle).sum()) / span if len(wide) and span > 0 else 0.0
    longest = float(wide.max()) / 1e3 if len(wide) else 0.0
    return 1e3 / middle, Gaps(len(wide), longest, lost)


def _clipping(values: Floats, axes: tuple[str, ...]) -> Clipping | None:
    """An axis that is at the same extreme again and again, at least twice in a row."""
    import numpy as np

    found: list[Clipping] = []
    for place, name in enumerate(axes[: values.shape[1]]):
        column = values[:, place]
        column = column[np.isfinite(column)]
        if not len(column) or column.max() == column.min():
            continue
        for extreme in (column.max(), column.min()):
            there = column == extreme
            part = float(there.mean())
            twice = bool((there[1:] & there[:-1]).any())
            if twice and there.sum() >= FEW and part >= CLIPPED:
                found.append(Clipping(name, float(extreme), part))
    return max(found, key=lambda c: c.share, default=None)


def _motion(recording: Recording, rate: float | None) -> Spectrum | None:
    """Of the longest stretch without a gap and without a missing value."""
    import numpy as np

    assert recording.values is not None
    values, times = recording.values, recording.timestamps_ms
    broken = np.asarray(~np.isfinite(values).all(axis=1))
    if times is not None and len(times) > 1:
        steps = np.diff(times)
        broken[1:] |= steps > checks.GAP * np.median(steps)
    edges = np.concatenate([[0], np.flatnonzero(broken), [len(values)]])
    longest = int(np.diff(edges).argmax())
    part = values[edges[longest] : edges[longest + 1]]
    part = part[np.isfinite(part).all(axis=1)]
    return _spectrum(part[:, :3], part[:, 3:6], rate)


def _spectrum(first: Floats, second: Floats | None, rate: float | None) -> Spectrum | None:
    import numpy as np

    if rate is None or len(first) < FEWEST:
        return None
    size = min(len(first), SEGMENT)
    hz = np.asarray(np.fft.rfftfreq(size, 1 / rate), np.float64)
    return Spectrum(
        hz, _amplitudes(first, size), None if second is None else _amplitudes(second, size)
    )


def _amplitudes(values: Floats, size: int) -> Floats:
    """[F] of a sine of that frequency, all axes together; means over half-overlapping pieces."""
    import numpy as np

    window = np.hanning(size)
    starts = range(0, len(values) - size + 1, max(size // 2, 1))
    power = np.zeros(size // 2 + 1)
    for start in starts:
        piece = values[start : start + size]
        swing = np.fft.rfft((piece - piece.mean(axis=0)) * window[:, None], axis=0)
        power += (np.abs(swing) ** 2).sum(axis=1)
    return np.asarray(np.sqrt(power / len(starts)) * 2 / window.sum(), np.float64)
