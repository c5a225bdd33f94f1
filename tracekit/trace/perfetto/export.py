"""A trace rewritten: normalized for Perfetto, cut to what is of interest, scrubbed for sharing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tracekit import files
from tracekit.errors import TracekitError
from tracekit.files import starts
from tracekit.trace import redact
from tracekit.trace.columns import documents
from tracekit.trace.perfetto import cut, layout, normalize, reading
from tracekit.trace.perfetto.rows import ABSENT, NONE, Rows, joined, kept_whole
from tracekit.trace.perfetto.settle import settle
from tracekit.trace.perfetto.writing import Writer
from tracekit.trace.spans.intervals import Spans
from tracekit.trace.trace import I64
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

    The file is read twice; in memory is of each event what decides where it is drawn: 80 bytes.

    Raises: TracekitError where the file is no trace, the stage is not in it, nothing is left after
    the cut, or the target cannot be written, or is the source.
    """
    files.distinct(target, [source])
    wanted = wanted or Wanted()
    done = Exported()
    progress("reading")
    about, reader = documents.About(), reading.Reader()
    rows = reader.read(source, about)
    repairs = reader.each.done + normalize.together(rows)
    document = about.meta
    document.pop(_MARK, None)
    done.cures += [f"damaged: {what}" for what in about.damage]
    done.cures += [f"{count:,} {what}" for what, count in repairs.items()]
    done.cures += wanted.missing
    done.slices_in = int(rows.slices.sum())
    if wanted.drop or wanted.cuts:
        progress("cutting")
        rows = _cut(rows, wanted)
        done.slices_out = int(rows.slices.sum())
        if not done.slices_out:
            raise TracekitError(
                "nothing is left after the cut",
                where=source,
                hint="widen --from/--to, or choose another stage",
            )
        document["tracekit_cut"] = _said(wanted, done)
    if wanted.scrub:
        progress("scrubbing")
        done.scrubbed = redact.leaks(document, _names(rows))
        document = redact.value(document)
        rows.scrub()
    tracks = kept_whole(map(dict, wanted.tracks), rows)
    done.slices_out, done.slices_added = int(rows.slices.sum()), int(tracks.slices.sum())
    rows = joined([rows, tracks])
    document = {_MARK: f"tracekit {__version__}", **document}
    progress("mending")
    if _needs_rebase(rows):
        _rebase(rows, document)
        done.cures.append("times start at 0, so that a double holds every nanosecond")
    settled, named = settle(rows)
    if settled.trimmed:
        done.cures.append(f"{settled.trimmed:,} frames of the profiler end where a marker starts")
    if settled.moved:
        done.cures.append(f"{settled.moved:,} slices that cross another are on an extra row")
    progress("writing")
    writer = Writer(reader, rows, scrub=wanted.scrub)
    layout.write_text(document, writer.blocks(named), target)
    return done


def _names(rows: Rows) -> set[str]:
    """Every name that an event has."""
    said = rows.tables["name"].said
    used = np.unique(rows.codes["name"]).tolist()
    return {str(said[code]) for code in used if said[code] is not ABSENT}


def _starts(rows: Rows) -> I64:
    """Times of all events but those that name something."""
    found: I64 = rows.ts[(rows.ts != NONE) & ~rows.is_("M")]
    return found


def _needs_rebase(rows: Rows) -> bool:
    starts = _starts(rows)
    return bool(len(starts)) and not 0 <= starts.min() <= starts.max() < EXACT_US * 1000


def _rebase(rows: Rows, document: dict[str, Any]) -> None:
    """As `layout.rebase`: times relative to the first, whole ns."""
    origin = int(_starts(rows).min())
    rows.ts = np.where(rows.ts == NONE, NONE, np.maximum(rows.ts - origin, 0))
    layout.move_base(document, origin)


# ---------------------------------------------------------------- cutting


def _cut(rows: Rows, wanted: Wanted) -> Rows:
    """The slices that overlap the windows, the work launched in them, and what hangs on these."""
    rows = cut.without(rows, wanted.drop)
    keep = np.ones(len(rows), bool)
    if wanted.cuts:
        start = rows.ts[rows.slices]
        windows = _windows(wanted, int(start.min()) if len(start) else 0)
        keep = cut.around(rows, windows, launched=wanted.spans is not None)
    return cut.with_their_flows(rows, keep)


def _said(wanted: Wanted, done: Exported) -> dict[str, Any]:
    """What the file says of its being cut."""
    return {
        "by": f"tracekit {__version__}",
        "stage": wanted.stage,
        "from_ns": wanted.from_ns,
        "to_ns": wanted.to_ns,
        "dropped_categories": sorted(wanted.drop),
        "slices_before": done.slices_in,
        "slices_after": done.slices_out,
    }


def _windows(wanted: Wanted, origin: int) -> Spans:
    """Flat spans to keep, in the file's own ns; `origin` is where its first slice starts."""
    low = origin + (wanted.from_ns or 0)
    high = origin + wanted.to_ns if wanted.to_ns is not None else np.iinfo(np.int64).max
    if wanted.spans is None:
        return np.array([[low, max(low, high)]], np.int64)
    kept = np.clip(wanted.spans + origin, low, high)
    return np.asarray(kept[kept[:, 1] > kept[:, 0]])
