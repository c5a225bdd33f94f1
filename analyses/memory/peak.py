"""What was live when most was allocated: by the op and the module that allocated it."""

from __future__ import annotations

import numpy as np

from tracekit.answers.memory import AtPeak
from tracekit.attribution.kernels import module_stacks
from tracekit.trace.spans import segments
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.trace import I64, Trace

from .allocations import OpsAround

MOST_HOLDERS = 20


def at_peak(
    trace: Trace, name: str, own: dict[str, I64], freed: I64, around: OpsAround
) -> list[AtPeak]:
    """Of one memory, the largest first; what the recording did not see allocated comes last.

    `own` are the columns of its events in their order, and `freed` which of them frees each.
    """
    peak = int(np.argmax(own["allocated"]))
    until = freed[: peak + 1]
    live = np.flatnonzero((own["bytes"][: peak + 1] > 0) & ((until < 0) | (until > peak)))
    thread, when, size = own["tid"][live], own["ts"][live], own["bytes"][live]
    alike, group = segments.distinct([around.names(thread, when), _module(trace, thread, when)])
    total = segments.sums(group, size, len(alike))
    count = np.bincount(group, minlength=len(alike))
    made = [
        AtPeak(name, int(total[g]), int(count[g]), _text(trace, op), _module_name(trace, module))
        for g, (op, module) in enumerate(alike.tolist())
    ]
    made.sort(key=lambda row: (-row.bytes, row.op or "", row.module or ""))
    before = int(own["allocated"][peak]) - int(size.sum())
    unseen = [AtPeak(name, before, None, None, None)] if before > 0 else []
    return [*_together(name, made), *unseen]


def _together(name: str, rows: list[AtPeak]) -> list[AtPeak]:
    """The first rows, and the rest as one."""
    rest = rows[MOST_HOLDERS:]
    if not rest:
        return rows
    size, blocks = sum(r.bytes for r in rest), sum(r.blocks or 0 for r in rest)
    return [*rows[:MOST_HOLDERS], AtPeak(name, size, blocks, f"{len(rest):,} more", None)]


def _module(trace: Trace, thread: I64, when: I64) -> I64:
    """[A] name of the innermost nn.Module around each instant, or -1."""
    called = module_stacks.frames(trace)
    if not len(called):
        return np.full(len(when), -1, np.int64)
    row = innermost(called.tid, called.ts, called.end, thread, when, when)
    return np.where(row >= 0, called.name[row], -1).astype(np.int64)


def _text(trace: Trace, code: int) -> str | None:
    return trace.strings[code] if code >= 0 else None


def _module_name(trace: Trace, code: int) -> str | None:
    found = module_stacks.of_frame(trace.strings[code]) if code >= 0 else None
    return found.name if found else None
