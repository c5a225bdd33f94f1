"""Which framework ops the host spent its time in, by phase: what a trace without kernels can say.

Self time is an op's own, without the ops inside it, so rows add up. Of `a`, self time 5 − 2 = 3:

    mark  pppppppp....
    op    .aaaaa......
    op    ..bb........
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from tracekit.answers.ops import Op, Ops, PhaseTotal
from tracekit.attribution import links
from tracekit.attribution.kernels.categories import CATEGORIES, op_categories
from tracekit.attribution.stages import prefill_vs_decode, work_phases
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid, defined
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import Trace

from .first_screen import FIRST_SCREEN


def ops(trace: Trace, *, stages: str | None = None) -> Ops:
    """Every op of the trace by name, category and phase.

    `stages` is a regular expression: annotations whose name it finds are the phases.
    Raises: MissingEventsError for a trace without ops, or where `stages` matches nothing.
    """
    every = links.ops(trace)
    if not len(every):
        raise MissingEventsError(
            "no framework ops", where=trace.path, hint="capture with ProfilerActivity.CPU"
        )
    phases = work_phases.of_ops(trace, stages)
    names, tokens = phases.names, phases.through
    key, group = segments.distinct([every.name, op_categories(trace), phases.code])
    count = np.bincount(group, minlength=len(key))
    own = segments.sums(group, links.op_self_ns(trace), len(key))
    whole = segments.sums(group, every.dur, len(key))
    rows = [
        Op(
            trace.strings[name], CATEGORIES[category], names[at], int(n), int(self_ns), int(total),
            int(self_ns) / int(n), None, None, None,
        )
        for (name, category, at), n, self_ns, total in zip(
            key.tolist(), count, own, whole, strict=True
        )
    ]  # fmt: skip
    return _finish(rows, {name: tokens.get(name) for name in names})


# ---------------------------------------------------------------- totals, of one trace or of many


def _finish(rows: Iterable[Op], tokens: dict[str, int | None]) -> Ops:
    """The result of these rows, with every share taken anew."""
    kept = sorted(rows, key=lambda r: (-r.self_ns, r.name, r.category, r.phase))
    mine: dict[str, list[Op]] = defaultdict(list)
    places: dict[tuple[str, Category], set[str]] = defaultdict(set)
    for row in kept:
        mine[row.phase].append(row)
        places[row.name, row.category].add(row.phase)
    phases = tuple(
        PhaseTotal(
            phase, sum(r.count for r in mine[phase]), sum(r.self_ns for r in mine[phase]), made
        )
        for phase, made in tokens.items()
        if phase in mine
    )
    whole = {p.phase: p for p in phases}
    real = set(whole) - work_phases.NO_PHASE
    done = tuple(
        replace(
            row,
            share=work_phases.share(row.self_ns, whole[row.phase].self_ns),
            per_token_ns=work_phases.per_token(row.self_ns, whole[row.phase].tokens),
            only_here=None
            if len(real) < 2 or row.phase not in real
            else places[row.name, row.category] & real == {row.phase},
        )
        for row in kept
    )
    return Ops(done, phases)


def merge(one: Ops, two: Ops) -> Ops:
    """Rows of the same name, category and phase added up; shares taken anew."""
    rows: dict[tuple[str, Category, str], Op] = {}
    for row in (*one.rows, *two.rows):
        key = (row.name, row.category, row.phase)
        rows[key] = _add(rows[key], row) if key in rows else row
    tokens: dict[str, int | None] = {}
    for phase in (*one.phases, *two.phases):
        before = tokens.get(phase.phase, 0)
        known = before is not None and phase.tokens is not None
        tokens[phase.phase] = (before or 0) + (phase.tokens or 0) if known else None
    return _finish(rows.values(), tokens)


def _add(one: Op, two: Op) -> Op:
    count, own = one.count + two.count, one.self_ns + two.self_ns
    return replace(
        one, count=count, self_ns=own, total_ns=one.total_ns + two.total_ns,
        mean_self_ns=own / count,
    )  # fmt: skip


# ---------------------------------------------------------------- tables

DEFINITIONS = {
    "phase": "The stage or step in which the op starts: a step with prefill and decode is mixed.",
    "category": "What the op does, by its name and the ops around it.",
    "count": "How often the op ran.",
    "self": "Host time of the op without the ops inside it, added up over threads.",
    "total": "Host time of the op with the ops inside it; an op inside its own kind counts twice.",
    "share": "Part of the self time of all ops of the phase.",
    "mean self": "Self time over count.",
    "per token": "Self time over the tokens that prefill read, or that decode generated, all batch "
    "rows counted.",
    "only here": "Whether no other phase of the trace ran this op.",
}
MOST = 200


def tables(result: Ops) -> list[Grid]:
    return [*_prefill_vs_decode(result), _op_grid(result), _phase_grid(result)]


def _prefill_vs_decode(result: Ops) -> list[Grid]:
    return prefill_vs_decode.grid(
        result.rows, noun="op", measure="self", ns=lambda row: int(row.self_ns),
        title="Prefill beside decode, op by op", definitions=DEFINITIONS,
    )  # fmt: skip


def _op_grid(result: Ops) -> Grid:
    columns = (Column("op"), *defined(DEFINITIONS, {
        "category": "text", "phase": "text", "count": "count", "self": "ns", "share": "share",
        "mean self": "ns", "total": "ns", "per token": "ns",
    }))  # fmt: skip
    rows = [
        (r.name, r.category.value, r.phase, r.count, r.self_ns, r.share, r.mean_self_ns,
         r.total_ns, r.per_token_ns)
        for r in result.rows[:MOST]
    ]  # fmt: skip
    beyond = len(result.rows) - len(rows)
    return Grid("ops", "Ops by self time, the longest first", columns, rows, beyond=beyond)


def _phase_grid(result: Ops) -> Grid:
    columns = (
        *defined(DEFINITIONS, {"phase": "text"}),
        Column("ops", "count", DEFINITIONS["count"]),
        *defined(DEFINITIONS, {"self": "ns"}),
        prefill_vs_decode.TOKEN_COUNT,
    )
    rows = [(p.phase, p.count, p.self_ns, p.tokens) for p in result.phases[:MOST]]
    count, own = sum(p.count for p in result.phases), sum(p.self_ns for p in result.phases)
    return Grid("phases", "Op time by phase", columns, rows, "", ("all", count, own, None))


def charts(result: Ops) -> list[Chart]:
    """Prefill against decode, op by op, where the trace has both."""
    found = prefill_vs_decode.both_phases(
        result.rows, {p.phase: p.self_ns for p in result.phases},
        {p.phase: p.tokens for p in result.phases}, name=lambda row: row.name,
    )  # fmt: skip
    return prefill_vs_decode.slope(
        found, of="op time", title="Prefill against decode, op by op",
        summary="Host time of each op without the ops inside, in prefill and in decode, a line "
        "each.",
    )  # fmt: skip


ANALYSIS = Analysis(
    title="Ops",
    question="Which framework ops took the host's time in each phase, and how often did they run?",
    run=ops,
    merge=merge,
    tables=tables,
    charts=charts,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    order=45,
)
