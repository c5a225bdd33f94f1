"""Events that an ideal event camera would see in frames: a log-intensity threshold model.

A pixel that emitted its last event at log intensity L emits the next as it reaches L + C (brighter,
p 1) or L - C (darker, p 0). Between frames log intensity is taken to be linear in time, so that a
pixel may emit several events between two, each at the time at which it crosses. Noise, a refractory
period and the limited bandwidth of a real pixel are left out; leaks are, unless a rate is given.

Source: ESIM, Rebecq et al. 2018 (CoRL), sec. 3, contrast thresholds there 0.5 and less; v2e, Hu et
al. 2021, arXiv 2006.07722, sec. 4: threshold 0.2 with a spread of 0.03 over pixels, and intensity
that is linear below 20 of 255 and logarithmic above; leaks of 0.1 Hz a pixel (sec. 4.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.generic]  # of numbers


THRESHOLD = 0.2


@dataclass(frozen=True, slots=True)
class Model:
    """Parameters of the camera. Thresholds are of natural logarithms of intensity."""

    threshold: float = THRESHOLD
    spread: float = 0.03  # standard deviation of a pixel's threshold, fixed for each pixel
    least: float = 0.01  # of a threshold, as v2e has it
    linear_below: float = 20.0  # of 255
    leak_hz: float = 0.0  # events of p 1 that a pixel emits where nothing changes
    seed: int = 0

    def said(self) -> dict[str, float]:
        """For a sample's facts."""
        return asdict(self)


def log_intensity(frame: Image, linear_below: float) -> npt.NDArray[np.float64]:
    """Of intensities 0 to 255: their logarithm, and below a bound the line to it from 0."""
    import numpy as np

    whole = np.asarray(frame, np.float64)
    line = whole * (np.log(linear_below) / linear_below)
    return np.where(whole <= linear_below, line, np.log(np.maximum(whole, linear_below)))


def events(
    frames: Iterable[tuple[int, Image]], model: Model = Model()
) -> dict[str, npt.NDArray[Any]]:
    """x, y, p and t (µs, sorted) [N] of frames [H, W] of intensities 0 to 255 at times in µs.

    The first frame is where each pixel starts, and gives no events.
    """
    import numpy as np

    found: list[npt.NDArray[np.int64]] = []
    reference = before = thresholds = start = None
    last = 0
    for now, frame in frames:
        light = log_intensity(frame, model.linear_below)
        if start is None:
            start = now
        elif thresholds is not None:
            light = light + model.leak_hz * (now - start) / 1e6 * thresholds
        if reference is None or before is None or thresholds is None:
            rng = np.random.default_rng(model.seed)
            spread = model.spread * rng.standard_normal(light.shape)
            thresholds = np.maximum(model.threshold + spread, model.least)
            reference = light.copy()
            if model.leak_hz:  # no two pixels have leaked for as long
                reference -= thresholds * rng.random(light.shape)
        else:
            found.append(_between(reference, before, light, thresholds, last, now))
        before, last = light, now
    rows = np.concatenate(found) if found else np.empty((0, 4), np.int64)
    rows = rows[np.argsort(rows[:, 3], kind="stable")]
    return {
        "x": rows[:, 0].astype(np.uint16), "y": rows[:, 1].astype(np.uint16),
        "p": rows[:, 2].astype(np.uint8), "t": rows[:, 3],
    }  # fmt: skip


def _between(
    reference: npt.NDArray[np.float64],
    before: npt.NDArray[np.float64],
    light: npt.NDArray[np.float64],
    thresholds: npt.NDArray[np.float64],
    last: int,
    now: int,
) -> npt.NDArray[np.int64]:
    """[N, 4] x, y, p, t of the crossings between two frames; `reference` moves with them."""
    import numpy as np

    change = light - reference
    counts = np.floor(np.abs(change) / thresholds).astype(np.int64)
    y, x = np.nonzero(counts)
    many, sign = counts[y, x], np.sign(change[y, x])
    pixel = np.repeat(np.arange(len(x)), many)
    number = np.arange(len(pixel)) - np.repeat(np.cumsum(many) - many, many) + 1
    level = reference[y, x][pixel] + sign[pixel] * number * thresholds[y, x][pixel]
    start, slope = before[y, x][pixel], (light - before)[y, x][pixel]
    # what was crossed lies between the frames, but for rounding
    share = np.clip((level - start) / np.where(slope == 0, 1, slope), 0, 1)
    t = last + np.round(share * (now - last)).astype(np.int64)
    reference[y, x] += sign * many * thresholds[y, x]
    return np.stack([x[pixel], y[pixel], (sign[pixel] > 0).astype(np.int64), t], axis=1)
