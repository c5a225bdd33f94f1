"""Tables and charts of idle time."""

from __future__ import annotations

from tracekit.answers.idle import IdleTime, Lengths
from tracekit.attribution.idle.by_cause import NAMES, SUSPECT, shown, shown_columns
from tracekit.attribution.idle.cause_names import CAUSES, ORDER, Cause
from tracekit.attribution.kernels import name_rules
from tracekit.attribution.reasons.names import REASON_TEXTS, REASONS
from tracekit.attribution.reasons.names import SHOWN as SHOWN_REASONS
from tracekit.attribution.reasons.rows import Holder
from tracekit.results import figures
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration
from tracekit.trace.ranks import named

DEFINITIONS = {
    "idle": "Time in which no stream of the device had work.",
    **{NAMES[cause]: text for cause, text in CAUSES.items()},
    **{SHOWN_REASONS[reason]: text for reason, text in REASON_TEXTS.items()},
    "suspect": SUSPECT,
}


def tables(result: IdleTime) -> list[Grid]:
    grids = [_reasons_grid(result), _causes_grid(result)]
    if result.stages:
        grids.append(_stage_grid(result, False))
        if all(stage.launched_causes is not None for stage in result.stages):
            grids.append(_stage_grid(result, True))
    grids += [_longest_grid(result), _host_calls_grid(result), _lengths_grid(result)]
    return [grid for grid in grids if grid.rows]


def _causes_grid(result: IdleTime) -> Grid:
    """One row a class: devices side by side would be too wide."""
    idle_ns, window = sum(r.idle_ns for r in result.rows), sum(r.window_ns for r in result.rows)
    sums = {c: sum(getattr(r.causes, c.value) for r in result.rows) for c in ORDER}
    rows = [
        (NAMES[c], ns, ns / idle_ns if idle_ns else None, ns / window if window else None)
        for c, ns in sums.items()
        if ns
    ]
    suspect = sum(r.suspect_ns for r in result.rows)
    note = f"{duration(suspect)} of it is suspect. {SUSPECT}" if suspect else ""
    columns = (
        Column("why", "text", "The class of the idle time."),
        Column("idle", "ns", DEFINITIONS["idle"]),
        Column("of idle", "share", "Over the idle time of the device window."),
        Column("of window", "share", "Over the device window, first activity to last."),
    )
    total_row = ("all", idle_ns, 1.0 if idle_ns else None, idle_ns / window if window else None)
    return Grid("causes", "Why the GPU was idle", columns, rows, note, total_row)


def _reasons_grid(result: IdleTime) -> Grid:
    """One row a device, reason and stage, with what held the host longest."""
    window = {(r.rank, r.device): r.window_ns for r in result.rows}
    columns = (
        Column("device", "text"),
        Column("reason", "text", "What would have to change."),
        Column("stage", "text", "The innermost stage that launched the work after it."),
        Column("idle", "ns", DEFINITIONS["idle"]),
        Column("of window", "share", "Over the device window, first activity to last."),
        Column("stretches", "count", "How many."),
        Column("longest", "ns", "The longest of them."),
        Column("held by", "text", "What the launching thread was in for most of them, by time."),
    )
    names = {reason.value: SHOWN_REASONS[reason] for reason in REASONS}
    rows = [
        (named(r.rank, str(r.device)), names[r.reason], r.stage or "", r.ns,
         r.ns / window[r.rank, r.device] if window[r.rank, r.device] else None, r.count,
         r.longest_ns, holder_text(r.holders[0]) if r.holders else "")
        for r in result.reasons[:200]
    ]  # fmt: skip
    note = f"{len(result.reasons) - 200} more are in --json." if len(result.reasons) > 200 else ""
    return Grid("reasons", "What would have to change", columns, rows, note)


def holder_text(holder: Holder) -> str:
    """Call, op and line, as far as they are known and say more than one another."""
    parts = [holder.name, holder.op, holder.library, holder.frame]
    return ", in ".join(dict.fromkeys(part for part in parts if part))


def _stage_grid(result: IdleTime, launched: bool) -> Grid:
    key = "launched_causes" if launched else "causes"
    some = shown_columns([getattr(s, key) for s in result.stages])
    title = "in the window of its own work" if launched else "during its marker"
    columns = (
        Column("stage"),
        Column("idle", "ns", f"Time {title} in which no device had work."),
        *(column for column, _ in some),
        Column("suspect", "ns", SUSPECT),
    )
    rows = [
        (
            s.family,
            s.launched_idle_ns if launched else s.idle_ns,
            *(sum(getattr(getattr(s, key), c.value) for c in group) for _, group in some),
            s.launched_suspect_ns if launched else s.suspect_ns,
        )
        for s in result.stages
    ]
    name = "stages_launched" if launched else "stages"
    return Grid(name, f"Idle time of each stage, {title}", columns, rows[:-1][:200], "", rows[-1])


def _longest_grid(result: IdleTime) -> Grid:
    columns = (
        Column("start", "ns", "From the first slice of the trace."),
        Column("gap", "ns", "Time without any work."),
        Column("why", "text", "The class with the largest part of the gap."),
        Column("before", "text", "The work that ended last, and the op that launched it."),
        Column("after", "text", "The work that ends the gap, and the op that launched it."),
        Column("stage", "text", "The stage that launched the work after the gap."),
        Column("launched before", "ns", "How long before its start its launch had returned."),
        Column("suspect", "text", SUSPECT),
    )

    def work(name: str | None, op: str | None) -> str:
        short = figures.shorten(name_rules.head(name), 60).strip() if name else ""
        return f"{short} ({op})" if op else short

    rows = [
        (g.start_ns, g.ns, NAMES[Cause(g.cause)], work(g.before, g.before_op),
         work(g.after, g.after_op), g.stage or "", g.returned_ns, "yes" if g.suspect else "")
        for g in result.longest
    ]  # fmt: skip
    note = "On all devices together; --json has the names of kernels in full."
    return Grid("longest", "The longest gaps", columns, rows, note)


def _host_calls_grid(result: IdleTime) -> Grid:
    columns = (
        Column("while"),
        Column("op or call", "text", "Innermost on the thread that launched the next work."),
        Column("idle", "ns", "Idle time between two activities that it accounts for."),
    )
    rows = [(NAMES[Cause(d.cause)], d.name, d.ns) for d in result.doings]
    note = f"{len(rows) - 200} more are left out." if len(rows) > 200 else ""
    return Grid("doings", "What the host did while the GPU waited", columns, rows[:200], note)


def _lengths_grid(result: IdleTime) -> Grid:
    some = shown_columns([part.causes for part in result.lengths])
    columns = (
        Column("gaps"), Column("count", "count", "How many gaps."),
        Column("idle", "ns", DEFINITIONS["idle"]), *(column for column, _ in some),
    )  # fmt: skip
    rows = [
        (
            _class(part), part.count, part.ns,
            *(sum(getattr(part.causes, c.value) for c in group) for _, group in some),
        )
        for part in result.lengths
    ]  # fmt: skip
    return Grid("lengths", "Idle time by length of the gap", columns, rows)


def _class(part: Lengths) -> str:
    return f"under {duration(part.under_ns)}" if part.under_ns else "longer"


def charts(result: IdleTime) -> list[figures.Chart]:
    many = len(result.rows) > 1
    found = []
    if any(r.idle_ns for r in result.rows):
        labels = [
            named(r.rank, f"device {r.device}") if many else "device window"
            for r in result.rows[:40]
        ]
        parts = [r.causes for r in result.rows[:40]]
        whole = sum(r.window_ns for r in result.rows)
        share = sum(r.idle_ns for r in result.rows) / whole if whole else 0
        suspect = sum(r.suspect_ns for r in result.rows)
        at_most = "at most " if suspect else ""
        title = f"The GPU was idle {at_most}{share:.1%} of the time"
        if suspect:
            title += f"; {duration(suspect)} of it may be work that is not in this file"
        found.append(figures.split_bars("causes", title, labels, shown(parts), of="idle time",
                                        summary="Idle time by cause.", table="causes"))  # fmt: skip
    lengths = [part for part in result.lengths if part.count]
    if len(lengths) > 1:
        found.append(
            figures.columns(
                "lengths", "Idle time by length of the gap", [_class(p) for p in lengths],
                shown([p.causes for p in lengths]), of="idle time", x_title="length of the gap",
                summary="How much idle time short and long gaps add up to.", table="lengths",
            )
        )  # fmt: skip
    return found
