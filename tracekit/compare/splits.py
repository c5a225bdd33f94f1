"""A total of both sides as the sum of its parts: where the whole change comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.compare.comparability import ALL_STAGES as ALL
from tracekit.compare.fields import relative

Plain = Mapping[str, Any]
NEARLY = 0.8  # of the kernel time
OVERLAP = "overlap, counted once"


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


CLOCK = (("kernel", "kernel_ns"), ("memcpy", "memcpy_ns"), ("memset", "memset_ns"),
         ("idle", "idle_ns"))  # fmt: skip
LAUNCH = (("kernel", "kernel_ns"), ("memcpy", "memcpy_ns"), ("memset", "memset_ns"),
          ("other stages' work", "other_ns"), ("idle", "idle_ns"))  # fmt: skip
HOST = (("op", "op_ns"), ("copy", "copy_ns"), ("outside ops", "other_ns"))


def splits(one: Plain, two: Plain) -> list[Split]:
    """Every split of the answers of two traces, the headline first.

    By stage where there are several; then of all stages, of each stage that both have where there
    are several, of the devices, and of all kernels. What would repeat another is left out.
    """
    totals = [
        {t["family"]: t for t in side["stages"]["totals"]} if "stages" in side else {}
        for side in (one, two)
    ]
    found = list(_of_families(*totals))
    by = _telling([s for s in found if s.of == ALL], one, two)
    found.sort(key=lambda s: (s.of != ALL, s.of == ALL and s.by != by))
    if "stages" in one and "stages" in two:
        # one kind says nothing, unless nothing else is known of both sides
        least = 2 if any(split.of == ALL for split in found) else 1
        if (whole := _by_stage(one["stages"], two["stages"], least)) is not None:
            found.insert(0, whole)
    if "devices" in one and "devices" in two:
        sums = [_device_sums(side["devices"]) for side in (one, two)]
        found.append(_split("all devices", "device", [s["window_ns"] for s in sums], sums, CLOCK))
    if "kernels" in one and "kernels" in two:
        found.append(_categories(one["kernels"], two["kernels"]))
    kept: dict[object, Split] = {}
    for split in found:
        kept.setdefault(
            (split.by == "category", split.before_ns, split.after_ns, split.parts), split
        )
    return list(kept.values())


def _of_families(before: Plain, after: Plain) -> Iterator[Split]:
    """Of all stages and of each stage, by what is known of both sides."""
    for family in (f for f in before if f in after):
        pair = [side[family] for side in (before, after)]
        for by, key, whole, terms in (
            ("clock", "clock", None, CLOCK),
            ("launch", "launched", "window_ns", LAUNCH),
            ("host", "host", None, HOST),
        ):
            if all(t[key] is not None for t in pair):
                wholes = [t[key][whole] if whole else t["wall_ns"] for t in pair]
                yield _split(family, by, wholes, [t[key] for t in pair], terms)


def _telling(every: Sequence[Split], one: Plain, two: Plain) -> str:
    """By launch where stages leave their kernels to run behind them, else by clock.

    That is where by launch finds nearly all kernel time of the devices, and by clock does not.
    `every`: the splits of all stages.
    """
    if "devices" not in one or "devices" not in two:
        return "host"
    whole = [_device_sums(side["devices"])["kernel_ns"] for side in (one, two)]

    def covers(by: str) -> bool:
        own = [p for s in every if s.by == by for p in s.parts if p.name == "kernel"]
        return bool(own) and all(
            part >= NEARLY * all_ for part, all_ in zip(
                (own[0].before_ns, own[0].after_ns), whole, strict=True)
        )  # fmt: skip

    return "launch" if covers("launch") and not covers("clock") else "clock"


def _by_stage(one: Plain, two: Plain, least: int) -> Split | None:
    """The wall time of all stages as the sum of each kind; None with under `least` kinds.

    Of nested stages the outer one counts; what overlaps otherwise is a part of its own, so that the
    parts add up to the wall time of all stages, in which it counts once.
    """
    sums: list[dict[str, int]] = [defaultdict(int), defaultdict(int)]
    wholes = []
    for side, own in zip((one, two), sums, strict=True):
        for row in side["rows"]:
            if not row["nested"]:
                own[row["family"]] += row["wall_ns"]
        wholes += [t["wall_ns"] for t in side["totals"] if t["family"] == ALL]
    if len({*sums[0], *sums[1]}) < least or len(wholes) != 2:
        return None
    for own, whole in zip(sums, wholes, strict=True):
        if twice := whole - sum(own.values()):
            own[OVERLAP] = twice
    names = [(name, name) for name in dict.fromkeys((*sums[0], *sums[1]))]
    return _split(ALL, "stage", wholes, sums, names)


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
