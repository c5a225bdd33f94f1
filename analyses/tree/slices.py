"""Which slices are drawn: of every stream, of the host's threads, and the idle time of devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracekit.answers.tree import Slices, Track
from tracekit.attribution import links
from tracekit.attribution.stages.instances import Markers
from tracekit.records import Record
from tracekit.trace.spans import detail, segments
from tracekit.trace.trace import HOST, I32, I64, Mask, Trace

from .waiting import WORDS, Waits

DEVICE, HOST_SLICES, IDLE = 20_000, 20_000, 4_000  # drawn one by one
RUNS = 12_000  # of all others together
STREAMS, THREADS = 32, 10  # tracks
FOCUS = 3  # stages of which one instance is drawn whole, where there is room


class Rows(Record, frozen=True, eq=False):
    """Slices of one kind on their tracks."""

    tracks: list[Track]
    track: I64
    start: I64
    dur: I64
    name: I64 | I32
    node: I64
    most: int
    left_out: int = 0


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
    parts = [part for part in parts if len(part.start)]
    window = (
        min(int(part.start.min()) for part in parts),
        max(int((part.start + part.dur).max()) for part in parts),
    )
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
        keep = detail.chosen(part.dur, _inside(part, focus), part.most)
        rows = np.flatnonzero(keep)
        columns = (part.track, part.start, part.dur, part.name, part.node)
        alone = np.stack([column[rows] for column in columns], dtype=np.int64)
        more = detail.runs(part.track, part.start, part.dur, keep, window=window, bins=bins)
        for one in (alone, more):
            one[0] += len(tracks)
        kept.append(alone)
        rest = np.concatenate([rest, more], axis=1)
        tracks += part.tracks
    every = np.concatenate(kept, axis=1)
    track, start, dur, name, node = every[:, np.lexsort((-every[2], every[1], every[0]))]
    used, code = segments.codes(name)
    causes_from = len(trace.strings)
    names = tuple(
        trace.strings[n] if n < causes_from else WORDS[n - causes_from] for n in used.tolist()
    )
    slices = Slices(track, start, dur, code, node, rest)
    return Drawn(tuple(tracks), names, slices, window, view, left_out)


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


def _inside(part: Rows, focus: Sequence[tuple[int, int]]) -> Mask:
    """[N] whether a slice lies in, or around, a stretch that is drawn whole."""
    out = np.zeros(len(part.start), bool)
    for low, high in focus:
        out |= (part.start < high) & (part.start + part.dur > low)
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

    def said(row: int) -> tuple[str, int]:
        stream, device = int(gpu.stream[row]), int(gpu.device[row])
        own = f"stream {stream}" if stream >= 0 else "stream unknown"
        return f"device {device}, {own}" if several else own, device

    return _tracks(
        "stream", links.stream(trace), gpu.ts, gpu.dur, gpu.name, node, STREAMS, DEVICE, said
    )


def _host(trace: Trace, node: I64 | None) -> Rows:
    host = trace.of(*HOST)
    own = np.full(len(host), -1, np.int64)
    if node is not None:
        own[np.searchsorted(host.id, links.ops(trace).id)] = node

    def said(row: int) -> tuple[str, int]:
        one = host.where(np.array([row]))
        pid, tid = int(one.pid[0]), int(one.tid[0])
        number = str(trace.source.labels.get(tid, tid))
        name = trace.source.threads.get((pid, tid), "")
        label = name if number in name else f"thread {number} {name}".strip()
        return label, int(one.device[0])

    return _tracks(
        "thread", links.thread(trace)[trace.is_(*HOST)], host.ts, host.dur, host.name, own, THREADS,
        HOST_SLICES, said,
    )  # fmt: skip


def _waits(trace: Trace, waits: Waits) -> Rows:
    several = len(trace.devices) > 1

    def said(row: int) -> tuple[str, int]:
        device = int(waits.device[row])
        return f"idle time of device {device}" if several else "idle time, by cause", device

    return _tracks(
        "idle", waits.device, waits.start, waits.dur, waits.cause + len(trace.strings), waits.node,
        STREAMS, IDLE, said,
    )  # fmt: skip


def _tracks(
    kind: str, owner: I64, start: I64, dur: I64, name: I64 | I32, node: I64, tracks: int, most: int,
    said: Callable[[int], tuple[str, int]],
) -> Rows:  # fmt: skip
    """Rows on the tracks with most time, in the order of their owners' numbers.

    `said` is what the track of a row is called, and its device.
    """
    key, of = segments.codes(owner.astype(np.int64))
    total = np.bincount(of, weights=dur, minlength=len(key)).astype(np.int64)  # exact below 2^53
    count = np.bincount(of, minlength=len(key))
    kept = np.sort(np.argsort(-total, kind="stable")[:tracks])
    row = np.zeros(len(key), np.int64)
    row[of] = np.arange(len(of))
    made = [
        Track(label, kind, device, int(count[k]), int(total[k]))
        for k in kept.tolist()
        for label, device in [said(int(row[k]))]
    ]
    if len(kept) == len(key):
        return Rows(made, of, start, dur, name, node, most)
    place = np.full(len(key), -1, np.int64)
    place[kept] = np.arange(len(kept))
    on = place[of]
    rows = on >= 0
    return Rows(
        made, on[rows], start[rows], dur[rows], name[rows], node[rows], most, len(key) - len(kept)
    )
