"""A trace rewritten: normalized for Perfetto, cut to what is of interest, scrubbed for sharing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tracekit import files
from tracekit.errors import TracekitError
from tracekit.files import starts
from tracekit.trace import redact
from tracekit.trace.categories import category
from tracekit.trace.columns import documents
from tracekit.trace.perfetto import layout, normalize
from tracekit.trace.perfetto.microseconds import ns, us
from tracekit.trace.perfetto.rows import Item, Row, Rows, time_of
from tracekit.trace.spans.intervals import Spans, covered
from tracekit.trace.trace import GPU_WORK, Cat
from tracekit.version import __version__

Event = dict[str, Any]

# below it a double of microseconds steps by 1/8 ns at most, so that sums of two round to the ns;
# near 2**53 ns each is right alone, and slices that touch would overlap by 1 ns
EXACT_US = 1_000_000_000_000


_MARK = "tracekit_export"  # the first key of what was written here


def is_export(path: Path) -> bool:
    """Whether a file is a trace that was written here."""
    return starts(path, 64).startswith(f'{{"{_MARK}":'.encode())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a trace to keep. Times are ns from its first slice."""

    stage: str | None = None  # what ran in, and what was launched from, `spans`
    spans: Spans | None = None  # [n, 2] flat: where that stage ran, in ns from the first slice
    from_ns: int | None = None
    to_ns: int | None = None
    drop: Collection[str] = ()  # categories, as they are written in the file
    scrub: bool = False
    tracks: Sequence[Event] = ()  # events of ours, added beside the trace's own
    missing: Sequence[str] = ()  # tracks that could not be drawn, in words

    @property
    def cuts(self) -> bool:
        return self.spans is not None or self.from_ns is not None or self.to_ns is not None


@dataclass(slots=True)
class Exported:
    """What became of a trace."""

    slices_in: int = 0
    slices_out: int = 0  # of those that came in
    slices_added: int = 0  # on tracks of ours
    # what a viewer would have lost, and tracks that could not be drawn, in words
    cures: list[str] = field(default_factory=list)
    scrubbed: Mapping[str, int] = field(default_factory=dict)  # kinds of things taken out


def export(
    source: str | Path,
    target: str | Path,
    wanted: Wanted | None = None,
    progress: Callable[[str], None] = lambda _text: None,
) -> Exported:
    """Writes `source` to `target` such that Perfetto shows all of it; gzipped if it ends in .gz.

    The file is read twice; in memory is of each event what decides where it is drawn.

    Raises: TracekitError where the file is no trace, the stage is not in it, nothing is left after
    the cut, or the target cannot be written, or is the source.
    """
    files.distinct(target, [source])
    wanted = wanted or Wanted()
    done = Exported()
    progress("reading")
    about, rows = documents.About(), Rows()
    normal = _read(source, about, rows)
    document = about.meta
    done.cures += [f"damaged: {what}" for what in about.damage]
    document.pop(_MARK, None)
    events = normal.events
    done.cures += [f"{count:,} {what}" for what, count in normal.done.items()]
    done.slices_in = _slices(events)
    done.cures += wanted.missing
    if wanted.drop or wanted.cuts:
        progress("cutting")
        events = _cut(events, wanted)
        if not _slices(events):
            raise TracekitError(
                "nothing is left after the cut",
                where=source,
                hint="widen --from/--to, or choose another stage",
            )
        document["tracekit_cut"] = {
            "by": f"tracekit {__version__}",
            "stage": wanted.stage,
            "from_ns": wanted.from_ns,
            "to_ns": wanted.to_ns,
            "dropped_categories": sorted(wanted.drop),
            "slices_before": done.slices_in,
            "slices_after": _slices(events),
        }
    if wanted.scrub:
        progress("scrubbing")
        names = {str(e["name"]) for e in events if "name" in e}
        done.scrubbed = redact.leaks(document, names)
        document = redact.value(document)
        rows.scrub()
        events = [e if isinstance(e, Row) else redact.value(e) for e in events]
    events += wanted.tracks
    document = {_MARK: f"tracekit {__version__}", **document, "traceEvents": events}
    progress("mending")
    rebased = _needs_rebase(events)
    if rebased:
        layout.rebase(document)
        done.cures.append("times start at 0, so that a double holds every nanosecond")
    settled = layout.settle(events)
    if settled.trimmed:
        done.cures.append(f"{settled.trimmed:,} frames of the profiler end where a marker starts")
    if settled.moved:
        done.cures.append(f"{settled.moved:,} slices that cross another are on an extra row")
    if not rebased:  # whose times have them
        _three_decimals(events)
    progress("writing")
    document["traceEvents"] = _whole(events, about.stored, scrub=wanted.scrub)
    layout.write(document, target)
    done.slices_added = _slices(wanted.tracks)
    done.slices_out = _slices(events) - done.slices_added
    return done


def _read(source: str | Path, about: documents.About, rows: Rows) -> normalize.Normalized:
    """The events that can be drawn; what is of no slice, and pairs of `B` and `E`, whole."""
    each = normalize.Each()
    found: list[Item] = []
    for event in documents.events(source, about):
        sound = each.take(event)
        if sound is not None:
            found.append(sound if sound.get("ph") == "M" else rows.add(sound))
    return normalize.together([*found, *each.pairs()], each)


def _whole(items: Sequence[Item], stored: str, *, scrub: bool) -> Iterator[Event]:
    """The events themselves: of rows what they say is read again."""
    each, about = normalize.Each(), documents.About()
    sound = (one for e in documents.events(stored, about) if (one := each.take(e)) is not None)
    at = -1
    for item in items:
        if not isinstance(item, Row):
            yield item
            continue
        for event in sound:
            if event.get("ph") != "M":
                at += 1
                if at == item.at:
                    yield item.onto(redact.value(event) if scrub else event)
                    break


def _slices(events: Iterable[Item]) -> int:
    return sum(event.get("ph") == "X" for event in events)


def _needs_rebase(events: Sequence[Item]) -> bool:
    times = (time_of(event, "ts") for event in events if event.get("ph") != "M")
    return any(at is not None and not 0 <= at < EXACT_US * 1000 for at in times)


def _three_decimals(events: Sequence[Item]) -> None:
    """Times in whole ns: rounding start and length apart could push a child past its parent."""
    for event in events:
        if isinstance(event, Row):  # whose times are
            continue
        for key in ("ts", "dur"):
            if key in event:
                event[key] = us(ns(event[key]))


# ---------------------------------------------------------------- cutting


def _cut(events: Sequence[Item], wanted: Wanted) -> list[Item]:
    """The slices that overlap the windows, the work launched in them, and what hangs on these."""
    events = [e for e in events if e.get("cat") not in wanted.drop or e.get("ph") == "M"]
    if not wanted.cuts:
        return _with_their_flows(events, [True] * len(events))
    slices = [i for i, e in enumerate(events) if e.get("ph") == "X"]
    start = np.array([ns(events[i]["ts"]) for i in slices], np.int64)
    length = np.array([ns(events[i]["dur"]) for i in slices], np.int64)
    windows = _windows(wanted, int(start.min()) if len(start) else 0)
    # a slice without length counts where it lies
    overlaps = covered(windows, np.stack([start, start + np.maximum(length, 1)], 1)) > 0
    begins_inside = covered(windows, np.stack([start, start + 1], 1)) > 0
    cats = [category(str(events[i].get("cat", ""))) for i in slices]
    numbers = [(events[i].get("args") or {}).get("correlation") for i in slices]
    launched = {
        number
        for number, cat, inside in zip(numbers, cats, begins_inside, strict=True)
        if cat == Cat.RUNTIME and inside
    } - {None}
    calls = {number for number, cat in zip(numbers, cats, strict=True) if cat == Cat.RUNTIME}
    keep = [True] * len(events)
    for at, i in enumerate(slices):
        correlation = numbers[at]
        if cats[at] not in GPU_WORK or correlation not in calls:
            keep[i] = bool(overlaps[at])
        elif wanted.spans is not None:
            keep[i] = correlation in launched
        else:
            keep[i] = bool(overlaps[at]) or correlation in launched
    for i, event in enumerate(events):
        if event.get("ph") not in ("X", "M", "s", "t", "f") and "ts" in event:
            at_ns = ns(event["ts"])
            keep[i] = bool(covered(windows, np.array([[at_ns, at_ns + 1]]))[0])
    return _with_their_flows(events, keep)


def _with_their_flows(events: Sequence[Item], keep: list[bool]) -> list[Item]:
    """What is kept, with the flow arrows that still have a slice at both ends."""
    ends = {
        (e.get("pid"), e.get("tid"), e["ts"])
        for e, kept in zip(events, keep, strict=True)
        if kept and e.get("ph") == "X"
    }
    flows = [e for e in events if e.get("ph") in ("s", "t", "f")]
    held = [(e.get("pid"), e.get("tid"), e["ts"]) in ends for e in flows]
    whole = Counter(
        _flow(e) for e, ok in zip(flows, held, strict=True) if ok and e["ph"] in ("s", "f")
    )
    return [
        e
        for e, kept in zip(events, keep, strict=True)
        if (
            (e.get("pid"), e.get("tid"), e["ts"]) in ends and whole[_flow(e)] > 1
            if e.get("ph") in ("s", "t", "f")
            else kept
        )
    ]


def _flow(event: Item) -> tuple[Any, Any, str]:
    return event.get("cat"), event.get("name"), str(event.get("id"))


def _windows(wanted: Wanted, origin: int) -> Spans:
    """Flat spans to keep, in the file's own ns; `origin` is where its first slice starts."""
    low = origin + (wanted.from_ns or 0)
    high = origin + wanted.to_ns if wanted.to_ns is not None else np.iinfo(np.int64).max
    if wanted.spans is None:
        return np.array([[low, max(low, high)]], np.int64)
    kept = np.clip(wanted.spans + origin, low, high)
    return np.asarray(kept[kept[:, 1] > kept[:, 0]])
