"""The answer of `audit`, as data."""

from __future__ import annotations

from typing import Literal

from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.results.trust import Trust, Verdict, worst

Effect = Literal["note", "degraded", "refused"]  # of a finding on the answers that it touches
VERDICT: dict[Effect, Verdict] = {"note": "trusted", "degraded": "degraded", "refused": "refused"}


class Audit(Result, Record, frozen=True):
    """What is odd about the trace; the worst first. No row: every check passed."""

    analysis = "audit"

    verdict: Verdict  # of the whole trace: the worst of its rows
    checks: int  # that were made
    rows: tuple[Finding, ...]

    def trust(self, name: str) -> Trust:
        """How far an analysis may be trusted: the worst effect of the findings that touch it."""
        mine = [r for r in self.rows if name in r.touches and r.effect != "note"]
        return Trust(worst(VERDICT[r.effect] for r in mine), tuple(r.what for r in mine))


class Finding(Record, frozen=True):
    """One thing that is odd about a trace, and what it does to the answers that it touches."""

    trace: str
    check: str
    effect: Effect
    what: str  # one sentence with its numbers
    count: int
    ns: int | None  # time at stake, where the check knows
    share: float | None  # of what `what` names
    touches: tuple[str, ...]  # analyses
    rank: str | None = None  # of a file of several; None where it holds one process
