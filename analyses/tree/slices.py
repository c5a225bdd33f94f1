"""Which slices are drawn: of every stream, of the host's threads, and the idle time of devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracekit.answers.tree import Slices, Track
from tracekit.attribution import links
from tracekit.attribution.stages.instances import Markers
from tracekit.records import Record
from tracekit.trace.spans import detail, segments
from tracekit.trace.trace import HOST, I32, I64, Cat, Mask, Trace

from .waiting import WORDS, Waits

DEVICE, HOST_SLICES, IDLE = 20_000, 20_000, 4_000  # drawn one by one
RUNS = 12_000  # of all others together
STREAMS, THREADS = 32, 10  # tracks
FOCUS = 3  # stages of which one instance is drawn whole, where there is room


class Columns(Record, frozen=True, eq=False):
    """N slices, as they stand in a trace: nothing is copied."""

    owner: I64  # a number from 0 that slices of one track share
    start: I64
    dur: I64
    end: I64
    name: I64 | I32
    node: I64 | None  # -1: of none; None: all are


class Rows(Record, frozen=True, eq=False):
    """Slices of one kind on their tracks."""

    tracks: list[Track]
    place: I64  # the track of each owner, -1 for none
    of: Columns
    drawn: Mask  # [N] those on a track
    window: tuple[int, int]
    most: int
    left_out: int


class Drawn(Record, frozen=True, eq=False):
    tracks: tuple[Track, ...]
    names: tuple[str, ...]
    slices: Slices | None
    window: tuple[int, int]
    view: tuple[int, int]  # what is shown first
    left_out: int


def drawn(
    trace: Trace, marks: Markers | None, work: I64, ops: I64 | None, waits: Waits | None,
    *, single: bool,
) -> Drawn:  # fmt: skip
    """The tracks of a trace, and unless `single` is off their slices; `work` and `ops` are the
    nodes of each row of `links.work` and `ops`, None where they have none.
    """
    parts = [_host(trace, ops)]
    if len(links.work(trace)):
        parts += [_streams(trace, work)]
    if waits is not None:
        parts += [_waits(trace, waits)]
    parts = [part for part in parts if part.tracks]
    window = min(part.window[0] for part in parts), max(part.window[1] for part in parts)
    view, left_out = _view(trace, waits, window), sum(part.left_out for part in parts)
    if not single:
        every_track = tuple(track for part in parts for track in part.tracks)
        return Drawn(every_track, (), None, window, view, left_out)
    focus = _focus(trace, marks)
    tracks: list[Track] = []
    kept: list[I64] = []
    rest = np.empty((5, 0), np.int64)
    bins = max(RUNS // max(sum(len(part.tracks) for part in parts), 1), 64)
    for part in parts:
        alone, more = _split(part, focus, window, bins)
        for one in (alone, more):
            one[0] += len(tracks)
        kept.append(alone)
        rest = np.concatenate([rest, more], axis=1)
        tracks += part.tracks
    every = np.concatenate(kept, axis=1)
    # those of a track come by start, the longer first
    track, start, dur, name, node = every[:, segments.grouped(every[0], len(tracks))]
    used, code = segments.codes(name)
    causes_from = len(trace.strings)
    names = tuple(
        trace.strings[n] if n < causes_from else WORDS[n - causes_from] for n in used.tolist()
    )
    slices = Slices(track, start, dur, code, node, rest)
    return Drawn(tuple(tracks), names, slices, window, view, left_out)


def _split(
    part: Rows, focus: Sequence[tuple[int, int]], window: tuple[int, int], bins: int
) -> tuple[I64, I64]:
    """Track, start, duration, name and node of what is drawn one by one; and runs of the rest."""
    of = part.of
    keep = detail.chosen(of.dur, _inside(of, focus), part.most, part.drawn)
    rows = np.flatnonzero(keep)
    node = np.full(len(rows), -1, np.int64) if of.node is None else of.node[rows]
    alone = np.stack(
        [part.place[of.owner[rows]], of.start[rows], of.dur[rows], of.name[rows], node],
        dtype=np.int64,
    )
    gone = part.drawn & ~keep
    more = detail.runs(of.owner, of.start, of.dur, ~gone, window=window, bins=bins)
    more[0] = part.place[more[0]]
    return alone, more


def _view(trace: Trace, waits: Waits | None, window: tuple[int, int]) -> tuple[int, int]:
    """The window; where the file probably lacks the work of more than half of it, the piece between
    such stretches that has most work.
    """
    gone = np.flatnonzero(waits.node < 0) if waits is not None else np.empty(0, np.int64)
    if waits is None or 2 * int(waits.dur[gone].sum()) <= window[1] - window[0]:
        return window
    gpu = links.work(trace)
    cut = np.sort(np.concatenate([waits.start[gone], waits.start[gone] + waits.dur[gone]]))
    edges = np.concatenate([[window[0]], cut, [window[1]]])
    piece = np.searchsorted(edges, gpu.ts, side="right") - 1
    best = int(segments.sums(piece, gpu.dur, len(edges)).argmax())
    low, high = int(edges[best]), int(edges[min(best + 1, len(edges) - 1)])
    return (low, high) if high > low else window


def _inside(of: Columns, focus: Sequence[tuple[int, int]]) -> Mask:
    """[N] whether a slice lies in, or around, a stretch that is drawn whole."""
    out = np.zeros(len(of.start), bool)
    for low, high in focus:
        out |= (of.start < high) & (of.end > low)
    return out


def _focus(trace: Trace, marks: Markers | None) -> list[tuple[int, int]]:
    """The median instance of each of the stages with most time, to the end of what it launched."""
    if marks is None:
        return []
    families = sorted(
        marks.members, key=lambda own: -int((marks.end[own] - marks.start[own]).sum())
    )
    out = []
    gpu, begun = links.work(trace), links.launch_start(trace)
    for own in families[:FOCUS]:
        length = marks.end[own] - marks.start[own]
        at = own[np.argsort(length, kind="stable")[len(own) // 2]]
        low, high = int(marks.start[at]), int(marks.end[at])
        mine = (begun >= low) & (begun < high)
        out.append((low, max(high, int(gpu.end[mine].max()) if mine.any() else high)))
    return out


# ---------------------------------------------------------------- tracks


def _streams(trace: Trace, node: I64) -> Rows:
    gpu = links.work(trace)
    several = len(trace.devices) > 1
    streams, owner = segments.distinct([gpu.device, gpu.stream])

    def said(number: int) -> tuple[str, int]:
        device, stream = streams[number].tolist()
        own = f"stream {stream}" if stream >= 0 else "stream unknown"
        return f"device {device}, {own}" if several else own, device

    of = Columns(owner, gpu.ts, gpu.dur, gpu.end, gpu.name, node)
    return _tracks("stream", of, np.ones(len(gpu), bool), STREAMS, DEVICE, said)


def _host(trace: Trace, node: I64 | None) -> Rows:
    threads = list(links.threads(trace))
    own: I64 | None = None
    if node is not None:
        own = np.full(len(trace), -1, np.int64)
        own[trace.is_(Cat.CPU_OP)] = node

    def said(number: int) -> tuple[str, int]:
        pid, tid = threads[number]
        text = str(trace.source.labels.get(tid, tid))
        name = trace.source.threads.get((pid, tid), "")
        return name if text in name else f"thread {text} {name}".strip(), -1

    of = Columns(links.thread(trace), trace.ts, trace.dur, trace.end, trace.name, own)
    return _tracks("thread", of, trace.is_(*HOST), THREADS, HOST_SLICES, said)


def _waits(trace: Trace, waits: Waits) -> Rows:
    several = len(trace.devices) > 1
    devices, owner = segments.codes(waits.device)

    def said(number: int) -> tuple[str, int]:
        device = int(devices[number])
        return f"idle time of device {device}" if several else "idle time, by cause", device

    of = Columns(
        owner, waits.start, waits.dur, waits.start + waits.dur, waits.cause + len(trace.strings),
        waits.node,
    )  # fmt: skip
    return _tracks("idle", of, np.ones(len(owner), bool), STREAMS, IDLE, said)


def _tracks(
    kind: str, of: Columns, mine: Mask, tracks: int, most: int,
    said: Callable[[int], tuple[str, int]],
) -> Rows:  # fmt: skip
    """Those slices on the tracks with most time, in the order of their owners' numbers.

    `said` is what the track of an owner is called, and its device.
    """
    # all slices of an owner as one run
    owner, first, last, count, total = detail.runs(
        of.owner, of.start, of.dur, ~mine, window=(0, 1), bins=1
    )
    kept = np.sort(np.argsort(-total, kind="stable")[:tracks])
    names = [said(own) for own in owner[kept].tolist()]
    made = [
        Track(label, kind, device, int(count[at]), int(total[at]))
        for at, (label, device) in zip(kept.tolist(), names, strict=True)
    ]
    place = np.full(int(of.owner.max(initial=-1)) + 1, -1, np.int64)
    place[owner[kept]] = np.arange(len(kept))
    if len(kept) < len(owner):
        mine = mine & (place[of.owner] >= 0)
    window = (int(first[kept].min()), int(last[kept].max())) if made else (0, 0)
    return Rows(made, place, of, mine, window, most, len(owner) - len(kept))
