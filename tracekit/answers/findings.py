"""The answer of `findings`, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.results.result import Result
from tracekit.results.trust import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim that the trace supports."""

    trace: str
    stage: str | None  # None: the whole trace
    what: str
    number: float
    unit: str  # of the number: share, ns
    saves_ns: int | None  # at most; None where there is no bound
    saves_share: float | None  # of the time it would be saved of
    do: str
    rests_on: tuple[str, ...]  # analyses whose answers it repeats
    trust: Verdict  # trusted, or degraded: the worst of those answers
    why: tuple[str, ...]  # not trusted fully


@dataclass(frozen=True, slots=True)
class Withheld:
    """Findings that rest on answers which the audit refuses."""

    trace: str
    analysis: str
    count: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings(Result):
    analysis = "findings"

    rows: tuple[Finding, ...]  # the largest saving first
    withheld: tuple[Withheld, ...]
