"""Which traces are ranks of which job, where several jobs and lone traces are named together.

Ranks of a job have the same number of ranks, backend, NCCL, ranks of the default process group and
model, as far as their files say, and begin within an hour of one another. Where a rank is there
twice, jobs are told apart by what their files are called but for the rank, then by their folders,
then by when they begin. What none of these tells apart is no job.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Literal

from tracekit.records import Record
from tracekit.results.answers import Answers
from tracekit.trace import run_facts
from tracekit.trace.trace import Source

Told = Literal["file", "profiler", "name", "stated"]
_HOUR_NS = 3_600_000_000_000
_EARLIEST_NS = 1_420_070_400_000_000_000  # 2015: an earlier begin counts from elsewhere


class Job(Record, frozen=True):
    """Ranks of one job: places among the traces that were given."""

    name: str  # what sets it apart from the other jobs; empty where there is no other
    members: tuple[int, ...]
    told_by: Told  # by what its ranks are known


def jobs(many: Sequence[Answers]) -> tuple[Job, ...]:
    """The jobs of which several ranks are there, in the order of their first ranks."""
    buckets: dict[tuple[Told, Hashable], list[int]] = {}
    for place, one in enumerate(many):
        if (key := _key(one.source)) is not None:
            buckets.setdefault(key, []).append(place)
    found = [
        (told, group)
        for (told, _), places in buckets.items()
        for group in ([places] if told == "file" else _apart(places, many))
        if len(group) > 1
    ]
    found.sort(key=lambda one: one[1][0])
    names = _names([[many[i] for i in group] for _, group in found])
    return tuple(
        Job(name, tuple(group), told) for name, (told, group) in zip(names, found, strict=True)
    )


def one_job(many: Sequence[Answers]) -> bool:
    """Whether all of them are ranks of one job."""
    found = jobs(many)
    return len(found) == 1 and len(found[0].members) == len(many)


def _key(source: Source) -> tuple[Told, Hashable] | None:
    """What the ranks of a job have alike; None for a trace that is of no rank."""
    if source.rank is not None:
        return "file", source.path
    if source.stated_rank is not None:
        return "stated", None
    run = run_facts.about(source)
    if run_facts.written_rank(source) is not None:
        spread: Mapping[str, object] = source.meta["distributedInfo"]
        facts = (spread.get("backend"), spread.get("nccl_version"), _everyone(spread))
        return "profiler", (run.world_size, run.model, *map(repr, facts))
    number = run_facts.named_rank(source.path)
    if number is None:
        return None
    return "name", (run_facts.without_rank(source.path, number), run.model)


def _everyone(spread: Mapping[str, object]) -> object:
    """The ranks of the default process group; groups of some ranks differ from rank to rank."""
    groups = spread.get("pg_config")
    for one in groups if isinstance(groups, list) else ():
        if isinstance(one, Mapping) and one.get("pg_desc", "default_pg") == "default_pg":
            return one.get("ranks")
    return None


# ---------------------------------------------------------------- one from another

Tell = Callable[[Answers], Hashable]


def _apart(places: Sequence[int], many: Sequence[Answers]) -> Iterator[list[int]]:
    """Groups in which each rank is there once."""
    yield from _by(places, many, (_template, _folder))


def _by(
    places: Sequence[int], many: Sequence[Answers], ways: Sequence[Tell]
) -> Iterator[list[int]]:
    if _once(places, many):
        yield from _in_time(places, many)
        return
    if not ways:
        yield from _in_turn(places, many)
        return
    groups: dict[Hashable, list[int]] = {}
    for place in places:
        groups.setdefault(ways[0](many[place]), []).append(place)
    if all(len(group) == 1 for group in groups.values()):  # names that tell nothing
        groups = {None: list(places)}
    for group in groups.values():
        yield from _by(group, many, ways[1:])


def _template(one: Answers) -> str:
    number = run_facts.rank(one.source)
    return run_facts.without_rank(one.path, -1 if number is None else number)


def _folder(one: Answers) -> str:
    return str(PurePath(one.path).parent)


def _once(places: Iterable[int], many: Sequence[Answers]) -> bool:
    numbers = [run_facts.rank(many[i].source) for i in places]
    return len(set(numbers)) == len(numbers)


def _in_time(places: Sequence[int], many: Sequence[Answers]) -> Iterator[list[int]]:
    """One group where they begin within an hour of one another, or do not say when."""
    if not all(many[i].began_ns >= _EARLIEST_NS for i in places):
        yield list(places)
        return
    ordered = sorted(places, key=lambda i: many[i].began_ns)
    group = ordered[:1]
    for before, place in pairwise(ordered):
        if many[place].began_ns - many[before].began_ns > _HOUR_NS:
            yield sorted(group)
            group = []
        group.append(place)
    yield sorted(group)


def _in_turn(places: Sequence[int], many: Sequence[Answers]) -> Iterator[list[int]]:
    """By when they begin: the next job begins where a rank comes again.

    Nothing where they do not say when, or where the jobs so found are not whole and alike.
    """
    if not all(many[i].began_ns >= _EARLIEST_NS for i in places):
        return
    groups: list[list[int]] = [[]]
    for place in sorted(places, key=lambda i: many[i].began_ns):
        if not _once([*groups[-1], place], many):
            groups.append([])
        groups[-1].append(place)
    ranks = {frozenset(run_facts.rank(many[i].source) for i in group) for group in groups}
    if len(ranks) == 1:
        yield from (sorted(group) for group in groups)


# ---------------------------------------------------------------- what they are called


def _names(groups: Sequence[Sequence[Answers]]) -> list[str]:
    """What sets the paths of each job apart: folders, else names without the rank, else numbers."""
    if len(groups) < 2:
        return [""] * len(groups)
    shared = [_shared([PurePath(one.path).parts[:-1] for one in group]) for group in groups]
    ahead = len(_shared(shared))
    folders = ["/".join(own[ahead:]) for own in shared]
    stems = [_stem({run_facts.stem(_template(one)) for one in group}) for group in groups]
    both = [f"{folder} {stem}".strip() for folder, stem in zip(folders, stems, strict=True)]
    for names in (folders, stems, both):
        if all(names) and len(set(names)) == len(names):
            return [run_facts.cut(name) for name in names]
    return [f"job {number}" for number in range(1, len(groups) + 1)]


def _stem(names: set[str]) -> str:
    """The name that all files of a job have but for the rank; empty where they have none."""
    return min(names).replace("rank#", "").strip("-_. #") if len(names) == 1 else ""


def _shared(many: Sequence[Sequence[str]]) -> Sequence[str]:
    """The parts that all begin with."""
    count = 0
    for parts in zip(*many, strict=False):
        if len(set(parts)) > 1:
            break
        count += 1
    return many[0][:count]
