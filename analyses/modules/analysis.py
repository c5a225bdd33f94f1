"""Where the time went by nn.Module: host time of its calls, GPU time of what it launched.

Inclusive time counts a module's children too and each work once; self time does not. The self times
of all modules and what no module launched add up to the GPU time. Where torch wrote the module's
name on the work of a CUDA graph (roots are the names without a dot), the work is that module's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.answers.modules import Modules, ModuleTime, Rest
from tracekit.attribution import links
from tracekit.attribution.kernels import module_paths, module_stacks
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.instances import markers
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural
from tracekit.trace.spans import segments
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.trace import I64, Mask, Trace

from . import captured, named
from .captured import around
from .roles import role

NOWHERE = "outside every module"
AROUND = "Python frames and markers around the launch"
NAMED = "module names on the kernels, written by torch"
SCRIPTED = "module names on the ops of TorchScript that launched it, written by torch"
CAPTURED = "Python frames around the launches that replayed graphs were captured from"


def modules(trace: Trace, *, stages: str | None = None) -> Modules:
    """Time of each nn.Module and of each class, by phase.

    Raises: MissingEventsError for a trace without module frames and names, or where `stages`
    matches nothing.
    """
    calls = module_stacks.frames(trace)
    path, names = module_stacks.paths(trace)
    inside = captured.inside(trace)
    on_ops = module_paths.on_ops(trace)[0] >= 0
    sources = (AROUND,) * (len(calls) > 0) + (NAMED,) * bool(((path >= 0) & ~on_ops).any())
    sources += (SCRIPTED,) * bool(((path >= 0) & on_ops).any())
    sources += (CAPTURED,) * bool(inside.any())
    if not sources:
        said = len(trace.table("op_modules")) > 0 and not len(links.work(trace))
        raise MissingEventsError(
            "names of modules on ops, and no GPU work" if said else "captured without module names",
            where=trace.path,
            hint="capture with with_stack=True (with_modules=True names modules of TorchScript "
            "alone); the kernels of a CUDA graph have names where it was captured with "
            "enable_annotations=True and its modules marked",
        )
    phases = work_phases.of_work(trace, stages)
    rows, kinds = _of_frames(trace, stages, phases) if len(calls) else ([], [])
    if (path >= 0).any():
        rows += named.rows(links.work(trace).dur, path, names, phases)
        kinds += named.kinds(links.work(trace).dur, path, names, phases)
    if CAPTURED in sources:
        rows = _joined([*rows, *map(_named, captured.rows(trace, phases, by_class=False))])
        kinds = _joined([*kinds, *map(_with_role, captured.rows(trace, phases, by_class=True))])
    own = (module_stacks.work_row(trace) >= 0) | (path >= 0) | inside
    return _finish(rows, kinds, _rest(links.work(trace).dur, own, phases), sources)


def _rest(duration: I64, own: Mask, phases: work_phases.Phases) -> tuple[Rest, ...]:
    """All GPU work of each phase, and what no module owns of it."""
    return tuple(
        Rest(
            name, int(duration[mine].sum()), int(duration[mine & ~own].sum()),
            int(mine.sum()), int((mine & ~own).sum()),
        )
        for code, name in enumerate(phases.names)
        if (mine := phases.code == code).any()
    )  # fmt: skip


def _of_frames(
    trace: Trace, stages: str | None, phases: work_phases.Phases
) -> tuple[list[ModuleTime], list[ModuleTime]]:
    """Rows of modules and of classes by their frames."""
    calls = module_stacks.frames(trace)
    phase = _phase_of_calls(trace, calls, stages, phases.names)
    names = calls.name.astype(np.int64)
    kinds, classes = module_stacks.kinds_of_frames(trace)
    rows = _times(trace, names, phase, phases, [trace.strings[n] for n in range(names.max() + 1)])
    return [_named(row) for row in rows], _times(trace, kinds, phase, phases, list(classes))


def _with_role(row: ModuleTime) -> ModuleTime:
    return replace(row, role=role(row.kind))


def _named(row: ModuleTime) -> ModuleTime:
    found = module_stacks.of_frame(row.module)
    if found is None:
        return row
    return replace(
        row, module=found.name, kind=found.kind, number=found.number, role=role(found.kind)
    )


def _phase_of_calls(trace: Trace, calls: Trace, stages: str | None, names: Sequence[str]) -> I64:
    """[F] the phase of each call by when it starts, as an index into `names`."""
    try:
        marks = markers(trace, stages)
    except MissingEventsError:
        return np.zeros(len(calls), np.int64)
    number = {name: i for i, name in enumerate(names)}
    labels = [number[text] for text in work_phases.label(marks)]
    if marks.chosen == "file":
        return np.full(len(calls), labels[0], np.int64)
    found = innermost(marks.pid, marks.start, marks.end, calls.pid, calls.ts, calls.ts + 1)
    return np.array([*labels, number[work_phases.OUTSIDE]], np.int64)[found]


def _times(
    trace: Trace, group: I64, phase: I64, phases: work_phases.Phases, names: Sequence[str]
) -> list[ModuleTime]:
    """One row a group of frames and phase; `group` [F] indexes `names`."""
    calls, parent = module_stacks.frames(trace), module_stacks.parent_row(trace)
    width = len(phases.names)
    key = group * width + phase
    size = len(names) * width
    outer = ~_inside_its_own(group, parent)
    host = segments.sums(key, np.where(outer, calls.dur, 0), size)
    nested = segments.sums(key[parent[parent >= 0]], calls.dur[parent >= 0], size)
    self_ns = segments.sums(key, calls.dur, size) - nested
    gpu = links.work(trace)
    row = module_stacks.work_row(trace)
    mine = np.flatnonzero((row >= 0) & (module_stacks.paths(trace)[0] < 0))
    own_gpu = segments.sums(group[row[mine]] * width + phases.code[mine], gpu.dur[mine], size)
    at, work = around(row, parent)
    once = outer[at]  # of nested frames of one group the outermost has it
    at, work = at[once], work[once]
    pair = group[at] * width + phases.code[work]
    all_gpu = segments.sums(pair, gpu.dur[work], size)
    count = np.bincount(pair, minlength=size)
    called = np.bincount(key, minlength=size)
    has_gpu = len(gpu) > 0
    return [
        ModuleTime(
            module=names[k // width],
            kind=names[k // width],
            number=None,
            role=role(names[k // width]),
            phase=phases.names[k % width],
            calls=int(called[k]),
            host_ns=int(host[k]),
            host_self_ns=int(self_ns[k]),
            gpu_ns=int(all_gpu[k]) if has_gpu else None,
            gpu_self_ns=int(own_gpu[k]) if has_gpu else None,
            work_count=int(count[k]) if has_gpu else None,
            share=None,
        )
        for k in np.flatnonzero((called > 0) | (count > 0)).tolist()
    ]


def _inside_its_own(group: I64, parent: I64) -> Mask:
    """[F] whether a frame lies inside another one of its group, at any distance."""
    out = np.zeros(len(group), bool)
    left = np.flatnonzero(parent >= 0)
    at = parent[left]
    while len(left):  # one round a level of nesting
        out[left[group[at] == group[left]]] = True
        at = parent[at]
        left, at = left[at >= 0], at[at >= 0]
    return out


# ---------------------------------------------------------------- of one trace or of many


def _finish(
    rows: Iterable[ModuleTime],
    kinds: Iterable[ModuleTime],
    rest: Sequence[Rest],
    sources: tuple[str, ...],
) -> Modules:
    whole = {r.phase: r.gpu_ns for r in rest}
    made = list(rows)
    host = sum(r.host_self_ns or 0 for r in made)

    def order(some: Iterable[ModuleTime]) -> tuple[ModuleTime, ...]:
        done = (
            replace(r, share=work_phases.share(r.host_ns or 0, host))
            if r.gpu_ns is None
            else replace(r, share=work_phases.share(r.gpu_ns, whole.get(r.phase, 0)))
            for r in some
        )
        return tuple(sorted(
            done, key=lambda r: (-(r.gpu_ns or 0), -(r.host_ns or 0), r.module, r.phase)
        ))  # fmt: skip

    return Modules(order(made), order(kinds), tuple(rest), sources)


def merge(one: Modules, two: Modules) -> Modules:
    """Modules and classes of the same name and phase added up."""
    rest: dict[str, Rest] = {}
    for part in (*one.rest, *two.rest):
        old = rest.get(part.phase, Rest(part.phase, 0, 0, 0, 0))
        rest[part.phase] = Rest(
            part.phase, old.gpu_ns + part.gpu_ns, old.outside_ns + part.outside_ns,
            old.work_count + part.work_count, old.outside_count + part.outside_count,
        )  # fmt: skip
    return _finish(
        _joined((*one.rows, *two.rows)), _joined((*one.kinds, *two.kinds)), tuple(rest.values()),
        tuple(dict.fromkeys((*one.sources, *two.sources))),
    )  # fmt: skip


def _joined(rows: Iterable[ModuleTime]) -> list[ModuleTime]:
    sums: dict[tuple[str, str], ModuleTime] = {}
    for row in rows:
        key = (row.module, row.phase)
        old = sums.get(key)
        sums[key] = row if old is None else replace(
            old,
            calls=_both(old.calls, row.calls),
            host_ns=_both(old.host_ns, row.host_ns),
            host_self_ns=_both(old.host_self_ns, row.host_self_ns),
            gpu_ns=_both(old.gpu_ns, row.gpu_ns),
            gpu_self_ns=_both(old.gpu_self_ns, row.gpu_self_ns),
            work_count=_both(old.work_count, row.work_count),
        )  # fmt: skip
    return list(sums.values())


def _both(one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else one + two


# ---------------------------------------------------------------- tables

DEFINITIONS = {
    "module": "By its Python frame or marker, or by the name that torch wrote on the kernels of a "
    "replayed CUDA graph; * stands for any layer.",
    "calls": "Calls of the module that started in the phase; not recorded with names on kernels.",
    "host": "Host time inside its calls; a call inside another of the same module counts once.",
    "host self": "Host time inside its calls and in no module called from there.",
    "GPU": "Durations of the GPU work launched inside its calls, or named as its own, children's "
    "included.",
    "GPU self": "Durations of the GPU work launched inside its calls and in no module called "
    "from there, or that has its name.",
    "share": "GPU over all GPU work of the phase; of a trace without a GPU, host over all calls.",
    "role": "What the name of the class, or of the module, says it is.",
}
MOST = 200


def tables(result: Modules) -> list[Grid]:
    by_kind = _grid("kinds", "Time by class of module", result.kinds, result.rest)
    said = _said(result)
    return [
        replace(by_kind, note=f"{by_kind.note} {said}".rstrip()),
        _grid("modules", "Time by module", result.rows, ()),
    ]


def _said(result: Modules) -> str:
    """On what the names rest where it is not frames alone, and how much work has none."""
    if result.sources == (AROUND,):
        return ""
    every = sum(r.work_count for r in result.rest)
    outside = sum(r.outside_count for r in result.rest)
    return (
        f"By {' and '.join(result.sources)}; {outside:,} of {plural(every, 'piece')} of GPU work "
        f"{'is' if outside == 1 else 'are'} {NOWHERE}."
    )


def _grid(key: str, title: str, rows: Sequence[ModuleTime], rest: Sequence[Rest]) -> Grid:
    columns = (
        Column("module", "text", DEFINITIONS["module"]),
        Column("role", "text", DEFINITIONS["role"]), Column("phase"),
        Column("calls", "count", DEFINITIONS["calls"]),
        Column("GPU", "ns", DEFINITIONS["GPU"]), Column("share", "share", DEFINITIONS["share"]),
        Column("GPU self", "ns", DEFINITIONS["GPU self"]),
        Column("host", "ns", DEFINITIONS["host"]),
        Column("host self", "ns", DEFINITIONS["host self"]),
    )  # fmt: skip
    made: list[tuple[object, ...]] = [
        (r.module, r.role, r.phase, r.calls, r.gpu_ns, r.share, r.gpu_self_ns, r.host_ns,
         r.host_self_ns)
        for r in rows
    ]  # fmt: skip
    made += [
        (NOWHERE, "", r.phase, None, r.outside_ns, work_phases.share(r.outside_ns, r.gpu_ns),
         r.outside_ns, None, None)
        for r in rest if r.outside_ns
    ]  # fmt: skip
    side = "GPU" if any(r.gpu_ns is not None for r in rows) else "host"
    note = f"Parents include their children: do not add the {side} column up; {side} self adds up."
    return Grid(key, title, columns, made[:MOST], note, beyond=max(len(made) - MOST, 0))


def charts(result: Modules) -> list[Chart]:
    phases = list(dict.fromkeys(r.phase for r in result.kinds))
    gpu = any(r.gpu_self_ns for r in result.kinds)
    self_ns = {(r.module, r.phase): (r.gpu_self_ns if gpu else r.host_self_ns) or 0
               for r in result.kinds}  # fmt: skip
    order = sorted({r.module for r in result.kinds},
                   key=lambda m: -sum(self_ns.get((m, p), 0) for p in phases))  # fmt: skip
    parts = {m: [self_ns.get((m, p), 0) for p in phases] for m in order[:8]}
    parts["other modules"] = [sum(self_ns.get((m, p), 0) for m in order[8:]) for p in phases]
    outside = {r.phase: r.outside_ns for r in result.rest}
    if gpu:
        parts[NOWHERE] = [outside.get(p, 0) for p in phases]
    out = [
        figures.split_bars(
            "kinds", "Self time by class of module", phases, parts,
            of="GPU self time" if gpu else "host self time", table="kinds",
            summary="For each phase, the time of each class of module without its children.",
        )
    ]  # fmt: skip
    layers = _layers(result, gpu)
    if len(layers) > 1:
        kind = layers[0].kind
        # a part that is nowhere above zero is not drawn, but keeps its colour: this class has here
        # the one that it has above
        drawn: dict[str, list[int]] = {m: [0] * len(layers) for m in order[: order.index(kind)][:8]}
        drawn[kind] = [(r.gpu_ns if gpu else r.host_ns) or 0 for r in layers]
        out.append(
            figures.columns(
                "layers", "Layer by layer", [str(r.number) for r in layers], drawn,
                of="GPU time" if gpu else "host time", x_title="layer", table="modules",
                summary="The time of each layer, children included, over all phases.",
            )
        )  # fmt: skip
    return out


def _layers(result: Modules, gpu: bool) -> list[ModuleTime]:
    """The class of layers with most time, each layer over all phases, in order."""
    rows = [r for r in result.rows if r.role == "layer" and r.number is not None]
    total: dict[str, int] = {}
    for row in rows:
        total[row.kind] = total.get(row.kind, 0) + ((row.gpu_ns if gpu else row.host_ns) or 0)
    best = max(total, key=lambda kind: (total[kind], kind), default=None)
    joined = _joined(replace(r, phase="") for r in rows if r.kind == best)
    return sorted(joined, key=lambda r: r.number or 0)


ANALYSIS = Analysis(
    title="Time by module",
    question="Which modules of the model took the time?",
    run=modules,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    needs=frozenset({"kernel_modules", "op_modules"}),
    order=90,
)
