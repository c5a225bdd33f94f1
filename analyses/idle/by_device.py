"""Rows of one reason by device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tracekit.attribution.reasons.rows import IdleReason
from tracekit.results.findings import LEAST


def are_long(rows: Sequence[IdleReason]) -> bool:
    """Whether most of the time is in stretches longer than a device takes between two kernels."""
    return 2 * sum(row.long_ns for row in rows) > sum(row.ns for row in rows)


def by_device(
    rows: Sequence[IdleReason], seen: Mapping[int, int]
) -> dict[int, tuple[int, list[IdleReason]]]:
    """ns and rows of each device in which the reason takes LEAST of the window, the most first."""
    parts: defaultdict[int, list[IdleReason]] = defaultdict(list)
    for row in rows:
        parts[row.device].append(row)
    sums = {device: (sum(r.ns for r in own), own) for device, own in parts.items()}
    worth = {d: part for d, part in sums.items() if seen[d] and part[0] / seen[d] >= LEAST}
    return dict(sorted(worth.items(), key=lambda item: (-item[1][0] / seen[item[0]], item[0])))
