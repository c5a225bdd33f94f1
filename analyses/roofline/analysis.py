"""How near each op came to the device's peaks, and the least time each stage needs.

An op with a formula is one call with its FLOPs, its least bytes, and the durations of the kernels
it launched. Peaks are a datasheet's; where the device is not known, rates are given and shares are
not. A bound from below or above is said to be one.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracekit.answers.roles import ModelFit, both_fits
from tracekit.answers.roofline import Coverage, Op, Roofline, Uncovered
from tracekit.answers.stages import Stages
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import devices, model_bounds
from tracekit.attribution.roofline.formulas.work import Work
from tracekit.attribution.roofline.left_over import NO_SHAPES
from tracekit.attribution.roofline.stage_bounds import StageBound, join, of_need
from tracekit.attribution.roofline.utilization import Rates, rates_of
from tracekit.attribution.stages import work_phases
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results.catalog import Analysis, ask
from tracekit.trace.trace import Cat, Trace

from . import op_rows
from .dimensions import by_dimensions, lacking, parts_of, unsized, with_stated, without_shapes
from .findings import findings
from .first_screen import FIRST_SCREEN
from .tables import DEFINITIONS, charts, tables


def roofline(trace: Trace, *, stages: str | None = None) -> Roofline:
    """Rates of ops with a formula, and the floor of our own captures' stages.

    Raises: MissingEventsError for a trace with neither kernels with shapes nor a floor.
    """
    spec = devices.of_trace(trace)
    found = _bounds(trace, spec)
    rows: list[Op] = []
    alike: list[Op] = []
    coverage: list[Coverage] = []
    uncovered: tuple[Uncovered, ...] = ()
    parts, fit = parts_of(trace, stages)
    stated = by_dimensions(parts, spec)
    shaped, why = False, None
    if not len(trace.of(Cat.KERNEL)):
        why = "no kernel events"
    elif not any(len(one.table("shapes")) for one in origin.hosts(trace)):
        why = NO_SHAPES
    else:
        shaped = True
    if shaped or parts:
        phases = work_phases.of_work(trace, stages)
        rows = op_rows.rows_of(trace, spec, phases)
        alike = op_rows.rows_of(trace, spec, phases, alike=True)
        coverage, uncovered = op_rows.coverage_of(trace, phases), op_rows.uncovered_of(trace)
    if not shaped and not found and not parts:
        refused = "" if fit is None else f", and {fit.name} is of no use: {fit.why}"
        raise MissingEventsError(
            f"{why or 'no kernel events'}{refused}",
            where=trace.path,
            hint="capture with record_shapes=True and a GPU visible",
        )
    coverage, uncovered = with_stated(coverage, parts), lacking(uncovered, parts)
    if why == NO_SHAPES:
        coverage, uncovered = unsized(coverage), op_rows.added(without_shapes(uncovered))
    return _finish(rows, alike, found, coverage, spec, why, uncovered, stated, fit)


# ---------------------------------------------------------------- the floor of stages


def _bounds(trace: Trace, spec: devices.Device | None) -> list[StageBound]:
    needs = model_bounds.needs(trace)
    took = _took(trace) if needs else {}
    return [of_need(need, took.get(need.stage), spec) for need in needs]


def _took(trace: Trace) -> dict[str, int]:
    """ns of each stage of our own: to the end of the marker or of its work, whichever is later."""
    try:
        stages = ask(trace, Stages)
    except MissingEventsError:
        return {}
    out: dict[str, int] = {}
    for one in stages.rows:
        end = one.start_ns + one.wall_ns
        if one.window is not None:
            end = max(end, sum(one.window))
        if not one.repeated:
            out[one.stage] = out.get(one.stage, 0) + end - one.start_ns
    return out


# ---------------------------------------------------------------- of one trace or of many


def _finish(
    rows: Iterable[Op], alike: Iterable[Op], found: Iterable[StageBound],
    coverage: Iterable[Coverage], spec: devices.Device | None, why: str | None,
    uncovered: tuple[Uncovered, ...], stated: Iterable[Op], fit: ModelFit | None,
) -> Roofline:  # fmt: skip
    cover = tuple(coverage)
    return Roofline(
        rows=_ordered(rows),
        alike=_ordered(alike),
        floors=tuple(found),
        coverage=cover,
        covered_share=work_phases.share(
            sum(c.covered_ns for c in cover), sum(c.kernel_ns for c in cover)
        ),
        sized_share=work_phases.share(
            sum(c.covered_ns for c in cover), sum(c.kernel_ns - c.unsized_ns for c in cover)
        ),
        device=spec.name if spec else None,
        source=spec.source if spec else None,
        peaks=dict(spec.flops) if spec else {},
        memory_bytes_per_s=spec.memory_bytes_per_s if spec else None,
        unshaped=why,
        uncovered=uncovered,
        stated=_ordered(stated),
        model=fit,
    )


def merge(one: Roofline, two: Roofline) -> Roofline:
    """Rows of the same op, shape, dtype and phase added up; peaks only where devices agree."""
    spec = _spec(one) if one.device == two.device else None
    rows = _joined((*one.rows, *two.rows), spec)
    alike = _joined((*one.alike, *two.alike), spec)
    coverage: dict[str, Coverage] = {}
    for part in (*one.coverage, *two.coverage):
        old = coverage.get(part.phase)
        coverage[part.phase] = part if old is None else Coverage(
            part.phase, old.kernel_ns + part.kernel_ns, old.dense_ns + part.dense_ns,
            old.covered_ns + part.covered_ns, old.alike_ns + part.alike_ns,
            old.communication_ns + part.communication_ns, old.unsized_ns + part.unsized_ns,
        )  # fmt: skip
    stages: dict[tuple[str, str], StageBound] = {}
    for floor in (*one.floors, *two.floors):
        at = (floor.stage, floor.dtype)
        stages[at] = join(stages.get(at), floor, spec)
    why = one.unshaped if one.unshaped and two.unshaped else None
    return _finish(
        rows, alike, stages.values(), coverage.values(), spec, why,
        op_rows.added((*one.uncovered, *two.uncovered)),
        _joined((*one.stated, *two.stated), spec), both_fits(one.model, two.model),
    )  # fmt: skip


def _ordered(rows: Iterable[Op]) -> tuple[Op, ...]:
    order = sorted(rows, key=lambda r: (-r.total_ns, r.op, r.shape, r.dtype, r.phase))
    return tuple(order)


def _joined(rows: Iterable[Op], spec: devices.Device | None) -> list[Op]:
    sums: dict[tuple[str, ...], Op] = {}
    for row in rows:
        key = (row.op, row.shape, row.dtype, row.category, row.phase, row.module or "")
        sums[key] = _add(sums[key], row, spec) if key in sums else _again(row, spec)
    return list(sums.values())


def _spec(result: Roofline) -> devices.Device | None:
    return next((d for d in devices.DEVICES if d.name == result.device), None)


def _again(row: Op, spec: devices.Device | None) -> Op:
    rates = _rates(row, row.flops, row.bytes, row.total_ns, spec)
    return _linked(replace(row, rates=rates), row.rates.floor_ns)


def _linked(row: Op, floor_ns: float | None) -> Op:
    """A row whose rates were taken anew, with the floor that links give a collective."""
    return replace(row, rates=op_rows.by_link(row, floor_ns or 0.0))


def _rates(row: Op, done: int, moved: int, ns: int, spec: devices.Device | None) -> Rates:
    """Of so many FLOPs and bytes of a row."""
    work = Work(done, moved, row.dtype, row.shape, None, row.family, row.known)
    return rates_of(work, 1, ns, spec, row.dtype)


def _add(one: Op, two: Op, spec: devices.Device | None) -> Op:
    longer = max(one, two, key=lambda r: (r.total_ns, r.kernel))
    done, moved, ns = one.flops + two.flops, one.bytes + two.bytes, one.total_ns + two.total_ns
    floors = [r.rates.floor_ns for r in (one, two)]
    both = None if None in floors else sum(ns or 0.0 for ns in floors)
    added = replace(
        longer,
        calls=one.calls + two.calls,
        kernels=one.kernels + two.kernels,
        total_ns=ns,
        flops=done,
        bytes=moved,
        rates=_rates(longer, done, moved, ns, spec),
        helper_ns=one.helper_ns + two.helper_ns,
        limit=one.limit if one.limit == two.limit else None,
    )
    return _linked(added, both)


ANALYSIS = Analysis(
    title="Roofline",
    question="How near did the work come to the device's peaks, and how fast could it be at best?",
    run=roofline,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    needs=frozenset({"shapes", "grids", "collectives"}),
    order=70,
)
