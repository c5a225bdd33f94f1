"""The answer of `audit`, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tracekit.results.result import Result

Effect = Literal["note", "degraded", "refused"]  # of a finding on the answers that it touches
VERDICT: dict[Effect, str] = {"note": "trusted", "degraded": "degraded", "refused": "refused"}
RANK: tuple[Effect, ...] = ("note", "degraded", "refused")


@dataclass(frozen=True, slots=True)
class Audit(Result):
    """What is odd about the trace; the worst first. No row: every check passed."""

    analysis = "audit"

    verdict: str  # of the whole trace: the worst of its rows
    checks: int  # that were made
    rows: tuple[Finding, ...]

    def trust(self, name: str) -> dict[str, Any]:
        """How far an analysis may be trusted: {"verdict": …, "why": [sentences]}.

        The verdict is the worst effect of the findings that touch it.
        """
        mine = [r for r in self.rows if name in r.touches and r.effect != "note"]
        worst = max((RANK.index(r.effect) for r in mine), default=0)
        return {"verdict": VERDICT[RANK[worst]], "why": [r.what for r in mine]}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is odd about a trace, and what it does to the answers that it touches."""

    trace: str
    check: str
    effect: Effect
    what: str  # one sentence with its numbers
    count: int
    ns: int | None  # time at stake, where the check knows
    share: float | None  # of what `what` names
    touches: tuple[str, ...]  # analyses
