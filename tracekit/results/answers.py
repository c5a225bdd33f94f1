"""What one trace answered, by the type of each result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import field

from tracekit.records import Record
from tracekit.results.result import Result, to_plain
from tracekit.results.trust import Trust
from tracekit.trace import run_facts
from tracekit.trace.trace import Source

R = TypeVar("R", bound=Result)


class Answers(Record, frozen=True):
    """What one trace answered, and why it could not answer the rest."""

    path: str
    source: Source
    answers: Mapping[str, Result] = field(default_factory=dict)
    unanswered: Mapping[str, str] = field(default_factory=dict)
    trust: Mapping[str, Trust] = field(default_factory=dict)  # by analysis: see analyses/audit/
    hints: Mapping[str, str] = field(default_factory=dict)  # how to capture what is unanswered
    leaks: Mapping[str, int] = field(default_factory=dict)  # see redact.leaks
    gpu: bool = False  # whether any device did anything
    ranks: tuple[Answers, ...] = ()  # of a file of several, each for itself
    began_ns: int = 0  # of the first slice, by the clock of its host
    fault: str = ""  # why the file could not be read; then it has no answers

    def get(self, kind: type[R]) -> R | None:
        """The answer of this type, `get(Stages)`; None where the trace did not give it."""
        found = self.answers.get(kind.analysis)
        assert found is None or isinstance(found, kind)
        return found

    def to_json(self) -> dict[str, Any]:
        """The contract of docs/json.md for one trace."""
        answers = {name: result.to_json() for name, result in self.answers.items()}
        for name, verdict in self.trust.items():
            if name in answers:
                answers[name]["trust"] = to_plain(verdict)
        said = {
            "path": self.path,
            "run": run_facts.about(self.source).said,
            "answers": answers,
            "unanswered": dict(self.unanswered),
        }
        return {**said, "error": self.fault} if self.fault else said


def unread(path: str, fault: str) -> Answers:
    """The row of a file that could not be read."""
    return Answers(path, Source(path), fault=fault)


def by_rank(many: Sequence[Answers]) -> list[Answers]:
    """What stands side by side: of a file of several ranks each rank, else the trace."""
    return [part for one in many for part in one.ranks or (one,)]
