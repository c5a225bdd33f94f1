"""The difference of two sets of answers: where the change of wall time comes from, part by part.

Works on plain JSON (`Answers.to_json`), so two traces, two merged results or two saved files
compare alike. Differences are after − before, and relative ones are over before. Every split adds
up to its total on both sides, so its differences add up to the whole change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tracekit.errors import TracekitError
from tracekit.results import Result
from tracekit.workphase import NO_PHASE

Plain = Mapping[str, Any]
State = Literal["both", "new", "gone"]

ALL = "all stages"  # the family of the stages' grand total


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a split, in ns. Not known (None) where a side has no such time."""

    name: str
    before_ns: int
    after_ns: int
    difference_ns: int


@dataclass(frozen=True, slots=True)
class Split:
    """A total of both sides as the sum of its parts: the parts explain the whole change."""

    of: str  # a stage's family, a device, or all stages
    by: str  # clock, launch, host or device
    before_ns: int
    after_ns: int
    difference_ns: int
    relative: float | None  # difference over before
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class StageChange:
    """All instances of one stage. Numbers of a side without it are None."""

    stage: str
    state: State
    before_count: int | None
    after_count: int | None
    before_ns: int | None
    after_ns: int | None
    difference_ns: int
    relative: float | None
    before_mean_ns: float | None
    after_mean_ns: float | None


@dataclass(frozen=True, slots=True)
class KernelChange:
    """Kernels of one name and category, of one phase where both sides have the same phases."""

    name: str
    category: str
    phase: str | None
    state: State
    before_op: str | None
    after_op: str | None
    before_count: int
    after_count: int
    before_ns: int
    after_ns: int
    difference_ns: int
    relative: float | None
    by_count_ns: float | None  # of the difference: more or fewer runs, at the mean before
    by_speed_ns: float | None  # the rest: each run shorter or longer


@dataclass(frozen=True, slots=True)
class OpChange:
    """All kernels that one op launched, whatever they are called: what replaced what."""

    op: str | None  # None: no op around the launch (a graph replay, a direct launch)
    category: str
    phase: str | None
    before_kernels: tuple[str, ...]  # distinct names
    after_kernels: tuple[str, ...]
    before_ns: int
    after_ns: int
    difference_ns: int


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One number of one result that differs. None: that side does not have it."""

    analysis: str
    row: str  # what identifies its row, empty for a field of the whole
    field: str
    before: float | None
    after: float | None
    difference: float | None
    relative: float | None


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    before: str
    after: str
    splits: tuple[Split, ...]  # the first is the headline
    stages: tuple[StageChange, ...]
    kernels: tuple[KernelChange, ...]  # the largest change first
    ops: tuple[OpChange, ...]
    kernel_before_ns: int | None  # durations of all kernels
    kernel_after_ns: int | None
    fields: tuple[FieldChange, ...]  # of every result that both sides have
    only_before: Mapping[str, str]  # analyses that one side alone answered: why not the other
    only_after: Mapping[str, str]


def compare(before: Plain, after: Plain) -> Comparison:
    """The difference of two traces' answers, each as `Answers.to_json` gives them."""
    one, two = before["answers"], after["answers"]
    kernels = _kernels(one.get("kernels"), two.get("kernels"))
    known = "kernels" in one and "kernels" in two
    return Comparison(
        before=str(before.get("path", "before")),
        after=str(after.get("path", "after")),
        splits=tuple(_splits(one, two)),
        stages=_stages(one.get("stages"), two.get("stages")),
        kernels=kernels,
        ops=_ops(one.get("kernels"), two.get("kernels")) if known else (),
        kernel_before_ns=_kernel_sum(one["kernels"]) if known else None,
        kernel_after_ns=_kernel_sum(two["kernels"]) if known else None,
        fields=tuple(
            change for name in one if name in two for change in fields(name, one[name], two[name])
        ),
        only_before={n: _why(after, n) for n in one if n not in two},
        only_after={n: _why(before, n) for n in two if n not in one},
    )


def saved(path: str) -> dict[str, Any] | None:
    """The answers in a file that `tracekit analyze --json` wrote for one trace, or None for others.

    Raises: TracekitError for such a file of several traces.
    """
    try:
        with Path(path).open("rb") as file:
            if not file.read(64).lstrip().startswith(b'{"schema": "tracekit/'):
                return None
            file.seek(0)
            document = json.load(file)
    except (OSError, ValueError):
        return None  # the reader of traces says what is wrong with it
    traces = document.get("traces", [])
    if len(traces) != 1:
        raise TracekitError(
            f"holds the answers of {len(traces)} traces",
            where=path,
            hint="compare answers of one trace each",
        )
    found: dict[str, Any] = traces[0]
    return found


def _why(side: Plain, name: str) -> str:
    return str(side.get("unanswered", {}).get(name, "not asked"))


def relative(before: float | None, after: float | None) -> float | None:
    return (after - before) / before if before and after is not None else None


# ---------------------------------------------------------------- splits

CLOCK = (("kernel", "kernel_ns"), ("memcpy", "memcpy_ns"), ("memset", "memset_ns"),
         ("idle", "idle_ns"))  # fmt: skip
LAUNCH = (("kernel", "kernel_ns"), ("memcpy", "memcpy_ns"), ("memset", "memset_ns"),
          ("other stages' work", "other_ns"), ("idle", "idle_ns"))  # fmt: skip
HOST = (("op", "op_ns"), ("copy", "copy_ns"), ("outside ops", "other_ns"))


def _splits(one: Plain, two: Plain) -> Iterator[Split]:
    """Of all stages first, then of each stage that both have; of devices where there are none."""
    totals = [
        {t["family"]: t for t in side["stages"]["totals"]} if "stages" in side else {}
        for side in (one, two)
    ]
    families = [f for f in totals[0] if f in totals[1]]
    for family in sorted(families, key=lambda f: f != ALL):
        pair = [side[family] for side in totals]
        for by, key, whole, terms in (
            ("clock", "clock", None, CLOCK),
            ("launch", "launched", "window_ns", LAUNCH),
            ("host", "host", None, HOST),
        ):
            if all(t[key] is not None for t in pair):
                wholes = [t[key][whole] if whole else t["wall_ns"] for t in pair]
                yield _split(family, by, wholes, [t[key] for t in pair], terms)
    if "devices" in one and "devices" in two:
        sums = [_device_sums(side["devices"]) for side in (one, two)]
        yield _split("all devices", "device", [s["window_ns"] for s in sums], sums, CLOCK)
    if "kernels" in one and "kernels" in two:
        yield _categories(one["kernels"], two["kernels"])


def _split(
    of: str, by: str, wholes: Sequence[int], sides: Sequence[Plain],
    terms: Sequence[tuple[str, str]],
) -> Split:  # fmt: skip
    parts = [
        Part(name, sides[0][key], sides[1][key], sides[1][key] - sides[0][key])
        for name, key in terms
    ]
    before, after = wholes
    return Split(
        of, by, before, after, after - before, relative(before, after),
        tuple(p for p in parts if p.before_ns or p.after_ns),
    )  # fmt: skip


def _device_sums(devices: Plain) -> dict[str, int]:
    keys = ("window_ns", "kernel_ns", "memcpy_ns", "memset_ns", "idle_ns")
    return {key: sum(row[key] for row in devices["rows"]) for key in keys}


def _categories(one: Plain, two: Plain) -> Split:
    """Durations of all kernels by category."""
    sums: list[dict[str, int]] = [defaultdict(int), defaultdict(int)]
    for side, total in zip((one, two), sums, strict=True):
        for row in side["rows"]:
            total[row["category"]] += row["total_ns"]
    names = [(name, name) for name in dict.fromkeys((*sums[0], *sums[1]))]
    wholes = [sum(total.values()) for total in sums]
    return _split("durations of all kernels", "category", wholes, sums, names)


# ---------------------------------------------------------------- stages and kernels


def _stages(one: Plain | None, two: Plain | None) -> tuple[StageChange, ...]:
    if one is None or two is None:
        return ()
    sides = [{t["family"]: t for t in side["totals"] if t["family"] != ALL} for side in (one, two)]
    out = []
    for family in dict.fromkeys((*sides[0], *sides[1])):
        old, new = sides[0].get(family), sides[1].get(family)
        walls = [t["wall_ns"] if t else None for t in (old, new)]
        counts = [t["instances"] if t else None for t in (old, new)]
        means = [t["mean_ns"] if t else None for t in (old, new)]
        out.append(StageChange(
            family, _state(old is not None, new is not None), counts[0], counts[1],
            walls[0], walls[1], (walls[1] or 0) - (walls[0] or 0), relative(walls[0], walls[1]),
            means[0], means[1],
        ))  # fmt: skip
    return tuple(out)


def _state(before: bool, after: bool) -> State:
    return "both" if before and after else "new" if after else "gone"


def _kernel_sum(kernels: Plain) -> int:
    return sum(row["total_ns"] for row in kernels["rows"])


def _phases_match(one: Plain, two: Plain) -> bool:
    """Whether both sides have the same real phases, so that kernels are matched within them."""
    sides = [{p["phase"] for p in side["phases"]} - NO_PHASE for side in (one, two)]
    return sides[0] == sides[1]


Key = tuple[str, str, str | None]


def _kernels(one: Plain | None, two: Plain | None) -> tuple[KernelChange, ...]:
    if one is None or two is None:
        return ()
    matched = _phases_match(one, two)
    sides: list[dict[Key, list[Plain]]] = [defaultdict(list), defaultdict(list)]
    for side, rows in zip((one, two), sides, strict=True):
        for row in side["rows"]:
            phase = row["phase"] if matched else None
            rows[row["name"], row["category"], phase].append(row)
    out = [
        _kernel(key, sides[0].get(key, []), sides[1].get(key, []))
        for key in dict.fromkeys((*sides[0], *sides[1]))
    ]
    return tuple(sorted(out, key=lambda c: (-abs(c.difference_ns), c.name, c.phase or "")))


def _kernel(key: Key, old: Sequence[Plain], new: Sequence[Plain]) -> KernelChange:
    counts = [sum(row["count"] for row in rows) for rows in (old, new)]
    times = [sum(row["total_ns"] for row in rows) for rows in (old, new)]
    difference = times[1] - times[0]
    by_count = (counts[1] - counts[0]) * times[0] / counts[0] if old and new else None
    return KernelChange(
        name=key[0],
        category=key[1],
        phase=key[2],
        state=_state(bool(old), bool(new)),
        before_op=_main_op(old),
        after_op=_main_op(new),
        before_count=counts[0],
        after_count=counts[1],
        before_ns=times[0],
        after_ns=times[1],
        difference_ns=difference,
        relative=relative(times[0], times[1]) if old and new else None,
        by_count_ns=by_count,
        by_speed_ns=difference - by_count if by_count is not None else None,
    )


def _main_op(rows: Sequence[Plain]) -> str | None:
    """The op of most of the time."""
    longest = max(rows, key=lambda row: row["total_ns"], default=None)
    return longest["op"] if longest else None


def _ops(one: Plain, two: Plain) -> tuple[OpChange, ...]:
    matched = _phases_match(one, two)
    times: dict[tuple[str | None, str, str | None], list[int]] = defaultdict(lambda: [0, 0])
    names: dict[tuple[str | None, str, str | None], list[dict[str, None]]] = defaultdict(
        lambda: [{}, {}]
    )
    for at, side in enumerate((one, two)):
        for row in side["rows"]:
            for origin in row["origins"]:
                key = (origin["op"], row["category"], row["phase"] if matched else None)
                times[key][at] += origin["total_ns"]
                names[key][at][row["name"]] = None
    out = [
        OpChange(*key, tuple(names[key][0]), tuple(names[key][1]), old, new, new - old)
        for key, (old, new) in times.items()
    ]
    return tuple(sorted(out, key=lambda c: (-abs(c.difference_ns), c.op or "", c.category)))


# ---------------------------------------------------------------- any two results of one kind

# numbers that say which row it is, not how much
_IDENTITY = frozenset({"device", "stream", "sample", "index", "token", "rank", "number"})
_INSTANTS = frozenset({"start_ns", "file_start_ns", "end_ns", "at_ns", "ts"})


def fields(analysis: str, before: Plain, after: Plain) -> list[FieldChange]:
    """Every number that differs, fields by name and rows by what identifies them.

    A row is identified by its texts and ids; instants of two traces are not compared.
    """
    sides = [dict(_leaves("", "", side)) for side in (before, after)]
    out = []
    for row, name in dict.fromkeys((*sides[0], *sides[1])):
        old, new = sides[0].get((row, name)), sides[1].get((row, name))
        if old != new:
            difference = new - old if old is not None and new is not None else None
            out.append(FieldChange(analysis, row, name, old, new, difference, relative(old, new)))
    return out


def _leaves(row: str, name: str, value: Any) -> Iterator[tuple[tuple[str, str], float | None]]:
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
        if (isinstance(value, str) and value) or (key in _IDENTITY and value is not None)
    ]
    return " · ".join(texts) or "row"
