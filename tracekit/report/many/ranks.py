"""Ranks of one job: how evenly they share the work, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from tracekit.answers.devices import IDLE, Device, Devices
from tracekit.answers.stages import COMPUTE, EXPOSED
from tracekit.attribution.idle.by_cause import SUSPECT
from tracekit.report.many import groups, runs
from tracekit.report.many.groups import Row
from tracekit.report.many.runs import Side
from tracekit.results import units
from tracekit.results.figures import Chart, split_bars
from tracekit.results.result import Column, Grid

UNEVEN = 0.05  # above the mean: worth a sentence

PARTS: Mapping[str, str] = {
    COMPUTE: "Time in which a kernel other than communication ran.",
    EXPOSED: "Time in which only communication kernels ran; a rank that waits for the others waits "
    "there.",
    "memcpy": "Time in which the device copied and no kernel ran.",
    "memset": "Time in which it filled memory and nothing else ran.",
    "idle": IDLE,
}


def parts_of(side: Side) -> dict[str, float] | None:
    """The window of a rank's device as compute, exposed communication, copies, memsets, idle.

    They add up to the window, unaccounted time left out. Of a rank with several devices each is the
    mean over them. None for a rank without device events.
    """
    found = side.one.get(Devices)
    if found is None or not found.rows:
        return None
    each = [_parts(row) for row in found.rows]
    return {part: fmean(own[part] for own in each) for part in PARTS}


def _parts(row: Device) -> dict[str, int]:
    exposed = row.exposed_communication_ns
    return {
        COMPUTE: row.kernel_ns - exposed, EXPOSED: exposed, "memcpy": row.memcpy_ns,
        "memset": row.memset_ns, "idle": row.seen_idle_ns,
    }  # fmt: skip


def _suspect(side: Side) -> float:
    found = side.one.get(Devices)
    return (found.mean(lambda row: row.suspect_ns) or 0) if found is not None else 0


def chart(many: Sequence[Side], rows: Sequence[Row]) -> Chart | None:
    """A bar a rank, or a group of ranks as their mean, split as `parts_of`."""
    found = _rows(many, rows)
    if len(found) < 2:
        return None
    said = groups.said(rows, len(many))
    return split_bars(
        "ranks", "Ranks: where each one's time went", [name for name, _ in found],
        {part: [float(own[part]) for _, own in found] for part in PARTS},
        of="device window", table="ranks",
        summary=f"The device window of {len(many)} ranks, split into {', '.join(PARTS)}. {said}",
    )  # fmt: skip


def _rows(many: Sequence[Side], rows: Sequence[Row]) -> list[tuple[str, dict[str, float]]]:
    """The parts of each row, a mean over its ranks with device events; and what is suspect."""
    every = [parts_of(side) for side in many]
    out = []
    for row in rows:
        own = [(parts, _suspect(many[i])) for i in row.members if (parts := every[i])]
        if own:
            means = {part: fmean(parts[part] for parts, _ in own) for part in PARTS}
            out.append((row.label, {**means, "suspect": fmean(ns for _, ns in own)}))
    return out


def grids(many: Sequence[Side], rows: Sequence[Row]) -> list[Grid]:
    """The ranks' times, and how far the most is above the mean."""
    found = _rows(many, rows)
    suspect = any(own["suspect"] for _, own in found)
    columns = (
        Column("rank"), Column("window", "ns", "The parts to the right add up to it."),
        *(Column(part, "ns", said) for part, said in PARTS.items()),
        *((Column("unaccounted", "ns", SUSPECT),) if suspect else ()),
    )  # fmt: skip
    cells = [
        (name, sum(own[part] for part in PARTS), *(own[part] for part in PARTS),
         *([own["suspect"]] if suspect else []))
        for name, own in found
    ]  # fmt: skip
    note = groups.said(rows, len(many))
    out = [Grid("ranks", "Rank by rank", columns, cells, note)] if cells else []
    uneven = [(what, *_spread(values)) for what, values in _measures(many) if len(values) > 1]
    if uneven:
        columns = (
            Column("measure"), Column("mean", "ns", "Over the ranks."), Column("least", "ns"),
            Column("least on"), Column("most", "ns"), Column("most on"),
            Column("most over mean", "share", "How far the most is above the mean: what evenly "
                   "shared work would not have."),
        )  # fmt: skip
        out.append(Grid("imbalance", "How even the ranks are", columns, uneven))
    return out


def _measures(many: Sequence[Side]) -> Iterable[tuple[str, list[tuple[float, str]]]]:
    found = [(side.name, parts) for side in many if (parts := parts_of(side))]
    for part in PARTS:
        values = [(float(parts[part]), name) for name, parts in found]
        if any(value for value, _ in values):
            yield part, values
    means = [(side.name, runs.means(side)) for side in many]
    families = list(dict.fromkeys(family for _, own in means for family in own))
    for family in families[:40]:
        yield (
            f"stage {family}, mean",
            [(mean, name) for name, own in means if (mean := own.get(family))],
        )


def _spread(values: Sequence[tuple[float, str]]) -> tuple[Any, ...]:
    mean, low, high = fmean(v for v, _ in values), min(values)[0], max(values)[0]
    least, most = (runs.whose(values, value, units.duration) for value in (low, high))
    return mean, low, least, high, most, high / mean - 1 if mean else None


def sentences(many: Sequence[Side]) -> Iterable[str]:
    """What is uneven, with its numbers; nothing where the ranks are even."""
    found = dict(_measures(many))
    for part, noun, more in (
        (COMPUTE, "Compute", ""),
        (EXPOSED, "Communication that no compute hides",
         " A rank that has less to compute waits for the others there."),
    ):  # fmt: skip
        values = found.get(part)
        if not values or len(values) < 2:
            continue
        mean, low, least, high, most, over = _spread(values)
        if over is not None and over >= UNEVEN:
            yield (
                f"{noun} is uneven: {most} {has(most)} {units.duration(high)}, {over:.0%} above "
                f"the mean of {units.duration(mean)}; {least} {has(least)} {units.duration(low)}."
                f"{more}"
            )


def has(names: str) -> str:
    """The verb behind the names of `runs.whose`."""
    return "have" if " and " in names else "has"
