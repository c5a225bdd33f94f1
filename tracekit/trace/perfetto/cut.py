"""Rows of a trace cut to what is of interest, whole in itself: no arrow without its ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np

from tracekit.trace.categories import category
from tracekit.trace.perfetto.rows import ABSENT, FLOWS, NONE, Rows
from tracekit.trace.spans.intervals import Spans, covered
from tracekit.trace.trace import GPU_WORK, Cat, Mask


def without(rows: Rows, drop: Collection[str]) -> Rows:
    """The rows without those of some categories, as they are written in the file."""
    gone = rows.tables["cat"].among(rows.codes["cat"], lambda cat: cat in drop)
    return rows.only(~gone | rows.is_("M"))


def around(rows: Rows, windows: Spans, *, launched: bool) -> Mask:
    """[N] which slices overlap the windows, which work was launched in them, and what is no slice.

    With `launched`, work whose launch is known is kept for its launch alone, whenever it ran.
    """
    slices = np.flatnonzero(rows.slices)
    start = rows.ts[slices]
    # a slice without length counts where it lies
    length = np.maximum(rows.dur[slices], 1)
    overlaps = covered(windows, np.stack([start, start + length], 1)) > 0
    begins_inside = covered(windows, np.stack([start, start + 1], 1)) > 0
    cats = np.array([category(str(cat)) for cat in _words(rows)], np.int64)
    cat = cats[rows.codes["cat"][slices]]
    is_call = cat == Cat.RUNTIME
    numbers = np.array(_numbers(rows), np.int64)[slices]
    by_call = np.isin(numbers, numbers[is_call])
    in_time = np.isin(numbers, numbers[is_call & begins_inside & (numbers != 0)])
    work = np.isin(cat, GPU_WORK) & by_call
    keep = np.ones(len(rows), bool)
    keep[slices] = np.where(work, in_time if launched else overlaps | in_time, overlaps)
    others = np.flatnonzero(~rows.is_("X", "M", *FLOWS) & (rows.ts != NONE))
    at = rows.ts[others]
    keep[others] = covered(windows, np.stack([at, at + 1], 1)) > 0
    return keep


def _words(rows: Rows) -> list[str]:
    return ["" if cat is ABSENT else cat for cat in rows.tables["cat"].said]


def _numbers(rows: Rows) -> list[int]:
    """[N] correlations as numbers that are equal where they are; 0 for none."""
    known: dict[object, int] = {None: 0}
    return [known.setdefault(one, len(known)) for one in rows.correlation.all(None)]


def with_their_flows(rows: Rows, keep: Mask) -> Rows:
    """What is kept, with the flow arrows that still have a slice at both ends."""
    is_flow = rows.is_(*FLOWS)
    flows = np.flatnonzero(is_flow)
    if len(flows):
        tracks = rows.tracks
        kept = np.flatnonzero(keep & rows.slices)
        ends = set(zip(tracks[kept].tolist(), rows.ts[kept].tolist(), strict=True))
        own = zip(tracks[flows].tolist(), rows.ts[flows].tolist(), strict=True)
        held = np.array([one in ends for one in own], bool)
        at_end = rows.is_("s", "f")[flows] & held
        names = [_flow(rows, row) for row in flows.tolist()]
        whole = Counter(name for name, ok in zip(names, at_end.tolist(), strict=True) if ok)
        keep = keep.copy()
        keep[flows] = held & np.array([whole[name] > 1 for name in names], bool)
    return rows.only(keep)


def _flow(rows: Rows, row: int) -> tuple[int, int, str]:
    number = rows.id.get(row)
    return (
        int(rows.codes["cat"][row]),
        int(rows.codes["name"][row]),
        "None" if number is ABSENT else str(number),
    )
