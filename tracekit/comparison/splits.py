"""A total of both sides as the sum of its parts: where the whole change comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from tracekit.answers.devices import Device, Devices
from tracekit.answers.kernels import Kernels
from tracekit.answers.stages import Stages
from tracekit.attribution.idle.host_time import Host
from tracekit.attribution.stages.split import Clock, ClockDetail, Launched, LaunchedDetail
from tracekit.comparison.fields import relative
from tracekit.comparison.runs import Run
from tracekit.records import Record
from tracekit.taxonomy import Whole
from tracekit.trace.ranks import named

By = Literal["stage", "clock", "launch", "host", "device", "category"]
T = TypeVar("T")
Sums = Mapping[str, int]  # ns by part

NEARLY = 0.8  # of the kernel time
OVERLAP = "overlap, counted once"
SUSPECT = "suspect"  # idle time in which the device probably ran work that the file lacks


class Part(Record, frozen=True):
    """One term of a split, in ns. Not known (None) where a side has no such time."""

    name: str
    before_ns: int
    after_ns: int
    difference_ns: int


class Split(Record, frozen=True):
    """A total of both sides as the sum of its parts: the parts explain the whole change."""

    of: str  # a stage's family, a device, all kernels; Whole.STAGES: all stages
    by: By
    before_ns: int
    after_ns: int
    difference_ns: int
    relative: float | None  # difference over before
    parts: tuple[Part, ...]

    @property
    def is_all(self) -> bool:
        """Whether it is of all stages together."""
        return isinstance(self.of, Whole)


def splits(before: Run, after: Run) -> list[Split]:
    """Every split of the answers of two traces, the headline first.

    By stage where there are several; then of all stages, of each stage that both have where there
    are several, of each device, and of all kernels. What would repeat another is left out.
    """
    stages = _both(before.get(Stages), after.get(Stages))
    devices = _both(before.get(Devices), after.get(Devices))
    kernels = _both(before.get(Kernels), after.get(Kernels))
    found = list(_of_families(*stages)) if stages else []
    by = _telling([s for s in found if s.is_all], devices)
    found.sort(key=lambda s: (not s.is_all, s.is_all and s.by != by))
    if stages:
        # one kind says nothing, unless nothing else is known of both sides
        least = 2 if any(split.is_all for split in found) else 1
        if (whole := _by_stage(*stages, least)) is not None:
            found.insert(0, whole)
    if devices:
        found += _of_devices(*devices)
    if kernels:
        sums = (_category_sums(kernels[0]), _category_sums(kernels[1]))
        wholes = (sum(sums[0].values()), sum(sums[1].values()))
        found.append(_split("durations of all kernels", "category", wholes, sums))
    kept: dict[object, Split] = {}
    for split in found:
        kept.setdefault(
            (split.by == "category", split.before_ns, split.after_ns, split.parts), split
        )
    return list(kept.values())


def _both(one: T | None, two: T | None) -> tuple[T, T] | None:
    return None if one is None or two is None else (one, two)


def _of_families(before: Stages, after: Stages) -> Iterator[Split]:
    """Of all stages and of each stage, by what is known of both sides."""
    later = {total.family: total for total in after.totals}
    for one in before.totals:
        two = later.get(one.family)
        if two is None:
            continue
        walls = (one.wall_ns, two.wall_ns)
        if one.clock and two.clock:
            sums = (
                _clock(one.clock, _suspect(one.clock_detail)),
                _clock(two.clock, _suspect(two.clock_detail)),
            )
            yield _split(one.family, "clock", walls, sums)
        if one.launched and two.launched:
            own = (
                _launched(one.launched, _suspect(one.launched_detail)),
                _launched(two.launched, _suspect(two.launched_detail)),
            )
            yield _split(one.family, "launch", (sum(own[0].values()), sum(own[1].values())), own)
        if one.host and two.host:
            yield _split(one.family, "host", walls, (_host(one.host), _host(two.host)))


def _suspect(detail: ClockDetail | LaunchedDetail | None) -> int:
    return detail.suspect_ns if detail is not None else 0


def _clock(own: Clock, suspect: int) -> Sums:
    """They add up to the wall time, so unaccounted time has a part of its own."""
    return {
        "kernel": own.kernel_ns, "memcpy": own.memcpy_ns, "memset": own.memset_ns,
        "idle": own.idle_ns - suspect, SUSPECT: suspect,
    }  # fmt: skip


def _launched(own: Launched, suspect: int) -> Sums:
    """They add up to the window of this work without unaccounted time."""
    return {
        "kernel": own.kernel_ns, "memcpy": own.memcpy_ns, "memset": own.memset_ns,
        "other stages' work": own.other_ns, "idle": own.idle_ns - suspect,
    }  # fmt: skip


def _host(own: Host) -> Sums:
    return {"op": own.op_ns, "copy": own.copy_ns, "outside ops": own.other_ns}


def _telling(every: Sequence[Split], devices: tuple[Devices, Devices] | None) -> By:
    """By launch where stages leave their kernels to run behind them, else by clock.

    That is where by launch finds nearly all kernel time of the devices, and by clock does not.
    `every`: the splits of all stages.
    """
    if devices is None:
        return "host"
    one, two = (sum(row.kernel_ns for row in own.rows) for own in devices)

    def covers(by: By) -> bool:
        own = next((p for s in every if s.by == by for p in s.parts if p.name == "kernel"), None)
        return own is not None and own.before_ns >= NEARLY * one and own.after_ns >= NEARLY * two

    return "launch" if covers("launch") and not covers("clock") else "clock"


def _by_stage(before: Stages, after: Stages, least: int) -> Split | None:
    """The wall time of all stages as the sum of each kind; None with under `least` kinds.

    Of nested stages the outer one counts; what overlaps otherwise is a part of its own, so that the
    parts add up to the wall time of all stages, in which it counts once.
    """
    one, two = _outer_walls(before), _outer_walls(after)
    wholes = _both(before.whole, after.whole)
    if wholes is None or len({*one, *two}) < least:
        return None
    for own, whole in ((one, wholes[0]), (two, wholes[1])):
        if twice := whole.wall_ns - sum(own.values()):
            own[OVERLAP] = twice
    return _split(Whole.STAGES, "stage", (wholes[0].wall_ns, wholes[1].wall_ns), (one, two))


def _outer_walls(stages: Stages) -> dict[str, int]:
    """Wall time by family of the instances that are in no other."""
    walls: dict[str, int] = {}
    for row in stages.rows:
        if not row.nested:
            walls[row.family] = walls.get(row.family, 0) + row.wall_ns
    return walls


def _split(of: str, by: By, wholes: tuple[int, int], sums: tuple[Sums, Sums]) -> Split:
    """A split of the wholes before and after, each the sum of the parts of its side."""
    one, two = sums
    pairs = [(name, one.get(name, 0), two.get(name, 0)) for name in dict.fromkeys((*one, *two))]
    parts = tuple(Part(name, old, new, new - old) for name, old, new in pairs if old or new)
    before, after = wholes
    return Split(of, by, before, after, after - before, relative(before, after), parts)


def _of_devices(before: Devices, after: Devices) -> Iterator[Split]:
    """Of the window of each device that both sides have; of the only one where each has one.

    Windows of two devices are never added up, and none has unaccounted time in it.
    """
    later = {(row.rank, row.device): row for row in after.rows}
    single = len(before.rows) == len(after.rows) == 1
    if len(later) < len(after.rows):  # repeats of a run: nothing says which belongs to which
        return
    for one in before.rows:
        two = after.rows[0] if single else later.get((one.rank, one.device))
        if two is not None:
            of = "the device" if single else named(one.rank, f"device {one.device}")
            windows = (one.seen_window_ns, two.seen_window_ns)
            yield _split(of, "device", windows, (_device(one), _device(two)))


def _device(own: Device) -> Sums:
    return {
        "kernel": own.kernel_ns, "memcpy": own.memcpy_ns, "memset": own.memset_ns,
        "idle": own.seen_idle_ns,
    }  # fmt: skip


def _category_sums(kernels: Kernels) -> Sums:
    """Durations of all kernels by category."""
    sums: dict[str, int] = {}
    for row in kernels.rows:
        sums[row.category] = sums.get(row.category, 0) + row.total_ns
    return sums
