"""The stages on the first screen: the stage bar, its numbers, and what bounds each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tracekit.answers.stages import BY_CLOCK, BY_LAUNCH, OP_TIME, PARTS, WALL, Split, Stages, Total
from tracekit.attribution.idle.by_cause import MAYBE_WORK, SUSPECT
from tracekit.results.answers import Answers
from tracekit.results.figures import Chart, split_bars
from tracekit.results.first_screen import Drawn, FirstScreen, KeyNumber, Listed, Remark
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, ranked, share
from tracekit.taxonomy import Stage

BARS = 12  # more stages than this are in the table only
ROWS = 40


def key_numbers(result: Stages, one: Answers) -> Iterator[KeyNumber]:
    """Wall time, and what the host did; of a trace with a GPU the devices say more."""
    whole = result.whole
    if whole is None or one.gpu:
        return
    yield KeyNumber("Wall time", duration(whole.wall_ns), "all stages together", WALL)
    host = whole.host
    if host is not None and whole.wall_ns:
        for label, ns in (("In ops", host.op_ns), ("In copies", host.copy_ns),
                          ("Outside ops", host.other_ns)):  # fmt: skip
            yield KeyNumber(label, share(ns / whole.wall_ns), duration(ns),
                            "CPU time of the marker's thread.")  # fmt: skip


def words(result: Stages) -> Mapping[str, str]:
    if not result.devices:
        return {"wall": WALL, "ops, copies, outside ops": OP_TIME}
    return {"wall": WALL, "by clock": BY_CLOCK, "by launch": BY_LAUNCH}


# ---------------------------------------------------------------- sentences


def remarks(result: Stages, _one: Answers) -> Iterator[Remark]:
    """What each of the main stages spends its time on: the host, or the GPU that waits."""
    for total in result.main:
        said = _host(total) if total.host else _idle(total)
        if said:
            yield Remark(total.title, said)


def _host(total: Total) -> str:
    wall, host = total.wall_ns, total.host
    if not wall or host is None:
        return ""
    kinds = [(f"{name} ops", ns / wall) for name, ns in (total.ops or {}).items()]
    rest = [("outside any op", host.other_ns / wall), ("copies", host.copy_ns / wall)]
    said = ranked([*kinds, *rest])
    return f"of its wall time, {said}" if said else ""


def _idle(total: Total) -> str:
    own = total.launched
    if own is None or not own.window_ns:
        return ""
    least = "at most " if total.suspect_ns else ""
    said = f"GPU idle for {least}{share(own.idle_ns / own.window_ns)} of its window"
    if total.suspect_ns:
        said += (
            f" (for {duration(total.suspect_ns)} of {duration(own.idle_ns)} it may have run work "
            "that is not in this file)"
        )
    return said


# ---------------------------------------------------------------- chart and table


def charts(result: Stages, one: Answers) -> Iterator[Drawn]:
    """The stage bar."""
    split = result.split(one.source)
    if chart := stage_bar(_there(result), split):
        yield Drawn(chart, instead_of="launched" if split is Split.LAUNCHED else "stages")


def _there(result: Stages) -> list[Total]:
    return [total for total in result.stages if total.instances]


def stage_bar(totals: Sequence[Total], split: Split) -> Chart | None:
    """Mean time of each stage, split; None where there are no stages."""
    rows = _worth_a_bar(totals)
    if not rows:
        return None
    parts = [total.spent(split) for total in rows]
    inside = ("communication", MAYBE_WORK)  # parts of the kernels and of the idle time
    names = [
        name for name in PARTS
        if (name in split.parts or name in inside) and any(own.get(name) for own in parts)
    ]  # fmt: skip

    def mean(total: Total, part: Mapping[str, int], name: str) -> float | None:
        return part[name] / total.instances if name in part else None

    several = any(total.instances > 1 for total in rows)
    return split_bars(
        "stage-bar",
        "Where the time of each stage went"
        + (", by launch" if split is Split.LAUNCHED else "")
        + (f": the longest {len(rows)} of {len(totals)}" if len(rows) < len(totals) else ""),
        [total.family for total in rows],
        {name: [mean(t, p, name) for t, p in zip(rows, parts, strict=True)] for name in names},
        of=f"{split.whole}{', mean' if several else ''}",
        summary=f"{split.whole.capitalize()} of {len(rows)} stages, each split into "
        f"{', '.join(names)}.",
        table="stage-split",
    )  # fmt: skip


def _worth_a_bar(totals: Sequence[Total]) -> list[Total]:
    """The stages that are drawn: all five of a request; of others the longest, none invisible."""
    if {total.family for total in totals} <= {stage.value for stage in Stage}:
        return list(totals)
    longest = sorted(totals, key=lambda t: -t.wall_ns / t.instances)[:BARS]
    least = 0.005 * (longest[0].wall_ns / longest[0].instances) if longest else 0
    return [t for t in totals if t in longest and t.wall_ns / t.instances >= least]


def grids(result: Stages, one: Answers) -> Iterator[Listed]:
    """The numbers of the stage bar, summed over instances."""
    if totals := _there(result):
        yield Listed(stage_grid(totals, result.split(one.source), result.whole))


def stage_grid(totals: Sequence[Total], split: Split, whole: Total | None) -> Grid:
    """A row a stage: its wall time, and the parts of `split`."""
    wall = whole.wall_ns if whole else None
    window, many = split is Split.LAUNCHED, any(t.instances > 1 for t in totals)
    several, suspect = len(totals) > 1, any(_suspect(t, split) for t in totals)
    last = split.parts[-1]
    of_all = "Of the wall time of all stages together; nested stages overlap."
    columns = [
        (True, Column("stage")),
        (many, Column("instances", "count", "Occurrences that the row adds up.")),
        (True, Column("wall", "ns", WALL)),
        (many, Column("mean", "ns", "Mean wall time of one instance.")),
        (several, Column("share", "share", of_all)),
        (window, Column("window", "ns", BY_LAUNCH)),
        *((True, Column(name, "ns", f"Part of the {split.whole}.")) for name in split.parts),
        (True, Column(f"{last} share", "share", f"Of the {split.whole}.")),
        (suspect, Column("suspect", "ns", SUSPECT)),
    ]
    rows = []
    for t in totals[:ROWS]:
        own, base = t.parts(split), t.whole_ns(split)
        cells = [
            t.family, t.instances, t.wall_ns, t.mean_ns, t.wall_ns / wall if wall else None, base,
            *(own.get(name) for name in split.parts),
            own[last] / base if own and base else None, _suspect(t, split),
        ]  # fmt: skip
        rows.append([cell for (kept, _), cell in zip(columns, cells, strict=True) if kept])
    return Grid("stage-split", "Stages as numbers, all instances together",
                tuple(column for kept, column in columns if kept), rows)  # fmt: skip


def _suspect(total: Total, split: Split) -> int | None:
    match split:
        case Split.CLOCK:
            detail = total.clock_detail
        case Split.LAUNCHED:
            return total.launched_detail.suspect_ns if total.launched_detail else None
        case Split.HOST:
            return None
    return detail.suspect_ns if detail else None


FIRST_SCREEN = FirstScreen(
    order=20, key_numbers=key_numbers, remarks=remarks, charts=charts, grids=grids, words=words
)
