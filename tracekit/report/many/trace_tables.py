"""Tables of several traces: a row or a column a trace, nothing added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekit.answers.devices import BUSY, IDLE, WINDOW
from tracekit.answers.findings import Findings
from tracekit.attribution.idle.by_cause import SUSPECT
from tracekit.attribution.stages.alike import ALIKE
from tracekit.report import facts
from tracekit.report.many import runs
from tracekit.report.many.runs import COLUMNS, Side
from tracekit.results import catalog, units
from tracekit.results.answers import Answers
from tracekit.results.result import Column, Grid
from tracekit.trace import run_facts

LONGEST = 4  # kernels or ops of a phase and trace in the table of what costs most
DEVICES = "Of a trace of several devices the mean over them."


def what_ran(many: Sequence[Side]) -> Grid:
    """What ran: a column a trace, or a row a trace where there are many."""
    keys = [key for key in run_facts.NAMES if any(key in side.run.said for side in many)]
    absent = "– is not said by the trace."
    if len(many) > COLUMNS:
        keys = [key for key in run_facts.differing([side.run for side in many]) if key in keys]
        columns = (Column("trace"), *(Column(run_facts.NAMES[key]) for key in keys))
        rows = [(side.name, *(_fact(side, key) for key in keys)) for side in many]
        return Grid("runs", "Where the runs differ", columns, rows if keys else [], absent=absent)
    columns = (Column("what"), *(Column(side.name) for side in many))
    rows = [(run_facts.NAMES[key], *(_fact(side, key) for side in many)) for key in keys]
    return Grid("runs", "What ran, trace by trace", columns, rows, absent=absent)


def _fact(side: Side, key: str) -> str | None:
    said = side.run.said
    return run_facts.shown(said[key]) if key in said else None


def first_findings(many: Sequence[Side]) -> Grid | None:
    """The findings of every trace, each with its trace: they are not added up."""
    most = max(200 // len(many), 2)
    rows: list[tuple[Any, ...]] = []
    columns: tuple[Column, ...] = ()
    left = 0
    for side in many:
        result = side.one.get(Findings)
        for grid in catalog.analysis(Findings.analysis).tables(result)[:1] if result else ():
            columns = grid.columns
            left += grid.left_out(most)
            rows += [(side.name, *row) for row in grid.rows[:most]]
    note = f"{left} more, which save less, in each trace's own section." if left else ""
    return Grid("findings", "What to look at first, trace by trace",
                (Column("trace"), *columns), rows, note)  # fmt: skip


def totals(many: Sequence[Side], unread: Sequence[Answers] = ()) -> Grid:
    """The main numbers of each trace; files that could not be read are rows that say so."""
    columns = (
        Column("trace"),
        Column("file"),
        Column("device"),
        Column("slices", "count", "Slices that the file holds."),
        Column("wall", "ns", "Wall time of all stages."),
        Column("window", "ns", f"{WINDOW} {DEVICES}"),
        Column("busy share", "share", f"{BUSY} {DEVICES}"),
        Column("idle", "ns", f"{IDLE} {DEVICES}"),
        Column("idle share", "share", f"Idle over window. {DEVICES}"),
        Column("unaccounted", "ns", SUSPECT),
        Column("TTFT", "ns", "Time to first token: load to the end of prefill, mean."),
        Column("TPOT", "ns", "Time per output token: (end to end − TTFT) / (tokens − 1), mean."),
        Column("decode", "tokens/s", "Tokens a second after the first: 1 / TPOT."),
    )
    rows: list[tuple[Any, ...]] = []
    for side in many:
        own, source = runs.measures(side), side.one.source
        rows.append((
            side.name, facts.file_name(side.one.path), side.run.device,
            source.events.get("X"),
            own.wall, own.window, own.busy, own.idle, own.idle_share, own.suspect, own.ttft,
            own.tpot, own.decode,
        ))  # fmt: skip
    blank = (None,) * (len(columns) - 3)
    rows += [
        (run_facts.stem(one.path), facts.file_name(one.path), "could not be read", *blank)
        for one in unread
    ]
    return Grid("traces", "Trace by trace", columns, rows)


def stage_means(many: Sequence[Side]) -> Grid | None:
    """Mean wall time of each stage, a column a trace; a row a trace where there are many."""
    means = [runs.means(side) for side in many]
    families = list(dict.fromkeys(family for own in means for family in own))
    said = f"Mean wall time of one instance. {ALIKE}"
    key, title = "stage-means", "Mean wall time of each stage"
    if not families:
        return None
    if len(many) > COLUMNS:
        shown = families[:COLUMNS]
        left = len(families) - len(shown)
        return Grid(
            key, title, (Column("trace"), *(Column(f, "ns", said) for f in shown)),
            [(side.name, *(own.get(f) for f in shown))
             for side, own in zip(many, means, strict=True)],
            f"{units.plural(left, 'more stage')} in each trace's own section, and in --csv."
            if left else "",
        )  # fmt: skip
    rows = [(family, *(own.get(family) for own in means)) for family in families[:60]]
    return Grid(key, title, (Column("stage"), *(Column(s.name, "ns", said) for s in many)), rows,
                absent="– is not in that trace.")  # fmt: skip


def costs(many: Sequence[Side]) -> Grid | None:
    """The dearest kernels (or ops) of each phase, a column a trace."""
    if len(many) > COLUMNS:
        return None
    costs = runs.costs(many)
    noun = costs.noun
    rows: list[tuple[Any, ...]] = []
    divided = True
    for phase in runs.phases(many, costs):
        has = [side for side in many if costs.rows(side, phase)]
        tables = [(side, costs.by_name(side, phase)) for side in many]
        top = list(dict.fromkeys(
            name for _, own in tables
            for name in sorted(own, key=lambda n: -own[n])[:LONGEST]
        ))  # fmt: skip
        divided = divided and all(runs.instances(s, phase) for s in has)
        found = [
            (name, phase,
             *(own[name] / runs.per(s, phase, has) if name in own else None for s, own in tables))
            for name in top
        ]  # fmt: skip
        rows += sorted(found, key=lambda row: -max(v or 0 for v in row[2:]))
    said = "mean of the instances of the phase" if divided else "all instances together"
    columns = (
        Column(noun), Column("phase"),
        *(Column(s.name, "ns", f"{noun.capitalize()} time, {said}.") for s in many),
    )  # fmt: skip
    return Grid("costs", f"{noun.capitalize()}s that cost most, trace by trace", columns, rows,
                absent="– is not in that trace.")  # fmt: skip
