"""Arrays that look like what sensors give: seeded, and physically of one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracekit.datasets.formats.csv_rows import G

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# a phone's sensor at 200 Hz: standard deviation of one sample, and of the constant bias
ACCEL_NOISE, GYRO_NOISE = 0.03, 0.003  # m/s², rad/s
ACCEL_BIAS, GYRO_BIAS = 0.05, 0.005
SOUND_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Activity:
    """Amplitudes of the first harmonic at `cadence_hz`; the second has half of each."""

    cadence_hz: float
    up: float = 0.0  # vertical acceleration, m/s²
    forward: float = 0.0  # m/s²
    sway: float = 0.0  # sideways, m/s²
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)  # roll, pitch, yaw swing, rad
    pose: tuple[float, float] = (0.0, 0.0)  # mean roll and pitch, rad
    turn: float = 0.0  # mean yaw rate, rad/s


ACTIVITIES = {
    "walking": Activity(1.8, 2.5, 1.2, 0.8, (0.06, 0.08, 0.10), (0.05, 0.10)),
    "jogging": Activity(2.7, 9.0, 3.0, 2.0, (0.10, 0.15, 0.15), (0.05, 0.15)),
    "climbing stairs": Activity(1.5, 2.0, 1.0, 0.9, (0.08, 0.12, 0.12), (0.05, 0.25)),
    "descending stairs": Activity(1.7, 3.5, 1.4, 1.0, (0.08, 0.10, 0.12), (0.05, 0.05)),
    "biking": Activity(1.2, 0.8, 0.6, 0.5, (0.10, 0.05, 0.04), (0.05, 0.60)),
    "standing": Activity(0.3, 0.02, 0.02, 0.02, (0.004, 0.004, 0.003), (0.03, 0.05)),
    "sitting": Activity(0.25, 0.01, 0.01, 0.01, (0.002, 0.002, 0.002), (0.05, 0.80)),
    "lying": Activity(0.25, 0.01, 0.01, 0.01, (0.001, 0.001, 0.001), (1.50, 0.05)),
    "turning": Activity(1.0, 0.8, 0.3, 0.4, (0.05, 0.05, 0.05), (0.0, 0.05), 0.9),
}


def imu(
    activity: str, *, seed: Sequence[int], rate_hz: float, seconds: float, noise: float = 1.0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Times in ms [N] and values [N, 6]: acceleration with gravity in m/s², gyroscope in rad/s.

    Roll, pitch and yaw are sums of sines, so their rates are exact; the gyroscope reads the body
    rates of that motion and the accelerometer its acceleration and gravity, turned into the body.
    Standing still it reads +9.80665 along the axis that points up, as phones do.
    Source: Euler-angle kinematics, Z-Y-X order (Diebel 2006, "Representing Attitude", eq. 79).
    """
    import numpy as np

    rng = np.random.default_rng(list(seed))
    t = np.arange(max(1, round(rate_hz * seconds))) / rate_hz
    angles, gyro, world, _ = motion(activity, t, rng)
    accel = np.einsum("nij,ni->nj", rotation(*angles), world)  # transposed: world to body
    values = np.concatenate([accel, gyro], axis=1)
    if noise:
        scale = np.repeat([ACCEL_NOISE, GYRO_NOISE], 3)
        values += noise * scale * rng.standard_normal(values.shape)
        values += noise * np.repeat([ACCEL_BIAS, GYRO_BIAS], 3) * rng.standard_normal(6)
    return t * 1e3, values


def motion(
    activity: str, t: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[Any, npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(roll, pitch, yaw) in rad, body rates [N, 3] in rad/s, acceleration plus gravity's reaction
    in world axes [N, 3] in m/s², and the place [N, 3] in m that has this acceleration, at the
    times `t` in s. World axes point forward, left and up.
    """
    import numpy as np

    what = ACTIVITIES[activity]
    cadence = 2 * np.pi * what.cadence_hz * rng.uniform(0.92, 1.08)

    def swing(amplitude: float) -> tuple[Any, Any, Any]:
        """A sine with its second harmonic, their rate, and their integral over time twice."""
        one, two = rng.uniform(0, 2 * np.pi, 2)
        first, second = np.sin(cadence * t + one), 0.5 * np.sin(2 * cadence * t + two)
        rate = cadence * (np.cos(cadence * t + one) + np.cos(2 * cadence * t + two))
        twice = -(first + second / 4) / cadence**2
        return amplitude * (first + second), amplitude * rate, amplitude * twice

    swings = [swing(a) for a in what.tilt]
    roll, d_roll = swings[0][0] + what.pose[0], swings[0][1]
    pitch, d_pitch = swings[1][0] + what.pose[1], swings[1][1]
    yaw, d_yaw = swings[2][0] + what.turn * t + rng.uniform(-np.pi, np.pi), swings[2][1] + what.turn
    gyro = np.stack(
        [
            d_roll - d_yaw * np.sin(pitch),
            d_pitch * np.cos(roll) + d_yaw * np.cos(pitch) * np.sin(roll),
            -d_pitch * np.sin(roll) + d_yaw * np.cos(pitch) * np.cos(roll),
        ],
        axis=1,
    )
    moves = [swing(what.forward), swing(what.sway), swing(what.up)]
    world = np.stack([value for value, _, _ in moves], axis=1)
    world[:, 2] += G
    place = np.stack([twice for _, _, twice in moves], axis=1)
    return (roll, pitch, yaw), gyro, world, place


def rotation(
    roll: npt.NDArray[np.float64], pitch: npt.NDArray[np.float64], yaw: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """[N, 3, 3] body to world, Z-Y-X order."""
    import numpy as np

    cr, sr, cp, sp = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    cy, sy = np.cos(yaw), np.sin(yaw)
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def events(
    *, seed: Sequence[int], number: int = 60_000, span_us: int = 50_000, size: Any = (640, 480)
) -> npt.NDArray[Any]:
    """[N] records (x, y: uint16; p: uint8; t: int64 in µs, sorted) of a bar that crosses the field.

    The bar's leading edge gives brighter events (p 1), its trailing edge darker ones (p 0); one
    event in ten is noise anywhere.
    """
    import numpy as np

    rng = np.random.default_rng(list(seed))
    width, height = size
    t = np.sort(rng.integers(0, span_us, number))
    p = rng.integers(0, 2, number)
    edge = width * (0.2 + 0.5 * t / span_us) + np.where(p == 1, 24, 0) + rng.normal(0, 1.5, number)
    y = rng.integers(0, height, number)
    lost = rng.random(number) < 0.1
    x = np.where(lost, rng.integers(0, width, number), edge + 0.2 * y)
    made = np.empty(number, dtype=[("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("t", "<i8")])
    made["x"], made["y"] = np.clip(x, 0, width - 1).astype(np.uint16), y
    made["p"], made["t"] = np.where(lost, rng.integers(0, 2, number), p), t
    return made


def picture(*, seed: Sequence[int], height: int = 336, width: int = 336) -> npt.NDArray[np.uint8]:
    """[height, width, 3]: a colour gradient with one disc."""
    import numpy as np

    rng = np.random.default_rng(list(seed))
    y, x = np.mgrid[0:height, 0:width]
    corner = rng.uniform(0, 255, (3, 3))
    picture = corner[0] + np.multiply.outer(x / width, corner[1]) / 2
    picture += np.multiply.outer(y / height, corner[2]) / 2
    at = rng.uniform(0.3, 0.7, 2) * (height, width)
    picture[(y - at[0]) ** 2 + (x - at[1]) ** 2 < (0.2 * height) ** 2] = rng.uniform(0, 255, 3)
    whole: npt.NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return whole


def sound(*, seed: Sequence[int], seconds: float = 3.0) -> npt.NDArray[np.float32]:
    """[N] in -1 … 1 at SOUND_HZ: three tones that glide, in syllables, over a little noise."""
    import numpy as np

    rng = np.random.default_rng(list(seed))
    t = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
    glide = 1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * t)
    phase = 2 * np.pi * np.cumsum(glide) / SOUND_HZ
    base = rng.uniform(100, 220)
    tones = sum(np.sin(base * n * phase) / n for n in (1, 2, 5))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    made = 0.3 * tones * syllables + rng.normal(0, 0.003, len(t))
    return np.clip(made, -1, 1).astype(np.float32)
