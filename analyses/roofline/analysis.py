"""How near GEMM and attention came to the device's peaks, and the least time each stage needs.

An op with a formula is one call with its FLOPs, its least bytes, and the durations of the GEMM and
attention kernels it launched. Peaks are a datasheet's; where the device is not known, rates are
given and shares are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tracekit.answers.roofline import Coverage, Op, Roofline
from tracekit.answers.stages import Stages
from tracekit.attribution import links
from tracekit.attribution.kernels import kernel_rules
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import devices, model_bounds
from tracekit.attribution.roofline.op_formulas import described
from tracekit.attribution.roofline.stage_bounds import StageBound, join, of_need
from tracekit.attribution.roofline.utilization import rates
from tracekit.attribution.stages import work_phases
from tracekit.errors import MissingEventsError
from tracekit.results import figures
from tracekit.results.catalog import Analysis, ask
from tracekit.results.figures import Chart, Point
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

from .findings import findings
from .first_screen import FIRST_SCREEN


def roofline(trace: Trace, *, stages: str | None = None) -> Roofline:
    """Rates of GEMM and attention ops, and the floor of our own captures' stages.

    Raises: MissingEventsError for a trace with neither kernels with shapes nor a floor.
    """
    spec = devices.of_trace(trace)
    found = _bounds(trace, spec)
    shaped, why = None, None
    if not len(trace.of(Cat.KERNEL)):
        why = "no kernel events"
    elif not any(len(one.table("shapes")) for one in origin.hosts(trace)):
        why = "captured without shapes"
    else:
        shaped = _ops(trace, spec, stages)
    if shaped is None and not found:
        raise MissingEventsError(
            why or "no kernel events",
            where=trace.path,
            hint="capture with record_shapes=True and a GPU visible",
        )
    rows, coverage = shaped or ([], [])
    return _finish(rows, found, coverage, spec, why)


def _ops(
    trace: Trace, spec: devices.Device | None, stages: str | None
) -> tuple[list[Op], list[Coverage]]:
    gpu, classes = links.work(trace), classify(trace)
    phases = work_phases.of_work(trace, stages)
    dense = classes.of(Category.GEMM) | classes.of(Category.ATTENTION)
    call, works, work_of = described(trace)
    covered = dense & (call >= 0)
    row = np.flatnonzero(covered)
    # a call is one thing however many kernels it launched: its phase and category are the first's.
    # A captured op is called anew by each replay of its graph
    replay = np.where(links.replayed(trace), links.launch_row(trace), -1)
    pair, of_call = segments.distinct(np.stack([call[row], replay[row]], axis=1))
    called = pair[:, 0]
    first = np.full(len(pair), len(row), np.int64)
    np.minimum.at(first, of_call, np.arange(len(row)))
    names, strings = origin.op_names(trace)
    multiplied = np.zeros(len(called), np.int64)
    np.maximum.at(multiplied, of_call, _tf32(trace)[row])
    head = row[first]
    key = np.stack([
        work_of[called], phases.code[head], classes.category[head].astype(np.int64), multiplied,
        names[called],
    ], axis=1) if len(called) else np.empty((0, 5), np.int64)  # fmt: skip
    distinct, kind = segments.distinct(key)
    group = kind[of_call]
    total = segments.sums(group, gpu.dur[row], len(distinct))
    kernels = np.bincount(group, minlength=len(distinct))
    calls = np.bincount(kind, minlength=len(distinct))
    longest = segments.longest(group, gpu.name[row].astype(np.int64), gpu.dur[row], len(distinct))
    rows = []
    for at, (w, p, c, tf32, name) in enumerate(distinct.tolist()):
        work, many = works[w], int(calls[at])
        dtype = "tf32" if tf32 and work.dtype == "float32" else work.dtype
        category = Category.GEMM if c == _code(Category.GEMM) else Category.ATTENTION
        done, moved, ns = many * work.flops, many * work.bytes, int(total[at])
        rows.append(Op(
            strings[name], work.shape, dtype, category, phases.names[p],
            trace.strings[longest[at]], many, int(kernels[at]), ns, done, moved,
            rates(done, moved, ns, spec, dtype),
        ))  # fmt: skip
    coverage = []
    kernel = gpu.is_(Cat.KERNEL)
    for code, name in enumerate(phases.names):
        mine = kernel & (phases.code == code)
        if mine.any():
            all_, heavy, known = (
                int(gpu.dur[mine & part].sum()) for part in (kernel, dense, covered)
            )
            coverage.append(Coverage(name, all_, heavy, known))
    return rows, coverage


def _code(category: Category) -> int:
    return list(Category).index(category)


def _tf32(trace: Trace) -> I64:
    """[G] 1 where a kernel's name says that float32 inputs are multiplied as TF32."""
    return links.work(trace).named(kernel_rules.TF32).astype(np.int64)


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
    rows: Iterable[Op], found: Iterable[StageBound], coverage: Iterable[Coverage],
    spec: devices.Device | None, why: str | None,
) -> Roofline:  # fmt: skip
    kept = sorted(rows, key=lambda r: (-r.total_ns, r.op, r.shape, r.dtype, r.phase))
    cover = tuple(coverage)
    return Roofline(
        rows=tuple(kept),
        floors=tuple(found),
        coverage=cover,
        covered_share=work_phases.share(
            sum(c.covered_ns for c in cover), sum(c.kernel_ns for c in cover)
        ),
        device=spec.name if spec else None,
        source=spec.source if spec else None,
        peaks=dict(spec.flops) if spec else {},
        memory_bytes_per_s=spec.memory_bytes_per_s if spec else None,
        unshaped=why,
    )


def merge(one: Roofline, two: Roofline) -> Roofline:
    """Rows of the same op, shape, dtype and phase added up; peaks only where devices agree."""
    spec = _spec(one) if one.device == two.device else None
    rows: dict[tuple[str, ...], Op] = {}
    for row in (*one.rows, *two.rows):
        key = (row.op, row.shape, row.dtype, row.category, row.phase)
        rows[key] = _add(rows[key], row, spec) if key in rows else _again(row, spec)
    coverage: dict[str, Coverage] = {}
    for part in (*one.coverage, *two.coverage):
        old = coverage.get(part.phase, Coverage(part.phase, 0, 0, 0))
        coverage[part.phase] = Coverage(
            part.phase, old.kernel_ns + part.kernel_ns, old.dense_ns + part.dense_ns,
            old.covered_ns + part.covered_ns,
        )  # fmt: skip
    stages: dict[tuple[str, str], StageBound] = {}
    for floor in (*one.floors, *two.floors):
        at = (floor.stage, floor.dtype)
        stages[at] = join(stages.get(at), floor, spec)
    why = one.unshaped if one.unshaped and two.unshaped else None
    return _finish(rows.values(), stages.values(), coverage.values(), spec, why)


def _spec(result: Roofline) -> devices.Device | None:
    return next((d for d in devices.DEVICES if d.name == result.device), None)


def _again(row: Op, spec: devices.Device | None) -> Op:
    return replace(row, rates=rates(row.flops, row.bytes, row.total_ns, spec, row.dtype))


def _add(one: Op, two: Op, spec: devices.Device | None) -> Op:
    longer = max(one, two, key=lambda r: (r.total_ns, r.kernel))
    return _again(
        replace(
            longer,
            calls=one.calls + two.calls,
            kernels=one.kernels + two.kernels,
            total_ns=one.total_ns + two.total_ns,
            flops=one.flops + two.flops,
            bytes=one.bytes + two.bytes,
        ),
        spec,
    )


# ---------------------------------------------------------------- tables

DEFINITIONS = {
    "FLOPs": "Multiply-adds of the formula times two; causal attention counts the pairs it keeps.",
    "least bytes": "Every operand read once and the result written once; real traffic is more.",
    "intensity": "FLOPs over least bytes.",
    "time": "Durations of the GEMM and attention kernels that the calls launched, added up.",
    "FLOP/s": "FLOPs over time.",
    "of peak": "FLOP/s over the datasheet's dense peak for the dtype.",
    "of bandwidth": "Least bytes over time, over the datasheet's memory bandwidth.",
    "floor": "The larger of FLOPs over peak and least bytes over bandwidth.",
    "of floor": "Floor over time: 100 % is as fast as the device can.",
    "bound": "Which of the two is larger.",
    "took": "From the start of each marker to its end or the end of its work, whichever is later.",
    "weights": "Bytes of the weights that the forward passes read.",
    "MFU": "FLOPs of the stage over the time it took, over the peak.",
    "MBU": "Weights and KV bytes of the stage over the time it took, over the memory bandwidth; of "
    "routed experts as many as one token chooses.",
    "MBU, weights": "The same with the weights alone.",
    "MBU, even experts": "MBU with the weights that a pass reads if its tokens choose experts "
    "evenly: an estimate. MBU itself counts as many experts as one token chooses.",
    "covered": "Part of the kernel time that formulas describe; nothing is extrapolated from it.",
    "dense": "Part of the kernel time in GEMM and attention kernels.",
}
MOST = 200


def tables(result: Roofline) -> list[Grid]:
    grids = []
    if result.floors:
        grids.append(_bound_grid(result))
    if result.rows or result.coverage:
        grids += [_op_grid(result), _coverage_grid(result)]
    return grids


def _of(result: Roofline) -> str:
    if result.device is None:
        return "The device is not in the table of datasheets, so no peak is known."
    return f"Peaks of {result.device}: {result.source}."


def _bound_grid(result: Roofline) -> Grid:
    columns = (
        Column("stage"), Column("dtype"),
        Column("passes", "count", "Forward passes."),
        Column("took", "ns", DEFINITIONS["took"]),
        Column("floor", "ns", DEFINITIONS["floor"]),
        Column("of floor", "share", "Floor over what the stage took."),
        Column("FLOPs", "flop", DEFINITIONS["FLOPs"]),
        Column("least bytes", "bytes", "Weights once a pass, KV of the context, KV written."),
        Column("weights", "bytes", DEFINITIONS["weights"]),
        Column("MFU", "share", DEFINITIONS["MFU"]),
        Column("MBU", "share", DEFINITIONS["MBU"]),
        Column("MBU, weights", "share", DEFINITIONS["MBU, weights"]),
    )  # fmt: skip
    rows = [
        (f.stage, f.dtype, f.passes, f.took_ns, f.floor_ns, f.floor_share, f.flops, f.bytes,
         f.weight_bytes, f.mfu, f.mbu, f.mbu_weights)
        for f in result.floors
    ]  # fmt: skip
    if any(f.mbu_even is not None for f in result.floors):
        even = Column("MBU, even experts", "share", DEFINITIONS["MBU, even experts"])
        shown = [(*row, f.mbu_even) for row, f in zip(rows, result.floors, strict=True)]
        title = "The least time of each stage"
        return Grid("floors", title, (*columns, even), shown, _of(result))
    return Grid("floors", "The least time of each stage", columns, rows, _of(result))


def _op_grid(result: Roofline) -> Grid:
    columns = (
        Column("op"), Column("shape", "text", "m×n×k of a GEMM, B×H×Sq×Sk×D of attention."),
        Column("dtype"), Column("phase"), Column("calls", "count", "Calls of the op."),
        Column("time", "ns", DEFINITIONS["time"]),
        Column("FLOPs", "flop", DEFINITIONS["FLOPs"]),
        Column("least bytes", "bytes", DEFINITIONS["least bytes"]),
        Column("intensity", "number", DEFINITIONS["intensity"]),
        Column("FLOP/s", "flop/s", DEFINITIONS["FLOP/s"]),
        Column("of peak", "share", DEFINITIONS["of peak"]),
        Column("of bandwidth", "share", DEFINITIONS["of bandwidth"]),
        Column("of floor", "share", DEFINITIONS["of floor"]),
        Column("bound", "text", DEFINITIONS["bound"]),
    )  # fmt: skip
    rows = [
        (r.op, r.shape, r.dtype, r.phase, r.calls, r.total_ns, r.flops, r.bytes,
         r.rates.intensity, r.rates.flops_per_s, r.rates.flops_share, r.rates.bytes_share,
         r.rates.floor_share, r.rates.bound)
        for r in result.rows[:MOST]
    ]  # fmt: skip
    left = len(result.rows) - MOST
    more = f" {left:,} more rows are left out here." if left > 0 else ""
    return Grid("ops", "GEMM and attention against the peaks", columns, rows, _of(result) + more)


def _coverage_grid(result: Roofline) -> Grid:
    columns = (
        Column("phase"), Column("kernel time", "ns", "Durations of all kernels, added up."),
        Column("dense", "share", DEFINITIONS["dense"]),
        Column("covered", "share", DEFINITIONS["covered"]),
    )  # fmt: skip
    rows = [
        (c.phase, c.kernel_ns, work_phases.share(c.dense_ns, c.kernel_ns),
         work_phases.share(c.covered_ns, c.kernel_ns))
        for c in result.coverage
    ]  # fmt: skip
    total = sum(c.kernel_ns for c in result.coverage)
    dense = work_phases.share(sum(c.dense_ns for c in result.coverage), total)
    last = ("all", total, dense, result.covered_share)
    note = (
        "Kernels of a graph replay have an op, and so shapes, where the trace of their capture is "
        "known (--graph-capture)."
    )
    return Grid("coverage", "How much of the kernel time has formulas", columns, rows, note, last)


def charts(result: Roofline) -> list[Chart]:
    out = []
    if result.rows:
        used = {row.dtype for row in result.rows}
        points = [
            Point(
                f"{r.op} {r.shape}", r.rates.intensity, r.rates.flops_per_s,
                r.category.value, r.phase, r.total_ns,
            )
            for r in result.rows
            if r.rates.intensity is not None and r.rates.flops_per_s is not None
        ]  # fmt: skip
        out.append(
            figures.roofline(
                "roofline", "GEMM and attention against the peaks", points,
                peaks={k: v for k, v in result.peaks.items() if k in used},
                bytes_per_s=result.memory_bytes_per_s, device=result.device or "", table="ops",
                summary="FLOP/s over intensity of each op and shape, below the device's roofs.",
            )
        )  # fmt: skip
    timed = [f for f in result.floors if f.took_ns is not None and f.floor_ns is not None]
    if timed:
        out.append(
            figures.paired_bars(
                "floors", "What each stage took beside its least time", [f.stage for f in timed],
                {"took": [f.took_ns for f in timed], "floor": [f.floor_ns for f in timed]},
                of="time", table="floors", by_row=False,
                summary="For each stage, the time it took and the least the device allows.",
            )
        )  # fmt: skip
    return out


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
    needs=frozenset({"shapes"}),
    order=70,
)
