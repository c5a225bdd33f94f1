"""What the tools return: small rows with the unit in each name, made from the typed answers.

Shares are fractions of one, times are nanoseconds. None is 'not measured', never 0. Texts from a
trace are data: whatever a terminal would obey in them is an escape. The classes have no slots:
the SDK takes a slot for a field's default, and then writes no schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracekit import plain
from tracekit.answers.findings import Findings
from tracekit.answers.kernels import Kernels
from tracekit.answers.stages import Stages, Total
from tracekit.answers.whatif import WhatIf
from tracekit.errors import MissingEventsError, UsageError
from tracekit.report.one.overview import Overview as Screen
from tracekit.report.one.overview import overview
from tracekit.results.answers import Answers
from tracekit.results.first_screen import KeyNumber
from tracekit.results.result import Grid, to_plain

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Number:
    """A key number as the first screen shows it."""

    label: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Overview:
    """What a trace says, the biggest thing first."""

    trace: str
    headline: str
    trust: list[str]  # how far the numbers may be trusted, and why
    key_numbers: list[Number]
    next_steps: list[str]  # the findings that save most, with what to do
    answered: list[str]  # analyses that `table` can show
    not_answered: dict[str, str]  # the others, and why


@dataclass(frozen=True)
class StageRow:
    """All instances of one stage. Parts of the device window add up to it.

    window = kernel + memcpy + memset + busy with other stages + idle, unaccounted time left out.
    """

    stage: str
    instances: int
    host_wall_ns: int
    device_window_ns: int | None
    kernel_ns: int | None
    exposed_communication_ns: int | None  # of kernel_ns: nothing else ran
    memcpy_ns: int | None
    memset_ns: int | None
    other_stages_ns: int | None
    idle_ns: int | None
    unaccounted_ns: int | None  # outside the window: the file lacks what probably ran
    host_op_ns: int | None  # of traces without a device: CPU time, no kernel time


@dataclass(frozen=True)
class KernelRow:
    """All kernels of one name in one stage."""

    name: str
    category: str
    stage: str
    count: int
    total_ns: int
    mean_ns: float
    share_of_stage: float | None
    op: str | None
    module: str | None
    line_of_code: str | None


@dataclass(frozen=True)
class FindingRow:
    """One claim that the trace supports; `kind` is listed in docs/findings.md."""

    kind: str
    stage: str | None
    claim: str
    do: str
    saves_ns: int | None  # by a replay where there is one, else at most
    saves_at_most_ns: int | None
    replay_saves_ns: list[int] | None  # from least to most, where the trace can be replayed
    trust: str
    why_not_trusted: list[str]


@dataclass(frozen=True)
class Prediction:
    """One stage after one change; None where only a range, or nothing, can be said."""

    change: str
    stage: str
    clock: str
    measured_ns: int
    predicted_ns: int | None
    low_ns: int | None
    high_ns: int | None
    why: str | None


@dataclass(frozen=True)
class WhatIfAnswer:
    """Predictions, and what must be known of them."""

    rows: list[Prediction]
    notes: list[str]


@dataclass(frozen=True)
class Table:
    """A table of raw values. `units` has the unit of each column; a share is a fraction of one."""

    title: str
    columns: list[str]
    units: list[str]
    rows: list[list[Cell]]
    left_out: int  # rows
    note: str


@dataclass(frozen=True)
class Change:
    """What differs between two traces."""

    headline: str
    same_work: bool  # else the totals cannot be held against one another
    limits: list[str]  # what makes them hard to compare
    key_numbers: list[Number]
    findings: list[str]
    tables: list[Table]


def at_least_one(most: int) -> None:
    """Raises: UsageError for a number of rows that is none."""
    if most < 1:
        raise UsageError(
            "must be 1 or more", where=f"most {most}", hint="leave it out for the usual number"
        )


def of_trace(one: Answers) -> Overview:
    """The first screen."""
    view = overview(one)
    return Overview(
        trace=plain.line(one.path),
        headline=plain.line(" ".join(view.headlines)),
        trust=[plain.line(f"{v.word}: {v.text}") for v in view.verdicts],
        key_numbers=[_number(tile) for tile in view.tiles],
        next_steps=[plain.line(" ".join(filter(None, (f.claim, f.saves, f.todo))))
                    for f in view.findings],
        answered=list(one.answers),
        not_answered={name: plain.line(why) for name, why in one.unanswered.items()},
    )  # fmt: skip


def _number(shown: KeyNumber) -> Number:
    return Number(plain.line(shown.label), plain.line(shown.value), plain.line(shown.sub))


def stages(found: Stages) -> list[StageRow]:
    """A row a stage, in the order of their first start."""
    return [_stage(total) for total in found.totals]


def _stage(total: Total) -> StageRow:
    own, detail = total.launched, total.launched_detail
    suspect = detail.suspect_ns if detail else 0
    return StageRow(
        stage=plain.line(total.family),
        instances=total.instances,
        host_wall_ns=total.wall_ns,
        device_window_ns=own.window_ns - suspect if own else None,
        kernel_ns=own.kernel_ns if own else None,
        exposed_communication_ns=detail.exposed_communication_ns if detail else None,
        memcpy_ns=own.memcpy_ns if own else None,
        memset_ns=own.memset_ns if own else None,
        other_stages_ns=own.other_ns if own else None,
        idle_ns=own.idle_ns - suspect if own else None,
        unaccounted_ns=suspect if own else None,
        host_op_ns=total.host.op_ns if total.host else None,
    )


def kernels(found: Kernels, stage: str | None, most: int) -> list[KernelRow]:
    """Of one stage or of all, the longest first.

    Raises: UsageError for a stage without kernels, and for `most` below 1.
    """
    at_least_one(most)
    phases = {row.phase for row in found.rows}
    if stage is not None and stage not in phases:
        known = ", ".join(sorted(phases)) or "none"
        raise MissingEventsError(
            "no stage of this name launched kernels", where=stage, hint=f"there are {known}"
        )
    rows = [row for row in found.rows if stage is None or row.phase == stage]
    rows.sort(key=lambda row: -row.total_ns)
    return [
        KernelRow(
            name=plain.line(row.name), category=str(row.category), stage=plain.line(row.phase),
            count=row.count, total_ns=row.total_ns, mean_ns=row.mean_ns, share_of_stage=row.share,
            op=_line(row.op), module=_line(row.module), line_of_code=_line(row.line),
        )
        for row in rows[:most]
    ]  # fmt: skip


def _line(text: str | None) -> str | None:
    return None if text is None else plain.line(text)


def findings(found: Findings) -> list[FindingRow]:
    """All of them, the largest saving first."""
    return [
        FindingRow(
            kind=str(row.kind), stage=_line(row.stage), claim=plain.line(row.what),
            do=plain.line(row.do), saves_ns=row.saves_ns,
            saves_at_most_ns=row.saves_at_most_ns,
            replay_saves_ns=[row.replayed.low_ns, row.replayed.high_ns] if row.replayed else None,
            trust=str(row.trust), why_not_trusted=[plain.line(why) for why in row.why],
        )
        for row in found.rows
    ]  # fmt: skip


def predictions(found: WhatIf) -> WhatIfAnswer:
    """Every stage after every change."""
    rows = [
        Prediction(
            change=plain.line(row.change), stage=plain.line(row.stage), clock=row.clock,
            measured_ns=row.measured_ns, predicted_ns=row.predicted_ns, low_ns=row.low_ns,
            high_ns=row.high_ns, why=_line(row.why),
        )
        for row in found.rows
    ]  # fmt: skip
    return WhatIfAnswer(rows, [plain.line(note) for note in found.notes])


def change(view: Screen, most: int, *, same_work: bool) -> Change:
    """The first screen of a comparison, with its tables cut to `most` rows each."""
    grids = [*view.opened, *view.grids]
    return Change(
        headline=plain.line(" ".join(view.headlines)),
        same_work=same_work,
        limits=[plain.line(f"{v.word}: {v.text}") for v in view.verdicts]
        + [plain.line(text) for text in (*view.notes, *view.limits)],
        key_numbers=[_number(tile) for tile in view.tiles],
        findings=[plain.line(" ".join(filter(None, (f.claim, f.saves, f.todo))))
                  for f in view.findings],
        tables=[table(grid, most) for grid in grids],
    )  # fmt: skip


def table(grid: Grid, most: int) -> Table:
    """The first `most` rows of a table. Raises: UsageError for `most` below 1."""
    at_least_one(most)
    rows = [list(_cells(row)) for row in grid.rows[:most]]
    return Table(
        plain.line(grid.title), [column.label for column in grid.columns],
        [column.unit for column in grid.columns], rows, grid.left_out(most),
        plain.line(grid.note),
    )  # fmt: skip


def _cells(row: Sequence[object]) -> Iterator[Cell]:
    for value in row:
        value = to_plain(value)
        if value is None or isinstance(value, bool | int | float):
            yield value
        else:
            yield plain.line(str(value))
