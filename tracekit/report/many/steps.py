"""Ranks by steps: how long each step of each rank took, how busy it was, what communication cost.

A step is an instance of the stage that most ranks repeat and that takes the most time: the
profiler's `ProfilerStep`, else what the program marks. Steps of several ranks are met by the number
in their names; without one by their order, where all ranks have as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

from tracekit.answers.stages import Instance, Split, Stages
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.report.many import groups
from tracekit.report.many.groups import Row
from tracekit.report.many.runs import Side
from tracekit.results.figures import Chart, heat
from tracekit.results.result import Column, Grid, Unit

COLUMNS = 40  # steps of a chart; of more, neighbours are one column
SHOWN = 10  # columns of a table
_NUMBER = later(r"#(\d+)$")


class Step(Record, frozen=True):
    """One step of one rank. None: not measured."""

    wall_ns: int
    busy_share: float | None
    exposed_ns: int | None  # communication that no other kernel covers


class Steps(Record, frozen=True):
    """Shapes: R ranks, S steps that each of them has."""

    family: str
    names: tuple[str, ...]  # [S]
    ranks: tuple[str, ...]  # [R]
    cells: tuple[tuple[Step, ...], ...]  # [R][S]
    left_out: int  # steps that some rank has not
    by_number: bool

    def values(self, of: Callable[[Step], float | None]) -> list[list[float | None]]:
        """[R][S] one measure."""
        return [[of(step) for step in own] for own in self.cells]

    def to_json(self) -> dict[str, Any]:
        """Whole, however many ranks and steps there are."""
        return {
            "stage": self.family, "ranks": list(self.ranks), "steps": list(self.names),
            "met_by": "number" if self.by_number else "order", "left_out": self.left_out,
            "wall_ns": self.values(lambda s: s.wall_ns),
            "busy_share": self.values(lambda s: s.busy_share),
            "exposed_communication_ns": self.values(lambda s: s.exposed_ns),
        }  # fmt: skip


class Measure(Record, frozen=True):
    """What a heat map shows."""

    key: str
    title: str
    unit: Unit
    of: Callable[[Step], float | None]
    said: str


MEASURES = (
    Measure("step-time", "Step time", "ns", lambda s: s.wall_ns,
            "Host time of the step's marker."),
    Measure("step-busy", "Busy share", "share", lambda s: s.busy_share,
            "Share of the step's wall time in which the device had work, of whatever step."),
    Measure("step-exposed", "Exposed communication", "ns", lambda s: s.exposed_ns,
            "Part of the step's wall time in which only communication kernels ran: transfer, and "
            "waiting for other ranks."),
)  # fmt: skip


def read(many: Sequence[Side]) -> Steps | None:
    """The steps of all ranks; None where they have none in common, or fewer than two."""
    found = [side.one.get(Stages) for side in many]
    known = [one for one in found if one is not None]
    if len(known) < len(many) or len(many) < 2:
        return None
    family = _family(known)
    if family is None:
        return None
    rows = [[row for row in one.rows if row.family == family and not row.repeated] for one in known]
    keyed, by_number = _keyed(rows)
    shared = [key for key in keyed[0] if all(key in own for own in keyed)]
    if len(shared) < 2:
        return None
    return Steps(
        family, tuple(str(key) for key in shared), tuple(side.name for side in many),
        tuple(tuple(_step(own[key]) for key in shared) for own in keyed),
        len(set().union(*keyed)) - len(shared), by_number,
    )  # fmt: skip


def _family(known: Sequence[Stages]) -> str | None:
    """Of stages that every rank has at least twice, the one with the most time."""
    time: dict[str, int] = {}
    for one in known:
        own = {total.family: total.wall_ns for total in one.stages if total.instances > 1}
        if not time:
            time = own
        time = {name: ns + own[name] for name, ns in time.items() if name in own}
    return max(time, key=lambda name: (name == "ProfilerStep", time[name]), default=None)


def _keyed(rows: Sequence[Sequence[Instance]]) -> tuple[list[dict[int, Instance]], bool]:
    """The steps of each rank by what they are met by."""
    keyed: list[dict[int, Instance]] = []
    for own in rows:
        numbers = [int(found[1]) for row in own if (found := _NUMBER.search(row.name))]
        keyed.append(dict(zip(numbers, own, strict=False)) if len(numbers) == len(own) else {})
    if all(keyed) and all(len(k) == len(r) for k, r in zip(keyed, rows, strict=True)):
        return keyed, True
    if len({len(own) for own in rows}) > 1:
        return [{} for _ in rows], False
    return [dict(enumerate(own, 1)) for own in rows], False


def _step(row: Instance) -> Step:
    """By clock: idle time between the work of two steps is a part of one of them."""
    parts, whole = row.parts(Split.CLOCK), row.whole_ns(Split.CLOCK)
    if not parts or not whole:
        return Step(row.wall_ns, None, None)
    return Step(row.wall_ns, 1 - parts["idle"] / whole, row.exposed_ns(Split.CLOCK))


# ---------------------------------------------------------------- how they are shown


def charts(found: Steps, rows: Sequence[Row]) -> list[Chart]:
    """A heat map a measure: a row a rank, or a group of ranks; a column a step, or several."""
    bins = _bins(len(found.names), COLUMNS)
    names = _bin_names(found, bins)
    out = []
    for measure, values in _measured(found, rows, bins):
        title = f"{measure.title}, rank by {_step_noun(found)}"
        out.append(heat(
            measure.key, title, [row.label for row in rows], names, values, unit=measure.unit,
            x_title=_step_noun(found), table=measure.key,
            summary=f"{measure.said} {groups.said(rows, len(found.ranks))}",
        ))  # fmt: skip
    # of one colour it says no more than a number does
    return [chart for chart in out if len(chart.data) > 1]


def grids(found: Steps, rows: Sequence[Row]) -> list[Grid]:
    """The same as tables of a few columns; `--json` has every step of every rank."""
    bins = _bins(len(found.names), SHOWN)
    names = _bin_names(found, bins)
    out = []
    for measure, values in _measured(found, rows, bins):
        columns = (Column("rank"), *(Column(name, measure.unit, measure.said) for name in names))
        each = f", means of {len(bins[0])} steps" if len(bins) < len(found.names) else ""
        out.append(Grid(
            measure.key, f"{measure.title}, rank by {_step_noun(found)}{each}", columns,
            [(row.label, *own) for row, own in zip(rows, values, strict=True)], _note(found, rows),
        ))  # fmt: skip
    return out


def every(found: Steps) -> Grid:
    """A row for each step of each rank."""
    columns = (Column("rank"), Column("step"),
               *(Column(m.title.lower(), m.unit, m.said) for m in MEASURES))  # fmt: skip
    rows = [
        (rank, name, *(measure.of(step) for measure in MEASURES))
        for rank, own in zip(found.ranks, found.cells, strict=True)
        for name, step in zip(found.names, own, strict=True)
    ]
    return Grid("steps", "Every step of every rank", columns, rows)


def _step_noun(found: Steps) -> str:
    return "step" if found.family == "ProfilerStep" else f"instance of {found.family}"


def _note(found: Steps, rows: Sequence[Row]) -> str:
    said = [groups.said(rows, len(found.ranks))]
    if not found.by_number:
        said.append("Steps are met by their order: their names have no number.")
    if found.left_out:
        said.append(f"{found.left_out} steps that some rank has not are left out.")
    return " ".join(part for part in said if part)


def _bins(count: int, most: int) -> list[range]:
    """Steps in at most `most` columns of equally many, but the last."""
    each = -(-count // most)
    return [range(at, min(at + each, count)) for at in range(0, count, each)]


def _bin_names(found: Steps, bins: Iterable[range]) -> list[str]:
    return [
        found.names[own[0]] if len(own) == 1 else f"{found.names[own[0]]}–{found.names[own[-1]]}"
        for own in bins
    ]


def _measured(
    found: Steps, rows: Sequence[Row], bins: Sequence[range]
) -> Iterator[tuple[Measure, list[list[float | None]]]]:
    """Each measure that is anything but 0, as `_binned`."""
    for measure in MEASURES:
        values = _binned(found.values(measure.of), rows, bins)
        if any(v for own in values for v in own):
            yield measure, values


def _binned(
    values: Sequence[Sequence[float | None]], rows: Sequence[Row], bins: Sequence[range]
) -> list[list[float | None]]:
    """[rows][bins] means over the ranks of a row and the steps of a column."""
    return [
        [_mean([values[rank][step] for rank in row.members for step in own]) for own in bins]
        for row in rows
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
