"""A trend as grids, charts and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tracekit.comparison.fleet.cause import Cause
from tracekit.comparison.fleet.trend import Change, Measure, Series, Trend
from tracekit.results import figures, units
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid

MOST = 200
DEFINITIONS = {
    "change": "A measure has another mean from one trace on: of all places that which explains "
    "most of the variance, held against the same of the traces in random order.",
    "p": "Chance that traces without a change, in random order, show one so clear.",
    "busy": "Share of the devices' windows in which they had work.",
    "TTFT": "Time to first token, mean over the requests of a trace.",
    "TPOT": "Time per output token after the first, mean over the requests of a trace.",
}


def when(at_us: int | None) -> str:
    """A time as text, UTC."""
    if at_us is None:
        return "not said"
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


def sentences(series: Series, causes: Sequence[Cause]) -> list[str]:
    """The first trace with a change, what changed, and why; or that nothing did."""
    count = len(series.points)
    if count < series.fewest:
        return [
            f"{units.plural(count, 'trace')} of this work: no change can be told from chance below "
            f"{series.fewest}; {series.fewest - count} more are needed."
        ]
    if not series.changes:
        return [f"No change of 1 % or more beyond noise over {count} traces. {_chance(series)}"]
    out: list[str] = []
    for cause in causes:
        own = [(m, c) for m, c in series.changes
               if (c.previous, c.trace) == (cause.before, cause.after)]  # fmt: skip
        lead = "First change" if not out else "Then"
        change = own[0][1]
        label = f", label {change.label}" if change.label else ""
        told = ", ".join(f"{m.name} {changed(m, c)}" for m, c in own[:4])
        more = f" and {len(own) - 4} more" if len(own) > 4 else ""
        why = " ".join(cause.sentences) or f"Why is not known: {cause.why_not or 'no difference'}."
        out.append(f"{lead}: {change.trace} ({when(change.at_us)}{label}): {told}{more}. {why}")
    left = {(c.previous, c.trace) for _, c in series.changes} - {
        (cause.before, cause.after) for cause in causes
    }
    if left:
        out.append(f"{len(left)} more in the table.")
    return out


def _chance(series: Series) -> str:
    return (
        f"Chance of any change here where traces differ by chance alone: at most 5 %, over "
        f"{units.plural(series.tested, 'measure')}; changes under 1 % are left out. Neighbours "
        "that are alike (drift) raise it: docs/fleet.md."
    )


def changed(measure: Measure, change: Change) -> str:
    """From what to what."""
    if measure.unit == "share":
        return f"{units.share(change.before)} → {units.share(change.after)}"
    return (
        f"{change.relative:+.1%} ({units.duration(change.before)} → {units.duration(change.after)})"
    )


def grids(found: Trend, series: Series, place: int, most: int | None = MOST) -> list[Grid]:
    """Changes, values by label or of the last traces, findings; none without a row."""
    end = "" if len(found.series) == 1 else f"-{place}"
    some = [_changes(series, end, most), _values(found, series, end, most),
            _findings(series, end)]  # fmt: skip
    return [grid for grid in some if grid.rows]


def _changes(series: Series, end: str, most: int | None) -> Grid:
    columns = (
        Column("first trace", "text", "The first of the new level."), Column("time"),
        Column("label"), Column("measure"), Column("change", "text", DEFINITIONS["change"]),
        Column("p", "number", DEFINITIONS["p"]), Column("trace before"),
    )  # fmt: skip
    rows = [
        (c.trace, when(c.at_us), c.label, m.name, changed(m, c), c.p, c.previous)
        for m, c in series.changes[:most]
    ]
    note = _chance(series) if rows else ""  # else a sentence says that there are none
    return Grid(f"changes{end}", "Changes beyond noise", columns, rows, note)


def _values(found: Trend, series: Series, end: str, most: int | None) -> Grid:
    names = [measure.name for measure in series.measures]
    head = Column("label") if found.by == "label" else Column("time")
    columns = (
        head, Column("trace"), Column("traces", "count"),
        *(Column(m.name, m.unit, DEFINITIONS.get(m.name, "Mean of one instance."))
          for m in series.measures),
    )  # fmt: skip
    if found.by == "date":
        rows = [
            (when(p.at_us), p.trace, p.traces, *(p.values.get(name) for name in names))
            for p in series.points[-(most or 0) :]
        ]
        left = len(series.points) - len(rows)
        note = f"{left:,} earlier traces are left out here; --json has all." if left else ""
        return Grid(f"traces{end}", "Trace by trace", columns, rows, note)
    rows = []
    for label in dict.fromkeys(point.label for point in series.points):
        own = [point for point in series.points if point.label == label]
        means = []
        for name in names:
            known = [p.values[name] for p in own if name in p.values]
            means.append(sum(known) / len(known) if known else None)
        rows.append((label, own[0].trace, len(own), *means))
    note = "The trace is the label's first; numbers are means over its traces."
    return Grid(f"labels{end}", "Label by label", columns, rows[-(most or 0) :], note)


def _findings(series: Series, end: str) -> Grid:
    columns = (
        Column("finding"), Column("traces", "count"), Column("of", "count"),
        Column("first in"), Column("last in"),
    )  # fmt: skip
    rows = [(k.kind, k.count, len(series.points), k.first, k.last) for k in series.findings]
    return Grid(f"findings{end}", "Findings, the most frequent first", columns, rows)


def charts(found: Trend, series: Series, place: int) -> list[Chart]:
    """Each measure along the traces, with the mean of each level; those that changed first.

    Stages that take the same in all traces are left out.
    """
    end = "" if len(found.series) == 1 else f"-{place}"
    out = []
    along = list(range(1, len(series.points) + 1))
    for measure in sorted(series.measures, key=lambda one: not one.changes):
        values = [point.values.get(measure.name) for point in series.points]
        same = len(set(values)) == 1 and measure.name.startswith("one ")
        if same or sum(v is not None for v in values) < 2:
            continue
        levels = _levels(measure, values) if measure.changes else None
        title = f"{measure.name}: {_told(measure)}"
        out.append(figures.lines(
            f"measure-{series.measures.index(measure)}{end}", title, along, {measure.name: values},
            unit=measure.unit, x_title="trace, in order", of=measure.name,
            fits={measure.name: levels} if levels else None,
            summary=title, table=f"{'labels' if found.by == 'label' else 'traces'}{end}",
        ))  # fmt: skip
    return out


def _told(measure: Measure) -> str:
    if not measure.changes:
        return "no change of 1 % or more beyond noise"
    first = measure.changes[0]
    return f"{changed(measure, first)} from {first.trace} on"


def _levels(measure: Measure, values: Sequence[float | None]) -> list[float | None]:
    """The mean of the level that each trace belongs to."""
    ends = [*(change.place for change in measure.changes), len(values)]
    means = [measure.changes[0].before, *(change.after for change in measure.changes)]
    out: list[float | None] = []
    for end, mean in zip(ends, means, strict=True):
        out += [mean] * (end - len(out))
    return out
