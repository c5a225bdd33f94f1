"""What ran when: each stream and the host's annotations over one axis of time, in bins.

    mark      pppppppp....        bins of 4 columns
    stream 7  aa..bbbb.a..        stream 7: a 50 %, nothing; b 75 % …

A bin says how much of it each kind of work covered. A nanosecond of a stream counts once, for the
first kind in the order of `Category` that covers it, so kinds add up to the stream's busy time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tracekit.answers.timeline import Gap, Mark, Part, Strip, Timeline, Timelines
from tracekit.attribution import links
from tracekit.attribution.idle import causes
from tracekit.attribution.idle.by_cause import NAMES, SHOWN
from tracekit.attribution.idle.cause_names import ORDER, Cause
from tracekit.attribution.kernels import name_rules
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.stages.instances import markers
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import units
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Area, Block, Blocks, Chart, shorten, tracks
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import Category
from tracekit.trace.ranks import named
from tracekit.trace.spans import detail, segments
from tracekit.trace.spans.intervals import Spans, covered, union_of
from tracekit.trace.spans.segments import distinct
from tracekit.trace.trace import Cat, Mask, Trace

BINS = 200
STRIPS = 6  # streams, or threads, that get a strip of their own
MARKS = 60  # blocks of the host's track
GAPS = 60  # idle gaps that are drawn
DRAWN = 4  # traces, where there are several


def timeline(trace: Trace, *, bins: int = BINS) -> Timelines:
    """The strips, the host's track and the idle gaps of a trace.

    Raises: MissingEventsError for a trace without ops, calls, annotations or GPU work.
    """
    gpu = links.work(trace)
    host = links.host_window(trace)
    shown = gpu if len(gpu) else trace.of(Cat.CPU_OP)
    if host is None and not len(gpu):
        raise MissingEventsError(
            "no slices with a length", where=trace.path, hint="capture at least one step"
        )
    ends = [host] if host is not None else []
    ends += [(int(gpu.ts.min()), int(gpu.end.max()))] if len(gpu) else []
    start, end = min(first for first, _ in ends), max(last for _, last in ends)
    bin_ns = max(-(-(end - start) // bins), 1)
    edges = start + bin_ns * np.arange(bins + 1, dtype=np.int64)
    windows = np.stack([edges[:-1], edges[1:]], axis=1)
    marks, mark_count = _marks(trace, end - start)
    found, count, length = _gaps(trace)
    return Timelines((
        Timeline(
            path=trace.path,
            start_ns=start,
            bin_ns=bin_ns,
            gpu=len(gpu) > 0,
            strips=_strips(trace, shown, windows) if len(shown) else (),
            marks=marks,
            mark_count=mark_count,
            gaps=found,
            gap_count=count,
            gap_ns=length,
            undrawn_gap_ns=length - sum(gap.length_ns for gap in found),
        ),
    ))  # fmt: skip


# ---------------------------------------------------------------- strips


def _strips(trace: Trace, shown: Trace, windows: Spans) -> tuple[Strip, ...]:
    """One strip a stream or thread, those with the least work together in the last."""
    gpu = len(links.work(trace)) > 0
    kinds, kind = _kinds(trace)
    owners = (
        np.stack([shown.device.astype(np.int64), shown.stream], axis=1)
        if gpu
        else np.stack([shown.pid, shown.tid], axis=1)
    )
    owner, of = distinct(owners.astype(np.int64))
    length = np.bincount(of, weights=shown.dur.astype(float), minlength=len(owner))
    by_work = np.argsort(-length, kind="stable")
    alone = np.sort(by_work if len(owner) <= STRIPS else by_work[: STRIPS - 1])
    groups = [np.array([i]) for i in alone]
    if len(alone) < len(owner):
        groups.append(np.setdiff1d(np.arange(len(owner)), alone))
    return tuple(
        _strip(shown, np.isin(of, group), kind, kinds, windows,
               _label(trace, owner, group, gpu), len(group))
        for group in groups
    )  # fmt: skip


def _label(
    trace: Trace, owner: npt.NDArray[np.int64], group: npt.NDArray[np.intp], gpu: bool
) -> str:
    if len(group) > 1:
        return f"{len(group)} other {'streams' if gpu else 'threads'}"
    one, two = (int(v) for v in owner[group[0]])
    if gpu:
        stream = f"stream {two}" if two >= 0 else "stream unknown"
        return f"device {one}, {stream}" if len(trace.devices) > 1 else stream
    number = str(trace.source.labels.get(two, two))
    name = trace.source.threads.get((one, two), "")
    return name if number in name else f"thread {number} {name}".strip()


def _strip(
    shown: Trace, rows: Mask, kind: npt.NDArray[np.intp], kinds: Sequence[str], windows: Spans,
    label: str, merged: int,
) -> Strip:  # fmt: skip
    parts = []
    before = np.zeros(len(windows), np.int64)
    so_far = np.zeros(len(rows), bool)
    for number, name in enumerate(kinds):
        own = rows & (kind == number)
        if not own.any():
            continue
        so_far |= own
        upto = covered(union_of(shown.ts, shown.end, so_far), windows)
        parts.append(Part(name, tuple((upto - before).tolist())))
        before = upto
    return Strip(label, int(rows.sum()), merged, int(before.sum()), tuple(parts))


def _kinds(trace: Trace) -> tuple[list[str], npt.NDArray[np.intp]]:
    """The kinds of work in their fixed order, and the kind of each slice that strips show.

    Without a GPU the kind of an op is what its name says; of nested ops the first kind counts.
    """
    names = [str(category) for category in Category]
    if len(links.work(trace)):
        return names, classify(trace).category.astype(np.intp)
    ops = links.ops(trace)
    said, inverse = segments.codes(ops.name)
    found = [_op_kind(trace.strings[int(name)]) for name in said]
    kind = np.array([len(names) if k is None else names.index(k) for k in found], np.intp)
    return [*names, "other ops"], kind[inverse]


def _op_kind(name: str) -> str | None:
    decided = name_rules.of_whole_op(name) or name_rules.of_single_op(name)
    return None if decided is None or decided[0] == Category.OTHER else str(decided[0])


# ---------------------------------------------------------------- the host's track


def _marks(trace: Trace, window: int) -> tuple[tuple[Mark, ...], int]:
    """The stages (or steps, or annotations) of the thread that has most of them, outermost only.

    Two neighbours of one name are one stretch where both, or what lies between, would be too thin
    to see; where that is not enough, the shortest are left out.
    """
    try:
        marks = markers(trace)
    except MissingEventsError:
        return (), 0
    _, of = segments.distinct(np.stack([marks.pid, marks.tid], axis=1))
    of, length = of.reshape(-1), marks.end - marks.start
    own = np.flatnonzero(of == int(np.bincount(of, weights=length.astype(float)).argmax()))
    found = [
        Mark(marks.stage[i] if marks.chosen == "tracekit" else marks.name[i],
             int(marks.start[i]), int(length[i]), 1)
        for i in own
    ]  # fmt: skip
    return _joined(found, window), len(own)


def _joined(own: Sequence[Mark], window: int) -> tuple[Mark, ...]:
    thin = max(window // 400, 1)
    out: list[Mark] = []
    for mark in own:
        if out:
            last = out[-1]
            end = last.start_ns + last.length_ns
            if mark.start_ns < end:  # inside the one before
                continue
            near = mark.start_ns - end < thin and min(mark.length_ns, last.length_ns) < thin
            if last.name == mark.name and near:
                whole = mark.start_ns + mark.length_ns - last.start_ns
                out[-1] = Mark(mark.name, last.start_ns, whole, last.count + 1)
                continue
        out.append(mark)
    longest = sorted(out, key=lambda m: -m.length_ns)[:MARKS]
    return tuple(sorted(longest, key=lambda m: m.start_ns))


# ---------------------------------------------------------------- idle gaps


def _gaps(trace: Trace) -> tuple[tuple[Gap, ...], int, int]:
    """The longest idle spans of every device, how many there are, and their length in all.

    From a device's first activity to its last; a gap with several causes is several spans.
    """
    gpu = links.work(trace)
    found: list[Gap] = []
    count = length = 0
    for device in trace.devices:
        idle = causes.idle(trace, device)
        between = (idle.opener[idle.gap] >= 0) & (idle.closer[idle.gap] >= 0)
        rows = np.flatnonzero(between)
        sizes = idle.spans[rows, 1] - idle.spans[rows, 0]
        count += len(rows)
        length += int(sizes.sum())
        for at in rows[detail.longest(sizes, GAPS)]:
            start, end = int(idle.spans[at, 0]), int(idle.spans[at, 1])
            cause = ORDER[int(idle.cause[at])]
            before = gpu.text(int(idle.closer[idle.gap[at]]))
            found.append(Gap(device, start, end - start, cause.value, before))
    longest = sorted(found, key=lambda gap: -gap.length_ns)[:GAPS]
    return tuple(sorted(longest, key=lambda gap: (gap.device, gap.start_ns))), count, length


# ---------------------------------------------------------------- how it is shown


_COLOUR = {cause: name for name, group in SHOWN.items() for cause in group}


def charts(result: Timelines) -> list[Chart]:
    """The strips of each of the first traces, named by their files where there are several."""
    if len(result.rows) == 1:
        return [_chart(result.rows[0])]
    return [
        replace(_chart(one), key=f"timeline-{place}", title=f"Timeline of {_file(one)}")
        for place, one in enumerate(result.rows[:DRAWN], 1)
    ]


def _file(one: Timeline) -> str:
    return named(one.rank) or one.path.rsplit("/", 1)[-1]


def _chart(one: Timeline) -> Chart:
    count = max((len(p.busy_ns) for s in one.strips for p in s.parts), default=0)
    edges = [i * one.bin_ns for i in range(count + 1)]
    rows: list[Area | Blocks] = []
    if one.marks:
        blocks = [
            Block(m.start_ns - one.start_ns, m.length_ns,
                  m.name if m.count == 1 else f"{m.count} × {m.name}")
            for m in one.marks
        ]  # fmt: skip
        rows.append(Blocks("host: stages", blocks))
    for strip in one.strips:
        parts = {p.kind: [round(v / one.bin_ns, 4) for v in p.busy_ns] for p in strip.parts}
        rows.append(Area(f"{strip.label}: {units.plural(strip.slices, 'slice')}", edges, parts))
    for device in dict.fromkeys(gap.device for gap in one.gaps):
        several = len({gap.device for gap in one.gaps}) > 1
        blocks = [
            Block(g.start_ns - one.start_ns, g.length_ns, NAMES[Cause(g.cause)],
                  _COLOUR[Cause(g.cause)], f"before {shorten(g.before)}")
            for g in one.gaps if g.device == device
        ]  # fmt: skip
        label = f"idle gaps of device {device}" if several else "idle gaps, by cause"
        rows.append(Blocks(label, blocks, named=False))
    return tracks(
        "timeline", "Timeline", rows,
        window=(0, edges[-1] if count else one.bin_ns * BINS),
        x_title="since the first slice shown",
        summary=_sentence(one), table="strips",
    )  # fmt: skip


def _sentence(one: Timeline) -> str:
    what = "stream" if one.gpu else "thread"
    return (
        f"What each {what} worked on over {units.duration(one.bin_ns * BINS)}, "
        f"{units.plural(len(one.strips), 'row')} in bins of {units.duration(one.bin_ns)}; empty "
        f"is {'idle' if one.gpu else 'outside any op'}."
    )


DEFINITIONS = {
    "row": "Share of each bin of time that the slices of one track covered, by kind; a "
    "nanosecond counts once.",
    "host: stages": "The stages (see there) of the thread that has most of them, the outermost "
    "where they nest; neighbours of one name that would be too thin to see are one stretch.",
    "idle gap": "A stretch between a device's first activity and its last in which none of its "
    "streams had work, cut where its cause changes; the causes are those of the idle analysis.",
}


def tables(result: Timelines) -> list[Grid]:
    many = len(result.rows) > 1
    columns = (
        *((Column("trace"),) if many else ()),
        Column("row"),
        Column("slices", "count", "Slices that the row stands for; none is left out."),
        Column("busy", "ns", "Time in which at least one of them ran."),
        Column("share of the window", "share", "Busy over the whole of the axis."),
    )
    rows = [
        (
            *((_file(one),) if many else ()),
            strip.label, strip.slices, strip.busy_ns,
            strip.busy_ns / (one.bin_ns * BINS),
        )
        for one in result.rows
        for strip in one.strips
    ]  # fmt: skip
    notes = [f"{_file(one)}: {_note(one)}" if many else _note(one) for one in result.rows[:DRAWN]]
    if len(result.rows) > DRAWN:
        notes.insert(0, f"Of {len(result.rows)} traces the first {DRAWN} are drawn.")
    return [Grid("strips", "Rows of the timeline", columns, rows[:200], " ".join(notes))]


def _note(one: Timeline) -> str:
    said = [f"Drawn in bins of {units.duration(one.bin_ns)}: shorter slices are added up in them."]
    joined = one.mark_count - len(one.marks)
    if joined > 0:
        said.append(
            f"Of {one.mark_count:,} stages {len(one.marks):,} are drawn: inner ones are left "
            "out, thin neighbours of one name joined."
        )
    merged = sum(strip.merged for strip in one.strips if strip.merged > 1)
    if merged:
        said.append(f"{merged} streams with the least work share one row.")
    if one.undrawn_gap_ns:
        said.append(
            f"Idle: {units.duration(one.gap_ns)} in "
            f"{units.plural(one.gap_count, 'stretch', 'stretches')}; the shortest, "
            f"{units.duration(one.undrawn_gap_ns)} together, are not drawn."
        )
    return " ".join(said)


ANALYSIS = Analysis(
    title="Timeline",
    question="What ran when, on each stream and on the host, and where did the device wait?",
    host_question="What ran when, on each thread?",
    run=timeline,
    merge=lambda one, two: Timelines(one.rows + two.rows),
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    order=15,
    adds_up=False,
)
