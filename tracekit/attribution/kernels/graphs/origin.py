"""The work of replayed graphs with what its capture says: the way in for all who ask.

origin(trace)       the grafted trace, and which rows of `links.work` are in it
op_row, ops         the op of each piece of work, captured or launched
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import graft, matching
from tracekit.attribution.kernels.graphs.replays import Replay, replays
from tracekit.attribution.kernels.graphs.words import Words, grids_of_calls
from tracekit.records import Record, replace
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace

T = TypeVar("T", bound=np.generic)
LEAST = (
    0.8  # of the time of replayed work: a trace found beside this one that fits less is not used
)
RELATED = 0.2  # below that it has nothing to do with this one


class Match(Record, frozen=True):
    """How one trace fits the replays of another."""

    path: str
    given: bool  # named by the user; else found in the same folder, or the trace itself
    own: bool  # the trace itself
    used: bool
    replays: int  # launches of graphs, all of them
    nodes: int
    total_ns: int  # of the replayed work
    matched: int  # nodes
    matched_ns: int
    how: tuple[str, ...]  # see matching.EXACT and others

    @property
    def share(self) -> float:
        return self.matched_ns / self.total_ns if self.total_ns else 0.0

    @property
    def name(self) -> str:
        return PurePath(self.path).name


class Origin(Record, frozen=True, eq=False):
    """M rows of `links.work` whose capture is known."""

    trace: Trace  # the captures' host and this work: see graft.py
    row: I64  # [M] rows of `links.work`, ascending: the rows of `links.work` of `trace`
    placed: Mask  # [M] the very launch is known, not only one that says the same
    grid: I64  # [M, 3] blocks of the launch, and
    block: I64  # [M, 3] threads a block; -1 where not known


def matches(trace: Trace) -> tuple[Match, ...]:
    """The traces that were tried, those with more of the replayed time first."""
    return _matched(trace)[0]


def origin(trace: Trace) -> Origin | None:
    """What captures say of replayed work; None where they say nothing."""
    return _matched(trace)[1]


def _matched(trace: Trace) -> tuple[tuple[Match, ...], Origin | None]:
    return trace.once("graph origin", lambda: _match(trace))


def _match(trace: Trace) -> tuple[tuple[Match, ...], Origin | None]:
    found = replays(trace)
    files = [trace, *(one.trace for one in trace.source.captures)] if found else []
    words = Words()
    sources = matching.sources(files, trace, words)
    rows: dict[int, Match] = {}
    for file in sorted({source.file for source in sources}):
        mine = [source for source in sources if source.file == file]
        rows[file] = _row(trace, matching.match(trace, found, mine, words), file)
    _together(trace, found, sources, words, rows)
    used = [source for source in sources if rows[source.file].used]
    if not used:
        return tuple(rows.values()), None
    nodes = matching.match(trace, found, used, words)
    for file, row in rows.items():
        if row.used:
            rows[file] = replace(_row(trace, nodes, file), used=True)
    ordered = sorted(rows.values(), key=lambda row: (-row.matched_ns, row.path))
    return tuple(ordered), _origin(trace, files, nodes)


def _together(
    trace: Trace, found: Sequence[Replay], sources: Sequence[matching.Source], words: Words,
    rows: dict[int, Match],
) -> None:  # fmt: skip
    """Of files that lie beside the trace and fit together, use those that have a part of it:
    engines write one for each batch size, and each alone would stand for the smaller sizes too.
    """
    mine = [s for s in sources if s.file and not rows[s.file].given]
    files = {source.file for source in mine}
    if len(files) < 2:
        return
    nodes = matching.match(trace, found, mine, words)
    every = {file: _row(trace, nodes, file) for file in files}
    if sum(row.matched_ns for row in every.values()) >= LEAST * every[min(files)].total_ns:
        rows |= {file: replace(row, used=row.matched > 0) for file, row in every.items()}


def _row(trace: Trace, nodes: Sequence[matching.Nodes], file: int) -> Match:
    duration = links.work(trace).dur
    work = np.concatenate([node.replay.work for node in nodes])
    call = np.concatenate(
        [node.call if node.file == file else np.full_like(node.call, -1) for node in nodes]
    )
    total, matched = int(duration[work].sum()), int(duration[work[call >= 0]].sum())
    other = trace.source.captures[file - 1] if file else None
    trusted = other is None or other.given or matched >= LEAST * total
    return Match(
        path=other.trace.path if other else trace.path,
        given=other is not None and other.given,
        own=other is None,
        used=bool((call >= 0).any()) and trusted,
        replays=len(nodes),
        nodes=len(work),
        total_ns=total,
        matched=int((call >= 0).sum()),
        matched_ns=matched,
        how=tuple(sorted({n.how for n in nodes if n.file == file and (n.call >= 0).any()})),
    )


def _origin(trace: Trace, files: Sequence[Trace], nodes: Sequence[matching.Nodes]) -> Origin | None:
    size = len(links.work(trace))
    file, call = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
    placed = np.zeros(size, bool)
    grid, block = np.full((size, 3), -1, np.int64), np.full((size, 3), -1, np.int64)
    for node in nodes:
        work = node.replay.work[node.call >= 0]
        call[work] = node.call[node.call >= 0]
        file[work], placed[work] = node.file, node.placed
    row = np.flatnonzero(call >= 0)
    if not len(row):
        return None
    parts = []
    for at in np.unique(file[row]).tolist():
        mine = row[file[row] == at]
        parts.append(graft.Part(files[at], mine, call[mine]))
        for out, known in zip((grid, block), grids_of_calls(files[at]), strict=True):
            out[mine] = known[call[mine]]
    return Origin(graft.grafted(trace, parts), row, placed[row], grid[row], block[row])


def hosts(trace: Trace) -> tuple[Trace, ...]:
    """The trace, and the one of the captures, where there is one."""
    found = origin(trace)
    return (trace,) if found is None else (trace, found.trace)


class Sizes(Record, frozen=True, eq=False):
    """Blocks, and threads a block, of work: few launches differ in them."""

    each: I64  # [S, 6] all that occur; -1 where not known
    of: I64  # [G] which of them each row of `links.work` has

    def at_least(self, number: int) -> Mask:
        """[G] whether all six numbers of a row are."""
        return np.take(np.asarray((self.each >= number).all(axis=1)), self.of)


def sizes(trace: Trace) -> Sizes:
    """As recorded; else as the launch that a node was captured from says: ROCm writes no grid on
    replayed work.
    """

    def make() -> Sizes:
        table = trace.table("grids")
        row = table.rows(links.work(trace).id)
        columns = [table.columns[name] for name in ("grid", "block")]
        split = [column[:, k] for column in columns for k in range(3)] if len(table) else []
        each, code = segments.distinct(split) if split else (np.empty((0, 6), np.int64), row)
        none = np.full((1, 6), -1, np.int64)
        found = Sizes(np.concatenate([each, none]), np.append(code, len(each))[row])
        return _with_captured(trace, found)

    return trace.once("sizes, captured too", make)


def _with_captured(trace: Trace, sizes: Sizes) -> Sizes:
    found = origin(trace)
    if found is None:
        return sizes
    out = sizes.each[sizes.of]
    bare = (out[found.row, :3] <= 0).any(axis=1)
    out[found.row[bare]] = np.concatenate([found.grid, found.block], axis=1)[bare]
    return Sizes(*segments.distinct(out))


def grids(trace: Trace) -> I64:
    """[G, 6] blocks and threads a block of each row of `links.work`; -1 where not known."""
    found = sizes(trace)
    return found.each[found.of]


# ---------------------------------------------------------------- ops


def op_row(trace: Trace) -> I64:
    """[G] the innermost op around the launch of each row of `links.work`, as a row of `over_ops`.

    A replayed node has that of the launch it was captured from; -1 where that is not known.
    """

    def make() -> I64:
        out = np.where(links.replayed(trace), -1, links.op_row(trace))
        found = origin(trace)
        if found is not None:
            own = links.op_row(found.trace)
            out[found.row] = np.where(own >= 0, own + len(links.ops(trace)), -1)
        return out

    return trace.once("op row, captured too", make)


def over_ops(trace: Trace, of: Callable[[Trace], npt.NDArray[T]]) -> npt.NDArray[T]:
    """What `of` says of each row of `links.ops`, then of the ops of captures."""
    found = origin(trace)
    return of(trace) if found is None else np.concatenate([of(trace), of(found.trace)])


def op_names(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[O] the name of each op, those of captures too, as an index into the second."""
    found = origin(trace)
    names = over_ops(trace, lambda one: links.ops(one).name.astype(np.int64))
    # a grafted trace begins with the names of the trace
    return names, trace.strings if found is None else found.trace.strings


def ops_named(trace: Trace, pattern: str) -> Mask:
    """[O] whether the name of each op, those of captures too, has the pattern."""
    return over_ops(trace, lambda one: links.ops(one).named(pattern))


def op_parent_row(trace: Trace) -> I64:
    """[O] the op around each op, those of captures too; -1 for none."""
    found, own = origin(trace), links.op_parent_row(trace)
    if found is None:
        return own
    other = links.op_parent_row(found.trace)
    return np.concatenate([own, np.where(other >= 0, other + len(own), -1)])
