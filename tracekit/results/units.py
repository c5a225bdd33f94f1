"""Nanoseconds, bytes and rates as text that a person reads, and writes."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from tracekit.errors import UsageError

_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "": 1_000_000, "s": 1_000_000_000}


def parse_duration(text: str) -> int:
    """Whole ns of '12.5ms', '3s', '800us', '40ns'; a number alone is in ms.

    Raises: UsageError for anything else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|)\s*", text)
    if not match:
        raise UsageError("is no length of time", where=text, hint="write 12.5ms, 3s or 800us")
    return int(Decimal(match[1]) * _NS[match[2]])


def duration(ns: float | None) -> str:
    """`ns` with three significant digits in ns, µs, ms or s; 'not measured' for None."""
    if ns is None:
        return "not measured"
    size = abs(ns)
    if size < 1_000:
        return f"{ns:.0f} ns"
    for most, scale, unit in ((1e6, 1e3, "µs"), (1e9, 1e6, "ms"), (float("inf"), 1e9, "s")):
        if size < most * 0.9995:
            return f"{_three(ns / scale)} {unit}"
    raise AssertionError("unreachable")


def limit(ns: float) -> str:
    """`ns` that is exact, such as the end of a class: 2 µs, not 2.00 µs."""
    number, _, unit = duration(ns).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def bytes_(count: float | None) -> str:
    """`count` with three significant digits in B, KiB, MiB or GiB."""
    if count is None:
        return "not measured"
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{_three(size)} {unit}"
        size /= 1024
    return f"{_three(size)} GiB"


def share(part: float | None, digits: int = 1) -> str:
    """A fraction of one as a percentage: <0.1% where it is not none, >99.9% where not all."""
    if part is None:
        return "not measured"
    shown, least = f"{part:.{digits}%}", 10.0**-digits
    if part > 0 and float(shown[:-1]) == 0:
        return f"<{least:.{digits}f}%"
    if part < 1 and float(shown[:-1]) == 100:
        return f">{100 - least:.{digits}f}%"
    return shown


def rate(per_second: float | None, unit: str) -> str:
    """`per_second` with an SI prefix: 3.35e12 and 'B/s' give '3.35 TB/s'."""
    if per_second is None:
        return "not measured"
    for prefix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(per_second) >= scale:
            return f"{_three(per_second / scale)} {prefix}{unit}"
    return f"{_three(per_second)} {unit}"


def tokens(per_second: float) -> str:
    """A rate of tokens without its unit, three significant digits: 18,800; 96.4."""
    digits = 2 if per_second < 9.995 else 1 if per_second < 99.95 else 0
    return f"{float(f'{per_second:.3g}'):,.{digits}f}"


def count(number: float | None) -> str:
    """A whole number with thousands separators."""
    return "not measured" if number is None else f"{number:,.0f}"


def plural(number: int, noun: str, many: str | None = None) -> str:
    """A count with its noun: 1 event, 1,234 events; `many` where an s is not enough."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def least_to_most(values: Sequence[float], show: Callable[[float], str]) -> str:
    """One value where all show alike, else the least and the most: `3.1% – 60.0%`."""
    low, high = show(min(values)), show(max(values))
    return low if low == high else " – ".join(v.replace(" ", "\u00a0") for v in (low, high))


def ranked(parts: Sequence[tuple[str, float]], most: int = 3) -> str:
    """The largest shares with their names: `gemm 60%, attention 12%`; none under half a percent."""
    largest = sorted(parts, key=lambda part: -part[1])[:most]
    return ", ".join(f"{name} {part:.0%}" for name, part in largest if part >= 0.005)


def _three(value: float) -> str:
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{digits}f}"
