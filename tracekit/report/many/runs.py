"""One of several traces, and what tables and charts over all of them are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import overload

from tracekit.answers.devices import Devices
from tracekit.answers.kernels import Kernel, Kernels
from tracekit.answers.ops import Op, Ops
from tracekit.answers.stages import PHASES, Alike, Stages, Total
from tracekit.answers.tokens import Latency, Tokens
from tracekit.attribution.stages.work_phases import NO_PHASE
from tracekit.records import Record
from tracekit.results import jobs
from tracekit.results.answers import Answers
from tracekit.results.jobs import Job
from tracekit.results.result import Result
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts

FEW = 4  # more traces than this are points of a line, and only these are drawn in the sections
COLUMNS = 8  # more traces than this have no column each


class Side(Record, frozen=True):
    """One of the traces: its short name, its answers, what is known of its run."""

    name: str
    one: Answers
    run: RunFacts

    @property
    def stages(self) -> tuple[Total, ...]:
        """A row a stage; none where the trace marks none."""
        found = self.one.get(Stages)
        return () if found is None else found.stages

    @property
    def alike(self) -> dict[str, Alike]:
        """Of each stage, the instances that are alike."""
        found = self.one.get(Stages)
        return {} if found is None else found.alike

    @property
    def latency(self) -> Latency | None:
        """Of its requests, where it marks any."""
        found = self.one.get(Tokens)
        return None if found is None else found.latency


Sums = Mapping[tuple[str, ...], Mapping[str, Result]]  # of each analysis, by the paths of ranks


@dataclass(frozen=True, slots=True)
class Sides(Sequence[Side]):
    """The traces that stand side by side, and the files beside them that could not be read."""

    every: tuple[Side, ...]
    jobs: tuple[Job, ...] = ()  # places among them
    unread: tuple[Answers, ...] = ()
    sums: Sums = field(default_factory=dict)  # what was added up elsewhere

    @overload
    def __getitem__(self, place: int) -> Side: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Side, ...]: ...
    def __getitem__(self, place: int | slice) -> Side | tuple[Side, ...]:
        return self.every[place]

    def __len__(self) -> int:
        return len(self.every)

    @property
    def one_job(self) -> bool:
        """Whether they are ranks of one job."""
        return len(self.jobs) == 1 and len(self.jobs[0].members) == len(self)

    @property
    def adds_up(self) -> bool:
        """Whether a sum over them means something: one job's ranks, or repeats of one run."""
        return self.one_job or run_facts.repeats([side.run for side in self])


def read(many: Sequence[Answers], sums: Sums | None = None) -> Sides:
    """The traces with names that tell them apart."""
    known = [one for one in many if not one.fault]
    found = jobs.jobs(known)
    names = _named(known, found)
    sides = [
        Side(name, one, run_facts.about(one.source)) for name, one in zip(names, known, strict=True)
    ]
    return Sides(tuple(sides), found, tuple(one for one in many if one.fault), sums or {})


def _named(many: Sequence[Answers], found: Sequence[Job]) -> list[str]:
    """Ranks by their job and number; other traces by what sets them apart."""
    whole = len(found) == 1 and len(found[0].members) == len(many)
    of = {i: job for job in found if whole or job.told_by != "file" for i in job.members}
    others = [one for i, one in enumerate(many) if i not in of]
    rest = iter(run_facts.labels([one.source for one in others],
                                 [run_facts.stem(one.path) for one in others]))  # fmt: skip
    return [
        ": ".join(filter(None, (of[i].name, run_facts.rank_name(one.source))))
        if i in of else next(rest)
        for i, one in enumerate(many)
    ]  # fmt: skip


class Measures(Record, frozen=True):
    """The large numbers of one trace, times in ns; None where it does not say."""

    wall: int | None  # of all stages
    window: float | None  # of a device, as the next four: the mean of several
    kernel: float | None  # time in which a kernel ran
    busy: float | None  # share of the window
    idle: float | None
    idle_share: float | None  # of the window
    suspect: float | None  # beside the window
    ttft: float | None
    tpot: float | None
    decode: float | None  # tokens/s


def measures(side: Side) -> Measures:
    """The large numbers of one trace."""
    stages, devices, latency = side.one.get(Stages), side.one.get(Devices), side.latency
    whole = None if stages is None else stages.whole
    return Measures(
        wall=whole.wall_ns if whole else None,
        window=devices.mean(lambda d: d.seen_window_ns) if devices else None,
        kernel=devices.mean(lambda d: d.kernel_ns) if devices else None,
        busy=devices.mean(lambda d: d.busy_share) if devices else None,
        idle=devices.mean(lambda d: d.seen_idle_ns) if devices else None,
        idle_share=devices.mean(lambda d: d.idle_share) if devices else None,
        suspect=devices.mean(lambda d: d.suspect_ns) if devices else None,
        ttft=latency.ttft_ns if latency else None,
        tpot=latency.tpot_ns if latency else None,
        decode=latency.tokens_per_s if latency else None,
    )


def means(side: Side) -> dict[str, float]:
    """Mean wall time of an instance of each stage, over those that are alike."""
    return {family: fmean(own.walls) for family, own in side.alike.items()}


def instances(side: Side, phase: str) -> int | None:
    """How often the trace has a stage of this name; None where its instances are not alike."""
    own = side.alike.get(phase)
    return None if own is None or own.said else own.of


def whose(values: Sequence[tuple[float, str]], value: float, show: Callable[[float], str]) -> str:
    """The names that have a value, as it is shown: one, two, or the first and how many others."""
    names = [name for own, name in values if show(own) == show(value)]
    if len(names) > 2:
        return f"{names[0]} and {len(names) - 1} others"
    return " and ".join(names)


# ---------------------------------------------------------------- what costs most


class Costs(Record, frozen=True):
    """What the costs of several traces are made of: kernels by duration, or ops by self time."""

    kind: type[Kernels] | type[Ops]
    noun: str

    def of(self, side: Side) -> Kernels | Ops | None:
        """The answer of one trace."""
        return side.one.get(Kernels) if self.kind is Kernels else side.one.get(Ops)

    def rows(self, side: Side, phase: str | None = None) -> list[Kernel | Op]:
        """Those of one trace, or of one phase of it, the longest first."""
        found = self.of(side)
        return [row for row in (found.rows if found else ()) if phase in (None, row.phase)]

    def by_name(self, side: Side, phase: str) -> dict[str, float]:
        """Time of one phase of one trace by name."""
        out: dict[str, float] = {}
        for row in self.rows(side, phase):
            out[row.name] = out.get(row.name, 0) + row.cost_ns
        return out


KERNELS, OPS = Costs(Kernels, "kernel"), Costs(Ops, "op")


def costs(many: Sequence[Side]) -> Costs:
    """Kernels where every trace has some, else ops where every trace has."""
    for chosen in (KERNELS, OPS):
        if all(chosen.of(side) for side in many):
            return chosen
    return KERNELS if any(KERNELS.of(side) for side in many) else OPS


def phases(many: Sequence[Side], costs: Costs) -> list[str]:
    """The phases to set side by side: prefill and decode where most traces have them.

    Else those that most traces have, the longest first.
    """
    answers = [costs.of(side) for side in many]
    found = [set(own.main_phases) if own else set() for own in answers]
    order = [phase for phase in PHASES if any(phase in own for own in found)]
    if sum(not own.isdisjoint(order) for own in found) * 2 > len(found):
        return order
    time: Counter[str] = Counter()
    having: Counter[str] = Counter()
    for side in many:
        having.update({row.phase for row in costs.rows(side)})
        for row in costs.rows(side):
            if row.phase not in NO_PHASE:
                time[row.phase] += row.cost_ns
    return sorted(time, key=lambda phase: (-having[phase], -time[phase]))[:3]


def per(side: Side, phase: str, every: Sequence[Side]) -> float:
    """By how much to divide: instances of the phase, where each trace that has it counts them."""
    counts = [instances(s, phase) for s in every]
    own = instances(side, phase)
    return float(own) if own and all(counts) else 1.0
