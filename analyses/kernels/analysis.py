"""Which kernels ran in which phase, how long, why they have their category, and who launched them.

Every kernel is in one row: its name, its category, and the phase of the stage or step that launched
it. Rows add up to the kernel time of the trace, as a sum of durations.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.answers.kernels import Kernel, Kernels, Origin, PhaseTotal, Share
from tracekit.attribution import links
from tracekit.attribution.alone import alone
from tracekit.attribution.kernels.categories import CATEGORIES, Classes, classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import devices
from tracekit.attribution.stages import work_phases
from tracekit.attribution.unfused import added, unfused
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results.catalog import Analysis
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

from . import graphs
from .findings import findings
from .first_screen import FIRST_SCREEN
from .origins import by_length, lines_of, origins_of, quantile, shapes
from .tables import DEFINITIONS, charts, tables


def kernels(trace: Trace, *, stages: str | None = None) -> Kernels:
    """Every kernel of the trace by name, category and phase.

    `stages` is a regular expression: annotations whose name it finds are the phases.
    Raises: MissingEventsError for a trace without kernels, or where `stages` matches nothing.
    """
    gpu = links.work(trace)
    row = np.flatnonzero(gpu.is_(Cat.KERNEL))
    if not len(row):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    phases = work_phases.of_work(trace, stages)
    classes = classify(trace)
    group_key, group = segments.distinct([gpu.name[row], classes.category[row], phases.code[row]])
    made = _rows(trace, row, group, group_key, phases, classes)
    totals = _phases(made, {name: phases.through.get(name) for name in phases.names})
    spec = devices.of_trace(trace)
    return replace(
        _finish(made, totals),
        unfused=unfused(trace, stages),
        graphs=origin.matches(trace),
        device=spec.name if spec is not None else None,
    )


def _rows(
    trace: Trace, row: I64, group: I64, key: I64, phases: work_phases.Phases, classes: Classes
) -> list[Kernel]:
    gpu = links.work(trace)
    duration, groups = gpu.dur[row], len(key)
    count = np.bincount(group, minlength=groups)
    first = np.cumsum(count) - count
    ordered = segments.sorted_within(group, duration)
    total = segments.sums(group, duration, groups)
    replays = np.bincount(group, weights=links.replayed(trace)[row], minlength=groups)
    origins = origins_of(trace, row, group, groups)
    uncovered = segments.sums(group, alone(trace)[row], groups)
    sizes = shapes(trace, row, group)
    lines = lines_of(trace, row, group, groups)
    median, p95 = (quantile(ordered, first, count, q) for q in (0.5, 0.95))
    return [
        Kernel(
            name=trace.strings[int(key[g, 0])],
            category=CATEGORIES[int(key[g, 1])],
            phase=phases.names[int(key[g, 2])],
            count=int(count[g]),
            total_ns=int(total[g]),
            mean_ns=int(total[g]) / int(count[g]),
            median_ns=float(median[g]),
            p95_ns=float(p95[g]),
            min_ns=int(ordered[first[g]]),
            max_ns=int(ordered[first[g] + count[g] - 1]),
            share=None,
            per_token_ns=None,
            only_here=None,
            replayed_count=int(replays[g]),
            grid=sizes[g][0] if g in sizes else None,
            block=sizes[g][1] if g in sizes else None,
            grid_count=sizes[g][2] if g in sizes else 0,
            op=origins[g][0].op,
            module=origins[g][0].module,
            rule=origins[g][0].rule,
            origins=tuple(origins[g]),
            alone_ns=int(uncovered[g]),
            line=lines[g],
        )
        for g in range(groups)
    ]


# ---------------------------------------------------------------- totals, of one trace or of many


def _phases(rows: Sequence[Kernel], tokens: dict[str, int | None]) -> tuple[PhaseTotal, ...]:
    mine: dict[str, list[Kernel]] = defaultdict(list)
    for row in rows:
        mine[row.phase].append(row)
    return tuple(
        PhaseTotal(
            phase=phase,
            count=sum(r.count for r in mine[phase]),
            total_ns=sum(r.total_ns for r in mine[phase]),
            other_ns=sum(r.total_ns for r in mine[phase] if r.category is Category.OTHER),
            by_op_ns=sum(
                o.total_ns for r in mine[phase] for o in r.origins if " op " in f" {o.rule}"
            ),
            tokens=made,
        )
        for phase, made in tokens.items()
        if phase in mine
    )


def _finish(rows: Iterable[Kernel], phases: tuple[PhaseTotal, ...]) -> Kernels:
    """The result of these rows, with every share taken anew."""
    whole = {p.phase: p for p in phases}
    real = {p.phase for p in phases} - work_phases.NO_PHASE
    places: dict[tuple[str, Category], set[str]] = defaultdict(set)
    kept = sorted(rows, key=lambda r: (-r.total_ns, r.name, r.category, r.phase))
    for row in kept:
        places[row.name, row.category].add(row.phase)
    done = tuple(
        replace(
            row,
            share=work_phases.share(row.total_ns, whole[row.phase].total_ns),
            per_token_ns=work_phases.per_token(row.total_ns, whole[row.phase].tokens),
            only_here=None
            if len(real) < 2 or row.phase not in real
            else places[row.name, row.category] & real == {row.phase},
        )
        for row in kept
    )
    total = sum(p.total_ns for p in phases)
    return Kernels(
        rows=done,
        phases=phases,
        categories=_categories(done, phases),
        other_share=work_phases.share(sum(p.other_ns for p in phases), total),
    )


def _categories(rows: Sequence[Kernel], phases: Sequence[PhaseTotal]) -> tuple[Share, ...]:
    count: Counter[tuple[str, Category]] = Counter()
    total: Counter[tuple[str, Category]] = Counter()
    uncovered: Counter[tuple[str, Category]] = Counter()
    for row in rows:
        uncovered[row.phase, row.category] += row.alone_ns
        count[row.phase, row.category] += row.count
        total[row.phase, row.category] += row.total_ns
    return tuple(
        Share(
            phase.phase, category, count[phase.phase, category], total[phase.phase, category],
            work_phases.share(total[phase.phase, category], phase.total_ns),
            work_phases.per_token(total[phase.phase, category], phase.tokens),
            uncovered[phase.phase, category],
        )
        for phase in phases
        for category in CATEGORIES
        if count[phase.phase, category]
    )  # fmt: skip


def merge(one: Kernels, two: Kernels) -> Kernels:
    """Rows of the same name, category and phase added up; shares taken anew."""
    rows: dict[tuple[str, Category, str], Kernel] = {}
    for row in (*one.rows, *two.rows):
        key = (row.name, row.category, row.phase)
        rows[key] = _add(rows[key], row) if key in rows else row
    tokens: dict[str, int | None] = {}
    for phase in (*one.phases, *two.phases):
        before = tokens.get(phase.phase, 0)
        known = before is not None and phase.tokens is not None
        tokens[phase.phase] = (before or 0) + (phase.tokens or 0) if known else None
    made = list(rows.values())
    return replace(
        _finish(made, _phases(made, tokens)),
        unfused=added((*one.unfused, *two.unfused)),
        graphs=graphs.merged((*one.graphs, *two.graphs)),
        device=one.device if one.device == two.device else None,
    )


def _add(one: Kernel, two: Kernel) -> Kernel:
    count, total = one.count + two.count, one.total_ns + two.total_ns
    sums: dict[tuple[str | None, str | None, str], list[int]] = {}
    for part in (*one.origins, *two.origins):
        at = sums.setdefault((part.op, part.module, part.rule), [0, 0])
        at[0] += part.count
        at[1] += part.total_ns
    origins = sorted((Origin(*key, n, ns) for key, (n, ns) in sums.items()), key=by_length)
    shaped = max(one, two, key=lambda r: (r.grid_count, r.grid or (), r.block or ()))
    return replace(
        one,
        count=count,
        total_ns=total,
        mean_ns=total / count,
        median_ns=None,
        p95_ns=None,
        min_ns=min(one.min_ns, two.min_ns),
        max_ns=max(one.max_ns, two.max_ns),
        replayed_count=one.replayed_count + two.replayed_count,
        grid=shaped.grid,
        block=shaped.block,
        grid_count=shaped.grid_count,
        op=origins[0].op,
        module=origins[0].module,
        rule=origins[0].rule,
        origins=tuple(origins),
        alone_ns=one.alone_ns + two.alone_ns,
        line=max(one, two, key=lambda r: (r.total_ns, r.line or "")).line,
    )


ANALYSIS = Analysis(
    title="Kernels",
    question="Which kernels ran in each phase, how long, what are they and who launched them?",
    run=kernels,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    needs=frozenset({"grids", "kernel_modules", "op_modules"}),
    order=40,
)
