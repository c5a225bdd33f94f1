"""The line of Python that launched each piece of work, where stacks were recorded.

The innermost frame of the program's own code around the launch; of a library or of Python itself
only where there is no other. Work that another thread launches (the backward pass of autograd) has
no frame around it. Replayed work has the line of the launch that it was captured from, where that
is known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.reasons import holders
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace


class Lines(Record, frozen=True, eq=False):
    """Lines of code, and which of them each row has."""

    names: tuple[str, ...]  # folder/file.py:12 function
    own: tuple[bool, ...]  # of the program itself, not of a library
    code: I64  # [G] index into names; -1 where there is no frame


def recorded(trace: Trace) -> bool:
    """Whether the trace, or one that it was captured in, has Python frames."""
    return any(bool(host.is_(Cat.PYTHON).any()) for host in origin.hosts(trace))


def of_work(trace: Trace) -> Lines:
    """The line that launched each row of `links.work`."""

    def make() -> Lines:
        said, own = _launching(trace)
        found = origin.origin(trace)
        if found is not None:
            captured, captured_own = _launching(found.trace)
            said = said.with_(found.row, captured)
            own[found.row] = captured_own
        return _numbered(said, own)

    return trace.once("code lines of work", make)


def of_frames(trace: Trace, own: I64, library: I64) -> Lines:
    """The lines of rows of the trace ([S]): the program's frame, else a library's; -1 for none."""
    row = np.where(own >= 0, own, library)
    return _numbered(_texts(trace, row, holders.spoken), own >= 0)


def _launching(trace: Trace) -> tuple[_Said, Mask]:
    """[G] the line of each row of `links.work`, and whether it is the program's."""
    launch = np.where(links.replayed(trace), -1, links.launch_row(trace))
    calls = links.call_rows(trace)
    row = np.where(launch >= 0, calls[launch] if len(calls) else -1, -1)
    frames = holders.is_frame(trace)
    ours = holders.above(trace, row, frames & ~holders.is_library_frame(trace))
    any_frame = holders.above(trace, row, frames)
    at = np.where(ours >= 0, ours, any_frame)
    return _texts(trace, at, holders.spoken), ours >= 0


class _Said(Record, frozen=True, eq=False):
    """A text of each of S rows."""

    texts: tuple[str, ...]  # some perhaps twice; "" for no text
    which: I64  # [S] index into texts

    def with_(self, rows: I64, other: _Said) -> _Said:
        """The same where these rows say what `other` does."""
        which = self.which.copy()
        which[rows] = other.which + len(self.texts)
        return _Said((*self.texts, *other.texts), which)


def _texts(trace: Trace, row: I64, said: Callable[[str], str]) -> _Said:
    """[S] the name of each row as `said`, "" for none; each distinct name is said once."""
    name = np.where(row >= 0, trace.name[row] if len(trace) else -1, -1)
    distinct, which = segments.codes(name.astype(np.int64))
    texts = [said(trace.strings[n]) if n >= 0 else "" for n in distinct.tolist()]
    return _Said(tuple(texts), which)


def _numbered(said: _Said, own: Mask) -> Lines:
    """Each text once, in the order in which the rows first say it."""
    count = len(said.which)
    first = np.full(len(said.texts), count, np.int64)
    first[said.which[::-1]] = np.arange(count - 1, -1, -1)  # what is written last stays
    names: dict[str, int] = {}
    number = np.full(len(first), -1, np.int64)
    for at in np.argsort(first, kind="stable").tolist():
        if first[at] < count and (text := said.texts[at]):
            number[at] = names.setdefault(text, len(names))
    code = number[said.which]
    ours = np.zeros(len(names), bool)
    ours[code[(code >= 0) & own]] = True
    return Lines(tuple(names), tuple(ours.tolist()), code)
