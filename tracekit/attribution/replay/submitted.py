"""What had been submitted to each stream at a time, and what was told to wait for another."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace


class Submitted:
    """Of each stream, which work had been submitted at a time, and which had ended."""

    def __init__(self, trace: Trace, submitted: I64) -> None:
        gpu, stream = links.work(trace), links.stream(trace)
        self.streams: list[int] = segments.sorted_unique(stream).tolist()
        self.device: dict[int, int] = {}
        self.number: dict[tuple[int, int], int] = {}  # by device and stream
        self._own: dict[int, tuple[I64, I64, I64]] = {}
        for one in self.streams:
            rows = np.flatnonzero(stream == one)
            device = int(gpu.device[rows[0]])
            self.device[one] = device
            self.number[device, int(gpu.stream[rows[0]])] = one
            # work without a launch was submitted no later than what comes after it
            sent = np.maximum.accumulate(submitted[rows])
            ended = np.maximum.accumulate(gpu.end[rows])
            self._own[one] = rows, sent, ended

    def last(self, stream: int, sent_by: int, ended_by: int) -> int:
        """The last work of a stream that was submitted and had ended by these times, or -1."""
        rows, sent, ended = self._own[stream]
        at = min(
            int(np.searchsorted(sent, sent_by, side="right")),
            int(np.searchsorted(ended, ended_by, side="right")),
        )
        return int(rows[at - 1]) if at else -1

    def next(self, stream: int, sent_from: int) -> int:
        """The first work of a stream that was submitted at this time or later, or -1."""
        rows, sent, _ = self._own[stream]
        at = int(np.searchsorted(sent, sent_from, side="left"))
        return int(rows[at]) if at < len(rows) else -1


def told(trace: Trace, seen: set[int]) -> list[tuple[int, int, int]]:
    """Rows of work whose launch follows waits: (row, when the last was told, how many)."""
    calls, launch = links.calls(trace), links.launch_row(trace)
    waits = calls.named("StreamWaitEvent") & ~np.isin(calls.correlation, list(seen))
    if not waits.any():
        return []
    thread = links.thread(trace)[trace.is_(Cat.RUNTIME)]
    first = np.full(len(calls), -1, np.int64)
    rows = np.flatnonzero(launch >= 0)
    first[launch[rows[::-1]]] = rows[::-1]
    told: dict[int, list[int]] = {}
    out = []
    for row in np.flatnonzero(waits | (first >= 0)).tolist():
        mine = told.setdefault(int(thread[row]), [])
        if waits[row]:
            mine.append(int(calls.ts[row]))
        elif mine:
            out.append((int(first[row]), mine[-1], len(mine)))
            mine.clear()
    return out


def awaiting(trace: Trace, submitted: I64) -> Mask:
    """[G] work whose stream was told to wait for another one before it was launched.

    When it starts says nothing of what launching takes, nor of the pause after what came before.
    """
    out = np.zeros(len(submitted), bool)
    calls = links.calls(trace)
    waits = calls.named("StreamWaitEvent")
    if not waits.any():
        return out
    sent = Submitted(trace, submitted)
    when = dict(zip(calls.correlation[waits].tolist(), calls.ts[waits].tolist(), strict=True))
    seen = set()
    for row in np.flatnonzero(trace.is_(Cat.SYNC) & trace.named("Wait")).tolist():
        number = int(trace.correlation[row])
        mine = sent.number.get((int(trace.device[row]), int(trace.stream[row])))
        seen.add(number)
        at = -1 if mine is None else sent.next(mine, when.get(number, int(trace.ts[row])))
        if at >= 0:
            out[at] = True
    out[[row for row, _, _ in told(trace, seen)]] = True
    return out
