"""A finding as the rules of an analysis write it: what is slow, by how much, and what to do.

A rule claims only what the answers hold. What a stage, or the trace, would hardly notice is not
worth a sentence: LEAST is the part of its window, or of its kernel time, that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from tracekit.results.result import Result, Unit

R = TypeVar("R", bound=Result)

LEAST = 0.05


class Ask(Protocol):
    """The answer of another analysis to the same trace, by its type: `ask(Stages)`."""

    def __call__(self, kind: type[R], /) -> R | None:
        """None where the trace cannot answer."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A finding before it is ranked."""

    stage: str | None  # None: the whole trace
    what: str  # one sentence with its numbers
    number: float
    unit: Unit  # of the number
    saves_ns: int | None  # at most, of removing the cause; None where there is no bound
    of_ns: int | None  # the time that it would be saved of
    do: str  # one sentence
    also: tuple[type[Result], ...] = ()  # other answers that it rests on, beside its analysis' own
