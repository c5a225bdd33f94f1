"""A comparison as grids: splits, stages, kernels, ops, and every other number that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tracekit.compare import Comparison, Split, StageChange, relative
from tracekit.results import Column, Grid

DEFINITIONS = {
    "difference": "After less before.",
    "relative": "Difference over before.",
    "part": "A term of the total; the terms add up to it on both sides.",
    "by count": "Part of the difference that more or fewer runs make, at the mean before.",
    "by speed": "The rest: what each run took longer or less.",
    "state": "In both, only after (new) or only before (gone).",
}
MOST = 200


def _sides(unit: Literal["ns", "count"], of: str = "") -> tuple[Column, Column]:
    lead = f"{of} " if of else ""
    return Column(f"{lead}before", unit), Column(f"{lead}after", unit)


def tables(result: Comparison) -> list[Grid]:
    """The splits first, the headline at the top; at most 200 rows each."""
    grids = [_split_grid(at, split) for at, split in enumerate(result.splits)]
    if result.stages:
        grids.append(_stage_grid(result.stages))
    if result.kernels:
        grids += [_kernel_grid(result), _op_grid(result)]
    grids.append(_field_grid(result))
    return grids


_BY = {
    "clock": "what the GPU did meanwhile",
    "launch": "window of the work it launched",
    "host": "host time",
    "device": "window of the devices",
    "category": "by category",
}


def _split_grid(at: int, split: Split) -> Grid:
    columns = (
        Column("part", "text", DEFINITIONS["part"]), *_sides("ns"),
        Column("difference", "ns", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]),
    )  # fmt: skip
    rows = [
        (p.name, p.before_ns, p.after_ns, p.difference_ns, relative(p.before_ns, p.after_ns))
        for p in split.parts
    ]
    total = ("total", split.before_ns, split.after_ns, split.difference_ns, split.relative)
    title = f"{split.of}: {_BY[split.by]}"
    return Grid(f"split-{at}", title, columns, rows, total=total)


def _stage_grid(stages: Sequence[StageChange]) -> Grid:
    columns = (
        Column("stage"), Column("in", "text", DEFINITIONS["state"]),
        *_sides("count", "instances"), *_sides("ns"),
        Column("difference", "ns", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]), *_sides("ns", "mean"),
    )  # fmt: skip
    rows = [
        (s.stage, s.state, s.before_count, s.after_count, s.before_ns, s.after_ns, s.difference_ns,
         s.relative, s.before_mean_ns, s.after_mean_ns)
        for s in stages[:MOST]
    ]  # fmt: skip
    return Grid("stages", "Stages", columns, rows, _more(stages))


def _more(rows: Sequence[object]) -> str:
    left = len(rows) - MOST
    return f"{left:,} more rows are left out here." if left > 0 else ""


def _kernel_grid(result: Comparison) -> Grid:
    columns = (
        Column("kernel"), Column("category"), Column("phase"),
        Column("in", "text", DEFINITIONS["state"]), *_sides("count", "runs"), *_sides("ns"),
        Column("difference", "ns", DEFINITIONS["difference"]),
        Column("by count", "ns", DEFINITIONS["by count"]),
        Column("by speed", "ns", DEFINITIONS["by speed"]),
    )  # fmt: skip
    rows = [
        (k.name, k.category, k.phase or "any", k.state, k.before_count, k.after_count,
         k.before_ns, k.after_ns, k.difference_ns, k.by_count_ns, k.by_speed_ns)
        for k in result.kernels[:MOST]
    ]  # fmt: skip
    old, new = result.kernel_before_ns or 0, result.kernel_after_ns or 0
    total = ("all kernels", "", "", "", None, None, old, new, new - old, None, None)
    title = "Kernels, the largest change first"
    return Grid("kernels", title, columns, rows, _more(result.kernels), total)


def _op_grid(result: Comparison) -> Grid:
    columns = (
        Column("op"), Column("category"), Column("phase"),
        Column("kernels before"), Column("kernels after"), *_sides("ns"),
        Column("difference", "ns", DEFINITIONS["difference"]),
    )  # fmt: skip
    rows = [
        (o.op or "no op", o.category, o.phase or "any", _few(o.before_kernels),
         _few(o.after_kernels), o.before_ns, o.after_ns, o.difference_ns)
        for o in result.ops[:MOST]
    ]  # fmt: skip
    return Grid("ops", "What launched them: one kernel may replace another", columns, rows,
                _more(result.ops))  # fmt: skip


def _few(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(name if len(name) <= 60 else f"{name[:59]}…" for name in names[:2]) + rest


def _field_grid(result: Comparison) -> Grid:
    columns = (
        Column("analysis"), Column("row"), Column("number"), Column("before", "number"),
        Column("after", "number"), Column("difference", "number", DEFINITIONS["difference"]),
        Column("relative", "share", DEFINITIONS["relative"]),
    )  # fmt: skip
    kept = [f for f in result.fields if f.analysis not in ("stages", "kernels")]
    rows = [
        (f.analysis, f.row, f.field, f.before, f.after, f.difference, f.relative)
        for f in kept[:MOST]
    ]
    alone = _alone(result.only_before, "before") + _alone(result.only_after, "after")
    note = " ".join((_more(kept), *alone)).strip()
    return Grid("fields", "Every other number that differs", columns, rows, note)


def _alone(names: Mapping[str, str], side: str) -> list[str]:
    return [f"{name} is answered {side} only ({why})." for name, why in names.items()]
