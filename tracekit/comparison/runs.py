"""One side of a comparison: a trace, several, or what `analyze --json` wrote of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import field

from tracekit.comparison import decode
from tracekit.errors import TracekitError
from tracekit.records import Record, replace
from tracekit.results import engine, jobs
from tracekit.results.engine import Answers
from tracekit.results.result import Result, of_rank
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts

R = TypeVar("R", bound=Result)

MARK = b'{"schema": "tracekit/'  # with which the answers in a file begin


class Run(Record, frozen=True):
    """What is known of one of two runs."""

    path: str
    facts: RunFacts = field(default_factory=RunFacts)
    answers: Mapping[str, Result] = field(default_factory=dict)  # by analysis
    unanswered: Mapping[str, str] = field(default_factory=dict)  # and why
    parts: tuple[Run, ...] = ()  # the traces of a side that has several; these are their sums
    job: bool = False  # they are ranks of one job, not runs of their own

    def get(self, kind: type[R]) -> R | None:
        """The answer of this type, `get(Stages)`, one of decode.READ; None where it has none."""
        found = self.answers.get(kind.analysis)
        assert found is None or isinstance(found, kind), "name it in decode.READ"
        return found


def of(one: Answers) -> Run:
    """A trace that was analyzed just now."""
    return Run(one.path, run_facts.about(one.source), one.answers, one.unanswered)


# what traces of one side must share, so that their sum is one of the same work
_SHARED = ("model", "size", "device", "dtype", "batch_size")


def of_several(named: str, many: Sequence[Answers]) -> Run:
    """Several traces as one side: ranks of a job, or repeats of a run, added up.

    Raises: TracekitError for traces of different work.
    """
    if len(many) == 1:
        return of(many[0])
    job = jobs.one_job(many)
    if job:  # so that devices and rows of the ranks are told apart
        many = [_as_rank(one) for one in many]
    parts = tuple(of(one) for one in many)
    answers = engine.merged(many)
    missing = {name: why for part in parts for name, why in part.unanswered.items()}
    lacking = {name for part in parts for name in part.answers} - answers.keys()
    unanswered = {name: missing.get(name, "not in every trace") for name in {*missing, *lacking}}
    return Run(named, _shared(named, parts), answers, unanswered, parts, job)


def _as_rank(one: Answers) -> Answers:
    name = run_facts.rank_name(one.source)
    answers = {key: of_rank(answer, name) for key, answer in one.answers.items()}
    return replace(one, answers=answers)


def _shared(named: str, parts: Sequence[Run]) -> RunFacts:
    """What all traces say alike, and how many samples they hold together."""
    facts = [part.facts for part in parts]
    for key in run_facts.differing(facts):
        if key in _SHARED:
            said = dict.fromkeys(run_facts.shown(own.said.get(key)) for own in facts)
            raise TracekitError(
                f"holds traces of different work ({run_facts.NAMES[key]}: {', '.join(said)})",
                where=named, hint="name those of one run, or compare two traces",
            )  # fmt: skip
    first = facts[0].said
    alike = {key: first[key] for key in first if all(f.said.get(key) == first[key] for f in facts)}
    samples = [own.samples for own in facts]
    total = None if None in samples else sum(n or 0 for n in samples)
    return msgspec.convert({**alike, "samples": total}, RunFacts)


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
