"""The answer of `stages`, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from tracekit.attribution.idle.host_time import Host, HostDetail
from tracekit.attribution.stages.alike import alike
from tracekit.attribution.stages.nesting import Span, depths
from tracekit.attribution.stages.split import Clock, ClockDetail, Launched, LaunchedDetail
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.taxonomy import Stage, Whole
from tracekit.trace.capture_facts import captured
from tracekit.trace.trace import Source

PHASES = ("prefill", "mixed", "decode")  # what a sentence of the first screen is about, if there
# the parts of a stage's time, in the order in which charts stack them
COMPUTE, EXPOSED = "compute", "exposed communication"
PARTS = (
    "kernel", COMPUTE, EXPOSED, "memcpy", "memset", "ops", "copies", "outside ops",
    "busy with other stages", "idle",
)  # fmt: skip


WALL = "Host time from the start of a stage's marker to its end."
BY_CLOCK = (
    "What the device did while the stage's marker was open: kernel, memcpy, memset and idle add up "
    "to the wall time, unaccounted time left out."
)
BY_LAUNCH = (
    "What the device did from the first work that the stage launched to the last, whenever it "
    "ran: its own kernels, copies and memsets, work of other stages, and idle add up to that "
    "window, unaccounted time left out. Right where the host runs ahead of the device."
)
OP_TIME = "What the marker's thread did; they add up to the wall time, and are CPU time."


_OF_ITS_OWN = ("kernel", COMPUTE, EXPOSED, "memcpy", "memset")


class Split(Enum):
    """How a stage's time is split, and what the parts add up to."""

    CLOCK = "wall time"
    LAUNCHED = "GPU window"
    HOST = "wall time, of the host"

    @property
    def whole(self) -> str:
        """What the parts add up to, in words."""
        return self.value.split(",")[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """Their names."""
        if self is Split.HOST:
            return ("ops", "copies", "outside ops")
        others = ("busy with other stages",) if self is Split.LAUNCHED else ()
        return ("kernel", "memcpy", "memset", *others, "idle")

    def label(self, part: str) -> str:
        """What is shown for a part, or for `suspect` time, so that it is no other number's name."""
        if part in ("idle", "suspect"):
            shown = "unaccounted" if part == "suspect" else part
            return f"{shown} in {self.whole}"
        return f"own {part}" if self is Split.LAUNCHED and part in _OF_ITS_OWN else part


class _Measured:
    """What an instance and a total have in common: time by clock, by launch, on the host."""

    __slots__ = ()
    wall_ns: int
    clock: Clock | None
    launched: Launched | None
    host: Host | None
    clock_detail: ClockDetail | None
    launched_detail: LaunchedDetail | None

    def detail(self, split: Split) -> ClockDetail | LaunchedDetail | None:
        """What more is known of the parts of `split`."""
        match split:
            case Split.CLOCK:
                return self.clock_detail
            case Split.LAUNCHED:
                return self.launched_detail
            case Split.HOST:
                return None

    def suspect_ns(self, split: Split) -> int:
        """Time beside the parts of `split`: the device probably ran work that the file lacks."""
        detail = self.detail(split)
        return detail.suspect_ns if detail else 0

    def whole_ns(self, split: Split) -> int | None:
        """What the parts of `split` add up to; None where its window is not known."""
        if split is not Split.LAUNCHED:
            return self.wall_ns - self.suspect_ns(split)
        return self.launched.window_ns - self.suspect_ns(split) if self.launched else None

    def parts(self, split: Split) -> dict[str, int]:
        """Its time by part in ns, which add up to `whole_ns`; empty where not known."""
        own = self.clock if split is Split.CLOCK else self.launched
        if split is Split.HOST:
            return _host_parts(self.host) if self.host else {}
        return _device_parts(own, self.suspect_ns(split)) if own else {}

    def exposed_ns(self, split: Split) -> int:
        """Of the kernel time: only communication ran."""
        detail = self.detail(split)
        return detail.exposed_communication_ns if detail else 0


class Instance(_Measured, Record, frozen=True):
    stage: str  # the recognised phase, or the name itself
    name: str
    start_ns: int  # from the first slice of the trace
    wall_ns: int
    clock: Clock | None  # None without GPU events
    launched: Launched | None  # None without GPU events, or without any launch in the trace
    host: Host | None  # None with GPU events
    clock_detail: ClockDetail | None
    launched_detail: LaunchedDetail | None
    host_detail: HostDetail | None
    family: str  # what instances of this kind are called together
    nested: bool  # inside another instance listed here
    repeated: bool  # inside another instance of its family: in no total
    sample: int | None  # of tracekit's own captures
    file_start_ns: int  # as the file counts: absolute where the file is
    rank: str | None = None  # of a file of several; None where it holds one process

    @property
    def worked(self) -> bool:
        """Whether a device did anything for it; without GPU events whether it is there."""
        if self.launched is not None:
            return self.launched.count > 0
        return self.clock is None or self.clock.idle_ns < self.wall_ns

    @property
    def window(self) -> tuple[int, int] | None:
        """Start and length of the window of its own work; None where it launched none."""
        if self.launched is None or self.launched_detail is None:
            return None
        start = self.launched_detail.start_ns
        return None if start is None else (start, self.launched.window_ns)


class Total(_Measured, Record, frozen=True):
    """All instances of one family. Time that several share counts once."""

    family: str  # Whole.STAGES: all of them
    instances: int  # without those inside another of the family
    wall_ns: int
    mean_ns: float | None  # of the wall time of one instance, as the next four
    median_ns: float | None
    min_ns: int | None
    max_ns: int | None
    spread_ns: float | None  # standard deviation over the instances
    clock: Clock | None
    launched: Launched | None
    host: Host | None
    clock_detail: ClockDetail | None
    launched_detail: LaunchedDetail | None
    host_detail: HostDetail | None
    ops: Mapping[str, int] | None  # host.op_ns by category of the innermost op

    @property
    def is_all(self) -> bool:
        """Whether this is all stages together."""
        return isinstance(self.family, Whole)

    @property
    def title(self) -> str:
        """Its name where a sentence begins; an annotation's keeps its letters."""
        return self.family.capitalize() if self.family in PHASES else self.family


class Alike(Record, frozen=True):
    """The instances of one stage that are alike, of all that it has: see ALIKE."""

    rows: tuple[Instance, ...]
    of: int

    @property
    def said(self) -> str:
        """How many of how many, where that is not all."""
        return "" if len(self.rows) == self.of else f"{len(self.rows):,} of {self.of:,}"

    @property
    def walls(self) -> list[int]:
        """Their wall times."""
        return [row.wall_ns for row in self.rows]


class Mean(Record, frozen=True):
    """One instance of a stage, as a mean over those that are alike."""

    total: Total
    alike: Alike
    split: Split

    @property
    def label(self) -> str:
        """The stage, and of how many instances the mean is where not of all."""
        return f"{self.total.family} ({said})" if (said := self.alike.said) else self.total.family

    def parts(self, *, cut: bool) -> dict[str, float]:
        """ns by part; with `cut` kernels are compute and exposed communication."""
        # of all instances the flat sum: there time that two of them share counts once
        own = self.alike.rows if self.alike.said else (self.total,)
        count = len(self.alike.rows)
        sums: dict[str, float] = {}
        for part in own:
            for name, ns in part.parts(self.split).items():
                sums[name] = sums.get(name, 0) + ns / count
        if cut and sums:
            talk = sum(part.exposed_ns(self.split) for part in own) / count
            sums[COMPUTE], sums[EXPOSED] = sums.pop("kernel") - talk, talk
        return sums

    @property
    def exposed(self) -> bool:
        """Whether any communication was not covered by other kernels."""
        return self.total.exposed_ns(self.split) > 0


def synchronised(source: Source) -> bool:
    """Whether the device was waited for at the ends of stages, as our own captures do."""
    run = captured(source)
    return run is not None and run.synchronised


def mean_parts(means: Sequence[Mean]) -> list[dict[str, float]]:
    """Of each, so that they can be drawn side by side: kernels are cut in all or in none."""
    cut = any(mean.exposed for mean in means)
    return [mean.parts(cut=cut) for mean in means]


def spent(totals: Sequence[Total], split: Split) -> list[dict[str, int]]:
    """The same of all instances together, in ns."""
    own = [total.parts(split) for total in totals]
    talk = [total.exposed_ns(split) for total in totals]
    if any(talk):
        for parts, ns in zip(own, talk, strict=True):
            if parts:
                parts[COMPUTE], parts[EXPOSED] = parts.pop("kernel") - ns, ns
    return own


def _host_parts(host: Host) -> dict[str, int]:
    return {"ops": host.op_ns, "copies": host.copy_ns, "outside ops": host.other_ns}


def _device_parts(own: Clock | Launched, suspect_ns: int) -> dict[str, int]:
    others = {"busy with other stages": own.other_ns} if isinstance(own, Launched) else {}
    return {
        "kernel": own.kernel_ns, "memcpy": own.memcpy_ns, "memset": own.memset_ns, **others,
        "idle": own.idle_ns - suspect_ns,
    }  # fmt: skip


class Unattributed(Record, frozen=True):
    """GPU work that no stage launched."""

    outside_count: int  # launched, but inside no stage
    unlaunched_count: int  # its launch is not in the trace
    busy_ns: int  # device time that only such work covers


class Stages(Result, Record, frozen=True):
    analysis = "stages"

    chosen: str  # what the stages are, in words
    rows: tuple[Instance, ...]
    totals: tuple[Total, ...]  # by family, in order of first start; the last is all stages
    unattributed: Unattributed | None
    devices: int  # with work in the trace; they are taken together

    @property
    def alike(self) -> dict[str, Alike]:
        """Of each family, the instances that are alike."""
        members: dict[str, list[Instance]] = {}
        for row in self.rows:
            if not row.repeated:
                members.setdefault(row.family, []).append(row)
        return {
            family: Alike(
                tuple(own[i] for i in alike([r.wall_ns for r in own], [r.worked for r in own])),
                len(own),
            )
            for family, own in members.items()
        }  # fmt: skip

    def means(self, totals: Sequence[Total], split: Split) -> list[Mean]:
        """One instance of each of these stages."""
        groups = self.alike
        return [Mean(t, groups[t.family], split) for t in totals if t.family in groups]

    @property
    def whole(self) -> Total | None:
        """All stages together."""
        return next((total for total in self.totals if total.is_all), None)

    @property
    def stages(self) -> tuple[Total, ...]:
        """A row a stage, without all stages together; the five of a request in their order."""
        rows = [total for total in self.totals if not total.is_all]
        order = {stage.value: place for place, stage in enumerate(Stage)}
        if all(row.family in order for row in rows):
            rows.sort(key=lambda row: order[row.family])
        return tuple(rows)

    @property
    def depths(self) -> dict[str, int]:
        """How deep each family lies inside others, parents before their children."""
        own = (r for r in self.rows if not r.repeated)
        return depths([Span(r.family, r.start_ns, r.start_ns + r.wall_ns) for r in own])

    @property
    def main(self) -> tuple[Total, ...]:
        """Prefill and decode, in their order; of a trace that has neither its longest stage."""
        rows = {total.family: total for total in self.stages}
        if known := tuple(rows[phase] for phase in PHASES if phase in rows):
            return known
        longest = max(rows.values(), key=lambda total: total.wall_ns, default=None)
        return () if longest is None else (longest,)

    def split(self, source: Source) -> Split:
        """By clock where the device was synchronised at the ends of stages, else by launch.

        Without that, a stage's kernels run after its marker has closed: by clock a prefill of half
        a second looks idle.
        """
        if not self.devices:
            return Split.HOST
        if not synchronised(source) and any(
            t.launched and t.launched.window_ns for t in self.stages
        ):
            return Split.LAUNCHED
        return Split.CLOCK
