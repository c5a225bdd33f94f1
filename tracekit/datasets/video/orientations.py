"""What an orientation tells of a gyroscope and of gravity, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracekit.datasets.formats.csv_rows import G

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def body_rates(turned: Any, times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[N, 3] rad/s in the body's axes from N orientations (body to world) at N times.

    The rotation from each sample to the next over the time between; the last repeats the one
    before, so that there are as many rates as samples.
    Source: the logarithm of the relative rotation, exact for a constant rate.
    """
    import numpy as np

    if len(times_s) < 2:
        return np.zeros((len(times_s), 3))
    between = (turned[:-1].inv() * turned[1:]).as_rotvec() / np.diff(times_s)[:, None]
    return np.vstack([between, between[-1:]])


def gravity(turned: Any) -> npt.NDArray[np.float64]:
    """[N, 3] m/s²: what an accelerometer at rest reads in each orientation, world z being up."""
    import numpy as np

    found: npt.NDArray[np.float64] = turned.inv().apply(np.array([0.0, 0.0, G]))
    return found
