"""How far an answer may be trusted, as the audit judges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, runtime_checkable

from tracekit.records import Record

Verdict = Literal["trusted", "degraded", "refused"]
VERDICTS: tuple[Verdict, ...] = ("trusted", "degraded", "refused")  # the better first


class Trust(Record, frozen=True):
    """The verdict on one answer, or on several together, and a sentence for each reason."""

    verdict: Verdict
    why: tuple[str, ...] = ()


@runtime_checkable
class Judge(Protocol):
    """An answer that says how far the others may be trusted: the audit's."""

    def trust(self, name: str) -> Trust:
        """The verdict on the analysis of this name."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The least of them; trusted where there are none."""
    return max(verdicts, key=VERDICTS.index, default="trusted")
