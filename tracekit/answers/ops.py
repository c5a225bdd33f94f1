"""The answer of `ops`, as data."""

from __future__ import annotations

from tracekit.attribution.stages import work_phases
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.taxonomy import Category


class Op(Record, frozen=True):
    """All ops of one name, category and phase. Host time, of all threads added up."""

    name: str
    category: Category
    phase: str
    count: int
    self_ns: int  # without the ops inside
    total_ns: int  # durations added up, the ops inside included
    mean_self_ns: float
    share: float | None  # of the self time of its phase
    per_token_ns: float | None  # self time
    only_here: bool | None  # in no other phase; None where the trace has one phase

    @property
    def cost_ns(self) -> int:
        """What it costs: ops by their self time, as kernels by their durations."""
        return self.self_ns


class PhaseTotal(Record, frozen=True):
    phase: str
    count: int
    self_ns: int
    tokens: int | None  # that prefill read, or that decode generated


class Ops(Result, Record, frozen=True):
    analysis = "ops"

    rows: tuple[Op, ...]  # the longest first
    phases: tuple[PhaseTotal, ...]

    @property
    def main_phases(self) -> tuple[str, ...]:
        """The phases to set side by side: see work_phases.side_by_side."""
        return work_phases.side_by_side([p.phase for p in self.phases], self.rows[0].phase)
