"""What an analysis is, and its answer on a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import field

from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.registry import Kind
from tracekit.results import merging
from tracekit.results.result import of_rank
from tracekit.trace import impossible, ranks

if TYPE_CHECKING:
    from tracekit.results.figures import Chart
    from tracekit.results.findings import Ask, Draft
    from tracekit.results.first_screen import FirstScreen
    from tracekit.results.result import Grid, Result
    from tracekit.trace.trace import Trace

R = TypeVar("R", bound="Result")


def _nothing(_result: object) -> list[Any]:
    return []


def _no_join(_results: object) -> Any:
    return None


class Analysis(Record, Generic[R], frozen=True, kw_only=True):
    """One question that a trace can answer.

    `run(trace, *, ...)` is pure: parameters are keyword-only with defaults. It raises
    MissingEventsError where the trace cannot answer; the `what` of the error is the reason shown.
    `merge` is associative.
    """

    title: str
    question: str  # one sentence
    run: Callable[..., R]
    merge: Callable[[R, R], R]
    tables: Callable[[R], list[Grid]]  # at most 200 rows each, and a note of what was left out
    charts: Callable[[R], list[Chart]] = _nothing
    # what to look at first, and what it would save: claims that the result supports
    findings: Callable[[R, Ask], Iterable[Draft]] | None = None
    # kinds of findings beside FindingKind, as an analysis of another package may have: what each
    # claims, in one sentence
    kinds: Mapping[str, str] = field(default_factory=dict)
    first_screen: FirstScreen[R] | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)  # measure: one sentence
    needs: frozenset[str] = frozenset()  # side tables (trace.TABLES) that `run` reads
    asks_others: bool = False  # and what all other analyses read
    order: int = 100  # place in the report
    by_default: bool = True  # False: only when named with --only
    alone: bool = False  # takes long, and no other asks for it: a second core begins with it
    # ranks of one job, or repeats of a run: the page shows the sum; False: each trace's own
    adds_up: bool = True
    # what different runs say together where they are parts of one thing (a file of prefill and one
    # of decode), else None; wanted where they do not add up
    join: Callable[[Sequence[R]], R | None] = _no_join
    host_question: str = ""  # the question where a trace has no device events, in their words


ANALYSES: Kind[Analysis[Any]] = Kind(
    "tracekit.analyses", "ANALYSIS", "analysis", "analysis", Analysis
)


def analyses() -> list[str]:
    """Names of all analyses, alphabetically."""
    return ANALYSES.names()


def entries() -> dict[str, Analysis[Any]]:
    """All analyses by name, but those that a package brings in vain."""
    return ANALYSES.every()


def analysis(name: str) -> Analysis[Any]:
    """The entry of one analysis. Raises: TracekitError for an unknown name."""
    return ANALYSES.load(name)


def answer(trace: Trace, name: str, **parameters: object) -> Result:
    """The result of another analysis on this trace, computed once per trace and parameters.

    Raises: MissingEventsError where the trace cannot answer.
    """
    entry = analysis(name)
    found = trace.once(_key(name, parameters), lambda: _tried(trace, entry, parameters))
    if isinstance(found, MissingEventsError):
        raise found.with_traceback(None)
    return found


def is_being_found(trace: Trace, name: str, **parameters: object) -> bool:
    """Whether another thread is at this answer."""
    return trace.is_making(_key(name, parameters))


def _key(name: str, parameters: Mapping[str, object]) -> tuple[object, ...]:
    return "answer", name, tuple(sorted(parameters.items()))


def _tried(
    trace: Trace, entry: Analysis[Any], parameters: Mapping[str, object]
) -> Result | MissingEventsError:
    """The answer, or why there is none: that too is found once."""
    try:
        return _answer(trace, entry, parameters)
    except MissingEventsError as fault:
        return fault


def _answer(trace: Trace, entry: Analysis[Any], parameters: Mapping[str, object]) -> Result:
    """The answer of the trace, or of a file of several ranks their answers, merged.

    A rank that cannot answer is left out, unless none can; rows of the others name theirs.
    """
    found: list[Result] = []
    reason: MissingEventsError | None = None
    for part in _parts(trace):
        try:
            own: Result = part.once(
                ("answer of a rank", entry.title, tuple(sorted(parameters.items()))),
                partial(entry.run, part, **parameters),
            )
        except MissingEventsError as fault:
            reason = reason or fault
            continue
        rank = part.source.rank if part is not trace else None
        found.append(own if rank is None else of_rank(own, rank))
    if not found:
        assert reason is not None
        raise reason
    merged: Result = merging.merged(entry.merge, found)
    return merged


def _parts(trace: Trace) -> tuple[Trace, ...]:
    """The ranks of the file without what is impossible in them.

    A part is its own only part: an analysis that asks another one of it is answered from the very
    same slices, whatever a second look would take for a rank or for impossible.
    """

    def make() -> tuple[Trace, ...]:
        parts = tuple(impossible.without(part) for part in ranks.split(trace))
        for part in parts:
            part.memo["parts"] = (part,)
        return parts

    return trace.once("parts", make)


def ask(trace: Trace, kind: type[R], **parameters: object) -> R:
    """The same by the type of the result: `ask(trace, Stages).totals`.

    Raises: MissingEventsError where the trace cannot answer.
    """
    found = answer(trace, kind.analysis, **parameters)
    assert isinstance(found, kind), f"{kind.analysis} answers {type(found)}, not {kind}"
    return found
