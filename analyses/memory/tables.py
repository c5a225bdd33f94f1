"""The tables of memory, and what their numbers mean."""

from __future__ import annotations

from tracekit.answers.memory import Memory
from tracekit.results.result import Column, Grid

DEFINITIONS = {
    "allocated": "Bytes that live tensors hold, as the allocator counts them.",
    "reserved": "Bytes that the caching allocator holds, live or kept for later.",
    "peak": "The highest total after any event.",
    "requested": "Sizes of all allocations added up, freed ones too.",
    "growth": "Sizes of allocations less frees within the stage.",
    "stage peak": "The highest total while an instance of the stage ran, by host time.",
    "held": "From allocation to free, the longest of them; not measured where no free is in the "
    "trace.",
    "line": "The innermost line of the program's own code on the stack that allocated; libraries' "
    "where there is none.",
    "held at the peak": "Bytes that the program asked for, in blocks live when most were held.",
    "live at the peak": "Sizes of allocations that were not freed when most was allocated.",
    "module": "The innermost nn.Module around the allocation, on its thread, where modules are "
    "recorded.",
    "rounding": "What the allocator gave beyond what was asked for.",
    "pending": "Freed, but a stream may use it still.",
    "split": "Free pieces of segments that are in use: only what fits can have them.",
    "spare": "Segments with nothing in use, which empty_cache() would give back.",
    "op": "The innermost op around the allocation, on its thread, that does more than allocate.",
}


def tables(result: Memory) -> list[Grid]:
    devices = (
        Column("memory"), Column("events", "count"),
        Column("allocated first", "bytes", DEFINITIONS["allocated"]),
        Column("allocated last", "bytes", DEFINITIONS["allocated"]),
        Column("allocated peak", "bytes", DEFINITIONS["peak"]),
        Column("peak at", "ns", "From the first slice of the trace, or event of the snapshot."),
        Column("reserved peak", "bytes", DEFINITIONS["reserved"]),
        Column("requested", "bytes", DEFINITIONS["requested"]),
    )  # fmt: skip
    stages = (
        Column("stage"), Column("memory"), Column("instances", "count"),
        Column("allocated peak", "bytes", DEFINITIONS["stage peak"]),
        Column("reserved peak", "bytes", DEFINITIONS["reserved"]),
        Column("growth", "bytes", DEFINITIONS["growth"]),
        Column("requested", "bytes", DEFINITIONS["requested"]),
    )  # fmt: skip
    pieces = (
        Column("bytes", "bytes", "Of one allocation."), Column("count", "count"),
        Column("memory"), Column("op", "text", DEFINITIONS["op"]),
        Column("stage"), Column("first at", "ns", "From the first slice of the trace."),
        Column("held", "ns", DEFINITIONS["held"]),
    )  # fmt: skip
    grids = [
        Grid("memories", "Memory of each device", devices, [
            (d.memory, d.events, d.allocated_first, d.allocated_last, d.allocated_peak, d.peak_ns,
             d.reserved_peak, d.requested)
            for d in result.rows
        ]),
    ]  # fmt: skip
    if result.stages:
        grids.append(Grid("stages", "Peak memory of each stage", stages, [
            (s.stage, s.memory, s.instances, s.allocated_peak, s.reserved_peak, s.growth,
             s.requested)
            for s in result.stages[:200]
        ]))  # fmt: skip
    if result.largest:
        grids.append(Grid("largest", "The largest allocations", pieces, [
            (p.bytes, p.count, p.memory, p.op or "", p.stage or "", p.at_ns, p.held_ns)
            for p in result.largest
        ]))  # fmt: skip
    if result.peaks:
        grids.append(_at_peak(result))
    return [*grids, *_of_snapshot(result)]


def _at_peak(result: Memory) -> Grid:
    columns = (
        Column("op", "text", DEFINITIONS["op"]), Column("module", "text", DEFINITIONS["module"]),
        Column("memory"), Column("bytes", "bytes", DEFINITIONS["live at the peak"]),
        Column("allocations", "count"),
    )  # fmt: skip
    rows = [
        (p.op or ("" if p.blocks is not None else "allocated before the recording"),
         p.module or "", p.memory, p.bytes, p.blocks)
        for p in result.peaks[:200]
    ]  # fmt: skip
    return Grid("peaks", "What held the peak, by op and module", columns, rows)


def _of_snapshot(result: Memory) -> list[Grid]:
    held = (
        Column("line", "text", DEFINITIONS["line"]), Column("memory"),
        Column("bytes", "bytes", DEFINITIONS["held at the peak"]), Column("blocks", "count"),
        Column("stack", "text", "Innermost first."),
    )  # fmt: skip
    reserves = (
        Column("memory"), Column("reserved", "bytes", DEFINITIONS["reserved"]),
        Column("requested", "bytes", "What live tensors asked for."),
        *(Column(n, "bytes", DEFINITIONS[n]) for n in ("rounding", "pending", "split", "spare")),
        Column("segments", "count"),
        Column("largest free piece", "bytes"),
    )  # fmt: skip
    failures = (
        Column("memory"), Column("asked for", "bytes"),
        Column("driver had left", "bytes"), Column("at", "ns", "From the first event."),
        Column("line", "text", DEFINITIONS["line"]),
    )  # fmt: skip
    found = [
        Grid("held", "What held the peak, by stack", held, [
            (h.line, h.memory, h.bytes, h.blocks, " < ".join(h.stack)) for h in result.held
        ]),
        Grid("reserves", "Where the reserved bytes are", reserves, [
            (r.memory, r.reserved, r.requested, r.rounding, r.pending, r.split, r.spare,
             r.segments, r.largest_free)
            for r in result.reserves
        ], "Requested, rounding, pending, split and spare add up to reserved."),
        Grid("failures", "Allocations that failed", failures, [
            (f.memory, f.bytes, f.free, f.at_ns, f.line) for f in result.failures[:200]
        ]),
    ]  # fmt: skip
    return [grid for grid in found if grid.rows]
