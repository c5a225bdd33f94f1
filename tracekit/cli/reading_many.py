"""Traces answered for a command, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from tracekit.cli import process, terminal, verbosity

if TYPE_CHECKING:
    from tracekit.cli import options as opt
    from tracekit.results.workers.run import Together

_EVERY_S = 10  # a line in the log of a job


def alone(path: str, names: Sequence[str] | None, reading: opt.Reading, *, drawn: bool) -> Together:
    """The answers of one trace; `drawn` on a page. Raises: TracekitError for what is none."""
    from tracekit.results import engine
    from tracekit.results.workers.run import Together
    from tracekit.results.workers.work import Done

    with terminal.status(Path(path).name) as say:
        found = engine.answers(
            path, names, strict=reading.strict, progress=say, stages=reading.stages,
            graph_capture=reading.graph_capture or (), model=reading.model,
            device=reading.device, drawn=None if drawn else False,
        )  # fmt: skip
    return Together([path], {0: Done(0, path, found)})


def together(
    paths: Sequence[str],
    names: Sequence[str] | None,
    reading: opt.Reading,
    spreading: opt.Spreading,
    ranks: Sequence[int] | None = None,
    *,
    for_page: bool = True,
) -> Together:
    """The answers of several, and the sums that a report needs of jobs that a cluster reads.

    Raises: TracekitError where the cluster that is named is none.
    """
    from tracekit.answers.collectives import Collectives
    from tracekit.results.workers import run
    from tracekit.results.workers.work import Asked

    asked = Asked(
        None if names is None else tuple(names), reading.strict, reading.stages,
        tuple(reading.graph_capture or ()), None if for_page else (Collectives.analysis,),
        reading.model, reading.device, None if ranks is None else tuple(ranks),
    )  # fmt: skip
    file = spreading.scheduler_file
    where = run.Where(spreading.workers, spreading.scheduler, None if file is None else str(file))
    with _said(f"{len(paths)} traces") as say:
        return run.answers(paths, asked, where, progress=say)


@contextmanager
def _said(subject: str) -> Iterator[Callable[[str], None]]:
    """As `terminal.status`; where stderr is no terminal, how many files are done, now and then."""
    last = monotonic()

    def line(doing: str) -> None:
        nonlocal last
        if doing.endswith("files done") and monotonic() - last >= _EVERY_S:
            last = monotonic()
            process.complain(doing)

    with terminal.status(subject) as say:
        plain = (
            verbosity.quiet() or verbosity.verbose() or terminal.console(stderr=True).is_terminal
        )
        yield say if plain else line
