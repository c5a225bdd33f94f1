"""Many traces, answered: in this process, by processes of this machine, or by a cluster."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tracekit.errors import TracekitError
from tracekit.records import Record, replace
from tracekit.results import jobs
from tracekit.results.answers import Answers, unread
from tracekit.results.result import Result
from tracekit.results.workers import cluster, machine
from tracekit.results.workers.work import Asked, Done, Work, do
from tracekit.trace import run_facts
from tracekit.trace.columns.cores import cores
from tracekit.trace.inputs import archives

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[str], None]  # what is being done, in words


class Where(Record, frozen=True):
    """Who reads the traces; of nothing given, as many processes as this machine has room for."""

    workers: int | None = None
    scheduler: str | None = None
    scheduler_file: str | None = None

    @property
    def named(self) -> bool:
        """Whether a cluster is."""
        return self.scheduler is not None or self.scheduler_file is not None


class Together(Struct):
    """What came of many traces, in the order in which they were named."""

    paths: Sequence[str]
    done: dict[int, Done] = field(default_factory=dict)
    interrupted: bool = False
    # of jobs that a cluster added up: each analysis, by the paths of the ranks
    sums: dict[tuple[str, ...], Mapping[str, Result]] = field(default_factory=dict)

    @property
    def answers(self) -> list[Answers]:
        """Of those that could be read."""
        own = (self.done[place] for place in sorted(self.done))
        return [one.answers for one in own if one.answers is not None]

    @property
    def rows(self) -> list[Answers]:
        """A row for each file that was tried: its answers, or why it has none."""
        own = (self.done[place] for place in sorted(self.done))
        return [
            one.answers or unread(one.path, one.fault.removeprefix(f"{one.path}: ")) for one in own
        ]

    @property
    def faults(self) -> list[str]:
        """Why the others could not, a line each."""
        return [self.done[place].fault for place in sorted(self.done) if self.done[place].fault]

    @property
    def left(self) -> list[str]:
        """Those that were not read, where it was interrupted."""
        return [path for place, path in enumerate(self.paths) if place not in self.done]


def count(paths: Sequence[str], where: Where) -> int:
    """How many processes read these: 1 is this one alone."""
    if where.workers is not None:
        return max(min(where.workers, len(paths)), 1)
    return machine.workers(machine.text_bytes(paths)) if len(paths) > 1 else 1


def answers(
    paths: Sequence[str], asked: Asked, where: Where, *, progress: Progress = lambda _text: None
) -> Together:
    """What each trace answers, the same whoever reads it.

    A trace that cannot be read is a fault beside the others. Ctrl-C ends the reading: what is done
    by then is given back. Raises: TracekitError without a cluster where one is named.
    """
    out = Together(paths)
    works = [Work(place, path, asked) for place, path in enumerate(paths)]
    try:
        with closing(_results(works, where, progress, out)) as found:
            for done in found:
                out.done[done.place] = done
    except KeyboardInterrupt:
        if not out.done:
            raise
        out.interrupted = True
    return out


def _results(
    works: Sequence[Work], where: Where, progress: Progress, out: Together
) -> Generator[Done, None, None]:
    alone = [work for work in works if _only_here(work.path)]
    others = [work for work in works if not _only_here(work.path)]
    workers = 0 if where.named else count([work.path for work in others], where)
    if workers == 1:
        alone, others = list(works), []
    for work in alone:
        of = f"{PurePath(work.path).name} ({work.place + 1} of {len(works)})"
        yield do(work, partial(_step, progress, of))
    if not others:
        return
    number = len(alone)
    progress(f"{number} of {len(works)} files done")
    for done in _away(others, where, workers, out):
        number += 1
        progress(f"{number} of {len(works)} files done")
        yield done


def _away(
    works: Sequence[Work], where: Where, workers: int, out: Together
) -> Generator[Done, None, None]:
    """By a cluster, or by processes of this machine."""
    if where.named:
        with cluster.remote(where.scheduler, where.scheduler_file) as client:
            yield from _on(client, [_elsewhere(work) for work in works], out)
        return
    processes = max(cores() // workers, 1)
    ready = [replace(lent(work), processes=processes) for work in works]
    if not cluster.installed():
        from tracekit.results.workers import pool  # one trace needs no other processes

        yield from pool.results(ready, workers)
        return
    with cluster.local(workers) as client:
        yield from _on(client, ready, out)


def _on(client: Client, works: Sequence[Work], out: Together) -> Generator[Done, None, None]:
    """Each trace, and then, where several are ranks of a job, their sum: on the workers too."""
    reading = cluster.Reading(client, works)
    yield from reading.results()
    here = {work.place for work in works}
    only = works[0].asked.summed
    for places in adding(out):
        if here.issuperset(places) and (found := reading.added(places, only)):
            out.sums[tuple(out.paths[place] for place in places)] = found


def adding(found: Together) -> list[tuple[int, ...]]:
    """The traces that a report adds up: ranks of a job, or repeats of one run."""
    places = [place for place in sorted(found.done) if found.done[place].answers is not None]
    many = found.answers
    if len(many) < 2 or any(one.ranks for one in many):
        return []
    own = [tuple(places[i] for i in job.members) for job in jobs.jobs(many)]
    if not own and run_facts.repeats([run_facts.about(one.source) for one in many]):
        own = [tuple(places)]
    return own


def _step(progress: Progress, of: str, doing: str) -> None:
    progress(f"{of}: {doing}")


def _only_here(path: str) -> bool:
    """What no other process can read: standard input, a pipe."""
    try:
        return path == "-" or not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def lent(work: Work) -> Work:
    """A member of an archive is unpacked once, for all."""
    inside = archives.split(work.path)
    if inside is None:
        return work
    try:
        return replace(work, unpacked=str(archives.unpacked(*inside)))
    except TracekitError:
        return work  # said by who reads it


def _elsewhere(work: Work) -> Work:
    """As another machine names it, that has the same folders."""
    if "://" in work.path and not os.path.exists(work.path):
        return work
    captures = tuple(os.path.abspath(path) for path in work.asked.graph_capture)
    asked = replace(work.asked, graph_capture=captures)
    return replace(work, at=os.path.abspath(work.path), asked=asked)
