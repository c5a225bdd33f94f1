"""A memory snapshot: the allocator's history replayed, what held its peak, where the rest is.

The snapshot says what is held at its end. Its history says what was allocated and freed before, as
far back as it was recorded; what was freed in it and not allocated in it was there at its begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.answers.memory import Device, Failure, Holder, Memory, Reserve
from tracekit.attribution.program_code import is_library, spoken
from tracekit.records import Record
from tracekit.trace.snapshot import Block, Event, Frame, Segment, Snapshot
from tracekit.trace.trace import I64

MOST_STACKS = 20
MOST_FRAMES = 12
MOST_POINTS = 400
ACTIVE = "active_allocated"
UNKNOWN = "no stack recorded"
_GROWS = frozenset({"segment_alloc", "segment_map"})
_SHRINKS = frozenset({"segment_free", "segment_unmap"})


def of_snapshot(snapshot: Snapshot, path: str) -> Memory:
    """The answer of a memory snapshot: each device of it."""
    devices = sorted({s.device for s in snapshot.segments} | set(snapshot.history))
    rows, held, reserves, failures = [], [], [], []
    for device in devices:
        name = f"CUDA {device}"
        segments = [s for s in snapshot.segments if s.device == device]
        events = snapshot.history.get(device, ())
        past = _replayed(segments, events)
        rows.append(_row(path, name, segments, events, past))
        held += _holders(name, past)
        if segments:
            reserves.append(_reserve(name, segments))
        failures += _failures(name, events)
    return Memory(tuple(rows), (), (), tuple(held), tuple(reserves), tuple(failures))


class _Past(Record, frozen=True, eq=False):
    """Lives of blocks over E events; state 0 is before the first, state i after event i - 1."""

    bytes: I64  # [B] asked for
    begin: I64  # [B] the first state in which it is live
    end: I64  # [B] the first in which it is not
    frames: Sequence[tuple[Frame, ...]]  # [B]
    allocated: I64  # [E + 1] bytes
    reserved: I64  # [E + 1]

    @property
    def peak(self) -> int:
        """The first state in which most is allocated."""
        return int(np.argmax(self.allocated))


def _replayed(segments: Iterable[Segment], events: Sequence[Event]) -> _Past:
    freeing = "free_requested" if any(e.action == "free_requested" for e in events) else None
    frees = {freeing} if freeing else {"free", "free_completed"}
    lives: list[tuple[int, int, int, tuple[Frame, ...]]] = []
    live: dict[int, int] = {}  # address: the event that allocated it
    last = len(events) + 1
    for at, event in enumerate(events):
        if event.action != "alloc" and event.action not in frees:
            continue
        made = live.pop(event.address, None)
        if made is not None:
            lives.append((events[made].bytes, made + 1, at + 1, events[made].frames))
        elif event.action != "alloc":
            lives.append((event.bytes, 0, at + 1, ()))
        if event.action == "alloc":
            live[event.address] = at
    lives += [(events[at].bytes, at + 1, last, events[at].frames) for at in live.values()]
    lives += [(block.requested, 0, last, block.frames) for segment in segments
              for block in segment.blocks
              if block.state == ACTIVE and block.address not in live]  # fmt: skip
    size, begin, end = (np.array([life[i] for life in lives], np.int64) for i in range(3))
    change = np.zeros(last + 1, np.int64)
    np.add.at(change, begin, size)
    np.add.at(change, end, -size)
    return _Past(
        size, begin, end, [life[3] for life in lives], np.cumsum(change)[:last],
        _reserved(segments, events),
    )  # fmt: skip


def _reserved(segments: Iterable[Segment], events: Sequence[Event]) -> I64:
    """[E + 1] bytes reserved, back from what is reserved at the end."""
    change = [
        e.bytes if e.action in _GROWS else -e.bytes if e.action in _SHRINKS else 0 for e in events
    ]
    after = np.cumsum(np.array([0, *change], np.int64))
    return np.asarray(after + (sum(s.bytes for s in segments) - after[-1]), np.int64)


def _row(
    path: str, name: str, segments: Sequence[Segment], events: Sequence[Event], past: _Past
) -> Device:
    times = [e.time_ns for e in events if e.time_ns is not None]
    known = len(times) == len(events) > 0
    # state 0 has the time of the first event
    when = np.array([times[0], *times], np.int64) - times[0] if known else np.empty(0, np.int64)
    kept = _thin(past.allocated) if known else np.empty(0, np.int64)
    return Device(
        trace=path, memory=name, events=len(events),
        allocated_first=int(past.allocated[0]), allocated_last=int(past.allocated[-1]),
        allocated_peak=int(past.allocated[past.peak]),
        peak_ns=int(when[past.peak]) if known else None,
        reserved_peak=int(past.reserved.max()) if segments else None,
        allocations=sum(e.action == "alloc" for e in events),
        frees=int((past.end <= len(events)).sum()),
        requested=sum(e.bytes for e in events if e.action == "alloc"),
        series_ns=tuple(when[kept].tolist()),
        series_allocated=tuple(past.allocated[kept].tolist()),
        series_reserved=tuple(past.reserved[kept].tolist()),
    )  # fmt: skip


def _thin(value: I64) -> I64:
    """Indices of the highest state of each of at most MOST_POINTS runs, of the first and last."""
    if len(value) <= MOST_POINTS:
        return np.arange(len(value))
    runs = np.array_split(np.arange(len(value)), MOST_POINTS - 2)
    highest = [int(run[np.argmax(value[run])]) for run in runs]
    return np.unique(np.array([0, *highest, len(value) - 1], np.int64))


def _holders(name: str, past: _Past) -> list[Holder]:
    """Of the blocks at the peak, by stack, the largest first; what is beyond MOST_STACKS as one."""
    rows = np.flatnonzero((past.begin <= past.peak) & (past.end > past.peak)).tolist()
    stacks: dict[tuple[Frame, ...], list[int]] = {}
    for row in rows:
        stacks.setdefault(past.frames[row], []).append(int(past.bytes[row]))
    order = sorted(stacks.items(), key=lambda item: -sum(item[1]))
    made = [
        Holder(name, sum(sizes), len(sizes), _line(frames), _said(frames))
        for frames, sizes in order[:MOST_STACKS]
    ]
    rest = [size for _, sizes in order[MOST_STACKS:] for size in sizes]
    if rest:
        more = f"{len(order) - MOST_STACKS:,} more stacks"
        made.append(Holder(name, sum(rest), len(rest), more, ()))
    return made


def _of_python(frames: Iterable[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame[0].endswith(".py")]


def _line(frames: Sequence[Frame]) -> str:
    """The innermost line of the program's own code, else of a library, else of C++."""
    python = _of_python(frames)
    own = [frame for frame in python if not is_library(frame[0])]
    for some in (own, python, frames):
        if some:
            return spoken(*some[0])
    return UNKNOWN


def _said(frames: Sequence[Frame]) -> tuple[str, ...]:
    return tuple(spoken(*frame) for frame in (_of_python(frames) or frames)[:MOST_FRAMES])


def _reserve(name: str, segments: Sequence[Segment]) -> Reserve:
    used = [s for s in segments if any(b.state != "inactive" for b in s.blocks)]
    blocks = [block for segment in segments for block in segment.blocks]
    active = [block for block in blocks if block.state == ACTIVE]
    requested = sum(min(block.requested, block.bytes) for block in active)
    pending = _sum(b for b in blocks if b.state not in (ACTIVE, "inactive"))
    reserved, busy = sum(s.bytes for s in segments), sum(s.bytes for s in used)
    return Reserve(
        memory=name, reserved=reserved, requested=requested, rounding=_sum(active) - requested,
        pending=pending, split=busy - _sum(active) - pending, spare=reserved - busy,
        segments=len(segments),
        largest_free=max((b.bytes for b in blocks if b.state == "inactive"), default=0),
    )  # fmt: skip


def _sum(blocks: Iterable[Block]) -> int:
    return sum(block.bytes for block in blocks)


def _failures(name: str, events: Sequence[Event]) -> list[Failure]:
    """`oom`: the address of the entry is what the driver had left."""
    first = next((e.time_ns for e in events if e.time_ns is not None), None)
    return [
        Failure(
            name, e.bytes, e.address,
            e.time_ns - first if e.time_ns is not None and first is not None else None,
            _line(e.frames),
        )
        for e in events if e.action == "oom"
    ]  # fmt: skip
