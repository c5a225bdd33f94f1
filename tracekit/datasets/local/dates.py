"""Times as dates: ISO 8601, or the time of day, in whole nanoseconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DATE = re.compile(
    r"(\d{4})[-/](\d\d?)[-/](\d\d?)[T _](\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*"
    r"(Z|UTC|[+-]\d\d:?\d\d)?"
)
OF_DAY = re.compile(r"(\d\d?):(\d\d):(\d\d)(?:[.,](\d{1,9}))?")
DAY_NS = 86_400 * 10**9


def nanoseconds(cells: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """[N] ns since 1970, or since midnight of the first day; None where some cell is no time.

    A time of day that falls by more than half a day is the next day's.
    """
    import numpy as np

    found = [_date(cell.strip()) for cell in cells]
    if found and None not in found:
        return np.array(found, np.int64)
    matches = [OF_DAY.fullmatch(cell.strip()) for cell in cells]
    if not matches or None in matches:
        return None
    of_day = np.array([_of_day(match) for match in matches if match], np.int64)
    late = np.diff(of_day, prepend=of_day[0])
    days = np.cumsum((late < -DAY_NS // 2).astype(np.int64) - (late > DAY_NS // 2))
    return of_day + days * DAY_NS


def _date(cell: str) -> int | None:
    match = DATE.fullmatch(cell)
    if not match:
        return None
    year, month, day, clock, zone = match.groups()
    clock = clock.replace(",", ".")
    whole, _, part = clock.partition(".")
    if whole.index(":") == 1:
        whole = "0" + whole
    offset = "+00:00" if zone in (None, "Z", "UTC") else zone
    try:
        at = datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{whole}{offset}")
    except ValueError:
        return None
    since = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + int((part or "0")[:9].ljust(9, "0"))


def _of_day(match: re.Match[str]) -> int:
    hours, minutes, seconds, part = match.groups()
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 10**9 + int((part or "0").ljust(9, "0"))
