"""The stages on the first screen: the stage bar, its numbers, and what bounds each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from tracekit.answers.devices import Devices
from tracekit.answers.idle import IdleTime
from tracekit.answers.stages import (
    BY_CLOCK,
    BY_LAUNCH,
    OP_TIME,
    PARTS,
    WALL,
    Mean,
    Split,
    Stages,
    Total,
    mean_parts,
    synchronised,
)
from tracekit.attribution.idle.by_cause import SUSPECT, suspect_words
from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.stages.alike import ALIKE, MEAN_OF
from tracekit.attribution.stages.nesting import among
from tracekit.results.answers import Answers
from tracekit.results.figures import Chart, split_bars
from tracekit.results.findings import LEAST
from tracekit.results.first_screen import Drawn, FirstScreen, KeyNumber, Listed, Remark
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, plural, ranked, share
from tracekit.taxonomy import Stage

BARS = 12  # more stages than this are in the table only
ROWS = 40
COLLECTIVE = (
    "Of the time outside ops: a collective of the process was open, and no thread was in an op."
)


def key_numbers(result: Stages, one: Answers) -> Iterator[KeyNumber]:
    """Wall time, and what the host did; of a trace with a GPU the devices say more."""
    whole = result.whole
    if whole is None or one.gpu:
        return
    yield KeyNumber("Wall time", duration(whole.wall_ns), "all stages together", WALL)
    host = whole.host
    if host is not None and whole.wall_ns:
        if (waits := _collectives(whole)) / whole.wall_ns >= LEAST:
            yield KeyNumber("In collectives", share(waits / whole.wall_ns), duration(waits),
                            COLLECTIVE)  # fmt: skip
        for label, ns in (("In ops", host.op_ns), ("In copies", host.copy_ns),
                          ("Outside ops", host.other_ns)):  # fmt: skip
            yield KeyNumber(label, share(ns / whole.wall_ns), duration(ns),
                            "CPU time of the marker's thread.")  # fmt: skip


def words(result: Stages) -> Mapping[str, str]:
    if not result.devices:
        return {"wall": WALL, "ops, copies, outside ops": OP_TIME}
    return {"wall": WALL, "wall time": BY_CLOCK, "GPU window": BY_LAUNCH}


# ---------------------------------------------------------------- sentences


def remarks(result: Stages, one: Answers) -> Iterator[Remark]:
    """What each of the main stages spends its time on: the host, or the GPU that waits."""
    split = result.split(one.source)
    if split is Split.CLOCK and not synchronised(one.source):
        return  # what ran meanwhile is not the stages' own work
    for total in result.main:
        said = _host(total) if total.host else _idle(total, split, result, _window(one))
        between = _between(total, one)
        if said and between:
            said = f"{between}; inside them, {said}"
        if said:
            yield Remark(total.title, said)


def _between(total: Total, one: Answers) -> str:
    """Idle time before the work of each step, which is in no step's own window."""
    idle, devices = one.get(IdleTime), one.get(Devices)
    if total.instances < 2 or idle is None or devices is None or len(devices.rows) != 1:
        return ""
    rows = [r for r in idle.reasons if r.reason == Reason.STEPS and r.stage == total.family]
    ns, window = sum(r.ns for r in rows), devices.rows[0].seen_window_ns
    if not window or ns / window < LEAST:
        return ""
    return f"GPU idle for {share(ns / window)} of the device window between steps"


def _host(total: Total) -> str:
    wall, host = total.wall_ns, total.host
    if not wall or host is None:
        return ""
    kinds = [(f"{name} ops", ns / wall) for name, ns in (total.ops or {}).items()]
    waits = _collectives(total)
    rest = [("in collectives and no op", waits / wall),
            ("outside any op or collective" if waits else "outside any op",
             (host.other_ns - waits) / wall),
            ("copies", host.copy_ns / wall)]  # fmt: skip
    said = ranked([*kinds, *rest])
    return f"of its wall time, {said}" if said else ""


def _collectives(total: Total) -> int:
    """Of the time outside ops, that in which only a collective of the process was open."""
    return total.host_detail.collective_ns if total.host_detail is not None else 0


def _window(one: Answers) -> int:
    """The longest window of a device, unaccounted time left out."""
    devices = one.get(Devices)
    return max((row.seen_window_ns for row in devices.rows), default=0) if devices else 0


def _which(whole: int, devices: int, done: int) -> tuple[str, str]:
    """The windows of a stage, and what of their length is not in their name.

    Of `done` instances that launched work; of several devices they are no one length.
    """
    if devices > 1:
        return "GPU windows", ""
    if done == 1:
        return f"{duration(whole)} GPU window", ""
    return f"{done:,} GPU windows", duration(whole)


def _idle(total: Total, split: Split, result: Stages, window_ns: int) -> str:
    """Of the stage's own window, which is named: the device's is another. None of a small one."""
    own, whole, suspect = total.parts(split), total.whole_ns(split), total.suspect_ns(split)
    if not own or not whole or (split is Split.LAUNCHED and whole < LEAST * window_ns):
        return ""
    devices = result.devices
    who = "GPU idle" if devices == 1 else f"all {devices} GPUs idle at once"
    of, length = split.whole, ""
    if split is Split.LAUNCHED:
        done = sum(
            row.family == total.family and row.window is not None and not row.repeated
            for row in result.rows
        )
        of, length = _which(whole, devices, done)
    more = "; ".join(filter(None, [length, suspect_words(suspect) if suspect else ""]))
    return f"{who} for {share(own['idle'] / whole)} of its {of}{f' ({more})' if more else ''}"


# ---------------------------------------------------------------- chart and table


def charts(result: Stages, one: Answers) -> Iterator[Drawn]:
    """The stage bar: none where what the stages launched is not known, and ran at other times."""
    split = result.split(one.source)
    if split is Split.CLOCK and not synchronised(one.source):
        return
    if chart := stage_bar(result.means(_there(result), split), split, result.depths):
        yield Drawn(chart, instead_of="launched" if split is Split.LAUNCHED else "stages")


def _there(result: Stages) -> list[Total]:
    return [total for total in result.stages if total.instances]


def stage_bar(
    means: Sequence[Mean], split: Split, depths: Mapping[str, int] | None = None
) -> Chart | None:
    """Time of one instance of each stage, split; None where there are no stages.

    `depths` says how deep each lies inside others: a part is drawn below its whole, indented.
    """
    order = list(depths or ())
    rows = _worth_a_bar(means)
    if not rows:
        return None
    if any((depths or {}).values()):
        rows.sort(key=lambda m: order.index(m.total.family) if m.total.family in order else 0)
    timed = sum(any(own.values()) for own in mean_parts(means))
    below = among(depths or {}, {mean.total.family for mean in rows})
    nested = [below.get(mean.total.family, 0) for mean in rows]
    parts = mean_parts(rows)
    names = [name for name in PARTS if any(own.get(name) for own in parts)]
    several = any(mean.total.instances > 1 for mean in rows)
    suspect = sum(mean.total.suspect_ns(split) for mean in rows)
    return split_bars(
        "stage-bar",
        "Where the time of each stage went"
        + (", in GPU windows" if split is Split.LAUNCHED else "")
        + (f": the longest {len(rows)} of {timed}" if len(rows) < timed else "")
        + (", unaccounted time left out" if suspect else "")
        + (": thinner bars are parts of those above" if any(nested) else ""),
        [mean.label for mean in rows],
        {split.label(name): [own.get(name) for own in parts] for name in names},
        of=f"{split.whole}{', mean' if several else ''}",
        summary=f"{split.whole[:1].upper()}{split.whole[1:]} of {plural(len(rows), 'stage')}, "
        f"split into {', '.join(map(split.label, names))}.",
        table="stage-split", indents=nested,
    )  # fmt: skip


def _worth_a_bar(means: Sequence[Mean]) -> list[Mean]:
    """The stages that are drawn: all five of a request; of others the longest, none invisible."""
    if {mean.total.family for mean in means} <= {stage.value for stage in Stage}:
        return list(means)
    drawn = {mean.total.family: sum(mean.parts(cut=False).values()) for mean in means}
    longest = sorted(drawn, key=lambda family: -drawn[family])[:BARS]
    least = 0.005 * max(drawn.values(), default=0)
    return [
        m for m in means if (f := m.total.family) in longest and drawn[f] >= least and drawn[f] > 0
    ]


def grids(result: Stages, one: Answers) -> Iterator[Listed]:
    """The numbers of the stage bar, summed over instances."""
    split = result.split(one.source)
    if means := result.means(_there(result), split):
        yield Listed(stage_grid(means, split, result.whole))


def stage_grid(means: Sequence[Mean], split: Split, whole: Total | None) -> Grid:
    """A row a stage: its wall time, and the parts of `split`."""
    wall = whole.wall_ns if whole else None
    window, many = split is Split.LAUNCHED, any(m.total.instances > 1 for m in means)
    several, unlike = len(means) > 1, any(m.alike.said for m in means)
    suspect = any(m.total.suspect_ns(split) for m in means)
    last = split.parts[-1]
    of_all = "Of the wall time of all stages together; nested stages overlap."
    of = f"Of the {split.whole}{', unaccounted time left out' if suspect else ''}."
    columns = [
        (True, Column("stage")),
        (many, Column("instances", "count", "Occurrences that the row adds up.")),
        (True, Column("wall", "ns", WALL)),
        (many, Column("mean", "ns", f"Mean wall time of one instance. {ALIKE}")),
        (unlike, Column("mean of", "text", "How many instances are alike, of how many.")),
        (several, Column("share of all", "share", of_all)),
        (window, Column("window", "ns", BY_LAUNCH)),
        *((True, Column(split.label(n), "ns", f"Part of the {split.whole}.")) for n in split.parts),
        (True, Column(f"{split.label(last)}, share", "share", of)),
        (suspect, Column(split.label("suspect"), "ns", SUSPECT)),
    ]
    rows = []
    for m in means[:ROWS]:
        t, own, base = m.total, m.total.parts(split), m.total.whole_ns(split)
        cells = [
            t.family, t.instances, t.wall_ns, fmean(m.alike.walls), m.alike.said,
            t.wall_ns / wall if wall else None, base, *(own.get(name) for name in split.parts),
            own[last] / base if own and base else None, t.suspect_ns(split),
        ]  # fmt: skip
        rows.append([cell for (kept, _), cell in zip(columns, cells, strict=True) if kept])
    return Grid("stage-split", "Stages as numbers, all instances together",
                tuple(column for kept, column in columns if kept), rows,
                MEAN_OF if unlike else "")  # fmt: skip


FIRST_SCREEN = FirstScreen(
    order=20, key_numbers=key_numbers, remarks=remarks, charts=charts, grids=grids, words=words
)
