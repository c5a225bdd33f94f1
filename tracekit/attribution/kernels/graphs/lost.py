"""Kernels whose launch lies before the recording, by the same kernels whose launch is in it.

A device works off launches from before the window of the profiler: their kernels are in the trace,
the ops that launched them are not. Where a model repeats its layers, the same kernels over the same
grids follow in the same order with their launches. What such a kernel computes is then known: by
the longest run of kernels, one after the other, that it shares with launched ones, where all runs
as long say the same op over the same shapes. Which layer it belongs to is not known. Collectives
are few and have streams of their own: see lost_collectives.py.
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import lost_collectives, matching
from tracekit.attribution.kernels.graphs.origin import sizes
from tracekit.attribution.kernels.graphs.words import Words
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

SHORTEST = 20  # kernels of a run: fewer may be alike by chance
MOST = 12_000_000  # pairs of kernels that are compared


def alike(trace: Trace) -> I64:
    """[G] for kernels without a launch, a row of `links.calls` that says what they do; else -1."""
    return trace.once("launches alike", lambda: _alike(trace))


def _alike(trace: Trace) -> I64:
    gpu, launch = links.work(trace), links.launch_row(trace)
    out = lost_collectives.alike(trace)
    size = sizes(trace)
    usable = (gpu.cat == Cat.KERNEL) & size.at_least(1)
    lost = np.flatnonzero(usable & (launch < 0) & (out < 0))
    known = np.flatnonzero(usable & (launch >= 0) & ~links.replayed(trace))
    pairs = _pairs(links.stream(trace), lost, known)
    code = segments.distinct([Words().of_work(trace), size.of])[1] if pairs else out
    for mine, other in pairs:
        runs = _longest_runs(code[mine], code[other])
        out[mine] = _agreed(trace, [launch[other[at]] for at in runs])
    return out


def _pairs(stream: I64, lost: I64, known: I64) -> list[tuple[I64, I64]]:
    """Of each stream the lost kernels and the known ones, where all can be compared."""
    found = []
    for one in segments.sorted_unique(stream[lost]).tolist():
        mine, other = lost[stream[lost] == one], known[stream[known] == one]
        if len(other) >= SHORTEST and len(mine) * len(other) <= MOST:
            found.append((mine, other))
    return found


def _longest_runs(lost: I64, known: I64) -> list[I64]:
    """Of each lost kernel the known ones that are in its place in a run that is as long as any;
    none where it is in no run of SHORTEST.
    """
    same = lost[:, None] == known[None, :]
    before, after = np.zeros(same.shape, np.int32), np.zeros(same.shape, np.int32)
    for i in range(len(lost)):
        before[i, 1:] = before[i - 1, :-1] + 1 if i else 1
        before[i, 0] = 1
        before[i] *= same[i]
    for i in range(len(lost) - 1, -1, -1):
        after[i, :-1] = after[i + 1, 1:] + 1 if i + 1 < len(lost) else 1
        after[i, -1] = 1
        after[i] *= same[i]
    found = []
    for i in range(len(lost)):
        run = before[i] + after[i] - same[i]
        longest = run.max(initial=0)
        found.append(np.flatnonzero((run == longest) & (longest >= SHORTEST)))
    return found


def _agreed(trace: Trace, launches: list[I64]) -> I64:
    """The first of each of these launches, where all of them say the same; else -1."""
    asked = segments.sorted_unique(np.concatenate(launches))
    says = matching.says(trace, {}, asked)
    own = [says[np.searchsorted(asked, some)] for some in launches]
    return np.array([
        some[0] if len(some) and (said == said[0]).all() else -1
        for some, said in zip(launches, own, strict=True)
    ], np.int64)  # fmt: skip
