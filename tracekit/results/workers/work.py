"""What is asked of one trace, as another process takes it, and what that gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tracekit.errors import TracekitError
from tracekit.records import Record, replace
from tracekit.results import catalog, engine
from tracekit.results.answers import Answers
from tracekit.results.result import Result
from tracekit.trace.inputs import archives
from tracekit.trace.trace import GivenModel
from tracekit.version import __version__

DRAWN = 4  # traces whose slices a page draws: those of all others stay where they were read


class Asked(Record, frozen=True):
    """The same of every trace."""

    only: tuple[str, ...] | None = None
    strict: bool = False
    stages: str | None = None
    graph_capture: tuple[str, ...] = ()
    summed: tuple[str, ...] | None = None  # what of a job is added up; None: everything
    model: GivenModel | None = None  # that ran, as the user says
    device: str | None = None  # the same of the device
    ranks: tuple[int, ...] | None = None  # of each trace, where the user says that they are a job


class Work(Record, frozen=True):
    """One trace of many."""

    place: int  # among those named
    path: str  # as the user named it
    asked: Asked
    at: str = ""  # where another machine finds it, where that is not `path`
    unpacked: str = ""  # a member of an archive: where it lies
    processes: int | None = None  # that read a large file; None: as many as there are cores
    version: str = __version__


class Done(Record, frozen=True):
    """Either its answers, or why there are none."""

    place: int
    path: str
    answers: Answers | None = None
    fault: str = ""


def do(work: Work, progress: Callable[[str], None] = lambda _text: None) -> Done:
    """Reads and answers. Only numbers and text leave the process: the trace stays, and is freed."""
    if work.version != __version__:
        return _failed(work, f"the worker has tracekit {__version__}, you have {work.version}; "
                             "install the same on both")  # fmt: skip
    if work.unpacked:
        archives.lend(work.path, work.unpacked)
    asked, path = work.asked, work.at or work.path
    try:
        found = engine.answers(
            path, asked.only, strict=asked.strict, stages=asked.stages,
            graph_capture=asked.graph_capture, model=asked.model, device=asked.device,
            processes=work.processes, name=work.path, progress=progress, drawn=work.place < DRAWN,
            rank=None if asked.ranks is None else asked.ranks[work.place],
        )  # fmt: skip
    except TracekitError as fault:
        where = work.path if str(fault.where) == path else fault.where
        return Done(work.place, work.path, fault=f"{where}: {fault.what}; {fault.hint}")
    return Done(work.place, work.path, small(found))


def _failed(work: Work, why: str) -> Done:
    return Done(work.place, work.path, fault=f"{work.path}: {why}")


Sum = Mapping[str, Result]  # each analysis, over some traces


def added(one: Done | Sum, two: Done | Sum, only: Sequence[str] | None = None) -> dict[str, Result]:
    """Two traces, or sums of several, as one: each analysis that both answered and that adds up.

    Of those in `only` where that is given.
    """
    left, right = _answers(one), _answers(two)
    shared = [name for name in left if name in right and (only is None or name in only)]
    return {
        name: catalog.analysis(name).merge(left[name], right[name])
        for name in shared
        if catalog.analysis(name).adds_up
    }


def _answers(one: Done | Sum) -> Sum:
    if not isinstance(one, Done):
        return one
    return {} if one.answers is None else one.answers.answers


def small(found: Answers) -> Answers:
    """The answers without the ways back to the trace and to others that were read for it."""
    source = replace(found.source, reread=None, captures=())
    return replace(found, source=source, ranks=tuple(map(small, found.ranks)))
