"""What an analysis adds to the first screen: large numbers, remarks, a chart, a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from tracekit.records import Record
from tracekit.results.result import Grid, Result

if TYPE_CHECKING:
    from tracekit.results.answers import Answers
    from tracekit.results.figures import Chart

R = TypeVar("R", bound=Result)


class KeyNumber(Record, frozen=True):
    """A large number of the first screen."""

    label: str
    value: str
    sub: str = ""
    definition: str = ""
    level: str = ""  # 'warn' where the number must not be taken as it stands


class Verdict(Record, frozen=True):
    """How far the numbers may be trusted, in a line."""

    level: str  # '', 'warn', 'bad'
    word: str
    text: str
    link: str = ""  # the section that says more
    more: str = ""  # what else is to be said of it

    @property
    def whole(self) -> str:
        """All that it says."""
        return f"{self.text} {self.more}".strip()


class Remark(Record, frozen=True):
    """A part of a sentence; remarks on one thing are joined, in the order of their analyses.

    `Remark("Decode", "GPU idle for 3.1% of its 10.5 ms GPU window")`.
    """

    on: str
    said: str


class Drawn(Record, frozen=True):
    """A chart, and the key of the chart of the analysis' own section that it stands for."""

    chart: Chart
    instead_of: str = ""


class Listed(Record, frozen=True):
    """A table; folded under its title, or open."""

    grid: Grid
    folded: bool = True


def _nothing(_result: object, _one: Answers) -> tuple[()]:
    return ()


def _no_words(_result: object) -> Mapping[str, str]:
    return {}


class FirstScreen(Record, Generic[R], frozen=True, kw_only=True):
    """What an analysis adds, each a function of its result and of all that the trace answered."""

    order: int  # the place of all that it adds: the lowest first
    verdicts: Callable[[R, Answers], Iterable[Verdict]] = _nothing
    key_numbers: Callable[[R, Answers], Iterable[KeyNumber]] = _nothing
    remarks: Callable[[R, Answers], Iterable[Remark]] = _nothing
    charts: Callable[[R, Answers], Iterable[Drawn]] = _nothing
    grids: Callable[[R, Answers], Iterable[Listed]] = _nothing
    words: Callable[[R], Mapping[str, str]] = _no_words  # what it calls things: one sentence each


def sentence(text: str) -> str:
    """As a sentence. The name of an op or a kernel at its start keeps its letters."""
    whole = text.strip()
    first = whole.split(" ", 1)[0]
    if first.isalpha() or first.replace("-", "").isalpha():
        whole = f"{whole[:1].upper()}{whole[1:]}"
    return whole + ("" if whole.endswith(".") else ".")
