"""What was copied and filled, between which memories, how fast, where, and what waited for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.answers.transfers import Direction, Transfer, Transfers
from tracekit.attribution import copies, links
from tracekit.attribution.host_calls import WAITING
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import devices
from tracekit.attribution.stages import work_phases
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace

from .findings import findings

_AS_KERNEL = r"__amd_rocclr_(copy|fill)Buffer|^MEMORY_COPY|^Copy(Device|Host)To(Device|Host)"


def transfers(trace: Trace, *, stages: str | None = None) -> Transfers:
    """Every copy and memset of the trace by direction, phase and op.

    Raises: MissingEventsError for a trace without any, or where `stages` matches nothing.
    """
    gpu = links.work(trace)
    row = np.flatnonzero(gpu.is_(Cat.MEMCPY, Cat.MEMSET))
    odd = gpu.is_(Cat.KERNEL) & gpu.named(_AS_KERNEL)
    if not len(row) and not odd.any():
        raise MissingEventsError(
            "no copies or memsets" if len(gpu) else "no GPU events",
            where=trace.path,
            hint="capture with a GPU visible",
        )
    phases = work_phases.of_work(trace, stages)
    key, labels = _keys(trace, row, phases)
    distinct, group = segments.distinct(key)
    made = _rows(trace, row, group, distinct, labels, phases)
    spec = devices.of_trace(trace)
    return _finish(
        made,
        int(odd.sum()),
        int(gpu.dur[odd].sum()),
        spec.name if spec else None,
        spec.bus if spec else None,
        _limits(spec),
    )


def _limits(spec: devices.Device | None) -> dict[str, float]:
    if spec is None:
        return {}
    # a byte copied within the device is read once and written once; a memset only writes
    found = {"DtoD": spec.memory_bytes_per_s / 2, "fill": spec.memory_bytes_per_s}
    if spec.bus_bytes_per_s:
        found |= {"HtoD": spec.bus_bytes_per_s, "DtoH": spec.bus_bytes_per_s}
    return found


Label = tuple[str, str | None]


def _keys(trace: Trace, row: I64, phases: work_phases.Phases) -> tuple[I64, list[Label]]:
    """[C, 3] direction, phase and op of each copy, and what the directions are."""
    gpu = links.work(trace)
    distinct, inverse = segments.distinct(np.stack([
        gpu.name[row].astype(np.int64), gpu.cat[row].astype(np.int64), *_kinds(trace, row),
    ], axis=1))  # fmt: skip
    read = [_label_of(trace, *codes) for codes in distinct.tolist()]
    labels = list(dict.fromkeys(read))
    number = np.array([labels.index(label) for label in read], np.int64)
    op, (names, _) = origin.op_row(trace)[row], origin.op_names(trace)
    op = np.where(op >= 0, names[op] if len(names) else -1, -1)
    direction = number[inverse] if len(read) else np.empty(0, np.int64)
    return np.stack([direction, phases.code[row], op], axis=1).astype(np.int64), labels


def _kinds(trace: Trace, row: I64) -> list[I64]:
    """[C] of each argument that says a kind, its text in the table of copies; -1 for none."""
    table, ids = trace.table("copies"), links.work(trace).id[row]
    if not table.strings:  # drawn without, or a file whose names say all
        return [np.full(len(row), -1, np.int64)] * 3
    return [table.take(ids, column, -1).astype(np.int64) for column in ("kind", "source", "target")]


def _label_of(trace: Trace, name: int, cat: int, *kinds: int) -> Label:
    if cat == Cat.MEMSET:
        return "fill", None
    strings = trace.table("copies").strings
    return copies.way(trace.strings[name], *(strings[code] if code >= 0 else "" for code in kinds))


def _rows(
    trace: Trace, row: I64, group: I64, key: I64, labels: list[Label], phases: work_phases.Phases
) -> list[Transfer]:
    gpu, groups = links.work(trace), len(key)
    duration = gpu.dur[row]
    size = trace.table("copies").take(gpu.id[row], "bytes", -1).astype(np.int64)
    known = size >= 0
    until = waited_until(trace)[row]
    blocks = until >= 0
    held = np.where(blocks, until - links.launch_start(trace)[row], 0)
    columns = [
        np.bincount(group, minlength=groups).astype(np.int64),
        segments.sums(group, duration, groups),
        segments.sums(group, np.where(known, size, 0), groups),
        np.bincount(group[known], minlength=groups).astype(np.int64),
        segments.sums(group, np.where(known, duration, 0), groups),
        np.bincount(group[blocks], minlength=groups).astype(np.int64),
        segments.sums(group, held, groups),
        np.bincount(group[links.launch_row(trace)[row] >= 0], minlength=groups).astype(np.int64),
    ]
    _, names = origin.op_names(trace)
    out = []
    for (d, p, o), values in zip(key.tolist(), np.stack(columns, axis=1).tolist(), strict=True):
        count, total, bytes_, sized, sized_ns, blocking, blocked, linked = values
        direction, memory = labels[d]
        out.append(Transfer(
            direction, memory, phases.names[p], names[o] if o >= 0 else None, count, total,
            bytes_ if sized else None, sized, sized_ns,
            _rate(bytes_ if sized else None, sized_ns),
            blocking if linked else None, blocked if linked else None,
        ))  # fmt: skip
    return out


def _rate(bytes_: int | None, ns: int) -> float | None:
    return bytes_ / ns * 1e9 if bytes_ is not None and ns > 0 else None


def waited_until(trace: Trace) -> I64:
    """[G] when the host call returned that waited for each row of `links.work`, or -1.

    The launching call itself, where it returned only after the work had ended; else a
    synchronising call after it in the same framework op and thread (as `.item()` makes), which
    returned after the work had ended.
    """
    return trace.once("waited_until", lambda: _waited_until(trace))


def _waited_until(trace: Trace) -> I64:
    gpu, calls = links.work(trace), links.calls(trace)
    launch, end = links.launch_row(trace), links.launch_end(trace)
    out = np.where((launch >= 0) & (end >= gpu.end), end, -1)
    todo = np.flatnonzero((launch >= 0) & (out < 0))
    op_of = links.call_op_row(trace)
    sync = np.flatnonzero(calls.named(WAITING) & (op_of >= 0))
    if not len(sync) or not len(todo):
        return np.asarray(out, np.int64)
    # the first synchronising call of the op after the launch: calls are sorted by start
    span = len(calls) + 1
    order = np.argsort(op_of[sync] * span + sync, kind="stable")
    sync = sync[order]
    keys = op_of[sync] * span + sync
    op = op_of[launch[todo]]
    at = np.minimum(np.searchsorted(keys, op * span + launch[todo]), len(sync) - 1)
    after = sync[at]
    hit = (op >= 0) & (op_of[after] == op) & (after > launch[todo])
    hit &= calls.end[after] >= gpu.end[todo]
    out[todo[hit]] = calls.end[after[hit]]
    return np.asarray(out, np.int64)


def blocking(trace: Trace) -> Mask:
    """[G] whether the host waited for the end of each row of `links.work`: see `waited_until`."""
    return waited_until(trace) >= 0


# ---------------------------------------------------------------- of one trace or of many


def _finish(
    rows: Iterable[Transfer], odd: int, odd_ns: int, device: str | None, bus: str | None,
    limits: dict[str, float],
) -> Transfers:  # fmt: skip
    kept = sorted(
        rows,
        key=lambda r: (
            -r.total_ns,
            r.direction,
            r.host_memory or "",
            r.phase,
            r.op or "",
            r.rank or "",
        ),
    )
    sides: dict[Label, list[Transfer]] = {}
    for row in kept:
        sides.setdefault((row.direction, row.host_memory), []).append(row)
    return Transfers(
        rows=tuple(kept),
        directions=tuple(_direction(label, some, limits) for label, some in sides.items()),
        as_kernels_count=odd,
        as_kernels_ns=odd_ns,
        device=device,
        bus=bus,
        limits=limits,
    )


def _direction(label: Label, rows: Sequence[Transfer], limits: dict[str, float]) -> Direction:
    one = rows[0]
    for row in rows[1:]:
        one = _add(one, row)
    limit = limits.get(label[0])
    return Direction(
        *label, one.count, one.total_ns, one.bytes, one.sized_count, one.sized_ns,
        one.bytes_per_s, limit,
        one.bytes_per_s / limit if one.bytes_per_s is not None and limit else None,
        one.blocking_count, one.blocked_ns,
    )  # fmt: skip


def _add(one: Transfer, two: Transfer) -> Transfer:
    size = _known_sum(one.bytes, two.bytes)
    sized_ns = one.sized_ns + two.sized_ns
    return replace(
        one,
        count=one.count + two.count,
        total_ns=one.total_ns + two.total_ns,
        bytes=size,
        sized_count=one.sized_count + two.sized_count,
        sized_ns=sized_ns,
        bytes_per_s=_rate(size, sized_ns),
        blocking_count=_known_sum(one.blocking_count, two.blocking_count),
        blocked_ns=_known_sum(one.blocked_ns, two.blocked_ns),
    )


def _known_sum(one: int | None, two: int | None) -> int | None:
    """Of those that are known; None where neither is."""
    known = [n for n in (one, two) if n is not None]
    return sum(known) if known else None


def merge(one: Transfers, two: Transfers) -> Transfers:
    """Rows of one direction, memory, phase, op and rank added up; limits where devices agree."""
    rows: dict[tuple[str | None, ...], Transfer] = {}
    for row in (*one.rows, *two.rows):
        key = (row.direction, row.host_memory, row.phase, row.op, row.rank)
        rows[key] = _add(rows[key], row) if key in rows else row
    same = one.device == two.device
    return _finish(
        rows.values(),
        one.as_kernels_count + two.as_kernels_count,
        one.as_kernels_ns + two.as_kernels_ns,
        one.device if same else None,
        one.bus if same else None,
        one.limits if same else {},
    )


# ---------------------------------------------------------------- tables

DEFINITIONS = {
    "direction": "H is host memory, D device memory, P a peer device, S memory that both "
    "share; a memset (fill in JSON) sets device memory.",
    "host memory": "Pageable memory is copied through a staging buffer; pinned is not. Empty where "
    "the trace does not say.",
    "count": "Copy or memset events of the device.",
    "time": "Their durations added up: they may overlap kernels and one another.",
    "bytes": "Sizes of those events that record one.",
    "bandwidth": "Bytes over the duration of the same events.",
    "limit": "Datasheet rate of the bus in one direction; within a device half the memory's rate, "
    "since a byte is read and written.",
    "of limit": "Bandwidth over the limit.",
    "blocking": "Events whose end the host waited for: the launching call, or a synchronising call "
    "after it in the same op, returned later. Of those whose launch is in the trace.",
    "blocked": "Host time from those launches to the return of the calls that waited.",
}
MOST = 200


def tables(result: Transfers) -> list[Grid]:
    both = (
        Column("direction", "text", DEFINITIONS["direction"]),
        Column("host memory", "text", DEFINITIONS["host memory"]),
    )
    sizes = (
        Column("count", "count", DEFINITIONS["count"]),
        Column("time", "ns", DEFINITIONS["time"]),
        Column("bytes", "bytes", DEFINITIONS["bytes"]),
        Column("bandwidth", "bytes/s", DEFINITIONS["bandwidth"]),
    )
    waits = (
        Column("blocking", "count", DEFINITIONS["blocking"]),
        Column("blocked", "ns", DEFINITIONS["blocked"]),
    )
    limits = (
        Column("limit", "bytes/s", DEFINITIONS["limit"]),
        Column("of limit", "share", DEFINITIONS["of limit"]),
    )
    directions = [
        (_shown(d.direction), d.host_memory or "", d.count, d.total_ns, d.bytes, d.bytes_per_s,
         d.limit_bytes_per_s, d.limit_share, d.blocking_count, d.blocked_ns)
        for d in result.directions
    ]  # fmt: skip
    places = [
        (_shown(r.direction), r.host_memory or "", r.phase, r.op or "", r.count, r.total_ns,
         r.bytes, r.bytes_per_s, r.blocking_count, r.blocked_ns)
        for r in result.rows[:MOST]
    ]  # fmt: skip
    where = (Column("phase", "text", "The stage or step around the launch."),
             Column("op", "text", "The innermost framework op around the launch."))  # fmt: skip
    note = f"Limits of {result.device}, {result.bus}." if result.device else ""
    if result.as_kernels_count:
        more = plural(result.as_kernels_count, "more copy or memset", "more copies and memsets")
        note += f" The trace files {more} as kernels, shown with the kernels and in no row here."
    return [
        Grid("directions", "Copies by direction", (*both, *sizes, *limits, *waits), directions,
             note.strip()),
        Grid("places", "Where copies were made", (*both, *where, *sizes, *waits), places,
             beyond=len(result.rows) - len(places)),
    ]  # fmt: skip


def _shown(direction: str) -> str:
    return "memset" if direction == "fill" else direction


def _label(direction: str, memory: str | None) -> str:
    return f"{_shown(direction)} {memory}" if memory else _shown(direction)


def charts(result: Transfers) -> list[Chart]:
    if not result.rows:
        return []
    phases = list(dict.fromkeys(row.phase for row in result.rows))
    kinds = [_label(d.direction, d.host_memory) for d in result.directions]
    parts = {
        kind: [
            sum(
                r.total_ns
                for r in result.rows
                if r.phase == phase and _label(r.direction, r.host_memory) == kind
            )
            for phase in phases
        ]
        for kind in kinds
    }
    return [
        figures.split_bars(
            "transfers", "Time of copies and memsets by phase", phases, parts,
            of="copy time", table="places",
            summary="For each phase, the durations of its copies and memsets by direction.",
        )
    ]  # fmt: skip


ANALYSIS = Analysis(
    title="Copies and memsets",
    question="What was moved between memories, how fast against the limit, and what waited for it?",
    run=transfers,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    definitions=DEFINITIONS,
    needs=frozenset({"copies"}),
    order=60,
)
