"""Parts of a kernel's row: quantiles of its durations, what launched it, its usual grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.answers.kernels import Origin, Shape
from tracekit.attribution import code_lines, links
from tracekit.attribution.kernels import module_stacks
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.kernels.graphs import origin
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace

F64 = npt.NDArray[np.float64]


def quantile(ordered: I64, first: I64, count: I64, q: float) -> F64:
    """[groups] quantile of each group of values sorted within groups, linear between neighbours."""
    at = first + q * (count - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, first + count - 1)
    return np.asarray(ordered[low] + (ordered[high] - ordered[low]) * (at - low), np.float64)


def origins_of(trace: Trace, row: I64, group: I64, groups: int) -> list[list[Origin]]:
    """Of each group, what launched its kernels: by op, module and rule."""
    classes = classify(trace)
    op, (names, strings) = origin.op_row(trace)[row], origin.op_names(trace)
    op = np.where(op >= 0, names[op] if len(names) else -1, -1)
    module, kinds = module_stacks.kinds(trace)
    distinct, inverse = segments.distinct([group, op, module[row], classes.rule[row]])
    count = np.bincount(inverse, minlength=len(distinct))
    total = segments.sums(inverse, links.work(trace).dur[row], len(distinct))
    out: list[list[Origin]] = [[] for _ in range(groups)]
    for (g, o, m, r), n, ns in zip(distinct.tolist(), count.tolist(), total.tolist(), strict=True):
        name = strings[o] if o >= 0 else None
        out[g].append(Origin(name, kinds[m] if m >= 0 else None, classes.rules[r], n, ns))
    return [sorted(some, key=by_length) for some in out]


def lines_of(trace: Trace, row: I64, group: I64, groups: int) -> list[str | None]:
    """Of each group, the line of code that launched most of its time; None where none is known."""
    if not code_lines.recorded(trace):
        return [None] * groups
    found, gpu = code_lines.of_work(trace), links.work(trace)
    best = segments.longest(group, found.code[row], gpu.dur[row], groups)
    return [found.names[code] if code >= 0 else None for code in best]


def by_length(origin: Origin) -> tuple[int, str, str, str]:
    return (-origin.total_ns, origin.op or "", origin.module or "", origin.rule)


def shapes(trace: Trace, row: I64, group: I64) -> dict[int, tuple[Shape, Shape, int]]:
    """Of each group with known grids, the most frequent grid and block, and how many had it."""
    sizes = origin.sizes(trace)
    size = sizes.of[row]
    known = np.flatnonzero(sizes.at_least(0)[row])
    if not len(known):
        return {}
    distinct, inverse = segments.distinct([group[known], size[known]])
    count = np.bincount(inverse, minlength=len(distinct))
    out: dict[int, tuple[Shape, Shape, int]] = {}
    for at in np.lexsort((count,)).tolist():  # the most frequent is written last
        g, one = distinct[at].tolist()
        six = sizes.each[one].tolist()
        out[g] = ((six[0], six[1], six[2]), (six[3], six[4], six[5]), int(count[at]))
    return out
