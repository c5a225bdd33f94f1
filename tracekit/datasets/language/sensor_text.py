"""The chat records of SensorCaps and OpenSQA: sensor readings as text, gyroscope first."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Recording

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 10.0  # nominal
SAMPLES = 60
LIMU_G = 9.8  # the training form divides the acceleration by this, not by 9.80665
# v2 adds 'Gyroscope moving average:' and more, which must not be taken for the readings
GYRO = re.compile(r"\bGyroscope:\s*(?=\[)")
ACCEL = re.compile(r"Accelerometer:\s*(?=\[)")
SUMMARY = re.compile(r"^Summary:\s*(.+?)\s*$", re.MULTILINE)
PLACE = re.compile(r"^Location:\s*(\w+)", re.MULTILINE)
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
CLOSING = re.compile(r"\]\s*\]")
BLANK = set("[], \t\r\n")


class NotReadingsError(ValueError):
    """The text has no [x, y, z] lists where they belong; the message says what it has."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One record: what was asked and answered."""

    system: str
    user: str
    assistant: str

    @property
    def summary(self) -> str | None:
        """The activity, as it is spelt there."""
        match = SUMMARY.search(self.user)
        return match[1] if match else None


def turn(line: bytes) -> Turn:
    """One line of the JSONL.

    Raises: ValueError for what is not such a record.
    """
    value = json.loads(line)
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list):
        raise ValueError("no list of messages")
    by_role: dict[str, str] = {}
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise ValueError("a message without text")
        by_role.setdefault(str(message.get("role")), message["content"])
    if "user" not in by_role:
        raise ValueError("no message of the user")
    return Turn(by_role.get("system", ""), by_role["user"], by_role.get("assistant", ""))


def recording(user: str) -> Recording:
    """The two lists as [60, 6] at 10 Hz nominal, acceleration first, in m/s².

    Times are those of the samples kept of 120 at 20 Hz, index round(linspace(0, 119, 60)).

    Raises: NotReadingsError.
    """
    import numpy as np

    gyro, accel = triples(user, GYRO), triples(user, ACCEL)
    repairs = []
    if len(gyro) != len(accel):
        length = min(len(gyro), len(accel))
        repairs.append(f"cut to {length} samples: {len(gyro)} of gyroscope, {len(accel)} of accel")
        gyro, accel = gyro[:length], accel[:length]
    usual = float(np.median(np.linalg.norm(accel, axis=1)))
    if usual < 3.0:  # one g is 9.8 in one form of these files and 1 in the other
        accel = accel * LIMU_G
        repairs.append("acceleration times 9.8: the file has it over 9.8")
    times = None
    if len(accel) == SAMPLES:
        times = np.round(np.linspace(0, 119, SAMPLES)) * 50.0
        repairs.append(
            "60 of 120 samples at 20 Hz, so steps are 100 ms and one of 150 ms; a model that takes "
            "20 Hz has to interpolate"
        )
    return Recording(
        "imu",
        values=np.hstack([accel, gyro]),
        rate_hz=RATE_HZ,
        timestamps_ms=times,
        repairs=tuple(repairs),
    )


def triples(text: str, label: re.Pattern[str]) -> npt.NDArray[np.float64]:
    """[N, 3] numbers of the list of lists after a label, with or without commas (numpy's print).

    Raises: NotReadingsError.
    """
    import numpy as np

    found = label.search(text)
    if found is None:
        raise NotReadingsError(f"no list after {label.pattern.split(':')[0].strip(chr(92) + 'b')}")
    body = _bracketed(text, found.end())
    try:
        array = np.array(json.loads(body), dtype=np.float64)
    except (ValueError, TypeError):
        rest = set(NUMBER.sub("", body)) - BLANK
        if rest:
            raise NotReadingsError(
                f"the list holds {_excerpt(body)}, which are no numbers"
            ) from None
        numbers = [float(number) for number in NUMBER.findall(body)]
        array = np.array(numbers).reshape(-1, 3) if len(numbers) % 3 == 0 else np.array(numbers)
    if array.ndim != 2 or array.shape[1] != 3 or not len(array) or not np.isfinite(array).all():
        raise NotReadingsError(f"shape {array.shape} where (60, 3) finite numbers belong")
    return array


def _bracketed(text: str, start: int) -> str:
    end = CLOSING.search(text, start)
    if end is None:
        raise NotReadingsError("the list does not end")
    return text[start : end.end()]


def _excerpt(body: str) -> str:
    return repr("array(…)" if "array(" in body else body[:40])


def facts(user: str) -> dict[str, Any]:
    """What the text says of the window beside its readings."""
    place = PLACE.search(user)
    return {"place": place[1]} if place else {}


def caption(text: str) -> str | None:
    """'Features: …' to the end: the caption that a text holds; None where there is none."""
    match = re.search(r"^[*# ]*Features:", text, re.MULTILINE)
    return text[match.start() :].strip() if match else None
