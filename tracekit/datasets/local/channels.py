"""What the headings of a recording say: which column is which channel, in which unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tracekit.datasets.formats.csv_rows import G

Kind = Literal["acceleration", "angular velocity", "time", "gravity"]

# one of each unit in m/s², rad/s or ms; a unit is known by its letters and digits alone
ACCELERATION = {
    **dict.fromkeys(("ms2", "mss", "mps2", "mpss"), 1.0),
    **dict.fromkeys(("g", "gs", "gn", "g0", "gforce"), G),
    **dict.fromkeys(("mg", "milligs", "millig"), G / 1e3),
    "ug": G / 1e6, "cms2": 1e-2, "gal": 1e-2, "mms2": 1e-3,
}  # fmt: skip
ROTATION = {
    **dict.fromkeys(("rads", "rads1", "radps", "rs"), 1.0),
    **dict.fromkeys(("mrads", "mrads1", "mradps"), 1e-3),
    **dict.fromkeys(("dps", "degs", "degs1", "degps"), math.pi / 180),
    **dict.fromkeys(("mdps", "mdegs", "mdegs1", "mdegps"), math.pi / 180e3),
    "rpm": math.pi / 30,
}
TIME = {
    **dict.fromkeys(("s", "sec", "secs"), 1e3),
    **dict.fromkeys(("ms", "msec", "msecs", "milli", "millis", "millisec"), 1.0),
    **dict.fromkeys(("us", "usec", "usecs", "micro", "micros", "microsec"), 1e-3),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nano", "nanos", "nanosec"), 1e-6),
}
UNITS: Mapping[Kind, Mapping[str, float]] = {
    "acceleration": ACCELERATION, "angular velocity": ROTATION, "time": TIME,
    "gravity": ACCELERATION,
}  # fmt: skip
SPELLINGS = (
    (r"[²]", "2"), (r"[³]", "3"), (r"⁻", ""), (r"¹", "1"), (r"[°º]", "deg"), (r"[µμ]", "u"),
    (r"milliseconds?", "ms"), (r"microseconds?", "us"), (r"nanoseconds?", "ns"),
    (r"seconds?|\bsec\b|(?<=/)sec|(?<=\()sec", "s"), (r"degrees?", "deg"), (r"radians?", "rad"),
    (r"met(?:er|re)s?", "m"), (r"\bper\b|_per_", "/"), (r"squared", "2"),
)  # fmt: skip
BRACKETS = re.compile(r"[\[({<]([^\])}>]*(?:\([^)]*\)[^\])}>]*)?)[\])}>]\s*$")
WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+|[²°µ]+")
GLUED = re.compile(r"(a|acc|accl|accel|g|w|gyr|gyro)([xyz])")

ACCEL_WORDS = {"a", "acc", "accl", "accel", "accelero", "accelerometer", "acceleration"}
GYRO_WORDS = {"g", "w", "gyr", "gyro", "gyroscope", "rotation", "rotationrate", "angular",
              "angularvelocity", "angvel", "omega"}  # fmt: skip
GRAVITY_WORDS = {"gravity", "grav"}
WITHOUT_GRAVITY = {"user", "linear", "free", "lin", "useracceleration", "linearacceleration"}
OTHER_WORDS = {
    "mag", "magnetometer", "magnetic", "quat", "quaternion", "std", "var", "mean", "bias", "noise",
    "covariance", "cov", "jerk", "max", "min", "orientation",
}  # fmt: skip
TIME_WORDS = {"t", "time", "times", "timestamp", "timestamps", "stamp", "ts", "epoch", "elapsed",
              "clock", "datetime", "date", "uptime", "seconds", "millis", "nanos",
              "micros"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heading:
    """What one heading says."""

    column: int
    text: str  # as in the file
    kind: Kind
    axis: str  # x, y, z; '' of time
    unit: str | None  # as the file spells it; None where none is stated
    scale: float | None  # m/s², rad/s or ms in one of it; None where it is not known
    extra: int  # words that say something else too
    without_gravity: bool = False


def key(unit: str) -> str:
    """A unit as its letters and digits, however it is spelt: `m/s^2`, `m·s⁻²` and `M / S²`."""
    text = unit.strip().lower()
    for pattern, plain in SPELLINGS:
        text = re.sub(pattern, plain, text)
    return re.sub(r"[^a-z0-9]", "", text)


def scale_of(kind: Kind, unit: str) -> float | None:
    """m/s², rad/s or ms in one `unit`; None for a unit that is not known."""
    return UNITS[kind].get(key(unit))


def heading(column: int, text: str, unit: str | None = None) -> Heading | None:
    """What a heading says, `unit` being that of a row of units; None where it is no channel."""
    plain = text.strip().strip('"').lstrip("#% ")
    stated = unit.strip() if unit and unit.strip() else None
    if match := BRACKETS.search(plain):
        stated = stated or match[1].strip() or None
        plain = plain[: match.start()]
    words = _words(plain)
    if not words or OTHER_WORDS & set(words):
        return None
    axes = [at for at, word in enumerate(words) if word in ("x", "y", "z")]
    if not axes:
        return _time(column, text, words, stated)
    rest = words[: axes[-1]] + words[axes[-1] + 1 :]
    sensor = next((w for w in rest if w in ACCEL_WORDS | GYRO_WORDS | GRAVITY_WORDS), None)
    if sensor is None:
        return None
    at = rest.index(sensor)
    kind: Kind = "angular velocity" if sensor in GYRO_WORDS else "acceleration"
    if sensor in GRAVITY_WORDS:
        kind = "gravity"
    before, after = rest[:at], _after(rest[at + 1 :], kind)
    if stated is None:
        stated = _suffix(kind, after)
        after = [] if stated else after
    return Heading(
        column, text, kind, words[axes[-1]], stated,
        scale_of(kind, stated) if stated else None, len(before) + len(after),
        bool(WITHOUT_GRAVITY & {*before, *after}),
    )  # fmt: skip


def _after(words: list[str], kind: Kind) -> list[str]:
    """Without the words that only go on naming the sensor, as in angular_velocity, rotationRate."""
    naming = {"velocity", "rate", "vel", *ACCEL_WORDS} if kind != "gravity" else set()
    return [w for w in words if w not in naming - {"a"}]


def _words(text: str) -> list[str]:
    found: list[str] = []
    for word in (match[0].lower() for match in WORDS.finditer(text.replace("°", "deg"))):
        glued = GLUED.fullmatch(word)
        found += [glued[1], glued[2]] if glued else [word]
    return found


def _suffix(kind: Kind, words: Sequence[str]) -> str | None:
    """The unit that the last words are, as in acc_x_m_s2, gyro_x_deg_per_s."""
    plain = [word for word in words if word != "per"]
    for start in range(len(plain)):
        joined = "/".join(plain[start:])
        if scale_of(kind, joined) is not None:
            return "mg" if key(joined) == "mg" else joined  # a word ends where mG has its capital
    return None


def _time(column: int, text: str, words: list[str], stated: str | None) -> Heading | None:
    if not TIME_WORDS & set(words):
        return None
    if stated is None:
        found = [w for w in words if key(w) in TIME and w not in ("t",)]
        stated = found[-1] if found else None
    scale = scale_of("time", stated) if stated else None
    extra = len([word for word in words if word not in TIME_WORDS])
    # what stands in brackets may be a zone or a format: no unit then
    return Heading(column, text, "time", "", stated if scale else None, scale, extra)


def headings(names: Sequence[str], units: Sequence[str] | None = None) -> list[Heading]:
    """Those headings that say something, in file order."""
    found = (
        heading(column, name, units[column] if units else None) for column, name in enumerate(names)
    )
    return [one for one in found if one is not None]


def best(found: Sequence[Heading], kind: Kind, axis: str) -> list[Heading]:
    """The headings that name a channel most plainly: more than one where none is plainer."""
    of = [one for one in found if (one.kind, one.axis) == (kind, axis)]
    least = min(((one.without_gravity, one.extra) for one in of), default=(False, 0))
    return [one for one in of if (one.without_gravity, one.extra) == least]


def clock(found: Sequence[Heading]) -> Heading | None:
    """The column of time: one that states its unit first, then the first."""
    times = [one for one in found if one.kind == "time"]
    return min(times, key=lambda one: (one.scale is None, one.extra, one.column), default=None)
