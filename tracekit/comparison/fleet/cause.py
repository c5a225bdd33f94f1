"""Why a measure changed: what `compare` says from the last trace before to the first one after."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from tracekit.comparison import compare, runs
from tracekit.comparison.compare import Comparison, KernelChange
from tracekit.comparison.fleet import rows
from tracekit.comparison.fleet.index import located
from tracekit.comparison.fleet.trend import Series
from tracekit.comparison.splits import Split
from tracekit.errors import TracekitError
from tracekit.records import Record
from tracekit.results import engine, units
from tracekit.trace.inputs import archives

MOST = 3  # places of a series that are explained
_ASKED = (*rows.ASKED, "ops")
_SHARE = 0.1  # of a change: a kernel of less explains nothing


class Cause(Record, frozen=True):
    """One change, explained; without sentences `why_not` says why it is not."""

    before: str
    after: str
    measures: tuple[str, ...]  # that change with this trace
    sentences: tuple[str, ...]
    why_not: str
    command: str


def causes(series: Series, index: Path, *, read: bool = True, most: int = MOST) -> list[Cause]:
    """Of the first changes of a series, by the trace in which they appear.

    Without `read` no trace is read, and no cause known.
    """
    places: dict[tuple[str, str], list[str]] = {}
    for measure, change in series.changes:
        places.setdefault((change.previous, change.trace), []).append(measure.name)
    return [
        _cause(before, after, tuple(measures), index, read)
        for (before, after), measures in list(places.items())[:most]
    ]


def _cause(before: str, after: str, measures: tuple[str, ...], index: Path, read: bool) -> Cause:
    paths = [os.path.relpath(path) if "://" not in path else path
             for path in (located(before, index), located(after, index))]  # fmt: skip
    command = f"tracekit compare {shlex.join(paths)}"
    if not read:
        return Cause(before, after, measures, (), "not asked for", command)
    gone = [path for path in paths if "://" not in path and not _there(path)]
    if gone:
        return Cause(before, after, measures, (), f"{gone[0]} is no longer there", command)
    try:
        found = compare.compare(*(runs.of(engine.answers(path, _ASKED)) for path in paths))
    except TracekitError as fault:
        return Cause(before, after, measures, (), str(fault), command)
    return Cause(before, after, measures, tuple(_sentences(found, measures)), "", command)


def _there(path: str) -> bool:
    inside = archives.split(path)
    return os.path.exists(path if inside is None else inside[0])


def _sentences(found: Comparison, measures: tuple[str, ...]) -> Iterable[str]:
    """What else changed, which part of which stage, which kernel or op."""
    if found.differences:
        told = "; ".join(str(one) for one in found.differences[:4])
        more = len(found.differences) - 4
        yield f"The runs differ: {told}{f'; and {more} more' if more > 0 else ''}."
    stages = {name.removeprefix("one ") for name in measures if name.startswith("one ")}
    splits = [split for split in found.splits if split.of in stages and split.difference_ns]
    for split in splits[:1] or [s for s in found.splits if s.difference_ns][:1]:
        yield _largest(split)
    every = found.kernels or found.host_ops
    whole = sum(abs(one.difference_ns) for one in every)
    for one in every[:1]:
        if whole and abs(one.difference_ns) >= _SHARE * whole:
            yield _kernel(one, "kernel" if found.kernels else "op")


def _largest(split: Split) -> str:
    part = max(split.parts, key=lambda p: abs(p.difference_ns))
    return (
        f"Of {_signed(split.difference_ns)} of {split.of} {_signed(part.difference_ns)} are "
        f"{part.name}."
    )


def _kernel(one: KernelChange, noun: str) -> str:
    if one.state != "both":
        word = "new" if one.state == "new" else "gone"
        return f"The {noun} {one.name} ({one.category}) is {word}: {_signed(one.difference_ns)}."
    runs_ = f"{one.before_count:,} → {one.after_count:,} runs"
    return (
        f"The largest change of a {noun} is {one.name} ({one.category}): "
        f"{_signed(one.difference_ns)}, {runs_}, each "
        f"{units.duration(one.before_ns / one.before_count)} → "
        f"{units.duration(one.after_ns / one.after_count)}."
    )


def _signed(ns: float) -> str:
    return f"{'−' if ns < 0 else '+'}{units.duration(abs(ns))}"
