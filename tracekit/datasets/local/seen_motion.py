"""What an event camera on a moving body sees, of the same motion that its IMU measures.

The camera looks forward along the body's x axis at a wall that stands upright before it, painted
with waves of many directions and lengths. Place and attitude at each instant are those of
`signals.motion`, of which the IMU's acceleration and rates are the exact derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tracekit.datasets.formats import threshold_events
from tracekit.datasets.local import signals

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

WIDTH, HEIGHT = 240, 180  # pixels, as a DAVIS240 has
FOCAL = 170.0  # pixels: 70 degrees wide
DISTANCE = 2.0  # m to the wall
WAVES = 12
CONTRAST = 0.35  # of intensity, as a share of its mean; one standard deviation
FRAMES_PER_S = 500  # at which the scene is drawn; events lie between
SPAN_US = 50_000  # EventGPT refuses 100 ms and more
LEAK_HZ = 0.1  # as v2e has it: a camera that lies still emits events all the same


def camera(seed: Sequence[int]) -> threshold_events.Model:
    """The camera of one body."""
    return threshold_events.Model(leak_hz=LEAK_HZ, seed=sum(seed))


def events(
    activity: str, *, seed: Sequence[int], start_s: float, span_us: int = SPAN_US
) -> dict[str, npt.NDArray[Any]]:
    """x, y, p and t (µs from `start_s` of the motion) of the camera on the body of `signals.imu`.

    The same `activity` and `seed` are the same motion.
    """
    return threshold_events.events(frames(activity, seed, start_s, span_us), camera(seed))


def frames(
    activity: str, seed: Sequence[int], start_s: float, span_us: int
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Time in µs and intensity [H, W], 0 to 255, of each drawn frame, both ends included."""
    import numpy as np

    at = np.arange(span_us * FRAMES_PER_S // 1_000_000 + 1) * 1_000_000 // FRAMES_PER_S
    t = start_s + at / 1e6
    angles, _, _, place = signals.motion(activity, t, np.random.default_rng(list(seed)))
    roll, pitch, yaw = angles
    # the wall stands across the heading at the window's start
    turned = signals.rotation(roll, pitch, yaw - yaw[0])
    waves = _waves(np.random.default_rng([*seed, 1]))
    rays = _rays()
    for number, now in enumerate(at.tolist()):
        yield now, _seen(rays @ turned[number].T, place[number], waves)


def _rays() -> npt.NDArray[np.float64]:
    """[H, W, 3] directions of the pixels in body axes: x forward, y left, z up."""
    import numpy as np

    left = (WIDTH / 2 - 0.5 - np.arange(WIDTH)) / FOCAL
    up = (HEIGHT / 2 - 0.5 - np.arange(HEIGHT)) / FOCAL
    ones = np.ones((HEIGHT, WIDTH))
    return np.stack([ones, ones * left, ones * up[:, None]], axis=-1)


def _waves(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """[WAVES, 3]: wave numbers sideways and up, in rad/m, and phase."""
    import numpy as np

    length = np.exp(rng.uniform(np.log(0.1), np.log(1.5), WAVES))  # m
    angle, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
    number = 2 * np.pi / length
    return np.stack([number * np.cos(angle), number * np.sin(angle), phase], axis=1)


def _seen(
    rays: npt.NDArray[np.float64], place: npt.NDArray[np.float64], waves: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """[H, W] intensity where each ray [H, W, 3] in world axes meets the wall."""
    import numpy as np

    far = (DISTANCE - place[0]) / np.maximum(rays[..., 0], 1e-3)  # looking away: far to the side
    side, up = place[1] + far * rays[..., 1], place[2] + far * rays[..., 2]
    light = np.zeros(side.shape)
    for across, upward, phase in waves:
        light += np.sin(across * side + upward * up + phase)
    bright: npt.NDArray[np.float64] = 127.5 * (1 + CONTRAST * light / np.sqrt(WAVES / 2))
    return bright.clip(0.0, 255.0)
