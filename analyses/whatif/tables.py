"""Predictions as tables."""

from __future__ import annotations

from tracekit.answers.whatif import WhatIf
from tracekit.results import figures
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid

DEFINITIONS = {
    "measured": "What the trace has: of each stage the sum of its instances.",
    "replayed": "The same with nothing changed, by the rules of the replay alone: how far it is "
    "from what was measured is the error that any prediction has.",
    "predicted": "After the change, with all that no rule explains as it was; – where the replay "
    "is more than 2 % off, or more than 5 % of the critical path is unexplained.",
    "low": "The lower end of what is predicted: with and without what no rule explains, and the "
    "error of the replay.",
    "high": "The upper end, the same way.",
    "host wall": "From the start of a stage's marker to its end.",
    "to the end of its GPU work": "From the start of a stage's marker to the end of the last work "
    "that it launched.",
    "device window": "From the start of the first GPU work to the end of the last.",
    "residual": "Replayed less measured, with nothing changed, of what was measured.",
    "unexplained": "Part of the critical path that no rule explains: waits that the file does not "
    "show.",
}
MOST = 200


def tables(result: WhatIf) -> list[Grid]:
    return [_changes(result), _replays(result), *([_inferred(result)] if result.inferred else [])]


def _changes(result: WhatIf) -> Grid:
    columns = (
        Column("change"), Column("stage"), Column("clock"),
        *(Column(name, "ns", DEFINITIONS[name])
          for name in ("measured", "replayed", "predicted", "low", "high")),
        Column("why no number"),
    )  # fmt: skip
    rows = [
        (r.change, r.stage, r.clock, r.measured_ns, r.replayed_ns, r.predicted_ns, r.low_ns,
         r.high_ns, r.why or "")
        for r in result.rows[:MOST]
    ]  # fmt: skip
    return Grid(
        "changes", "What a change would make of each stage", columns, rows, " ".join(result.notes)
    )


def _replays(result: WhatIf) -> Grid:
    columns = (
        Column("stage"), Column("clock"), Column("measured", "ns", DEFINITIONS["measured"]),
        Column("replayed", "ns", DEFINITIONS["replayed"]),
        Column("residual", "share", DEFINITIONS["residual"]),
        Column("unexplained", "share", DEFINITIONS["unexplained"]),
        Column("gives", "text", "What is said of it after a change: a point, a range, nothing."),
    )  # fmt: skip
    rows = [
        (r.stage, r.clock, r.measured_ns, r.replayed_ns, r.residual, r.lag_share, r.gives)
        for r in result.replays[:MOST]
    ]
    return Grid("replays", "With nothing changed: how well the replay fits", columns, rows)


def _inferred(result: WhatIf) -> Grid:
    columns = (
        Column("waited for"), Column("by"),
        Column("times", "count", "Work that began right after work of another stream."),
    )  # fmt: skip
    rows = [(r.first, r.second, r.count) for r in result.inferred[:MOST]]
    return Grid("inferred", "Waits between streams that are inferred", columns, rows)


def charts(result: WhatIf) -> list[Chart]:
    """What each change leaves of the longest stage, where it is said."""
    known = [r for r in result.rows if r.predicted_ns is not None and r.measured_ns]
    if not known or len({(r.trace, r.rank) for r in known}) > 1:
        return []
    longest = max(known, key=lambda r: r.measured_ns)
    mine = [r for r in known if (r.stage, r.clock) == (longest.stage, longest.clock)]
    left = [r.predicted_ns or 0 for r in mine]
    saved = [max(r.measured_ns - ns, 0) for r, ns in zip(mine, left, strict=True)]
    return [
        figures.split_bars(
            "changes", f"What each change leaves of {longest.stage}, {longest.clock}",
            [r.change for r in mine],
            {"left": left, "saved": saved},
            of="measured time", table="changes",
            summary="Predicted time of each change, and what it saves.",
        )
    ]  # fmt: skip
