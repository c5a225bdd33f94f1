"""Launches of work without correlation ids: by the arrows of a file, or by the op that both name.

Intel's unitrace draws an arrow from each call to each command that it issued, start to start:

    call      s.......    both ends have the id of the command, 12, and are of the category
    command   ....t...    Flow_H2D_12_0

Source: intel/pti-gpu, tools/unitrace/src/chromelogger.h.

Writers that leave the correlation out have `External id` still, which is the op's. Where an op
launched as often as it has work, the calls and the work go in pairs, in their order.
"""

from __future__ import annotations

import numpy as np

from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace

_CATEGORY = "gpu_op"  # what the commands of such a file are
_ARROW = "Flow_H2D"  # the others lead from a command to the call that waits for it
_FROM, _TO = 0, 1


def launch_row(trace: Trace, host: Trace, issues: Mask, work: Trace) -> I64 | None:
    """[G] for each row of `work`, the row of `host` that launched it, or -1.

    `issues` [R] are the rows of `host` that launch. None where the work has correlation ids.
    """
    if (work.correlation >= 0).any() or not len(work) or not issues.any():
        return None
    if _CATEGORY in trace.source.cats:
        return _by_arrows(trace, host, work)
    return _by_ops(trace, host, issues, work)


def _by_ops(trace: Trace, host: Trace, issues: Mask, work: Trace) -> I64:
    """[G] the launches of the op that work names, in their order."""
    table = trace.table("ops")
    row = np.flatnonzero(issues)
    call = table.take(host.id[row], "external", -1).astype(np.int64)
    mine = table.take(work.id, "external", -1).astype(np.int64)
    # by op, then by start
    row, call = row[np.argsort(call, kind="stable")], np.sort(call)
    order = np.argsort(mine, kind="stable")
    op, first, count = np.unique(mine[order], return_index=True, return_counts=True)
    begin = np.searchsorted(call, op)
    good = (op > 0) & (np.searchsorted(call, op, side="right") - begin == count)
    place = np.repeat(begin - first, count) + np.arange(len(order))
    paired = np.flatnonzero(np.repeat(good, count))
    out = np.full(len(work), -1, np.int64)
    out[order[paired]] = row[place[paired]]
    return np.where((out >= 0) & (host.ts[out] <= work.ts), out, -1)


def _by_arrows(trace: Trace, host: Trace, work: Trace) -> I64:
    """[G] the row of `host` from which an arrow leads to each row of `work`, or -1."""
    arrows = trace.table("flows")
    ours = np.array([text.startswith(_ARROW) for text in (*arrows.strings, "")], bool)
    mine = ours[arrows.columns["cat"]]  # -1, none, is the last
    ends = {name: arrows.columns[name][mine].astype(np.int64) for name in _COLUMNS}
    call = _at(host, ends, _FROM)
    command = _at(work, ends, _TO)
    arrow, first = np.unique(ends["flow"][call >= 0], return_index=True)
    caller = call[call >= 0][first]
    out = np.full(len(work), -1, np.int64)
    landed = np.flatnonzero(command >= 0)
    if len(arrow):
        at = np.minimum(np.searchsorted(arrow, ends["flow"][landed]), len(arrow) - 1)
        known = arrow[at] == ends["flow"][landed]
        out[command[landed[known]]] = caller[at[known]]
    return out


_COLUMNS = ("ts", "pid", "tid", "flow", "phase")


def _at(rows: Trace, ends: dict[str, I64], phase: int) -> I64:
    """[F] the row that begins where the end of an arrow lies, on its track; -1 for the others."""
    tracks = [rows.ts, rows.pid.astype(np.int64), rows.tid.astype(np.int64)]
    both = [np.r_[one, ends[name]] for one, name in zip(tracks, ("ts", "pid", "tid"), strict=True)]
    distinct, place = segments.distinct(np.stack(both, axis=1))
    row = np.full(len(distinct), -1, np.int64)
    row[place[: len(rows)]] = np.arange(len(rows))
    return np.where(ends["phase"] == phase, row[place[len(rows) :]], -1)
