"""What held the host, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tracekit.attribution.reasons.rows import Holder
from tracekit.results.units import duration


def held(holders: Iterable[Holder], ns: int, numbers: dict[str, float]) -> str:
    """What held the host for most of it, as far as anything is recorded."""
    time: defaultdict[tuple[str, ...], int] = defaultdict(int)
    count: defaultdict[tuple[str, ...], int] = defaultdict(int)
    uncounted: set[tuple[str, ...]] = set()  # calls: only the stretches that they held are known
    for holder in holders:
        names = _names(holder)
        time[names] += holder.ns
        count[names] += holder.calls or holder.count
        if not holder.calls:
            uncounted.add(names)
    best = sorted(time, key=lambda names: (-time[names], names))[:2]
    best = [names for names in best if time[names] >= 0.1 * ns]
    if not best:
        return ""
    for i, names in enumerate(best, 1):
        numbers |= {f"held_{i}_ns": time[names], f"held_{i}_count": count[names]}
    said = [
        f"{', in '.join(f'`{name}`' for name in names)} ({duration(time[names])}"
        f"{_often(count[names], names in uncounted)})"
        for names in best
    ]
    return f" Held by {', then '.join(said)}."


def _often(count: int, stretches: bool) -> str:
    if count < 2:
        return ""
    return f", in {count:,} stretches" if stretches else f", {count:,} times"


def _names(holder: Holder) -> tuple[str, ...]:
    """From the innermost out: the call, the op, and the program's own line, else a library's."""
    lines: tuple[str | None, ...] = (holder.frame or holder.library,)
    if holder.library and holder.op is None:
        lines = (holder.library, holder.frame)
    return tuple(dict.fromkeys(n for n in (holder.name, holder.op, *lines) if n))
