"""Charts over several traces on one scale: a trace is told by its label, not by a colour."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.report.many import runs
from tracekit.report.many.runs import FEW, Side
from tracekit.report.one.key_numbers import token_numbers
from tracekit.report.one.overview import PARTS, spent, split_of, stage_totals
from tracekit.results.figures import Chart, lines, split_bars


def stage_chart(many: Sequence[Side]) -> Chart | None:
    """Stages of each trace on one scale: bars for a few traces, lines for many."""
    totals = [stage_totals(side.plain.get("stages")) for side in many]
    families = list(dict.fromkeys(t["family"] for own in totals for t in own if t["instances"]))
    if not families:
        return None
    if len(many) > FEW:
        return _stage_lines(many, families)
    kinds = [split_of(s.one, s.plain, own) for s, own in zip(many, totals, strict=True)]
    rows: list[str] = []
    wall = {f: sum(t["wall_ns"] for own in totals for t in own if t["family"] == f)
            for f in families}  # fmt: skip
    longest = sorted(families, key=lambda f: -wall[f])[: 24 // len(many)]
    shown = [family for family in families if family in longest]
    cells = [
        (family, place) for family in shown for place, own in enumerate(totals)
        if any(t["family"] == family for t in own)
    ]  # fmt: skip
    found: list[tuple[dict[str, int], int]] = []
    for family, place in cells:
        total = next(t for t in totals[place] if t["family"] == family)
        rows.append(f"{family} · {many[place].name}")
        found.append((spent(total, kinds[place]), total["instances"]))
    names = [name for name in PARTS if any(own.get(name) for own, _ in found)]
    parts = {name: [own[name] / n if name in own else None for own, n in found] for name in names}
    left = len(families) - len(shown)
    wholes = {kind.whole for kind in kinds}
    whole = wholes.pop() if len(wholes) == 1 else "time"
    return split_bars(
        "stage-bar", "Stages side by side", rows, parts,
        of=f"{whole}, mean",
        summary=f"Mean time of {len(shown)} stages in {len(many)} traces, on one scale"
        + (f"; {left} more are in the table only." if left else "."),
        table="stage-means",
    )  # fmt: skip


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
        summary=f"Mean wall time of {len(most[:7])} stages over {len(many)} traces"
        + (f"; {left} more are in the table only." if left else "."),
        table="stage-means",
    )  # fmt: skip


def latency_chart(many: Sequence[Side]) -> Chart | None:
    """TTFT and TPOT of each trace on one scale; a trace is told by its label, not by a colour."""
    if len(many) > FEW:
        return None
    found = [token_numbers(side.plain.get("tokens")) for side in many]
    names = {"TTFT": "ttft_ns", "TTFT without load": "ttft_without_load_ns", "TPOT": "tpot_ns"}
    rows = [name for name, key in names.items() if sum(f[key] is not None for f in found) > 1]
    if not rows:
        return None
    shown = [(row, side.name, own[names[row]]) for row in rows
             for side, own in zip(many, found, strict=True)]  # fmt: skip
    return split_bars(
        "latency", "Time to first token, and to each later one",
        [f"{row} · {name}" for row, name, value in shown if value is not None],
        {"total": [value for *_, value in shown if value is not None]},
        of="time, mean of the requests", switch=False,
        summary=f"{', '.join(rows)} of {len(many)} traces, on one scale", table="traces",
    )  # fmt: skip


def cost_chart(many: Sequence[Side]) -> Chart | None:
    """Prefill and decode by kind of work, a bar a trace."""
    if len(many) > FEW:
        return None
    analysis, key, noun = runs.source(many)
    rows: list[str] = []
    cells: list[dict[str, float]] = []
    divided = True
    for phase in runs.phases(many, analysis):
        has = [s for s in many if phase in runs.costs_of(s, analysis, key, phase)[1]]
        divided = divided and all(runs.instances(s, phase) for s in has)
        for side in has:
            sums: dict[str, float] = {}
            for row in side.plain[analysis]["rows"]:
                if row["phase"] == phase:
                    kind = row["category"]
                    sums[kind] = sums.get(kind, 0) + row[key] / runs.per(side, phase, has)
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
