"""Time of modules by the names that torch wrote on the work of a CUDA graph.

A replay calls no module, so there are no calls and no host time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracekit.answers.modules import ModuleTime
from tracekit.attribution.kernels.module_paths import of_name
from tracekit.attribution.stages.work_phases import Phases
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64

from . import roles


def rows(duration: I64, path: I64, names: Sequence[str], phases: Phases) -> list[ModuleTime]:
    """One row a module and phase, of those named and of those around them.

    Shapes: `duration` and `path` are [G], of the work; `path` indexes `names`, -1 for no name.
    """
    return _times(duration, path, names, phases, lambda name: name)


def kinds(duration: I64, path: I64, names: Sequence[str], phases: Phases) -> list[ModuleTime]:
    """One row a module of any layer, and phase."""
    return _times(duration, path, names, phases, lambda name: of_name(name).kind)


def _times(
    duration: I64, path: I64, names: Sequence[str], phases: Phases, group: Callable[[str], str]
) -> list[ModuleTime]:
    width = len(phases.names)
    mine = np.flatnonzero(path >= 0)
    key = path[mine] * width + phases.code[mine]
    size = len(names) * width
    own = segments.sums(key, duration[mine], size).reshape(-1, width)  # [names, phases]
    count = np.bincount(key, minlength=size).reshape(-1, width)
    out = []
    for module, (inside, its) in _members(names, group).items():
        gpu, works, self_ns = (part.sum(0) for part in (own[inside], count[inside], own[its]))
        out += [
            _row(module, phases.names[at], int(gpu[at]), int(self_ns[at]), int(works[at]))
            for at in np.flatnonzero(works).tolist()
        ]
    return out


def _members(
    names: Sequence[str], group: Callable[[str], str]
) -> dict[str, tuple[list[int], list[int]]]:
    """Of each group the names inside it, and of those the ones that are in no smaller group."""
    out: dict[str, tuple[list[int], list[int]]] = {}
    for at, name in enumerate(names):
        its = group(name)
        for one in dict.fromkeys((its, *map(group, of_name(name).around))):
            inside, own = out.setdefault(one, ([], []))
            inside.append(at)
            if one == its:
                own.append(at)
    return out


def _row(module: str, phase: str, gpu_ns: int, self_ns: int, count: int) -> ModuleTime:
    path = of_name(module)
    return ModuleTime(
        module=module,
        kind=path.kind,
        number=path.number,
        role=roles.of_path(module),
        phase=phase,
        calls=None,
        host_ns=None,
        host_self_ns=None,
        gpu_ns=gpu_ns,
        gpu_self_ns=self_ns,
        work_count=count,
        share=None,
    )
