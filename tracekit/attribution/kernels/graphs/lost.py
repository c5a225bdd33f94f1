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
    if not len(lost) or not len(known):
        return out
    _, code = segments.distinct([Words().of_work(trace), size.of])
    says, track = matching.says(trace, {}), links.stream(trace)
    for place in segments.sorted_unique(track[lost]).tolist():
        mine, other = (rows[track[rows] == place] for rows in (lost, known))
        if len(other) < SHORTEST:
            continue
        out[mine] = _by_runs(code[mine], code[other], says[launch[other]], launch[other])
    return out


def _by_runs(lost: I64, known: I64, says: I64, launch: I64) -> I64:
    """[L] the launch of each lost kernel by its longest run among known ones, or -1."""
    out = np.full(len(lost), -1, np.int64)
    if len(lost) * len(known) > MOST:
        return out
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
    for i in range(len(lost)):
        run = before[i] + after[i] - same[i]
        longest = np.flatnonzero(run == run.max(initial=0))
        if run.max(initial=0) >= SHORTEST and (says[longest] == says[longest[0]]).all():
            out[i] = launch[longest[0]]
    return out
