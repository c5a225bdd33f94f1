"""Time of modules by the frames around the launches that replayed graphs were captured from.

A replay calls no module, so there are no calls and no host time.
"""

from __future__ import annotations

import numpy as np

from tracekit.answers.modules import ModuleTime
from tracekit.attribution import links
from tracekit.attribution.kernels import module_stacks
from tracekit.attribution.kernels.graphs.origin import origin
from tracekit.attribution.stages.work_phases import Phases
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace


def inside(trace: Trace) -> Mask:
    """[G] whether a row of `links.work` has a module by its capture, and no name on it."""
    out = np.zeros(len(links.work(trace)), bool)
    found = origin(trace)
    if found is not None:
        out[found.row] = module_stacks.work_row(found.trace) >= 0
    return out & (module_stacks.paths(trace)[0] < 0)


def rows(trace: Trace, phases: Phases, by_class: bool) -> list[ModuleTime]:
    """One row a module, or a class of modules, and phase.

    A node that could be of several layers counts for its class alone.
    """
    found = origin(trace)
    assert found is not None
    host, mine = found.trace, inside(trace)[found.row]
    if by_class:
        group, names = module_stacks.kinds_of_frames(host)
    else:
        mine = mine & found.placed
        group, names = module_stacks.frames(host).name.astype(np.int64), host.strings
    row = np.where(mine, module_stacks.work_row(host), -1)
    phase, duration = phases.code[found.row], links.work(host).dur
    width = len(phases.names)
    at, work = around(row, module_stacks.parent_row(host))
    pair, _ = segments.distinct(np.stack([group[at] * width + phase[work], work], axis=1))
    keys, which = np.unique(pair[:, 0], return_inverse=True)
    which = np.asarray(which).reshape(-1)
    total = segments.sums(which, duration[pair[:, 1]], len(keys))
    count = np.bincount(which, minlength=len(keys))
    first = np.flatnonzero(row >= 0)
    own = segments.sums(
        np.searchsorted(keys, group[row[first]] * width + phase[first]), duration[first], len(keys)
    )
    return [
        ModuleTime(
            module=names[key // width], kind=names[key // width], number=None, role="",
            phase=phases.names[key % width], calls=None, host_ns=None, host_self_ns=None,
            gpu_ns=int(total[k]), gpu_self_ns=int(own[k]), work_count=int(count[k]), share=None,
        )
        for k, key in enumerate(keys.tolist())
    ]  # fmt: skip


def around(row: I64, parent: I64) -> tuple[I64, I64]:
    """Every (frame, work) where the work was launched inside the frame, at any distance."""
    frames, works = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    at, work = row[row >= 0], np.flatnonzero(row >= 0)
    while len(at):
        frames.append(at)
        works.append(work)
        up = parent[at]
        at, work = up[up >= 0], work[up >= 0]
    return np.concatenate(frames), np.concatenate(works)
