"""Launches by the arrows of a file, where neither calls nor work carry a number.

Intel's unitrace draws an arrow from each call to each command that it issued, start to start:

    call      s.......    both ends have the id of the command, 12, and are of the category
    command   ....t...    Flow_H2D_12_0

Source: intel/pti-gpu, tools/unitrace/src/chromelogger.h.
"""

from __future__ import annotations

import numpy as np

from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace

_CATEGORY = "gpu_op"  # what the commands of such a file are
_ARROW = "Flow_H2D"  # the others lead from a command to the call that waits for it
_FROM, _TO = 0, 1


def launch_row(trace: Trace, host: Trace, work: Trace) -> I64 | None:
    """[G] for each row of `work`, the row of `host` from which an arrow leads to it, or -1.

    None where the file is not one of those that say it by arrows.
    """
    if _CATEGORY not in trace.source.cats or (work.correlation >= 0).any():
        return None
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
