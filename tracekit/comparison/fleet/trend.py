"""What the traces of an index say over time, or by label: series of the same work, and changes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Literal

from tracekit.comparison.fleet import change_point
from tracekit.comparison.fleet.columns import STAGE, TRACE, Row, Value
from tracekit.errors import TracekitError
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.results.units import plural

LEVEL = 0.05  # chance of any change in the measures of a series that has none
LEAST = 0.01  # a smaller change is none, of a time; of a share as many points
WORK = ("model", "size", "dtype", "device", "batch_size", "world_size")  # what a series has alike
By = Literal["date", "label"]


class Point(Record, frozen=True):
    """A trace of a series, or the ranks of a job, of which values are means."""

    trace: str  # of ranks the first
    traces: int
    label: str | None
    at_us: int | None  # since 1970, UTC
    findings: tuple[str, ...]
    values: Mapping[str, float]  # by measure; without those that it does not say


class Change(Record, frozen=True):
    """A measure has another level from one trace on."""

    trace: str  # the first of the new level
    label: str | None
    at_us: int | None
    place: int  # in the series
    previous: str  # the last trace of the old one
    before: float  # mean, of times the geometric one
    after: float
    relative: float  # after over before - 1; of shares after - before
    p: float


class Measure(Record, frozen=True):
    """One number of each trace that says it."""

    name: str
    unit: Literal["ns", "share"]
    count: int  # traces that say it
    changes: tuple[Change, ...]


class Kind(Record, frozen=True):
    """A kind of finding: in how many traces, and from when to when."""

    kind: str
    count: int
    first: str
    last: str


class Series(Record, frozen=True):
    """Traces of the same work, in order."""

    work: Mapping[str, Value]
    points: tuple[Point, ...]
    measures: tuple[Measure, ...]
    findings: tuple[Kind, ...]
    tested: int  # measures that are not the same in all traces
    level: float  # of each of these: LEVEL over all of them
    fewest: int  # traces that a change needs at this level

    @property
    def title(self) -> str:
        """What ran, in words."""
        known = [f"{value}" for key, value in self.work.items()
                 if value is not None and key not in ("batch_size", "world_size")]  # fmt: skip
        known = known or ["traces that do not say what ran"]
        batch, ranks = self.work.get("batch_size"), self.work.get("world_size")
        if batch is not None:
            known.append(f"batch {batch}")
        if isinstance(ranks, int):
            known.append(plural(ranks, "rank"))
        return ", ".join(known)

    @property
    def changes(self) -> list[tuple[Measure, Change]]:
        """All changes, the first trace first; of one trace the surest first."""
        every = [(measure, change) for measure in self.measures for change in measure.changes]
        return sorted(every, key=lambda one: (one[1].place, one[1].p, one[0].name))


class Trend(Result, Record, frozen=True):
    index: str
    by: By
    series: tuple[Series, ...]  # the longest first
    notes: tuple[str, ...]


def trend(rows: Sequence[Row], index: str, by: By = "date") -> Trend:
    """The series of an index.

    Raises: TracekitError where it has no trace that can be read.
    """
    whole = [row for row in rows if row["scope"] == TRACE]
    kept = [row for row in whole if row["error"] is None and row["verdict"] != "refused"]
    if by == "label":
        kept = [row for row in kept if row["label"] is not None]
    if not kept:
        raise TracekitError(
            "holds no trace with a label" if by == "label" and whole else "holds no trace to show",
            where=index, hint="index with --label or --label-from" if by == "label" else
            "index traces that can be read",
        )  # fmt: skip
    stages = _means(row for row in rows if row["scope"] == STAGE)
    groups: dict[tuple[Value, ...], list[Row]] = {}
    for row in kept:
        groups.setdefault(tuple(_plain(row[key]) for key in WORK), []).append(row)
    series = [_series(dict(zip(WORK, key, strict=True)), own, stages, by)
              for key, own in groups.items()]  # fmt: skip
    series.sort(key=lambda one: -len(one.points))
    return Trend(index, by, tuple(series), tuple(_notes(whole, kept, by)))


def _plain(value: Value) -> Value:
    return None if isinstance(value, list) else value


Stages = Mapping[tuple[Value, Value], Mapping[str, float]]


def _means(rows: Iterable[Row]) -> Stages:
    """Mean of one instance by stage, of each trace and rank."""
    found: dict[tuple[Value, Value], dict[str, float]] = {}
    for row in rows:
        mean = row["mean_ns"]
        if isinstance(mean, int | float):
            found.setdefault((row["trace"], row["rank"]), {})[str(row["stage"])] = float(mean)
    return found


def _notes(whole: Sequence[Row], kept: Sequence[Row], by: By) -> Iterable[str]:
    faults = sum(row["error"] is not None for row in whole)
    refused = sum(row["verdict"] == "refused" for row in whole)
    bare = sum(row["label"] is None for row in whole) if by == "label" else 0
    undated = sum(row["captured"] is None for row in kept)
    for count, one, more in (
        (faults, "could not be read, and is left out", "could not be read, and are left out"),
        (refused, "is refused by its audit, and left out", "are refused by their audit, and left "
         "out"),
        (bare, "has no label, and is left out", "have no label, and are left out"),
        (undated, "does not say when it was captured: it stands where its file was changed",
         "do not say when they were captured: they stand where their file was changed"),
    ):  # fmt: skip
        if count:
            of = plural(len(whole), "trace")
            yield f"{count:,} of {of} {one if count == 1 else more}."


# ---------------------------------------------------------------- one series


def _series(work: Mapping[str, Value], rows: Sequence[Row], stages: Stages, by: By) -> Series:
    points = _ordered([_point(own, stages) for own in _jobs(rows)], by)
    names = list(dict.fromkeys(name for point in points for name in point.values))
    tested = [name for name in names if _varies(points, name)]
    level = LEVEL / max(len(tested), 1)
    measures = tuple(_measure(name, points, level, by, name in tested) for name in names)
    return Series(work, tuple(points), measures, tuple(_kinds(points)), len(tested), level,
                  change_point.fewest(level))  # fmt: skip


def _varies(points: Sequence[Point], name: str) -> bool:
    return len({p.values[name] for p in points if name in p.values}) > 1


def _jobs(rows: Sequence[Row]) -> list[list[Row]]:
    """Ranks of one job together: those of one file, or of one folder; other traces alone."""
    files: dict[str, list[Row]] = {}
    jobs: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        trace, world = str(row["trace"]), row["world_size"]
        if row["rank"] is not None and isinstance(world, int) and world > 1:
            jobs.setdefault((os.path.dirname(trace), str(row["label"])), []).append(row)
        else:
            files.setdefault(trace, []).append(row)
    return [*files.values(), *(job for own in jobs.values() for job in _apart(own))]


def _apart(rows: list[Row]) -> list[list[Row]]:
    """One job; where a rank is there twice there are several, and nothing says whose a file is."""
    if len({str(row["rank"]) for row in rows}) == len(rows):
        return [rows]
    files: dict[str, list[Row]] = {}
    for row in rows:
        files.setdefault(str(row["trace"]), []).append(row)
    return list(files.values())


def _point(rows: Sequence[Row], stages: Stages) -> Point:
    each = [_values(row, stages) for row in rows]
    names = dict.fromkeys(name for own in each for name in own)
    first = min(rows, key=lambda row: (len(str(row["rank"])), str(row["rank"])))
    when = first["captured"] if first["captured"] is not None else first["file_changed"]
    kinds = dict.fromkeys(str(kind) for row in rows if isinstance(row["findings"], list)
                          for kind in row["findings"])  # fmt: skip
    return Point(
        trace=str(first["trace"]),
        traces=len(rows),
        label=None if first["label"] is None else str(first["label"]),
        at_us=when if isinstance(when, int) else None,
        findings=tuple(kinds),
        values={name: fmean(own[name] for own in each if name in own) for name in names},
    )


def _values(row: Row, stages: Stages) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, column in (("TTFT", "ttft_ns"), ("TPOT", "tpot_ns")):
        value = row[column]
        if isinstance(value, int | float) and value > 0:
            found[name] = float(value)
    busy, window = row["busy_ns"], row["window_ns"]
    if isinstance(busy, int) and isinstance(window, int) and window > 0:
        found["busy"] = busy / window
    own = stages.get((row["trace"], row["rank"]), {})
    return {**found, **{f"one {stage}": mean for stage, mean in own.items() if mean > 0}}


def _ordered(points: list[Point], by: By) -> list[Point]:
    """By time; by label in the order in which labels first appear."""
    points.sort(key=lambda point: (point.at_us or 0, point.trace))
    if by == "date":
        return points
    order = {label: place for place, label in enumerate(dict.fromkeys(p.label for p in points))}
    return sorted(points, key=lambda point: order[point.label])


def _measure(name: str, points: Sequence[Point], level: float, by: By, tested: bool) -> Measure:
    unit: Literal["ns", "share"] = "share" if name == "busy" else "ns"
    own = [place for place, point in enumerate(points) if name in point.values]
    values = [points[place].values[name] for place in own]
    data = values if unit == "share" else [math.log(value) for value in values]
    bounds = None
    if by == "label":
        bounds = [i for i in range(1, len(own))
                  if points[own[i]].label != points[own[i - 1]].label]  # fmt: skip
    found = change_point.changes(data, level=level, bounds=bounds) if tested else []
    changes = [_change(one, own, points, unit) for one in found]
    kept = tuple(change for change in changes if abs(change.relative) >= LEAST)
    return Measure(name, unit, len(own), kept)


def _change(
    one: change_point.ChangePoint, own: Sequence[int], points: Sequence[Point], unit: str
) -> Change:
    place, previous = own[one.at], points[own[one.at - 1]]
    first = points[place]
    shares = unit == "share"
    before, after = (v if shares else math.exp(v) for v in (one.before, one.after))
    relative = after - before if shares else after / before - 1
    return Change(first.trace, first.label, first.at_us, place, previous.trace, before, after,
                  relative, one.p)  # fmt: skip


def _kinds(points: Sequence[Point]) -> Iterable[Kind]:
    """The most frequent first."""
    having: dict[str, list[Point]] = {}
    for point in points:
        for kind in point.findings:
            having.setdefault(kind, []).append(point)
    for kind, own in sorted(having.items(), key=lambda one: (-len(one[1]), one[0])):
        yield Kind(kind, len(own), own[0].trace, own[-1].trace)
