"""Charts over several traces on one scale: a trace is told by its label, not by a colour."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.answers.stages import PARTS, Mean, Split, Stages, mean_parts
from tracekit.report.many import runs
from tracekit.report.many.runs import FEW, Side
from tracekit.results.figures import Chart, lines, split_bars
from tracekit.results.units import plural


def stage_chart(many: Sequence[Side]) -> Chart | None:
    """Stages of each trace on one scale: bars for a few traces, lines for many."""
    totals = [side.stages for side in many]
    families = list(dict.fromkeys(t.family for own in totals for t in own if t.instances))
    if not families:
        return None
    if len(many) > FEW:
        return _stage_lines(many, families)
    splits = [_split(side) for side in many]
    rows: list[str] = []
    wall = {f: sum(t.wall_ns for own in totals for t in own if t.family == f) for f in families}
    longest = sorted(families, key=lambda f: -wall[f])[: 24 // len(many)]
    shown = [family for family in families if family in longest]
    cells = [
        (family, place) for family in shown for place, own in enumerate(totals)
        if any(t.family == family and t.instances for t in own)
    ]  # fmt: skip
    found: list[Mean] = []
    for family, place in cells:
        total = next(t for t in totals[place] if t.family == family)
        found.append(Mean(total, many[place].alike[family], splits[place]))
        rows.append(f"{found[-1].label} · {many[place].name}")
    drawn = mean_parts(found)
    names = [name for name in PARTS if any(own.get(name) for own in drawn)]
    # of one kind of split each part has the name that tables have for it
    label = splits[0].label if len(set(splits)) == 1 else str
    parts = {label(name): [own.get(name) for own in drawn] for name in names}
    left = len(families) - len(shown)
    wholes = {split.whole for split in splits}
    whole = wholes.pop() if len(wholes) == 1 else "time"
    return split_bars(
        "stage-bar", "Stages side by side", rows, parts,
        of=f"{whole}, mean",
        summary=f"Mean time of {plural(len(shown), 'stage')} in {len(many)} traces, on one scale"
        + (f"; {left} more in the table only." if left else "."),
        table="stage-means",
    )  # fmt: skip


def _split(side: Side) -> Split:
    found = side.one.get(Stages)
    return Split.HOST if found is None else found.split(side.one.source)


def _stage_lines(many: Sequence[Side], families: Sequence[str]) -> Chart | None:
    """A line a stage over the traces, of stages that most of them have; None where there is none.

    A line through a few of many traces would join what is not alike.
    """
    means = [runs.means(side) for side in many]
    most = [f for f in families if sum(own.get(f) is not None for own in means) * 2 > len(many)]
    if not most:
        return None
    left = len(families) - len(most[:7])
    return lines(
        "stage-lines", "Mean wall time of each stage, trace by trace",
        list(range(1, len(many) + 1)),
        {family: [own.get(family) for own in means] for family in most[:7]},
        x_title="trace, in the order given", of="wall time",
        summary=f"Mean wall time of {plural(len(most[:7]), 'stage')} over {len(many)} traces"
        + (f"; {left} more in the table only." if left else "."),
        table="stage-means",
    )  # fmt: skip


def latency_chart(many: Sequence[Side]) -> Chart | None:
    """TTFT and TPOT of each trace on one scale; a trace is told by its label, not by a colour."""
    if len(many) > FEW:
        return None
    known = [(side.name, side.latency) for side in many if side.latency is not None]
    bars = {
        "TTFT": [(name, own.ttft_ns) for name, own in known],
        "TTFT without load": [(name, own.ttft_without_load_ns) for name, own in known],
        "TPOT": [(name, own.tpot_ns) for name, own in known],
    }
    rows = [row for row, own in bars.items() if sum(ns is not None for _, ns in own) > 1]
    if not rows:
        return None
    shown = [(f"{row} · {name}", ns) for row in rows for name, ns in bars[row] if ns is not None]
    return split_bars(
        "latency", "Time to first token, and to each later one",
        [label for label, _ in shown], {"total": [ns for _, ns in shown]},
        of="time, mean of the requests", switch=False,
        summary=f"{', '.join(rows)} of {len(many)} traces, on one scale", table="traces",
    )  # fmt: skip


def cost_chart(many: Sequence[Side]) -> Chart | None:
    """Prefill and decode by kind of work, a bar a trace."""
    if len(many) > FEW:
        return None
    costs = runs.costs(many)
    noun = costs.noun
    rows: list[str] = []
    cells: list[dict[str, float]] = []
    divided = True
    for phase in runs.phases(many, costs):
        has = [side for side in many if costs.rows(side, phase)]
        divided = divided and all(runs.instances(s, phase) for s in has)
        for side in has:
            sums: dict[str, float] = {}
            for row in costs.rows(side, phase):
                kind = row.category.value
                sums[kind] = sums.get(kind, 0) + row.cost_ns / runs.per(side, phase, has)
            rows.append(f"{phase} · {side.name}")
            cells.append(sums)
    if len(rows) < 2:
        return None
    kinds = list(dict.fromkeys(kind for own in cells for kind in own))
    kinds.sort(key=lambda kind: -sum(own.get(kind, 0) for own in cells))
    said = "mean" if divided else "all instances"
    return split_bars(
        "cost-bar", f"What each phase is made of: {noun} time by kind", rows,
        {kind: [own.get(kind, 0) for own in cells] for kind in kinds},
        of=f"{noun} time, {said}",
        summary=f"{noun.capitalize()} time of each phase by kind of work, a bar a trace",
        table="costs",
    )  # fmt: skip
