"""The answer of `stages`, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tracekit.attribution.idle.by_cause import MAYBE_WORK
from tracekit.attribution.idle.host_time import Host, HostDetail
from tracekit.attribution.stages.split import Clock, ClockDetail, Launched, LaunchedDetail
from tracekit.results.result import Result
from tracekit.taxonomy import Stage, Whole
from tracekit.trace.capture_facts import captured
from tracekit.trace.trace import Source

PHASES = ("prefill", "mixed", "decode")  # what a sentence of the first screen is about, if there
# the parts of a stage's time, in the order in which charts stack them
PARTS = (
    "kernel", "communication", "memcpy", "memset", "ops", "copies", "outside ops",
    "busy with other stages", "idle", MAYBE_WORK,
)  # fmt: skip


WALL = "Host time from the start of a stage's marker to its end."
BY_CLOCK = (
    "What the device did while the stage's marker was open: kernel, memcpy, memset and idle add up "
    "to the wall time."
)
BY_LAUNCH = (
    "What the device did from the first work that the stage launched to the last, whenever it "
    "ran: its own kernels, copies and fills, work of other stages, and idle add up to that window. "
    "Right where the host runs ahead of the device."
)
OP_TIME = "What the marker's thread did; they add up to the wall time, and are CPU time."


class Split(Enum):
    """How a stage's time is split, and what the parts add up to."""

    CLOCK = "wall time, by clock"
    LAUNCHED = "window of its own work"
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


@dataclass(frozen=True, slots=True)
class Instance:
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
    def window(self) -> tuple[int, int] | None:
        """Start and length of the window of its own work; None where it launched none."""
        if self.launched is None or self.launched_detail is None:
            return None
        start = self.launched_detail.start_ns
        return None if start is None else (start, self.launched.window_ns)


@dataclass(frozen=True, slots=True)
class Total:
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

    @property
    def suspect_ns(self) -> int:
        """Of the idle time in its window: the device probably ran work that the file lacks."""
        return self.launched_detail.suspect_ns if self.launched_detail else 0

    def whole_ns(self, split: Split) -> int | None:
        """What the parts of `split` add up to; None where its window is not known."""
        if split is Split.LAUNCHED:
            return self.launched.window_ns if self.launched else None
        return self.wall_ns

    def parts(self, split: Split) -> dict[str, int]:
        """Its time by part in ns, which add up to the whole of `split`; empty where not known."""
        match split:
            case Split.HOST:
                return _host_parts(self.host) if self.host else {}
            case Split.CLOCK:
                return _device_parts(self.clock) if self.clock else {}
            case Split.LAUNCHED:
                return _device_parts(self.launched) if self.launched else {}

    def spent(self, split: Split) -> dict[str, int]:
        """The same in as many parts as are known; they still add up.

        Communication that no other kernel covers is taken out of the kernels, and suspect idle
        time out of the idle time.
        """
        out = self.parts(split)
        detail = {Split.CLOCK: self.clock_detail, Split.LAUNCHED: self.launched_detail}.get(split)
        if detail is None or not out:
            return out
        for part, whole, ns in (
            ("communication", "kernel", detail.exposed_communication_ns),
            (MAYBE_WORK, "idle", detail.suspect_ns),
        ):
            if ns:
                out[part] = ns
                out[whole] -= ns
        return out


def _host_parts(host: Host) -> dict[str, int]:
    return {"ops": host.op_ns, "copies": host.copy_ns, "outside ops": host.other_ns}


def _device_parts(own: Clock | Launched) -> dict[str, int]:
    others = {"busy with other stages": own.other_ns} if isinstance(own, Launched) else {}
    return {
        "kernel": own.kernel_ns, "memcpy": own.memcpy_ns, "memset": own.memset_ns, **others,
        "idle": own.idle_ns,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unattributed:
    """GPU work that no stage launched."""

    outside_count: int  # launched, but inside no stage
    unlaunched_count: int  # its launch is not in the trace
    busy_ns: int  # device time that only such work covers


@dataclass(frozen=True, slots=True)
class Stages(Result):
    analysis = "stages"

    chosen: str  # what the stages are, in words
    rows: tuple[Instance, ...]
    totals: tuple[Total, ...]  # by family, in order of first start; the last is all stages
    unattributed: Unattributed | None
    devices: int  # with work in the trace; they are taken together

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
        run = captured(source)
        synchronised = run is not None and run.synchronised
        if not synchronised and any(t.launched and t.launched.window_ns for t in self.stages):
            return Split.LAUNCHED
        return Split.CLOCK
