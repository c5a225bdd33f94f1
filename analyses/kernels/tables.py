"""Kernels as tables and charts, and what their columns mean."""

from __future__ import annotations

from tracekit.answers.kernels import Kernels, Shape
from tracekit.attribution.kernels.categories import CATEGORIES
from tracekit.attribution.stages import prefill_vs_decode, work_phases
from tracekit.results import figures
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid, defined
from tracekit.taxonomy import Category

from . import graphs

DEFINITIONS = {
    "phase": "The stage or step around the launch: a step with prefill and decode is mixed.",
    "category": "What the kernel does: by the op that launched it, else by its own name.",
    "rule": "What decided the category: an op, a part of the name, or no rule.",
    "count": "Kernel runs, one for each kernel event.",
    "total": "Durations added up: more than elapsed time where streams overlap.",
    "share": "Part of the durations of all kernels of the phase.",
    "mean": "Total over count.",
    "median": "Half of the runs were shorter; not given for several traces added up.",
    "p95": "95 % of the runs were shorter; not given for several traces added up.",
    "per token": "Total over the tokens that prefill read, or that decode generated, all batch "
    "rows counted.",
    "only here": "Whether no other phase of the trace ran this kernel.",
    "line": "The innermost line of the program's own code around the launch of most of its time, "
    "where Python stacks were recorded; of a library only where there is no other.",
    "grid": "Blocks of the most frequent launch, x × y × z.",
    "block": "Threads a block of that launch, x × y × z.",
    "op": "The innermost framework op around the launch of most of its time; of replayed work, "
    "around the launch that it was captured from, where that is known.",
    "module": "Class of the innermost nn.Module around that launch; of a CUDA graph's work, the "
    "name that torch wrote on it, * for any layer.",
    **graphs.DEFINITIONS,
    "other": "Kernel time that no rule gives a category.",
    "by op": "Kernel time whose category the launching op decided; the rest is by name.",
}
MOST = 200


def _size(launch: Shape | None) -> str | None:
    return " × ".join(str(n) for n in launch) if launch else None


def tables(result: Kernels) -> list[Grid]:
    grids = [*_prefill_vs_decode(result), _phase_grid(result), _category_grid(result)]
    return [*grids, _kernel_grid(result), _origin_grid(result), *graphs.grid(result)]


def _phase_grid(result: Kernels) -> Grid:
    columns = (
        *defined(DEFINITIONS, {"phase": "text"}),
        Column("kernels", "count", DEFINITIONS["count"]),
        *defined(DEFINITIONS, {"total": "ns", "by op": "share", "other": "share"}),
        prefill_vs_decode.TOKEN_COUNT,
    )
    rows = [
        (p.phase, p.count, p.total_ns, work_phases.share(p.by_op_ns, p.total_ns),
         work_phases.share(p.other_ns, p.total_ns), p.tokens)
        for p in result.phases
    ]  # fmt: skip
    count, total = sum(p.count for p in result.phases), sum(p.total_ns for p in result.phases)
    by_op = work_phases.share(sum(p.by_op_ns for p in result.phases), total)
    last = ("all", count, total, by_op, result.other_share, None)
    return Grid("phases", "Kernel time by phase", columns, rows[:MOST], "", last)


def _category_grid(result: Kernels) -> Grid:
    columns = defined(DEFINITIONS, {
        "category": "text", "phase": "text", "count": "count", "total": "ns", "share": "share",
        "per token": "ns",
    })  # fmt: skip
    rows = [
        (c.category.value, c.phase, c.count, c.total_ns, c.share, c.per_token_ns)
        for c in sorted(result.categories, key=lambda c: CATEGORIES.index(c.category))
    ]
    return Grid("categories", "Kernel time by category", columns, rows[:MOST])


def _prefill_vs_decode(result: Kernels) -> list[Grid]:
    return prefill_vs_decode.grid(
        result.rows, noun="kernel", measure="total", ns=lambda row: int(row.total_ns),
        title="Prefill beside decode", definitions=DEFINITIONS,
        note="Steps that mix prefill and decode are in neither column.",
    )  # fmt: skip


def _kernel_grid(result: Kernels) -> Grid:
    with_lines = any(row.line for row in result.rows)
    columns = (Column("kernel"), *defined(DEFINITIONS, {
        "category": "text", "phase": "text", "count": "count", "total": "ns", "share": "share",
        "mean": "ns", "median": "ns", "p95": "ns", "per token": "ns",
        **({"line": "text"} if with_lines else {}),
    }))  # fmt: skip
    rows = [
        (r.name, r.category.value, r.phase, r.count, r.total_ns, r.share, r.mean_ns, r.median_ns,
         r.p95_ns, r.per_token_ns, *((r.line or "",) if with_lines else ()))
        for r in result.rows[:MOST]
    ]  # fmt: skip
    beyond = len(result.rows) - len(rows)
    return Grid("kernels", "Kernels, the longest first", columns, rows, beyond=beyond)


def _origin_grid(result: Kernels) -> Grid:
    names = ("phase", "op", "module", "rule", "grid", "block", "only here")
    columns = (Column("kernel"), *defined(DEFINITIONS, dict.fromkeys(names, "text")))
    rows = [
        (r.name, r.phase, r.op or "", r.module or "", r.rule, _size(r.grid), _size(r.block),
         {True: "yes", False: "no", None: None}[r.only_here])
        for r in result.rows[:MOST]
    ]  # fmt: skip
    title = "What launched each kernel, and with what grid"
    return Grid("origins", title, columns, rows, beyond=len(result.rows) - len(rows))


def charts(result: Kernels) -> list[Chart]:
    phases = [p.phase for p in result.phases]
    by_place = {(c.category, c.phase): c for c in result.categories}
    used = [c for c in CATEGORIES if any((c, phase) in by_place for phase in phases)]

    def total(category: Category, phase: str) -> int:
        found = by_place.get((category, phase))
        return found.total_ns if found else 0

    out = [
        figures.split_bars(
            "categories", "Kernel time by category", phases,
            {c.value: [total(c, phase) for phase in phases] for c in used},
            of="kernel time", table="categories",
            summary="For each phase, the durations of its kernels by what they do.",
        )
    ]  # fmt: skip
    return [*_slope(result), *out]


def _slope(result: Kernels) -> list[Chart]:
    """Prefill against decode by the op that launched the kernels, else by category.

    The same product runs other kernels in the two phases: names of kernels do not match.
    """
    known = {
        phase: sum(r.total_ns for r in result.rows if r.phase == phase and r.op)
        for phase in prefill_vs_decode.BOTH
    }
    wholes = {p.phase: p.total_ns for p in result.phases}
    by_op = all(2 * ns > wholes.get(phase, 0) for phase, ns in known.items())
    found = prefill_vs_decode.both_phases(
        result.rows, wholes, {p.phase: p.tokens for p in result.phases},
        name=lambda row: (row.op or "no op") if by_op else row.category.value,
    )  # fmt: skip
    what = "op" if by_op else "kind of kernel"
    return prefill_vs_decode.slope(
        found, of="kernel time", title=f"Prefill against decode, {what} by {what}",
        summary=f"Kernel time of each {what} in prefill and in decode, a line each.",
    )  # fmt: skip
