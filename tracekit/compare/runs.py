"""One side of a comparison: the answers of a trace, or those that `analyze --json` wrote of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from tracekit.compare import decode
from tracekit.errors import TracekitError
from tracekit.results.engine import Answers
from tracekit.results.result import Result
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts

R = TypeVar("R", bound=Result)

MARK = b'{"schema": "tracekit/'  # with which the answers in a file begin


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of one of two runs."""

    path: str
    facts: RunFacts = field(default_factory=RunFacts)
    answers: Mapping[str, Result] = field(default_factory=dict)  # by analysis
    unanswered: Mapping[str, str] = field(default_factory=dict)  # and why

    def get(self, kind: type[R]) -> R | None:
        """The answer of this type, `get(Stages)`, one of decode.READ; None where it has none."""
        found = self.answers.get(kind.analysis)
        assert found is None or isinstance(found, kind), "name it in decode.READ"
        return found


def of(one: Answers) -> Run:
    """A trace that was analyzed just now."""
    return Run(one.path, run_facts.about(one.source), one.answers, one.unanswered)


class _Saved(msgspec.Struct):
    """One trace of docs/json.md."""

    path: str = ""
    run: RunFacts = msgspec.field(default_factory=RunFacts)
    answers: dict[str, msgspec.Raw] = {}
    unanswered: dict[str, str] = {}


class _Document(msgspec.Struct):
    traces: list[_Saved] = []


def saved(path: str) -> Run | None:
    """The answers in a file that `tracekit analyze --json` wrote for one trace, or None for others.

    None too for what is damaged: the reader of traces says what is wrong with it.

    Raises: TracekitError for such a file of several traces, or with answers that cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            if not file.read(64).lstrip().startswith(MARK):
                return None
            file.seek(0)
            text = file.read()
    except OSError:
        return None
    try:
        traces = msgspec.json.decode(text, type=_Document).traces
    except msgspec.ValidationError as fault:
        raise decode.unreadable(path, str(fault)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if len(traces) != 1:
        raise TracekitError(
            f"holds the answers of {len(traces)} traces",
            where=path,
            hint="compare answers of one trace each",
        )
    one = traces[0]
    answers = {name: decode.answer(name, raw, path) for name, raw in one.answers.items()}
    return Run(one.path or path, one.run, answers, one.unanswered)
