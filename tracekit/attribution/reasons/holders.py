"""What held the host in a stretch of idle time, by name: the call, the op, the user's own line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links, program_code
from tracekit.attribution.stages import annotation_names
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans import compiled
from tracekit.trace.spans.among import Among
from tracekit.trace.spans.intervals import Spans, union_of
from tracekit.trace.trace import HOST, I64, Cat, Mask, Trace

MOST = 5_000  # stretches of one device that are named: the longest
# annotations of whole steps and stages, which say nothing of what held the host; ops, and those
# whose name is one that a program asks for; Python frames with a file and a line, and those of the
# program's own code
_STEP, _OP, _TELLING, _FRAMED, _OWN = 1, 2, 4, 8, 16
_INNER = later(r"^aten::_|Backward\d*$|^autograd::engine")
_FRAME = later(r"^(?P<path>[^<>]+\.pyx?)\((?P<line>\d+)\): (?P<name>.+)$")


class Held(Record, frozen=True, eq=False):
    """Of S stretches: rows of the trace, -1 where there is none."""

    slice: I64  # [S] the innermost host slice over at least half of the stretch
    op: I64  # [S] the framework op around it, or itself
    frame: I64  # [S] the Python frame of the program's own code around it, or itself
    library: I64  # [S] any Python frame around it with a file, or itself


def held(trace: Trace, where: Spans, thread: I64) -> Held:
    """What the thread ([S]) of each stretch (`where`, [S, 2]) was in for half of it."""
    row = _over_half(trace, where, thread)
    frames = is_frame(trace)
    ours = frames & ~is_library_frame(trace)
    nearest = above(trace, row, _is(trace, _TELLING))
    any_op = above(trace, row, _is(trace, _OP))
    return Held(
        slice=row,
        op=np.where(nearest >= 0, nearest, any_op),
        frame=above(trace, row, ours),
        library=above(trace, row, frames),
    )


def _over_half(trace: Trace, where: Spans, thread: I64) -> I64:
    """[S] the innermost slice of the thread that covers at least half of each stretch."""
    if not len(where):
        return np.empty(0, np.int64)
    middle = (where[:, 0] + where[:, 1]) // 2  # what covers half of a stretch covers its middle
    end, step, holders = trace.end, _is(trace, _STEP), _holders(trace)
    slices = links.slices(trace)
    at = _among(trace, holders).around(slices, holders, thread, middle, middle + 1)
    while True:
        inside = np.minimum(end[at], where[:, 1]) - np.maximum(trace.ts[at], where[:, 0])
        up = (at >= 0) & ((2 * inside < where[:, 1] - where[:, 0]) | step[at])
        if not up.any():
            return np.asarray(at, np.int64)
        at = np.where(up, links.parent_row(trace)[at], at)


def _holders(trace: Trace) -> Mask:
    """[N] slices that can hold the host."""
    return trace.is_(*HOST) & ~_is(trace, _STEP)


def _among(trace: Trace, holders: Mask) -> Among:
    """How those are nested."""
    return trace.once("nest of holders", lambda: Among(links.slices(trace), holders))


def recorded(trace: Trace, thread: int) -> Spans:
    """Flat: where a thread (a value of `links.thread`) is in a slice that can hold the host."""
    holders = _holders(trace)
    tops = _among(trace, holders).tops(holders)
    return union_of(trace.ts, trace.end, tops & (links.thread(trace) == thread))


def above(trace: Trace, row: I64, wanted: Mask) -> I64:
    """[S] the row itself or the nearest one around it that is wanted, -1 where none is."""
    if loops := compiled.of(len(trace)):
        return loops.climbed(links.parent_row(trace), row, wanted)
    at, parent = row.copy(), links.parent_row(trace)
    left = np.flatnonzero(at >= 0)
    while len(left):
        left = left[~wanted[at[left]]]
        at[left] = parent[at[left]]
        left = left[at[left] >= 0]
    return at


def is_frame(trace: Trace) -> Mask:
    """[N] Python frames with a file and a line."""
    return _is(trace, _FRAMED)


def is_library_frame(trace: Trace) -> Mask:
    """[N] of `is_frame`: the file is of Python itself or of a library."""
    return is_frame(trace) & ~_is(trace, _OWN)


def _is(trace: Trace, bit: int) -> Mask:
    """[N] what has a bit of `_kinds`."""
    return np.asarray(_kinds(trace) & bit > 0)


def _kinds(trace: Trace) -> npt.NDArray[np.uint8]:
    """[N] what a slice says of what holds the host: bits, by its category and its name."""

    def make() -> npt.NDArray[np.uint8]:
        names = len(trace.strings)
        which = trace.cat * np.int32(names)
        which += trace.name  # one number for a category and a name
        met = np.zeros((max(Cat) + 1) * names, bool)
        met[which] = True
        said = np.zeros(len(met), np.uint8)
        for cat, bits in _BITS.items():
            for at in np.flatnonzero(met[cat * names : (cat + 1) * names]).tolist():
                said[cat * names + at] = bits(trace.strings[at])
        return np.take(said, which)

    return trace.once("kinds of holders", make)


def _of_annotation(text: str) -> int:
    return _STEP if annotation_names.recognise(text) is not None else 0


def _of_op(text: str) -> int:
    return _OP if _INNER.search(text) else _OP | _TELLING


def _of_python(text: str) -> int:
    found = _FRAME.match(text)
    if found is None:
        return 0
    return _FRAMED if program_code.is_library(found["path"]) else _FRAMED | _OWN


_BITS: Mapping[Cat, Callable[[str], int]] = {
    Cat.ANNOTATION: _of_annotation, Cat.CPU_OP: _of_op, Cat.PYTHON: _of_python,
}  # fmt: skip


def spoken(text: str) -> str:
    """A frame as `file.py:12 function`, with one folder; any other name as it is."""
    found = _FRAME.match(text)
    if found is None:
        return text
    return program_code.spoken(found["path"], found["line"], found["name"])
