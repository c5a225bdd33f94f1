"""A finding as the rules of an analysis write it: what is slow, by how much, and what to do.

A rule claims only what the answers hold. What a stage, or the trace, would hardly notice is not
worth a sentence: LEAST is the part of its window, or of its kernel time, that is.

Rules divide the time of a device among them, so that no nanosecond is claimed twice: idle time by
its reason, kernel time by phase and category, communication and copies by what nothing covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from msgspec import field

from tracekit.records import Record
from tracekit.results.result import Result, Unit
from tracekit.taxonomy import FindingKind, OwnKind

R = TypeVar("R", bound=Result)

LEAST = 0.05


class Ask(Protocol):
    """The answer of another analysis to the same trace, by its type: `ask(Stages)`."""

    def __call__(self, kind: type[R], /) -> R | None:
        """None where the trace cannot answer."""


class Draft(Record, frozen=True):
    """A finding before it is ranked."""

    kind: FindingKind | OwnKind  # the latter is declared in `kinds` of the analysis' entry
    stage: str | None  # None: the whole trace, or several stages
    what: str  # one sentence with its numbers
    number: float
    unit: Unit  # of the number
    saves_ns: int | None  # at most, of removing the cause; None where there is no bound
    of_ns: int | None  # the time that it would be saved of
    do: str  # one sentence
    also: tuple[type[Result], ...] = ()  # other answers that it rests on, beside its analysis' own
    numbers: Mapping[str, float] = field(default_factory=dict)  # that the sentence states, by name
    device: int | None = None  # None: all devices, or none
    # shares of time that it explains: a reason for idle time, a category of kernels
    explains: frozenset[str] = frozenset()
