"""Every number of two results that differs, and which of them a reader would act on."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tracekit.records import Record

Plain = Mapping[str, object]
Pair = tuple[float | None, float | None]  # before, after

# said in words, in tables of their own, or drawn: no number of theirs stands alone
WORDS = frozenset({"audit", "findings", "timeline", "tree"})
TABLES = frozenset({"stages", "kernels", "ops", "devices"})

# single events, counts by class, fitted lines: they are others in every run
_SINGLE = frozenset(
    {"longest", "largest", "lengths", "queues", "delays", "requests", "slow", "growth"}
)
_SINGLE_ROWS = frozenset({"tokens"})  # analyses whose `rows` are single events
_SPREAD = ("mean_ns", "median_ns", "p50_ns", "p95_ns", "p99_ns", "max_ns", "min_ns")

LEAST_SHARE = 0.001  # of the headline: a smaller change of time is noise
LEAST_RELATIVE = 0.01  # of the value before


class FieldChange(Record, frozen=True):
    """One number of one result that differs. None: that side does not have it."""

    analysis: str
    row: str  # what identifies its row, empty for a field of the whole
    field: str
    before: float | None
    after: float | None
    difference: float | None
    relative: float | None


def relative(before: float | None, after: float | None) -> float | None:
    """The change over what was before; None where that is nothing."""
    return (after - before) / before if before and after is not None else None


# ---------------------------------------------------------------- which a reader would act on


def times(
    changes: Iterable[FieldChange], least_ns: float, said: Iterable[Pair] = ()
) -> list[FieldChange]:
    """Changed times that matter, the largest change first.

    Left out: what has a table of its own, single events, changes under `least_ns` or under
    LEAST_RELATIVE, means and percentiles of a row whose sum is there, and what repeats another
    change, or one of `said`, to the ns.
    """
    kept = [
        c for c in changes
        if _matters(c) and is_time(c.field) and abs(c.difference or 0) >= least_ns
        and (c.relative is None or abs(c.relative) >= LEAST_RELATIVE)
    ]  # fmt: skip
    summed = {(c.analysis, c.row) for c in kept if not c.field.endswith(_SPREAD)}
    kept = [
        c for c in kept
        if not c.field.endswith(_SPREAD) or (c.analysis, c.row) not in summed
    ]  # fmt: skip
    kept.sort(key=lambda c: (-abs(c.difference or 0), c.analysis, c.row, c.field))
    return _once(kept, said)


def others(changes: Iterable[FieldChange]) -> list[FieldChange]:
    """Changed counts and sizes that matter, the largest relative change first.

    Left out: shares and rates, which follow from numbers that are there already, FLOPs, which
    follow from shapes, and what repeats another change.
    """
    kept = [
        c for c in changes
        if _matters(c) and not is_time(c.field) and not _DERIVED.search(c.field)
        and (c.relative is None or abs(c.relative) >= LEAST_RELATIVE)
    ]  # fmt: skip
    size = {id(c): abs(c.relative) if c.relative is not None else float("inf") for c in kept}
    kept.sort(key=lambda c: (-size[id(c)], c.analysis, c.row, c.field))
    return _once(kept, ())


_DERIVED = re.compile(r"share|per_s\b|rates|flop|intensity|mfu|mbu|ratio|fraction|peaks")
_TIME = re.compile(r"(?:_ns|(?:^|\.)ns|causes\.\w+)$")  # times by cause have no ending


def is_time(field: str) -> bool:
    """Whether a field is in ns."""
    return bool(_TIME.search(field))


def _once(changes: Iterable[FieldChange], said: Iterable[Pair]) -> list[FieldChange]:
    """Each pair of values at its first place, and none that is said already."""
    seen: set[Pair] = set(said)
    out = []
    for change in changes:
        pair = (change.before, change.after)
        if pair not in seen:
            seen.add(pair)
            out.append(change)
    return out


def _matters(change: FieldChange) -> bool:
    parts = change.field.split(".")
    single = parts[0] in _SINGLE or (parts[0] == "rows" and change.analysis in _SINGLE_ROWS)
    both = change.before is not None and change.after is not None
    return both and not single and change.analysis not in WORDS | TABLES


# ---------------------------------------------------------------- any two results of one kind

# numbers that say which row it is, not how much
_IDENTITY = frozenset({"device", "stream", "sample", "index", "token", "rank", "number"})
_INSTANTS = frozenset({"start_ns", "file_start_ns", "end_ns", "at_ns", "ts"})
_FILES = frozenset({"trace", "path"})  # the two sides are two files: no row is told apart by them


def fields(analysis: str, before: Plain, after: Plain) -> list[FieldChange]:
    """Every number that differs, fields by name and rows by what identifies them.

    A row is identified by its texts and ids, the name of the trace left out; instants of two traces
    are not compared.
    """
    sides = [dict(_leaves("", "", side)) for side in (before, after)]
    out = []
    for row, name in dict.fromkeys((*sides[0], *sides[1])):
        old, new = sides[0].get((row, name)), sides[1].get((row, name))
        if old != new:
            difference = new - old if old is not None and new is not None else None
            out.append(FieldChange(analysis, row, name, old, new, difference, relative(old, new)))
    return out


def _leaves(row: str, name: str, value: object) -> Iterator[tuple[tuple[str, str], float | None]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _INSTANTS and not (name and key in _IDENTITY):
                yield from _leaves(row, f"{name}.{key}" if name else key, item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(item, Mapping) for item in value):
            seen: dict[str, int] = defaultdict(int)
            for item in value:
                label = _label(item)
                seen[label] += 1
                again = f" #{seen[label]}" if seen[label] > 1 else ""
                yield from _leaves(f"{row} / {label}{again}".removeprefix(" / "), name, item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield (row, name), value
    elif value is None:
        yield (row, name), None


def _label(row: Plain) -> str:
    """What identifies a row: its texts and ids, in order."""
    texts = [
        str(value)
        for key, value in row.items()
        if key not in _FILES
        and ((isinstance(value, str) and value) or (key in _IDENTITY and value is not None))
    ]
    return " · ".join(texts) or "row"
