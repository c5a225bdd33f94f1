"""A comparison as grids: splits, stages, kernels, ops, what to do, and the numbers that matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

from tracekit.comparison import fields
from tracekit.comparison.comparability import Caution, Difference
from tracekit.comparison.compare import (
    NOT_ASKED,
    Comparison,
    FindingChange,
    KernelChange,
    Prediction,
    StageChange,
)
from tracekit.comparison.fields import LEAST_RELATIVE, LEAST_SHARE, relative
from tracekit.comparison.rates import Rate
from tracekit.comparison.splits import Split
from tracekit.records import replace
from tracekit.results import catalog
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration

DEFINITIONS = {
    "difference": "After less before.",
    "relative": "Difference over before.",
    "part": "A term of the total; the terms add up to it on both sides.",
    "by count": "Part of the difference that more or fewer runs make, at the mean before.",
    "by speed": "The rest: what each run took longer or less.",
    "beyond the spread": "Yes: every single one after is longer, or every one is shorter, than "
    "each before. No: they overlap, so the change may be chance.",
    "state": "In both, only after (new) or only before (gone).",
}
T = TypeVar("T")
MOST = 200
NUMBERS = 20  # other numbers in a table


def _both(unit: Literal["ns", "count", "number"], of: str = "") -> tuple[Column, Column]:
    lead = f"{of} " if of else ""
    return Column(f"{lead}before", unit), Column(f"{lead}after", unit)


def tables(result: Comparison) -> list[Grid]:
    """The splits first, the headline at the top; at most 200 rows each."""
    keys = split_keys(result.splits)
    grids = [_split_grid(key, split) for key, split in zip(keys, result.splits, strict=True)]
    if result.differences:
        grids.append(_difference_grid(result.differences))
    if result.audits.cautions:
        grids.append(_audit_grid(result.audits.cautions))
    if result.rates:
        grids.append(_rate_grid(result.rates))
    if result.stages:
        grids.append(_stage_grid(result.stages))
    if result.kernels:
        grids += [_kernel_grid(result), _op_grid(result)]
    if result.host_ops:
        grids.append(_host_grid(result))
    if result.findings:
        grids.append(_finding_grid(result.findings))
    if result.prediction is not None and result.prediction.rows:
        grids.append(_prediction_grid(result.prediction))
    grids += [_times_grid(result), _others_grid(result), _alone_grid(result)]
    return [_telling(grid) for grid in grids if grid.rows or grid.note]


def _telling(grid: Grid) -> Grid:
    """Without a column of phases that holds one phase only."""
    at = next((i for i, column in enumerate(grid.columns) if column.label == "phase"), None)
    if at is None or len({row[at] for row in grid.rows}) > 1:
        return grid

    def short(row: Sequence[T]) -> tuple[T, ...]:
        return (*row[:at], *row[at + 1 :])

    total = None if grid.total is None else short(grid.total)
    return replace(
        grid, columns=short(grid.columns), rows=[short(row) for row in grid.rows], total=total
    )


_MEANS = {
    "run": "other work: totals cannot be compared",
    "stage": "other work: totals cannot be compared",
    "recording": "recorded otherwise: totals cannot be compared",
    "setting": "may explain the change",
}


def _difference_grid(differences: Sequence[Difference]) -> Grid:
    columns = (
        Column("what"), Column("before"), Column("after"),
        Column("so", "text", "Other work, or work recorded otherwise: totals of the two cannot be "
               "compared. Where it ran, and how: what may explain a change of the same work."),
    )  # fmt: skip
    rows = [
        (f"instances of {d.what}" if d.kind == "stage" else d.what, d.before, d.after,
         _MEANS[d.kind])
        for d in differences[:MOST]
    ]  # fmt: skip
    return Grid("differences", "In what the runs differ", columns, rows,
                absent="– is not there, or not said.", beyond=_beyond(differences))  # fmt: skip


def _audit_grid(cautions: Sequence[Caution]) -> Grid:
    columns = (
        Column("side", "text", "The trace before, the one after, or both in the same words."),
        Column("effect", "text", "degraded: what it affects is off by what the finding says; "
               "refused: do not use it."), Column("finding"),
    )  # fmt: skip
    rows = [(c.side, c.effect, c.what) for c in cautions[:MOST]]
    title = "What the audit holds against the numbers"
    return Grid("audit", title, columns, rows, beyond=_beyond(cautions))


def _rate_grid(rates: Sequence[Rate]) -> Grid:
    columns = (
        Column("what", "text", "A request (TTFT), a token after the first (TPOT), or one instance "
               "of a stage, mean."),
        *_both("ns"), Column("difference", "ns", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]),
        Column("beyond the spread", "text", DEFINITIONS["beyond the spread"]),
    )  # fmt: skip
    rows = [
        (r.what, r.before_ns, r.after_ns, r.difference_ns, r.relative,
         None if r.clear is None else "yes" if r.clear else "no")
        for r in rates[:MOST]
    ]  # fmt: skip
    title = "Per request, per token and per instance of a stage"
    return Grid("rates", title, columns, rows, beyond=_beyond(rates))


_BY = {
    "stage": "stage by stage",
    "clock": "what the GPU did meanwhile",
    "launch": "window of the work it launched",
    "host": "host time",
    "device": "its window",
    "category": "by category",
}


def split_keys(splits: Sequence[Split]) -> list[str]:
    """The key of each: what is split by what, so that it is the same whatever else is split."""
    keys: list[str] = []
    for split in splits:
        of = re.sub(r"[^a-z0-9]+", "-", split.of.lower()).strip("-")[:40]
        key = f"split-{of or 'other'}-by-{split.by}"
        alike = sum(k == key or k.startswith(f"{key}-") for k in keys)
        keys.append(f"{key}-{alike + 1}" if alike else key)
    return keys


def _split_grid(key: str, split: Split) -> Grid:
    columns = (
        Column("part", "text", DEFINITIONS["part"]), *_both("ns"),
        Column("difference", "ns", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]),
    )  # fmt: skip
    rows = [
        (p.name, p.before_ns, p.after_ns, p.difference_ns, relative(p.before_ns, p.after_ns))
        for p in split.parts
    ]
    total = ("total", split.before_ns, split.after_ns, split.difference_ns, split.relative)
    title = f"{upper(split.of)}: {_BY[split.by]}"
    return Grid(key, title, columns, rows, total=total)


def upper(of: str) -> str:
    """What a split is of, at the beginning of a title: the name of a stage stays as it is."""
    return f"{of[:1].upper()}{of[1:]}" if of.startswith(("all ", "durations ", "the ")) else of


def _stage_grid(stages: Sequence[StageChange]) -> Grid:
    columns = (
        Column("stage"), Column("in", "text", DEFINITIONS["state"]),
        Column("difference", "ns", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]), *_both("ns"),
        *_both("count", "instances"), *_both("ns", "mean"),
    )  # fmt: skip
    rows = [
        (s.stage, s.state, s.difference_ns, s.relative, s.before_ns, s.after_ns, s.before_count,
         s.after_count, s.before_mean_ns, s.after_mean_ns)
        for s in stages[:MOST]
    ]  # fmt: skip
    return Grid("stages", "Stages", columns, rows, beyond=_beyond(stages))


def _beyond(rows: Sequence[object]) -> int:
    """How many rows only the JSON has."""
    return max(len(rows) - MOST, 0)


def _change_columns(noun: str) -> tuple[Column, ...]:
    """Those of kernels and of ops; what matters most stands left, where narrow screens end."""
    return (
        Column(noun), Column("phase"), Column("in", "text", DEFINITIONS["state"]),
        Column("difference", "ns", DEFINITIONS["difference"]), *_both("ns"),
        Column("category"), *_both("count", "runs"),
        Column("by count", "ns", DEFINITIONS["by count"]),
        Column("by speed", "ns", DEFINITIONS["by speed"]),
    )  # fmt: skip


def _change_row(k: KernelChange) -> tuple[object, ...]:
    return (
        k.name, k.phase or "any", k.state, k.difference_ns, k.before_ns, k.after_ns, k.category,
        k.before_count, k.after_count, k.by_count_ns, k.by_speed_ns,
    )  # fmt: skip


def _kernel_grid(result: Comparison) -> Grid:
    rows = [_change_row(k) for k in result.kernels[:MOST]]
    old, new = result.kernel_before_ns or 0, result.kernel_after_ns or 0
    total = ("all kernels", "", "", new - old, old, new, "", None, None, None, None)
    title = "Kernels, the largest change first"
    columns = _change_columns("kernel")
    return Grid("kernels", title, columns, rows, total=total, beyond=_beyond(result.kernels))


def _op_grid(result: Comparison) -> Grid:
    columns = (
        Column("op"), Column("difference", "ns", DEFINITIONS["difference"]), *_both("ns"),
        Column("category"), Column("phase"), Column("kernels before"), Column("kernels after"),
    )  # fmt: skip
    rows = [
        (o.op or "no op", o.difference_ns, o.before_ns, o.after_ns, o.category, o.phase or "any",
         _few(o.before_kernels), _few(o.after_kernels))
        for o in result.ops[:MOST]
    ]  # fmt: skip
    return Grid("ops", "What launched them: one kernel may replace another", columns, rows,
                beyond=_beyond(result.ops))  # fmt: skip


def _few(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(name if len(name) <= 60 else f"{name[:59]}…" for name in names[:2]) + rest


def _host_grid(result: Comparison) -> Grid:
    rows = [_change_row(o) for o in result.host_ops[:MOST]]
    title = "Ops by host time without the ops inside, the largest change first"
    return Grid("host-ops", title, _change_columns("op"), rows, beyond=_beyond(result.host_ops))


def _finding_grid(findings: Sequence[FindingChange]) -> Grid:
    columns = (
        Column("what to do"), Column("stage"), Column("found", "text", "On both sides, only after "
               "(new) or only before (gone)."), *_both("ns", "saves,"),
        Column("finding", "text", "As it is after; one that is gone as it was."),
    )  # fmt: skip
    rows = [
        (f.do, f.stage or "",
         "new" if f.before is None else "gone" if f.after is None else "both",
         f.before_saves_ns, f.after_saves_ns, f.after or f.before)
        for f in findings[:MOST]
    ]  # fmt: skip
    return Grid("findings", "What to do, before and after", columns, rows, beyond=_beyond(findings),
                absent="– is not found on that side, or has no bound.")  # fmt: skip


def _prediction_grid(prediction: Prediction) -> Grid:
    columns = (
        Column("if only this had changed", "text", "Kernels of a category take as much longer or "
               "shorter, in each phase, as they do after; all else stays."),
        Column("their durations", "ns", "By how much these kernels changed, added up."),
        Column("of"), Column("clock"),
        Column("predicted", "ns", "Difference by a replay of BEFORE; docs/whatif.md says how far "
               "it can be believed."),
        Column("at least", "ns"), Column("at most", "ns"),
        Column("measured", "ns", "The difference as it is, whatever its cause."),
    )  # fmt: skip
    shown = prediction.rows[:MOST]
    several = {f.change for f in shown if sum(g.change == f.change for g in shown) > 1}
    rows = [
        (f"{f.change}: {f.stage}" if f.change in several else f.change, f.kernel_ns, f.stage,
         f.clock, f.predicted_ns, f.low_ns, f.high_ns, f.measured_ns)
        for f in shown
    ]  # fmt: skip
    note = (
        "What lies between predicted and measured is no kernel's (launches, waits, host work), or "
        "the error of the replay. Stages that change by under 1 % either way are left out."
    )
    return Grid("predicted", "What a replay of the trace before had predicted", columns, rows, note,
                absent="– is not said: a change alone was not measured, or the replay is too far "
                "off.")  # fmt: skip


def least_ns(result: Comparison) -> float:
    """The change of time from which a number is worth a row: a part of the headline."""
    head = result.splits[0] if result.splits else None
    return LEAST_SHARE * max(head.before_ns, head.after_ns) if head else 1


def _times_grid(result: Comparison) -> Grid:
    least = least_ns(result)
    columns = (
        Column("time"), Column("of"),
        Column("difference", "ns", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]), *_both("ns"), Column("ask with"),
    )  # fmt: skip
    kept = fields.times(result.fields, least, _said(result))
    rows = [
        (
            _words(f.field),
            f.row or "all",
            f.difference,
            f.relative,
            f.before,
            f.after,
            f"--only {f.analysis}",
        )
        for f in kept[:NUMBERS]
    ]
    floor = f"Changes under {duration(least)} or {LEAST_RELATIVE:.0%} are left out; --json has all."
    title = "Other times that changed, the largest change first"
    beyond = len(kept) - len(rows)
    return Grid("times", title, columns, rows, floor if rows else "", beyond=beyond)


def _said(result: Comparison) -> Iterator[tuple[float | None, float | None]]:
    """The pairs of times that other tables have."""
    for split in result.splits:
        yield split.before_ns, split.after_ns
        for part in split.parts:
            yield part.before_ns, part.after_ns
    for stage in result.stages:
        yield stage.before_ns, stage.after_ns
    for rate in result.rates:
        yield rate.before_ns, rate.after_ns
    for found in result.findings:
        yield found.before_saves_ns, found.after_saves_ns


def _others_grid(result: Comparison) -> Grid:
    columns = (
        Column("number"), Column("of"), *_both("number"),
        Column("difference", "number", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]), Column("ask with"),
    )  # fmt: skip
    kept = fields.others(result.fields)
    rows = [
        (
            _words(f.field),
            f.row or "all",
            f.before,
            f.after,
            f.difference,
            f.relative,
            f"--only {f.analysis}",
        )
        for f in kept[:NUMBERS]
    ]
    beyond = len(kept) - len(rows)
    return Grid("others", "Other counts and sizes that changed", columns, rows, beyond=beyond)


def _title(analysis: str) -> str:
    return catalog.analysis(analysis).title if analysis in catalog.analyses() else analysis


def _words(field: str) -> str:
    """A field's name as words: 'rows.causes.host_ns' is 'causes, host'."""
    parts = field.removeprefix("rows.").removesuffix("_ns").removesuffix(".ns").split(".")
    return ", ".join(part.replace("_", " ") for part in parts)


def alone(result: Comparison) -> list[str]:
    """What one side alone answered, and why the other did not: a phrase a reason."""
    out = []
    for side, other, names in (
        ("before", "after", result.only_before), ("after", "before", result.only_after),
    ):  # fmt: skip
        by_reason: dict[str, list[str]] = {}
        for name, why in names.items():
            by_reason.setdefault(why, []).append(name)
        out += [
            f"{', '.join(own)} ({other}: {why})" if why != NOT_ASKED
            else f"{', '.join(own)} (asked {side} only)"
            for why, own in by_reason.items()
        ]  # fmt: skip
    return out


def _alone_grid(result: Comparison) -> Grid:
    columns = (
        Column("analysis"), Column("answered"),
        Column("why not the other", "text", "The reason that the other trace gives."),
    )  # fmt: skip
    rows = [
        (_title(name), side, why)
        for side, names in (("before", result.only_before), ("after", result.only_after))
        for name, why in names.items()
    ]
    return Grid("alone", "What one side alone answers", columns, rows)
