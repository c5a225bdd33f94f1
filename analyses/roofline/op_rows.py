"""Calls of ops with a formula, by op, shape and phase; what no formula describes, and why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tracekit.answers.roofline import Coverage, Limit, Op, Uncovered
from tracekit.attribution import links
from tracekit.attribution.collectives import by_group
from tracekit.attribution.kernels import kernel_rules, module_stacks
from tracekit.attribution.kernels.categories import CATEGORIES, classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import devices
from tracekit.attribution.roofline.formulas import named_kernels
from tracekit.attribution.roofline.formulas.work import MATRIX, Family
from tracekit.attribution.roofline.left_over import left_over
from tracekit.attribution.roofline.op_formulas import Described, described
from tracekit.attribution.roofline.utilization import Rates, rates_of
from tracekit.attribution.stages import work_phases
from tracekit.records import Record, replace
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace

SHORT_NS = 5_000  # what launching and draining a kernel takes is then a part of its time
BRIEF_NS = 10_000  # beyond, a grid of nearly as many blocks as SMs is no matter of latency
NEAR = 0.6  # of the floor: as fast as the device goes, whatever its size
_DENSE = (Category.GEMM, Category.ATTENTION)


class Calls(Record, frozen=True, eq=False):
    """Calls with a formula, and which kernels are theirs."""

    found: Described
    row: I64  # [K] rows of `links.work`: kernels of these calls
    call: I64  # [K]
    own: Mask  # [K] does the op's work; others help it


def calls_of(trace: Trace) -> Calls:
    """Of an op of products, own are the GEMM and attention kernels, where it has any."""
    gpu, classes, found = links.work(trace), classify(trace), described(trace)
    row = np.flatnonzero((gpu.is_(Cat.KERNEL)) & (found.call >= 0))
    call = found.call[row]
    matrix = np.array([work.family in MATRIX for work in found.works], bool)
    dense = classes.of(Category.GEMM) | classes.of(Category.ATTENTION)
    has = np.zeros(len(found.op), bool)
    has[call[dense[row]]] = True
    of_products = matrix[found.work[call]] if len(row) else np.zeros(0, bool)
    return Calls(found, row, call, ~of_products | ~has[call] | dense[row])


def rows_of(
    trace: Trace, spec: devices.Device | None, phases: work_phases.Phases, alike: bool = False
) -> list[Op]:  # fmt: skip
    """One row an op, shape, phase, category and module.

    With `alike`, of the calls that are known by kernels alike, else of those that are recorded.
    """
    gpu, classes, all_ = links.work(trace), classify(trace), calls_of(trace)
    found = all_.found
    mine = all_.own & (found.like[all_.call] == alike)
    row, call = all_.row[mine], all_.call[mine]
    # a call is one thing however many kernels it launched: its phase and category are the first's
    called, first = segments.firsts(call)
    of_call = segments.codes(call)[1]
    multiplied = np.zeros(len(called), np.int64)
    np.maximum.at(multiplied, of_call, _tf32(trace)[row])
    names, strings = origin.op_names(trace)
    module, modules = module_stacks.kinds(trace)
    head = row[first]
    op = found.op[called]
    of_op = np.where(op >= 0, names[op] if len(names) else -1, -1 - gpu.name[head])
    distinct, kind = segments.distinct([
        found.work[called], phases.code[head], classes.category[head], multiplied, of_op,
        module[head],
    ])  # fmt: skip
    size = len(distinct)
    group = kind[of_call]
    total = segments.sums(group, gpu.dur[row], size)
    kernels, calls = np.bincount(group, minlength=size), np.bincount(kind, minlength=size)
    longest = segments.longest(group, gpu.name[row], gpu.dur[row], size)
    helped = _helpers(trace, all_, called, kind, size)
    filled, linked = _filled(trace, row, group, size), _linked(trace, row, group, size)
    out = []
    for at, (w, p, c, tf32, name, inside) in enumerate(distinct.tolist()):
        work, many, ns = found.works[w], int(calls[at]), int(total[at])
        dtype = "tf32" if tf32 and work.dtype == "float32" else work.dtype
        one = Op(
            strings[name] if name >= 0 else named_kernels.called(trace.strings[-1 - name]),
            work.shape, dtype, CATEGORIES[c], phases.names[p],
            trace.strings[longest[at]], many, int(kernels[at]), ns, many * work.flops,
            many * work.bytes, rates_of(work, many, ns, spec, dtype), work.family, work.known,
            None, int(helped[at]), modules[inside] if inside >= 0 else None,
        )  # fmt: skip
        one = replace(one, rates=by_link(one, float(linked[at])))
        out.append(replace(one, limit=limit(one, float(filled[at]))))
    return out


def by_link(row: Op, floor_ns: float) -> Rates:
    """The rates of a collective with the least time that its bytes take on the links, where that is
    known (not NaN); those of any other row unchanged.
    """
    if row.family is not Family.COMMUNICATION or not floor_ns > 0:
        return row.rates
    part = floor_ns / row.total_ns if row.total_ns else None
    return replace(row.rates, floor_ns=floor_ns, floor_share=part, bound="link")


def limit(row: Op, filled: float) -> Limit | None:
    """What bounds it: latency where its kernels are too short or too small to fill the device.

    `filled` is the most blocks of its kernels over the SMs of the device.
    """
    if row.family is Family.COMMUNICATION:
        return "communication"
    part = row.rates.floor_share
    mean = row.total_ns / max(row.kernels, 1)
    small = mean < SHORT_NS or filled < 0.5 or (filled < 1 and mean < BRIEF_NS)
    if small and (part is None or part < NEAR):
        return "latency"
    bound = row.rates.bound
    return bound if bound in ("compute", "memory") else None  # type: ignore[return-value]


def _helpers(trace: Trace, all_: Calls, called: I64, kind: I64, size: int) -> I64:
    """[size] durations of kernels beside their call's own."""
    of_call = np.full(len(all_.found.op) + 1, size, np.int64)
    of_call[called] = kind
    mine = ~all_.own
    group = of_call[all_.call[mine]]
    return segments.sums(group, links.work(trace).dur[all_.row[mine]], size + 1)[:size]


def _linked(trace: Trace, row: I64, group: I64, size: int) -> npt.NDArray[np.float64]:
    """[size] least ns of these kernels by the links between devices; NaN where not all have it."""
    floor = by_group.link_bounds(trace)[row]
    out = np.bincount(group, np.where(floor > 0, floor, np.nan), minlength=size)
    return np.asarray(out, np.float64)


def _filled(trace: Trace, row: I64, group: I64, size: int) -> npt.NDArray[np.float64]:
    """[size] the most blocks of a kernel over the device's SMs; 1 where one is not known."""
    units = devices.units(trace)
    if units is None:
        return np.ones(size)
    sizes = origin.sizes(trace)
    grid = sizes.each[:, :3]
    blocks = np.where((grid > 0).all(axis=1), grid.prod(axis=1), units)
    most = np.zeros(size, np.int64)
    np.maximum.at(most, group, blocks[sizes.of[row]])
    return np.asarray(most / units, np.float64)


def _tf32(trace: Trace) -> I64:
    """[G] 1 where a kernel's name says that float32 inputs are multiplied as TF32."""
    return links.work(trace).named(kernel_rules.TF32).astype(np.int64)


# ---------------------------------------------------------------- what is described, what is not


def coverage_of(trace: Trace, phases: work_phases.Phases) -> list[Coverage]:
    """How much of the kernel time of each phase has a formula, helpers of its ops included."""
    gpu, classes = links.work(trace), classify(trace)
    kernel = gpu.is_(Cat.KERNEL)
    dense = classes.of(Category.GEMM) | classes.of(Category.ATTENTION)
    found = described(trace)
    known, talk = found.call >= 0, classes.of(Category.COMMUNICATION)
    unsized = ~known & ((origin.op_row(trace) < 0) | talk)
    out = []
    for code, name in enumerate(phases.names):
        mine = kernel & (phases.code == code)
        if mine.any():
            parts = (
                int(gpu.dur[mine & part].sum())
                for part in (kernel, dense, known, found.alike, talk, unsized)
            )
            out.append(Coverage(name, *parts))
    return out


def uncovered_of(trace: Trace) -> tuple[Uncovered, ...]:
    """Kernels without a formula by their op, else by their name."""
    left, size = left_over(trace), len(left_over(trace).reasons)
    total = segments.sums(left.reason, links.work(trace).dur[left.row], size)
    count = np.bincount(left.reason, minlength=size)
    return added([
        Uncovered(*left.reasons[at], int(count[at]), int(total[at])) for at in range(size)
    ])  # fmt: skip


def added(rows: Sequence[Uncovered]) -> tuple[Uncovered, ...]:
    """Rows of the same op and reason added up, the longest first."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        at = sums.setdefault((row.what, row.why), [0, 0])
        at[0] += row.count
        at[1] += row.total_ns
    made = [Uncovered(*key, *numbers) for key, numbers in sums.items()]
    return tuple(sorted(made, key=lambda r: (-r.total_ns, r.what, r.why)))
