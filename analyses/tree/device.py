"""The tree of a trace with a device: stage, module or op, kernel; width is GPU time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tracekit.answers.tree import COPY, FILL, KERNEL, MODULE, OP, STAGE
from tracekit.attribution import code_lines, links
from tracekit.attribution.kernels import module_paths, module_stacks
from tracekit.attribution.kernels.categories import CATEGORIES, classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import devices
from tracekit.attribution.roofline.op_formulas import described
from tracekit.attribution.roofline.utilization import rates_of
from tracekit.attribution.stages.instances import Markers, innermost, markers_if_any
from tracekit.attribution.stages.work_phases import OUTSIDE, UNLAUNCHED
from tracekit.records import Record
from tracekit.trace.spans import nesting, segments
from tracekit.trace.trace import I64, Cat, Trace

from .chains import Chains, chains
from .growing import Growing, Step, Sums

OPS = 4  # of the ops around a launch: the innermost
_LEAF = {Cat.KERNEL: KERNEL, Cat.MEMCPY: COPY, Cat.MEMSET: FILL}

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Around(Record, frozen=True, eq=False):
    """What is around each row, by one number, and each number as a path."""

    code: I64  # [G]
    paths: tuple[tuple[Step, ...], ...]


def grown(trace: Trace, stages: str | None, growing: Growing) -> I64:
    """[G] the node of each row of `links.work`: its kernel inside all that is around it."""
    gpu = links.work(trace)
    stage, module, op = stages_of(trace, stages), _modules(trace), _ops(trace)
    key = np.stack(
        [stage.code, module.code, op.code, gpu.cat.astype(np.int64), gpu.name.astype(np.int64)],
        axis=1,
    )
    found, row = segments.distinct(key)
    nodes = np.array(
        [
            growing.at(0, (
                *stage.paths[s], *module.paths[m], *op.paths[o],
                (_LEAF[Cat(cat)], trace.strings[name]),
            ))
            for s, m, o, cat, name in found.tolist()
        ], np.int64,
    )  # fmt: skip
    return nodes[row]


# ---------------------------------------------------------------- stages


def families(trace: Trace, marks: Markers) -> Around:
    """[M] what each stage is called, inside those around it."""
    names = marks.families
    number = {name: at for at, name in enumerate(names)}
    own = np.array([number[name] for name in marks.family], np.int64)
    found = chains(around_marks(marks), own)
    paths = tuple(
        tuple((STAGE, str(names[n])) for n in found.names(chain))
        for chain in range(len(found.before))
    )
    return Around(found.code, paths)


def around_marks(marks: Markers) -> I64:
    """[M] the stage around each stage, on its thread; -1 for none."""
    owner = segments.distinct(np.stack([marks.pid, marks.tid], axis=1))[1]
    return nesting.parents(owner, marks.start, marks.end)


def stages_of(trace: Trace, stages: str | None) -> Around:
    """[G] the stage that launched each row of `links.work`."""
    marks = markers_if_any(trace, stages)
    count = len(links.work(trace))
    if marks is None:
        return Around(np.zeros(count, np.int64), ((),))
    own = families(trace, marks)
    outside, unlaunched = len(own.paths), len(own.paths) + 1
    code = np.append(own.code, outside)[innermost(trace, stages)]
    if marks.chosen == "file":
        code = np.full(count, own.code[0])  # the whole file is one stage, launches or not
    else:
        code[links.launch_row(trace) < 0] = unlaunched
    return Around(code, (*own.paths, ((STAGE, OUTSIDE),), ((STAGE, UNLAUNCHED),)))


# ---------------------------------------------------------------- modules


def _modules(trace: Trace) -> Around:
    """[G] the modules around each launch, or named on the work; a layer stands for all of them."""
    row = module_stacks.work_row(trace)
    own, names = _frames(trace)
    paths: list[tuple[Step, ...]] = [()]
    code = np.zeros(len(row), np.int64)
    code[row >= 0] = own.code[row[row >= 0]] + 1
    paths += [_steps(names[n] for n in own.names(c)) for c in range(len(own.before))]
    captured = origin.origin(trace)
    if captured is not None:
        inner = _modules(captured.trace)
        known = inner.code > 0
        code[captured.row[known]] = inner.code[known] + len(paths)
        paths += inner.paths
    written, said = module_stacks.paths(trace)
    if said:
        code = np.where(written >= 0, written + len(paths), code)
        paths += [_steps(module_paths.of_name(name).kind.split(".")) for name in said]
    return Around(code, tuple(paths))


def _frames(trace: Trace) -> tuple[Chains, tuple[str, ...]]:
    kinds, names = module_stacks.kinds_of_frames(trace)
    return chains(module_stacks.parent_row(trace), kinds), names


def _steps(names: Iterable[str]) -> tuple[Step, ...]:
    return tuple((MODULE, name) for name in names)


# ---------------------------------------------------------------- ops


def _ops(trace: Trace) -> Around:
    """[G] the innermost ops around each launch, captured launches too."""
    names, strings = origin.op_names(trace)
    found = chains(origin.op_parent_row(trace), names)
    row = origin.op_row(trace)
    chain = np.full(len(row), -1, np.int64)
    chain[row >= 0] = found.code[row[row >= 0]]
    used, code = segments.codes(chain)
    return Around(code, tuple(
        tuple((OP, strings[n]) for n in found.names(chain)[-OPS:]) for chain in used.tolist()
    ))  # fmt: skip


# ---------------------------------------------------------------- what is known of each piece


def sums(trace: Trace, node: I64, size: int) -> Sums:
    """What each node has: durations, and the floor of what has a formula."""
    gpu = links.work(trace)
    floor = floors(trace)
    known = floor >= 0
    return Sums.of(
        node, gpu.dur, gpu.ts, size,
        described=np.where(known, gpu.dur, 0), floor=np.where(known, floor, 0.0),
    )  # fmt: skip


def floors(trace: Trace) -> Floats:
    """[G] the least ns of each row of `links.work`; -1 where no formula says it.

    The floor of a call is shared by its kernels as they took time.
    """
    spec, found = devices.of_trace(trace), described(trace)
    out = np.full(len(found.call), -1.0)
    if spec is None or not len(found.work):
        return out
    least = [rates_of(work, 1, None, spec, work.dtype).floor_ns for work in found.works]
    of_work = np.array([-1.0 if ns is None else ns for ns in least])
    of_call = of_work[found.work]
    mine = np.flatnonzero((found.call >= 0) & (of_call[found.call] >= 0))
    call, dur = found.call[mine], links.work(trace).dur[mine]
    whole = segments.sums(call, dur, len(of_call))[call]
    out[mine] = of_call[call] * np.divide(dur, whole, out=np.zeros(len(dur)), where=whole > 0)
    return out


def categories(trace: Trace, node: I64, size: int) -> list[str | None]:
    """[size] the category of the kernels that end in each node."""
    category = classify(trace).category.astype(np.int64)
    out: list[str | None] = [None] * size
    ends = segments.sorted_unique(node)
    best = segments.longest(node, category, links.work(trace).dur, size) if len(node) else []
    for at in ends.tolist():
        out[at] = str(CATEGORIES[best[at]])
    return out


def lines(trace: Trace, node: I64, size: int) -> list[str | None]:
    """[size] the line of the program that launched most of what ends in each node."""
    if not code_lines.recorded(trace):
        return [None] * size
    found = code_lines.of_work(trace)
    best = segments.longest(node, found.code + 1, links.work(trace).dur, size)
    return [found.names[code - 1] if code > 0 else None for code in best]
