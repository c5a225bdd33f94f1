"""What is shown of the roofline: tables, charts, and what their words mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tracekit.answers.roles import ModelFit
from tracekit.answers.roofline import Op, Roofline
from tracekit.attribution.roofline.formulas.work import MATRIX, Family, Known
from tracekit.attribution.roofline.utilization import VECTOR
from tracekit.attribution.stages import work_phases
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.figures import Chart, Point
from tracekit.results.result import Column, Grid

DEFINITIONS = {
    "FLOPs": "Multiply-adds of a product times two; causal attention counts the pairs it keeps. Of "
    "other ops one an operation and value, at the peak of float32 on vector units.",
    "least bytes": "Every operand read once and the result written once, quantised weights as they "
    "are stored; real traffic is more. See `known`.",
    "known": "How far the recorded arguments say FLOPs and bytes: exact; at least, where what they "
    "leave open can only add (experts that were chosen, rows of a table); at most, where it can "
    "only take away (a window, padding), so that there is no floor.",
    "limit": "What bounds it: compute or memory, whichever takes longer at its peak; latency where "
    "its kernels are shorter than 5 µs on the mean, or have fewer blocks than half of the device's "
    "SMs (than the SMs, below 10 µs), and reach less than 60 % of the floor; communication, where "
    "other devices do: their links, and waiting for them.",
    "helpers": "Durations of kernels that the calls launched beside their own: layout changes "
    "around a convolution. Part of no other column.",
    "in module": "Class of the innermost nn.Module around the calls.",
    "intensity": "FLOPs over least bytes.",
    "time": "Durations of the kernels that the calls launched, helpers left out, added up.",
    "FLOP/s": "FLOPs over time.",
    "of peak": "FLOP/s over the datasheet's dense peak for the dtype.",
    "bandwidth": "Least bytes over time.",
    "of bandwidth": "Least bytes over time, over the datasheet's memory bandwidth.",
    "floor": "The larger of FLOPs over peak and least bytes over bandwidth; of a collective what "
    "each link carries (see bus bandwidth) over the link's peak, within one machine.",
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
    "covered": "Part of the kernel time whose ops have formulas, helpers included; nothing is "
    "extrapolated from it.",
    "by kernels alike": "Of the kernel time: launched before the recording, and described by a run "
    "of 20 kernels or more, one after the other, of the same names and grids, whose launches are "
    "recorded. Part of covered.",
    "communication": "Part of the kernel time in collectives, which the links and other ranks "
    "bound, not the memory. Covered where their size is known.",
    "why": "Why no formula describes it.",
    "without sizes": "Part of the kernel time of which the trace holds no sizes: no op around the "
    "launch, the launch or the capture of its graph not recorded, or a collective's message.",
    "covered, of sized": "Covered, over the kernel time of which the trace holds sizes.",
    "dense": "Part of the kernel time in GEMM and attention kernels.",
}
MOST = 200


def tables(result: Roofline) -> list[Grid]:
    """Of ops and of kernels by dimensions first those that took longer."""
    grids, later = [], []
    if result.floors:
        grids.append(_bound_grid(result))
    if result.rows:
        later.append(_op_grid(result, "ops", "Ops against the peaks", result.rows))
    if result.stated:
        later.insert(0 if _mostly_stated(result) else 1, _stated_grid(result))
    if result.rows or result.coverage:
        later.insert(1, _coverage_grid(result))
    if result.alike:
        title = "Launched before the recording, by kernels alike"
        later.append(_op_grid(result, "alike", title, result.alike))
    if result.uncovered and (result.rows or result.stated):
        later.append(_rest_grid(result))
    return [*grids, *later]


def _mostly_stated(result: Roofline) -> bool:
    """Whether the model's dimensions describe more of the time than ops do."""
    return sum(r.total_ns for r in result.stated) > sum(r.total_ns for r in result.rows)


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


def _op_grid(result: Roofline, key: str, title: str, ops: Sequence[Op]) -> Grid:
    columns = (
        Column("op"),
        Column("shape", "text", "m×n×k of a GEMM, B×H×Sq×Sk×D of attention, else the sizes of the "
               "largest argument."),
        Column("dtype"), Column("phase"), Column("in module", "text", DEFINITIONS["in module"]),
        Column("calls", "count", "Calls of the op."),
        Column("time", "ns", DEFINITIONS["time"]),
        Column("bandwidth", "bytes/s", DEFINITIONS["bandwidth"]),
        Column("floor", "ns", DEFINITIONS["floor"]),
        Column("of floor", "share", DEFINITIONS["of floor"]),
        Column("limit", "text", DEFINITIONS["limit"]),
        Column("of bandwidth", "share", DEFINITIONS["of bandwidth"]),
        Column("FLOP/s", "flop/s", DEFINITIONS["FLOP/s"]),
        Column("of peak", "share", DEFINITIONS["of peak"]),
        Column("least bytes", "bytes", DEFINITIONS["least bytes"]),
        Column("FLOPs", "flop", DEFINITIONS["FLOPs"]),
        Column("intensity", "number", DEFINITIONS["intensity"]),
        Column("known", "text", DEFINITIONS["known"]),
        Column("helpers", "ns", DEFINITIONS["helpers"]),
        Column("most time in kernel", "text", "The kernel with most of the time."),
    )  # fmt: skip
    rows = [
        (r.op, r.shape, r.dtype, r.phase, r.module or "", r.calls, r.total_ns,
         r.rates.bytes_per_s, r.rates.floor_ns, r.rates.floor_share, r.limit, r.rates.bytes_share,
         r.rates.flops_per_s, r.rates.flops_share, r.bytes, r.flops, r.rates.intensity,
         r.known.value, r.helper_ns, r.kernel)
        for r in ops[:MOST]
    ]  # fmt: skip
    return Grid(key, title, columns, rows, _of(result), beyond=len(ops) - len(rows))


def _stated_grid(result: Roofline) -> Grid:
    """What is by the dimensions of the model, and whose word these are."""
    where = "in its metadata" if result.model is None else f"in {result.model.called}"
    title = f"Kernels without sizes of their own, by the model's dimensions {where}"
    found = _op_grid(result, "stated", title, result.stated)
    if result.model is None:
        return found
    return replace(found, note=f"{told(result.model)} {found.note}")


def told(fit: ModelFit) -> str:
    """What the numbers of a configuration rest on, for a reader."""
    known = [f"{phase} {many:,}" for phase, many in fit.tokens.items() if many is not None]
    lacking = [phase for phase, many in fit.tokens.items() if many is None]
    said = [f"Tokens through the layers, as annotations say: {', '.join(known)}."] if known else []
    if lacking:
        said.append(
            f"How many tokens went through {', '.join(lacking)} is not known: FLOPs and bytes are "
            "those of one a pass, a bound from below whatever the batch."
        )
    if fit.tp is not None and fit.tp > 1:
        said.append(f"Weights are this rank's of {fit.tp} that share them.")
    return " ".join(said)


def _coverage_grid(result: Roofline) -> Grid:
    columns = (
        Column("phase"), Column("kernel time", "ns", "Durations of all kernels, added up."),
        Column("dense", "share", DEFINITIONS["dense"]),
        Column("covered", "share", DEFINITIONS["covered"]),
        Column("by kernels alike", "share", DEFINITIONS["by kernels alike"]),
        Column("communication", "share", DEFINITIONS["communication"]),
        Column("without sizes", "share", DEFINITIONS["without sizes"]),
        Column("covered, of sized", "share", DEFINITIONS["covered, of sized"]),
    )  # fmt: skip
    parts = [(c.dense_ns, c.covered_ns, c.alike_ns, c.communication_ns, c.unsized_ns)
             for c in result.coverage]  # fmt: skip
    rows = [
        (c.phase, *_coverage(c.kernel_ns, own))
        for c, own in zip(result.coverage, parts, strict=True)
    ]
    every = [sum(column) for column in zip(*parts, strict=True)] or [0] * 5
    last = ("all", *_coverage(sum(c.kernel_ns for c in result.coverage), every))
    note = (
        "Kernels of a graph replay have an op, and so shapes, where the trace of their capture is "
        "known (--graph-capture), and sizes where their model is (--model-config)."
    )
    return Grid("coverage", "How much of the kernel time has formulas", columns, rows, note, last)


def _coverage(total: int, parts: Sequence[int]) -> tuple[int | float | None, ...]:
    """The cells of a row: kernel time, the share of each part, and of what has sizes."""
    covered, unsized = parts[1], parts[-1]
    shares = (work_phases.share(part, total) for part in parts)
    return (total, *shares, work_phases.share(covered, total - unsized))


def _rest_grid(result: Roofline) -> Grid:
    total = sum(c.kernel_ns for c in result.coverage)
    columns = (
        Column("op or kernel", "text", "The op around the launch, else the kernel's name."),
        Column("why", "text", DEFINITIONS["why"]), Column("kernels", "count", "Kernel runs."),
        Column("time", "ns", "Their durations added up."),
        Column("share", "share", "Part of the kernel time."),
    )  # fmt: skip
    rows = [
        (r.what, r.why, r.count, r.total_ns, work_phases.share(r.total_ns, total))
        for r in result.uncovered[:MOST]
    ]
    beyond = len(result.uncovered) - len(rows)
    return Grid("rest", "What no formula describes", columns, rows, beyond=beyond)


LITTLE = 0.01  # of the time of the rows: a roof of so little work is left out


def drawn(result: Roofline) -> list[Op]:
    """Ops, and kernels by the model's dimensions, the longest first."""
    return sorted((*result.rows, *result.stated), key=lambda r: -r.total_ns)


def _roofs(result: Roofline) -> set[str]:
    """The dtypes whose peaks bound some of the work."""
    sums: Counter[str] = Counter()
    for r in drawn(result):
        if r.flops:
            sums[r.dtype if r.family in MATRIX else VECTOR] += r.total_ns
    least = LITTLE * sum(sums.values())
    return {dtype for dtype, ns in sums.items() if ns >= least}


def _roof_name(dtype: str, result: Roofline) -> str:
    """The dtype; that of vector units says so where no product was of it."""
    products = any(r.dtype == dtype and r.family in MATRIX and r.flops for r in drawn(result))
    return dtype if products or dtype != VECTOR else f"vector units, {dtype}"


def _points(result: Roofline) -> list[Point]:
    """Work with a place among the roofs; what only moves data has its bandwidth alone."""
    return [
        Point(
            f"{r.op} {r.shape}", r.rates.intensity, r.rates.flops_per_s, r.category.value, r.phase,
            r.total_ns, None if r.flops else r.rates.bytes_per_s,
        )
        for r in drawn(result)[:MOST]
        if r.family is not Family.COMMUNICATION and r.known is not Known.MOST
        and (r.rates.flops_per_s is not None or r.rates.bytes_per_s is not None)
    ]  # fmt: skip


def charts(result: Roofline) -> list[Chart]:
    out = []
    if drawn(result):
        used, points = _roofs(result), _points(result)
        total = sum(c.kernel_ns for c in result.coverage)
        out.append(
            figures.roofline(
                "roofline", "Ops against the peaks", points,
                peaks={_roof_name(k, result): v for k, v in result.peaks.items() if k in used},
                bytes_per_s=result.memory_bytes_per_s, device=result.device or "",
                table="stated" if _mostly_stated(result) else "ops",
                drawn_share=sum(p.total_ns for p in points) / total if total else None,
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
