"""The answer of `findings`, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.results.trust import Verdict
from tracekit.taxonomy import FindingKind


class Saving(Record, frozen=True):
    """What a replay of the trace says that removing a cause saves of the device window."""

    predicted_ns: int | None  # None where only a range is said
    low_ns: int
    high_ns: int


class OfRank(Record, frozen=True):
    """What a finding that several ranks of a file have alike comes to on one of them."""

    rank: str
    stage: str | None
    number: float  # in the finding's unit
    saves_ns: int | None


class Finding(Record, frozen=True):
    """One claim that the trace supports."""

    trace: str
    kind: str  # a FindingKind, or a kind that the entry of another package's analysis declares
    stage: str | None  # None: the whole trace, or several stages
    device: int | None  # None: all devices, or none
    what: str
    number: float
    unit: str  # of the number: share, ns
    saves_ns: int | None  # by a replay where there is one, else at most; None without a bound
    saves_share: float | None  # of the time it would be saved of
    do: str
    rests_on: tuple[str, ...]  # analyses whose answers it repeats
    trust: Verdict  # trusted, or degraded: the worst of those answers
    why: tuple[str, ...]  # not trusted fully
    numbers: Mapping[str, float]  # that the sentence states, by name
    rank: str | None = None  # of a file of several, that with most; None where it holds one process
    replayed: Saving | None = None  # where the trace can be replayed without the cause
    saves_at_most_ns: int | None = None  # of the cause's own time; None where there is no bound
    # every rank of the file that has it, the row's own too, the largest number first; () where one
    ranks: tuple[OfRank, ...] = ()

    @property
    def alike(self) -> tuple[str | None, ...]:
        """What it says of a rank that others may say too: idle time has one cause wherever it is,
        other rules speak of a stage and advise on it.
        """
        if self.rests_on[:1] == ("idle",) and self.kind != FindingKind.RECORD_MORE:
            return self.kind, self.unit
        return self.kind, self.unit, self.stage, self.do


class Largest(Record, frozen=True):
    """The largest share of a device's idle time, or of all kernel time, and what is said of it."""

    trace: str
    device: int | None  # None: the kernel time of all devices
    time: Literal["idle", "kernel"]
    name: str  # a reason for idle time, or a category of kernels
    ns: int
    share: float | None  # of the device window without unaccounted time, or of the kernel time
    kinds: tuple[str, ...]  # findings about it
    none_because: str | None  # why there is none
    rank: str | None = None  # of a file of several; None where it holds one process


class Withheld(Record, frozen=True):
    """Findings that rest on answers which the audit refuses."""

    trace: str
    analysis: str
    count: int
    why: tuple[str, ...]
    rank: str | None = None  # of a file of several; None where it holds one process


class Findings(Result, Record, frozen=True):
    analysis = "findings"

    rows: tuple[Finding, ...]  # the largest saving first
    withheld: tuple[Withheld, ...]
    largest: tuple[Largest, ...] = ()
