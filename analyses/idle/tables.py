"""Tables and charts of idle time."""

from __future__ import annotations

from tracekit.answers.devices import IDLE, WINDOW
from tracekit.answers.idle import IdleTime, Lengths
from tracekit.answers.stages import Split
from tracekit.attribution.idle.by_cause import NAMES, SUSPECT, shown, shown_columns, suspect_words
from tracekit.attribution.idle.cause_names import CAUSES, ORDER, Cause
from tracekit.attribution.kernels import name_rules
from tracekit.attribution.reasons.names import REASON_TEXTS, REASONS, Reason
from tracekit.attribution.reasons.names import SHOWN as SHOWN_REASONS
from tracekit.attribution.reasons.rows import Holder
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, least_to_most, limit, share
from tracekit.trace.ranks import named

DEFINITIONS = {
    "idle": IDLE,
    **{NAMES[cause]: text for cause, text in CAUSES.items()},
    **{SHOWN_REASONS[reason]: text for reason, text in REASON_TEXTS.items()},
    "unaccounted": SUSPECT,
}

AFTER_WAIT = (
    "Of it, what would not be, had the host not waited for the device just before: for as long as "
    "it was blocked while the device worked, the next launches come later."
)


def tables(result: IdleTime) -> list[Grid]:
    grids = [_reasons_grid(result), _causes_grid(result)]
    if result.stages:
        grids.append(_stage_grid(result, False))
        if all(stage.launched_causes is not None for stage in result.stages):
            grids.append(_stage_grid(result, True))
    grids += [_longest_grid(result), _host_calls_grid(result), _lengths_grid(result)]
    return [grid for grid in grids if grid.rows]


def _causes_grid(result: IdleTime) -> Grid:
    """One row a class and device: devices side by side would be too wide."""
    many = len(result.rows) > 1
    rows = []
    for r in result.rows:
        parts = [*((NAMES[c], r.seen_causes.of([c])) for c in ORDER), ("all", r.seen_idle_ns)]
        rows += [
            (*([named(r.rank, str(r.device))] if many else []), name, ns,
             ns / r.seen_idle_ns if r.seen_idle_ns else None,
             ns / r.seen_window_ns if r.seen_window_ns else None)
            for name, ns in parts if ns or name == "all"
        ]  # fmt: skip
    columns = (
        *((Column("device"),) if many else ()),
        Column("why", "text", "The class of the idle time."),
        Column("idle", "ns", DEFINITIONS["idle"]),
        Column("of idle", "share", "Over the idle time of the device window."),
        Column("of window", "share", WINDOW),
    )
    total_row = None if many else rows.pop()
    return Grid("causes", "Why the GPU was idle", columns, rows, _suspect_note(result), total_row)


def _suspect_note(result: IdleTime) -> str:
    """The unaccounted time of each device, which no share and no column has."""
    found = [(r, r.suspect_ns) for r in result.rows if r.suspect_ns]
    if not found:
        return ""
    said = "; ".join(f"{duration(ns)} on device {r.device}" for r, ns in found)
    return f"Unaccounted for, and left out: {said}. {SUSPECT}"


def _reasons_grid(result: IdleTime) -> Grid:
    """One row a device, reason and stage, with what held the host longest."""
    window = {(r.rank, r.device): r.seen_window_ns for r in result.rows}
    columns = (
        Column("device", "text"),
        Column("reason", "text", "What would have to change."),
        Column("stage", "text", "The innermost stage that launched the work after it."),
        Column("idle", "ns", DEFINITIONS["idle"]),
        Column("of window", "share", WINDOW),
        Column("after a wait", "ns", AFTER_WAIT),
        Column("stretches", "count", "How many."),
        Column("longest", "ns", "The longest of them."),
        Column("held by", "text", "What the launching thread was in for most of them, by time."),
    )
    names = {reason.value: SHOWN_REASONS[reason] for reason in REASONS}
    shown = [r for r in result.reasons if r.reason != Reason.MISSING]
    rows = [
        (named(r.rank, str(r.device)), names[r.reason], r.stage or "", r.ns,
         r.ns / whole if (whole := window[r.rank, r.device]) else None, r.after_sync_ns, r.count,
         r.longest_ns,
         holder_text(r.holders[0]) if r.holders else "")
        for r in shown[:200]
    ]  # fmt: skip
    left = f"{len(shown) - 200} more in --json. " if len(shown) > 200 else ""
    return Grid("reasons", "What would have to change", columns, rows, left + _suspect_note(result))


def holder_text(holder: Holder) -> str:
    """Call, op and line, as far as they are known and say more than one another."""
    parts = [holder.name, holder.op, holder.library, holder.frame]
    return ", in ".join(dict.fromkeys(part for part in parts if part))


def _stage_grid(result: IdleTime, launched: bool) -> Grid:
    found = [(s, s.seen_causes(launched=launched)) for s in result.stages]
    known = [(s, causes) for s, causes in found if causes is not None]
    some = shown_columns([causes for _, causes in known])
    split = Split.LAUNCHED if launched else Split.CLOCK
    title = "in the window of its own work" if launched else "during its marker"
    columns = (
        Column("stage"),
        Column(split.label("idle"), "ns", f"Time {title} in which no device had work, unaccounted "
               "time left out; the columns to the right add up to it."),
        *(replace(column, label=f"{column.label}, in GPU window") if launched else column
          for column, _ in some),
        Column(split.label("suspect"), "ns", SUSPECT),
    )  # fmt: skip
    rows = [
        (s.family, causes.of(ORDER), *(causes.of(group) for _, group in some),
         s.launched_suspect_ns if launched else s.suspect_ns)
        for s, causes in known
    ]  # fmt: skip
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
        Column("unaccounted", "text", SUSPECT),
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
    note = f"{len(rows) - 200} more left out." if len(rows) > 200 else ""
    return Grid("doings", "What the host did while the GPU waited", columns, rows[:200], note)


def _lengths_grid(result: IdleTime) -> Grid:
    some = shown_columns([part.seen_causes for part in result.lengths])
    columns = (
        Column("gaps"), Column("count", "count", "How many gaps."),
        Column("idle", "ns", DEFINITIONS["idle"]), *(column for column, _ in some),
    )  # fmt: skip
    rows = [
        (
            _class(part), part.count, part.seen_causes.of(ORDER),
            *(part.seen_causes.of(group) for _, group in some),
        )
        for part in result.lengths
    ]  # fmt: skip
    return Grid("lengths", "Idle time by length of the gap", columns, rows)


def _class(part: Lengths) -> str:
    return f"under {limit(part.under_ns)}" if part.under_ns else "longer"


def _title(result: IdleTime) -> str:
    """Each device has a window of its own: their times are not added up."""
    parts = [r.idle_share for r in result.rows if r.idle_share is not None]
    suspect = max(r.suspect_ns for r in result.rows)
    if len(result.rows) == 1:
        said = f"The GPU was idle for {least_to_most(parts, share)} of its window"
        return said + (f"; {suspect_words(suspect)}" if suspect else "")
    said = f"GPUs were idle for {least_to_most(parts, share)} of their windows"
    return said + (f"; up to {suspect_words(suspect)}" if suspect else "")


def charts(result: IdleTime) -> list[figures.Chart]:
    many = len(result.rows) > 1
    found = []
    if any(r.seen_idle_ns for r in result.rows):
        labels = [
            named(r.rank, f"device {r.device}") if many else "device window"
            for r in result.rows[:40]
        ]
        parts = [r.seen_causes for r in result.rows[:40]]
        found.append(figures.split_bars("causes", _title(result), labels, shown(parts),
                                        of="idle time", summary="Idle time by cause.",
                                        table="causes"))  # fmt: skip
    lengths = [part for part in result.lengths if part.count]
    if len(lengths) > 1:
        found.append(
            figures.columns(
                "lengths", "Idle time by length of the gap", [_class(p) for p in lengths],
                shown([p.seen_causes for p in lengths]), of="idle time",
                x_title="length of the gap",
                summary="How much idle time short and long gaps add up to.", table="lengths",
            )
        )  # fmt: skip
    return found
