"""The same place of a layer in prefill and in decode: which GEMM became a matrix-vector product.

Kernels (ops, on a trace without a GPU) are aligned by their order around each layer's attention,
which graph replays keep too; where the order repeats no layer, GEMMs are aligned by their weights.
Rows of a phase add up to its kernel time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np

from tracekit.answers.roles import Aligned, ModelFit, Part, Role, Roles, both_fits
from tracekit.attribution.roofline import devices
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.prefill_vs_decode import BOTH
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.results.units import share
from tracekit.trace.trace import Trace

from . import dimensions, gemm_calls, given, metadata, placement, role_rows
from .findings import findings
from .first_screen import FIRST_SCREEN
from .gemm_calls import PHASES
from .parts import parts_of

LEAST = 0.005  # of a phase: a place with less is in the table only


def roles(trace: Trace, *, stages: str | None = None) -> Roles:
    """Every kernel of prefill, decode and mixed steps by its place in a layer.

    `stages` is a regular expression: annotations whose name it finds are the phases.
    Raises: MissingEventsError for a trace without such phases, or in which no layer repeats.
    """
    found = gemm_calls.items(trace, stages)
    if not len(found.phase):
        raise MissingEventsError(
            "no step of prefill or decode is marked",
            where=trace.path,
            hint="capture with `tracekit capture`, or name the steps (stages)",
        )
    calls = gemm_calls.calls(trace, found)
    codes = np.unique(found.phase).tolist()
    made = placement.by_order(found, calls, codes)
    if made is None or len(made.layouts) < len(codes):
        made = placement.by_weights(found, calls, codes) or made
    if made is None:
        raise MissingEventsError(
            "no layer repeats in the order of GEMMs and attention",
            where=trace.path,
            hint="capture with record_shapes=True to align GEMMs by their weights",
        )
    phases = (work_phases.of_work if found.on_gpu else work_phases.of_ops)(trace, stages)
    spec = devices.of_trace(trace) if found.on_gpu else None
    most = work_phases.step_rows(trace, stages)
    aligned = role_rows.phases_of(found, calls, made, phases.tokens, most)
    seen = role_rows.rows_of(trace, found, calls, made)
    known = metadata.stated(trace, seen, aligned)
    said, fit = given.fit(
        trace, given.Seen(found, calls, made, seen, aligned, spec, stages), known is not None
    )
    known = known or said
    rows = dimensions.filled(known, seen)
    told = known.origin if known is not None and rows != seen else None
    shapes = "recorded" if any(r.rows for r in seen) else told
    parts = parts_of(trace, found, made, rows, known)
    return _finish(rows, aligned, found.on_gpu, spec, shapes, parts, fit)


# ---------------------------------------------------------------- of one trace or of many


def _finish(
    rows: Iterable[Role], phases: Iterable[Aligned], on_gpu: bool,
    spec: devices.Device | None, shapes: str | None, parts: Iterable[Part], fit: ModelFit | None,
) -> Roles:  # fmt: skip
    """The result of these rows, with all that needs a whole, or another phase, taken anew."""
    whole = {p.phase: p for p in phases}
    kept = sorted(rows, key=lambda r: (r.place, r.role, PHASES.index(r.phase)))
    recorded = {r.role: r for r in kept if r.weight_bytes is not None and r.rows is not None}
    done = tuple(
        role_rows.measured(row, whole[row.phase], recorded.get(row.role), spec) for row in kept
    )
    return Roles(
        rows=done,
        pairs=role_rows.pairs_of(done),
        phases=tuple(
            role_rows.with_gemms(whole[name], done, spec) for name in PHASES if name in whole
        ),
        on_gpu=on_gpu,
        device=spec.name if spec else None,
        source=spec.source if spec else None,
        shapes=shapes,
        parts=tuple(sorted(parts, key=lambda p: (-p.total_ns, p.role, p.phase, p.kernel))),
        model=fit,
    )


def merge(one: Roles, two: Roles) -> Roles:
    """Rows of the same role and phase added up; shares, rates and pairs taken anew."""
    rows: dict[tuple[str, str], Role] = {}
    for row in (*one.rows, *two.rows):
        key = (row.role, row.phase)
        rows[key] = _add(rows[key], row) if key in rows else row
    phases: dict[str, Aligned] = {}
    for part in (*one.phases, *two.phases):
        phases[part.phase] = _join(phases[part.phase], part) if part.phase in phases else part
    spec = next((d for d in devices.DEVICES if d.name == one.device), None)
    return _finish(
        rows.values(), phases.values(), one.on_gpu or two.on_gpu,
        spec if one.device == two.device else None,
        one.shapes if one.shapes == two.shapes else one.shapes or two.shapes,
        _joined((*one.parts, *two.parts)), both_fits(one.model, two.model),
    )  # fmt: skip


def _joined(parts: Iterable[Part]) -> Iterable[Part]:
    """Parts that are alike but for their numbers added up."""
    sums: dict[Part, Part] = {}
    for part in parts:
        key = replace(part, calls=0, count=0, total_ns=0, flops=0, bytes=0, names=())
        old = sums.get(key, key)
        sums[key] = replace(
            part, calls=old.calls + part.calls, count=old.count + part.count,
            total_ns=old.total_ns + part.total_ns, flops=old.flops + part.flops,
            bytes=old.bytes + part.bytes, names=old.names + part.names,
        )  # fmt: skip
    return sums.values()


def join(results: Sequence[Roles]) -> Roles | None:
    """Prefill of one file beside decode of another, where both run the same layers."""
    phases = [phase for result in results for phase in result.phases]
    if sorted(p.phase for p in phases) != sorted(BOTH):
        return None
    lengths = sorted(p.layers or 0 for p in phases)
    alike = {(p.before, p.after) for p in phases}
    same_device = len({(result.device, result.on_gpu) for result in results}) == 1
    if len(alike) > 1 or not lengths[0] or lengths[-1] % lengths[0] or not same_device:
        return None
    weights: dict[str, set[str]] = {}
    for row in (row for result in results for row in result.rows if row.weights):
        weights.setdefault(row.role, set()).add(row.weights or "")
    return reduce(merge, results) if all(len(own) == 1 for own in weights.values()) else None


def _sum(one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else one + two


def _add(one: Role, two: Role) -> Role:
    longer = max(one, two, key=lambda r: (r.total_ns, r.kernel))
    recorded = one.rows is not None and two.rows is not None
    return replace(
        one,
        calls=_sum(one.calls, two.calls),
        count=one.count + two.count,
        total_ns=one.total_ns + two.total_ns,
        form=_form(one.form, two.form),
        rows=_sum(one.rows, two.rows),
        weights=one.weights if one.weights == two.weights else None,
        weight_bytes=_sum(one.weight_bytes, two.weight_bytes) if recorded else None,
        dtype=one.dtype if one.dtype == two.dtype else None,
        flops=_sum(one.flops, two.flops),
        bytes=_sum(one.bytes, two.bytes),
        category=longer.category,
        kernel=longer.kernel,
    )


def _form(one: str | None, two: str | None) -> str | None:
    """Of both together: a GEMV only where both are, and not known where one is not."""
    return one if one == two else None if None in (one, two) else "GEMM"


def _join(one: Aligned, two: Aligned) -> Aligned:
    same = (one.before, one.after) == (two.before, two.after)
    return Aligned(
        one.phase, one.by if one.by == two.by else "several ways", one.passes + two.passes,
        _sum(one.layers, two.layers), one.before if same else None, one.after if same else None,
        one.total_ns + two.total_ns, one.aligned_ns + two.aligned_ns, _sum(one.tokens, two.tokens),
        step_rows=max(one.step_rows, two.step_rows) if one.step_rows and two.step_rows else None,
    )  # fmt: skip


# ---------------------------------------------------------------- tables

DEFINITIONS = {
    "role": "The place in a decoder layer: GEMMs by their order around attention and named as in "
    "LLaMA where recorded weights allow it, other work by the GEMM or attention that follows it.",
    "time": "Durations of its kernels added up, over all layers and passes.",
    "host time": "Self time of its ops added up, over all layers and passes.",
    "share": "Part of the durations of all kernels of the phase.",
    "host share": "Part of the self time of all ops of the phase.",
    "per call": "Time over the calls of the GEMM or the attention.",
    "per token": "Time over the tokens that the phase generated, all batch rows counted.",
    "rows": "Rows (tokens, all batch rows counted) that a call multiplies with the weights, mean.",
    "per row": "Time over the rows of all its calls.",
    "decode over prefill, per row": "Time of a row in decode over that of a row in prefill.",
    "form": "GEMV where every call has one row; without shapes, by the kernel's name.",
    "host form": "GEMV where every call has one row; not known without shapes.",
    "weights": "Columns in → columns out of the matrix of weights.",
    "of peak": "FLOP/s over the datasheet's dense peak for the dtype.",
    "of bandwidth": "Least bytes over time, over the datasheet's memory bandwidth: more than 100 % "
    "where a cache holds them.",
    "weights of bandwidth": "Bytes of the weights alone over time, over the datasheet's memory "
    "bandwidth; a phase without shapes takes the weights that another recorded.",
    "in words": "Peak bandwidth is named where memory bounds the call, peak FLOP/s elsewhere.",
    "aligned": "Part of the time that has a place in a layer, before the first or after the last.",
    "layers": "Attention calls that have a place, over all passes.",
    "GEMMs of peak": "FLOP/s of its GEMMs with a place over the peak, each weighed by its time.",
    "GEMMs of bandwidth": "Least bytes of its GEMMs with a place (of the weights alone where a "
    "phase has no shapes) over their time, over the memory bandwidth.",
    "passes": "Forward passes, as far as annotations tell them apart.",
    "by": "What aligns the work: the order around attention, or the weights of GEMMs.",
}
MOST = 200


def tables(result: Roles) -> list[Grid]:
    pairs = [_pair_grid(result)] if result.pairs else []
    return [*pairs, _role_grid(result), _phase_grid(result)]


def _said(result: Roles, measure: str) -> str:
    return DEFINITIONS[measure if result.on_gpu else f"host {measure}"]


def _of(result: Roles) -> str:
    if result.shapes is None:
        return (
            "No shapes of GEMMs are recorded: rows, weights and rates are not known, and names go "
            "by order alone (--record-shapes)."
        )
    stated = result.shapes in (dimensions.METADATA, dimensions.CONFIG)
    said = "Rows and weights by the model's dimensions. " if stated else ""
    if not result.on_gpu:
        return f"{said}Times are host time; no peak is known to hold them against."
    if result.device is None:
        return f"{said}The device is not in the table of datasheets, so no peak is known."
    return f"{said}Peaks of {result.device}: {result.source}."


def _pair_grid(result: Roles) -> Grid:
    rows = {(r.role, r.phase): r for r in result.rows}
    sides = [
        column
        for phase in BOTH
        for column in (
            Column(f"{phase} time", "ns", _said(result, "time")),
            Column(f"{phase} share", "share", _said(result, "share")),
        )
    ]
    columns = (
        Column("role", "text", DEFINITIONS["role"]),
        Column("in words", "text", DEFINITIONS["in words"]), *sides,
        Column("decode per token", "ns", DEFINITIONS["per token"]),
        Column("decode over prefill, per row", "number",
               DEFINITIONS["decode over prefill, per row"]),
        Column("weights", "text", DEFINITIONS["weights"]),
    )  # fmt: skip
    cells = []
    for pair in result.pairs[:MOST]:
        own = [rows.get((pair.role, phase)) for phase in BOTH]
        times = [value for row in own for value in ((row.total_ns, row.share) if row else (0, 0.0))]
        token = own[1].token_ns if own[1] else None
        cells.append((pair.role, pair.words, *times, token, pair.row_ratio, pair.weights or ""))
    whole = {p.phase: p for p in result.phases}
    last = (
        "all", "", whole["prefill"].total_ns, 1.0, whole["decode"].total_ns, 1.0,
        work_phases.per_token(whole["decode"].total_ns, whole["decode"].tokens), None, "",
    )  # fmt: skip
    title = "The same place of a layer in prefill and in decode"
    note = f"In the order of a layer. {_of(result)}"
    return Grid("pairs", title, columns, cells, note, last)


def _role_grid(result: Roles) -> Grid:
    noun = "kernel" if result.on_gpu else "op"
    columns = [
        Column("role", "text", DEFINITIONS["role"]), Column("phase"),
        Column("category", "text", "Of other work: that of most of its time."),
        Column("form", "text", _said(result, "form")),
        Column("calls", "count", "Calls of the GEMM or the attention."),
        Column("rows", "number", DEFINITIONS["rows"]),
        Column("weights", "text", DEFINITIONS["weights"]),
        Column("time", "ns", _said(result, "time")),
        Column("share", "share", _said(result, "share")),
        Column("per call", "ns", DEFINITIONS["per call"]),
        Column("per row", "ns", DEFINITIONS["per row"]),
        Column(f"most time in {noun}", "text", f"The {noun} with most of the time."),
    ]  # fmt: skip
    cells = [
        [r.role, r.phase, r.category, r.form or "", r.calls,
         r.rows / r.calls if r.rows and r.calls else None, r.weights or "", r.total_ns, r.share,
         r.call_ns, r.row_ns, r.kernel]
        for r in result.rows[:MOST]
    ]  # fmt: skip
    if result.on_gpu:  # peaks of a host are not known
        measures = ("of peak", "of bandwidth", "weights of bandwidth")
        columns[-1:-1] = [Column(name, "share", DEFINITIONS[name]) for name in measures]
        for row, r in zip(cells, result.rows, strict=False):
            row[-1:-1] = [r.rates.flops_share, r.rates.bytes_share, r.weight_share]
    title, note = "Every place of a layer, phase by phase", "In the order of a layer."
    beyond = len(result.rows) - len(cells)
    return Grid("roles", title, tuple(columns), cells, note, beyond=beyond)


def _phase_grid(result: Roles) -> Grid:
    columns = [
        Column("phase"), Column("by", "text", DEFINITIONS["by"]),
        Column("passes", "count", DEFINITIONS["passes"]),
        Column("layers", "count", DEFINITIONS["layers"]),
        Column("GEMMs before attention", "count", "Of one layer."),
        Column("GEMMs after attention", "count", "Of one layer."),
        Column("time", "ns", _said(result, "time")),
        Column("aligned", "share", DEFINITIONS["aligned"]),
    ]  # fmt: skip
    rows = [
        [p.phase, p.by, p.passes, p.layers, p.before, p.after, p.total_ns,
         work_phases.share(p.aligned_ns, p.total_ns)]
        for p in result.phases
    ]  # fmt: skip
    if result.on_gpu:
        measures = ("GEMMs of peak", "GEMMs of bandwidth")
        columns += [Column(name, "share", DEFINITIONS[name]) for name in measures]
        for row, p in zip(rows, result.phases, strict=True):
            row += [p.gemm_flops_share, p.gemm_bytes_share]
    return Grid("phases", "How each phase was read", tuple(columns), rows)


def charts(result: Roles) -> list[Chart]:
    """Prefill beside decode by place, or the one phase there is."""
    phases = [p for p in BOTH if any(r.phase == p for r in result.rows)] or ["mixed"]
    own = {(r.role, r.phase): r for r in result.rows if r.phase in phases}
    shown = [
        role
        for role in dict.fromkeys(r.role for r in result.rows if r.phase in phases)
        if any((own[role, p].share or 0) >= LEAST for p in phases if (role, p) in own)
    ]
    if len(shown) < 2:
        return []
    kinds = [next(own[role, p].category for p in phases if (role, p) in own) for role in shown]
    time = "kernel time" if result.on_gpu else "op time"
    return [
        figures.paired_bars(
            "roles", "Where a layer spends its time", shown,
            {p: [own[role, p].share if (role, p) in own else 0.0 for role in shown]
             for p in phases},
            unit="share", of=f"the phase's {time}", kinds=kinds,
            table="pairs" if result.pairs else "roles",
            summary=f"Each place's share of the {time} of {' and of '.join(phases)}, in the order "
            f"of a layer; places under {share(LEAST)} of both are in the table.",
        )
    ]  # fmt: skip


ANALYSIS = Analysis(
    title="Layer by layer: prefill and decode",
    question="What did each GEMM and attention of a layer cost in prefill, and what in decode?",
    run=roles,
    merge=merge,
    join=join,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    needs=frozenset({"collectives", "shapes"}),
    order=42,
)
