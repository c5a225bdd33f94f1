"""Which capture each replayed graph came from, and which launch each of its nodes was.

Kernel names in order decide, exactly where they can and by their longest common subsequence where
they cannot. Captures of several batch sizes may run the same kernels: then the grid decides, then
the batch size that the annotations say. What still could be several launches is matched only where
all of them say the same: op, shapes and dtypes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import alignment, unnamed
from tracekit.attribution.kernels.graphs.captures import (
    Captured,
    captures,
    label_of_launch,
    ran_eagerly,
)
from tracekit.attribution.kernels.graphs.replays import Replay
from tracekit.attribution.kernels.graphs.words import (
    UNNAMED,
    Words,
    grids_of_calls,
    grids_of_work,
)
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I32, I64, Trace

EXACT, COMMON, PLACE = "exact sequence", "longest common subsequence", "place and kind of op"
_LEAST = 0.2  # of a graph's time: what shares less was not captured there
_APART = 0.1  # of the longer: how much shorter launches without names, or nodes, may be
_TRIED = 3  # captures that are aligned where none is the same sequence
_PADDED = later(r"(?:^| )(?:capture_(?=\d+_[A-Z])|execute_(?=\d+_context)|bs_(?=\d+_rank))(\d+)")
_ASKED = later(r"step\[DECODE bs=(\d+)")
_PRODUCT = r"^aten::(?:mm|addmm|linear|_scaled_mm)$"
_MATRIX = later(r"\[+(?:\d+\], \[)?(\d+), \d+\]")  # the first matrix of the arguments


class Source(Record, frozen=True, eq=False):
    """One capture of one file, in the words of the replays."""

    file: int  # which of the traces
    captured: Captured
    words: I64  # [M]
    grids: I64  # [M, 3]
    says: I64  # [M] equal where two launches of any file say the same of a node
    hints: I64  # [M] the category that the op says, or -1
    rows: int | None  # of most of its matrix products: the batch, of a decode step
    label: str  # the annotations around it, and the name of its file


class Nodes(Record, frozen=True, eq=False):
    """N nodes of one replay and what they are."""

    replay: Replay
    file: int  # of the capture; -1: none fits
    call: I64  # [N] row of `links.calls` of that file; -1: not matched
    placed: bool  # which of several captures that say the same is known: the layer is right
    how: str


def sources(traces: Sequence[Trace], own: Trace, words: Words) -> list[Source]:
    """The captures of these traces; of the replays' own only what was captured, not what ran."""
    known: dict[tuple[object, ...], int] = {}
    out = []
    for file, trace in enumerate(traces):
        held = captures(trace, marked=trace is own)
        if not held:
            continue
        of_calls, (grids, _) = words.of_calls(trace), grids_of_calls(trace)
        said, hints = says(trace, known), unnamed.of_calls(trace)
        for one in held:
            call = one.call
            run = _eager_run(trace, one, said) if (of_calls[call] == UNNAMED).any() else None
            named = call if run is None else run
            label = f"{one.label} {PurePath(trace.path).name}" if file else one.label
            out.append(Source(
                file, one, of_calls[named], grids[named], said[call], hints[call],
                _rows(trace, call), label,
            ))  # fmt: skip
    return out


def _rows(trace: Trace, call: I64) -> int | None:
    """The number of rows [m, k] that most products of these calls have; None without any."""
    ops, table = links.ops(trace), trace.table("shapes")
    row = links.call_op_row(trace)[call]
    row = row[row >= 0]
    row = row[ops.named(_PRODUCT)[row]] if len(row) else row
    if not len(row) or not len(table):
        return None
    found: Counter[int] = Counter()
    texts, count = np.unique(table.take(ops.id[row], "dims", -1), return_counts=True)
    for text, times in zip(texts.tolist(), count.tolist(), strict=True):
        one = _MATRIX.match(table.strings[text]) if text >= 0 else None
        if one is not None:
            found[int(one[1])] += times
    return found.most_common(1)[0][0] if found else None


def _eager_run(trace: Trace, one: Captured, said: I64) -> I64 | None:
    """[M] calls of the same ops over the same shapes, one after the other, that ran: the warm-up
    before a capture. CUDA names the kernels of these alone.
    """
    ran = ran_eagerly(trace)
    sequence, wanted = said[ran].tobytes(), said[one.call].tobytes()
    at = sequence.rfind(wanted)
    while at > 0 and at % 8:  # within a number: no run
        at = sequence.rfind(wanted, 0, at + len(wanted) - 1)
    return ran[at // 8 : at // 8 + len(one.call)] if at >= 0 else None


def says(trace: Trace, known: dict[tuple[object, ...], int], call: I64 | None = None) -> I64:
    """[R] a number of the op, its arguments and what is around it, of each call, or of these."""
    ops, table = links.ops(trace), trace.table("shapes")
    row, parent = links.call_op_row(trace), links.op_parent_row(trace)
    calls = links.call_rows(trace)
    if call is not None:
        row, calls = row[call], calls[call]
    above = np.where(row >= 0, parent[row] if len(parent) else -1, -1)
    frame = links.parent_row(trace)[calls]
    shapes = links.shapes_row(trace)
    columns = [_or_none(trace.name, np.where(row >= 0, -1, frame))]
    for at in (row, above):
        said = _or_none(shapes, at)
        columns += [_or_none(ops.name, at), *(table.at(said, c, -1) for c in ("dims", "types"))]
    # what calls say is made of few texts: each is looked up once
    alike, inverse = segments.distinct(columns)
    numbers = []
    for around, *of_ops in alike.tolist():
        key: list[object] = [trace.strings[around] if around >= 0 else ""]
        for name, *said in (of_ops[:3], of_ops[3:]):
            key.append(trace.strings[name] if name >= 0 else "")
            if name >= 0:
                key += [table.strings[text] if text >= 0 else "" for text in said]
        numbers.append(known.setdefault(tuple(key), len(known)))
    return np.array(numbers, np.int64)[inverse]


def _or_none(column: I32 | I64, at: I64) -> I64:
    """[K] the values at these rows, -1 for row -1."""
    out = np.full(len(at), -1, np.int64)
    if len(column):
        np.copyto(out, np.take(column, at, mode="wrap"), where=at >= 0)
    return out


def match(
    trace: Trace, replays: Sequence[Replay], found: Sequence[Source], words: Words
) -> list[Nodes]:
    """What each replay's nodes are, in the order of `replays`."""
    of_work, grids = words.of_work(trace), grids_of_work(trace)
    kinds = unnamed.of_work(trace)
    alike: defaultdict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for at, replay in enumerate(replays):
        alike[of_work[replay.work].tobytes(), grids[replay.work].tobytes()].append(at)
    out: dict[int, Nodes] = {}
    for members in alike.values():
        work = replays[members[0]].work
        fits = _fits(of_work[work], grids[work], kinds[work], links.work(trace).dur[work], found)
        chosen = _chosen(trace, [replays[m] for m in members], fits)
        out |= dict(zip(members, chosen, strict=True))
    return [out[at] for at in range(len(replays))]


class _Fit(Record, frozen=True, eq=False):
    """One capture that may be that of a replay."""

    source: Source
    aligned: alignment.Aligned
    how: str


def _fits(nodes: I64, grids: I64, kinds: I64, dur: I64, found: Sequence[Source]) -> list[_Fit]:
    """The captures that fit best, all equally well."""
    fits = [_Fit(s, alignment.identity(len(nodes)), EXACT) for s in found if _same(s.words, nodes)]
    if not fits:
        fits = [fit for s in found if (fit := _by_place(nodes, kinds, s)) is not None]
    if not fits:
        fits = _by_part(nodes, kinds, dur, found)
    gridded = [_with_grids(grids, fit) for fit in fits]
    left = [(int((fit.aligned.call >= 0).sum()), same, fit) for fit, same in gridded]
    best = max(((count, same) for count, same, _ in left), default=(0, 0))
    return [fit for count, same, fit in left if (count, same) == best and count]


def _same(one: I64, two: I64) -> bool:
    return len(one) == len(two) and bool((one == two).all())


def _by_place(nodes: I64, kinds: I64, source: Source) -> _Fit | None:
    """As many launches as nodes, some without a name, none of which says another kind of work."""
    if len(nodes) != len(source.words) or (source.words != UNNAMED).all():
        return None
    named = source.words != UNNAMED
    if (source.words[named] != nodes[named]).any() or not unnamed.agree(kinds, source.hints):
        return None
    return _Fit(source, alignment.identity(len(nodes)), PLACE)


def _by_part(nodes: I64, kinds: I64, dur: I64, found: Sequence[Source]) -> list[_Fit]:
    """The captures whose longest common subsequence has most of the nodes' time."""
    shared = [_shared(nodes, source.words) for source in found]
    best = np.argsort(shared, kind="stable")[::-1]
    tried: list[tuple[int, _Fit]] = []
    for at in best.tolist():
        source = found[at]
        if not shared[at] or (len(tried) >= _TRIED and shared[at] < shared[int(best[_TRIED - 1])]):
            break
        if len(tried) > 4 * _TRIED:
            break

        def score(i: int, source: Source = source) -> I64:
            return unnamed.score(nodes[i], kinds[i], source.words, source.hints)

        aligned = alignment.align(len(nodes), len(source.words), score, source.says)
        if aligned is not None:
            call = np.where(aligned.sure, aligned.call, -1)
            little = dur[call >= 0].sum() < _LEAST * dur.sum()
            if little or not _credible(nodes, kinds, call, source):
                continue
            tried.append(
                (
                    int(dur[call >= 0].sum()),
                    _Fit(source, alignment.Aligned(call, aligned.sure), COMMON),
                )
            )
    most = max((ns for ns, _ in tried), default=0)
    return [fit for ns, fit in tried if ns == most and ns]


def _credible(nodes: I64, kinds: I64, call: I64, source: Source) -> bool:
    """Whether launches without names, where they are matched, are about as many as the nodes and
    of their kinds: nearly anything can be aligned with launches of which nothing is known.
    """
    mine = np.flatnonzero(call >= 0)
    bare = mine[source.words[call[mine]] == UNNAMED]
    if not len(bare):
        return True
    apart = abs(len(nodes) - len(source.words)) / max(len(nodes), len(source.words))
    return apart <= _APART and unnamed.agree(kinds[bare], source.hints[call[bare]])


def _shared(nodes: I64, words: I64) -> int:
    """Nodes that some launch could be, each launch counted once."""
    size = int(max(nodes.max(initial=0), words.max(initial=0))) + 1
    count = np.bincount(nodes, minlength=size)
    named = words[words != UNNAMED]
    return int(np.minimum(count, np.bincount(named, minlength=size)).sum()) + int(
        (words == UNNAMED).sum()
    )


def _with_grids(grids: I64, fit: _Fit) -> tuple[_Fit, int]:
    """The same without nodes whose grid is another than the launch's; of how many it is the same.

    The same kernel over another grid is the same op over other shapes: another batch size.
    """
    call = fit.aligned.call
    two = np.where((call >= 0)[:, None], fit.source.grids[np.maximum(call, 0)], -1)
    known = (grids > 0).all(axis=1) & (two > 0).all(axis=1)
    other = known & (grids != two).any(axis=1)
    aligned = alignment.Aligned(np.where(other, -1, call), fit.aligned.sure)
    return _Fit(fit.source, aligned, fit.how), int((known & ~other).sum())


def _chosen(trace: Trace, replays: Sequence[Replay], fits: Sequence[_Fit]) -> list[Nodes]:
    """Of replays of the same nodes, the capture of each."""
    sizes = [_size(fit.source.label)[0] for fit in fits]
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, replay in enumerate(replays):
        exact, least = _size(label_of_launch(trace, replay.launch)) if fits else (None, None)
        kept = _of_size(sizes, exact, least)
        rows = [fits[k].source.rows for k in kept]
        if len(kept) > 1 and len(set(rows)) > 1:  # no label says which: the products do
            kept = tuple(kept[k] for k in _of_rows(rows, exact, least)) or kept
        groups[kept].append(at)
    out: dict[int, Nodes] = {}
    for kept, members in groups.items():
        some = [fits[k] for k in kept]
        for turn, at in enumerate(members):
            out[at] = _node(replays[at], some, turn, len(members))
    return [out[at] for at in range(len(replays))]


def _of_size(sizes: Sequence[int | None], exact: int | None, least: int | None) -> tuple[int, ...]:
    """Which captures may be of this batch: engines pad a batch to the next size captured."""
    if exact is None and least is not None:
        exact = min((size for size in sizes if size is not None and size >= least), default=least)
    return tuple(k for k, size in enumerate(sizes) if None in (size, exact) or size == exact)


def _of_rows(rows: Sequence[int | None], exact: int | None, least: int | None) -> tuple[int, ...]:
    """Which captures multiply as many rows as the batch has, padded to the next that is there."""
    if exact is None and least is not None:
        exact = min((size for size in rows if size is not None and size >= least), default=None)
    return tuple(k for k, size in enumerate(rows) if size is not None and size == exact)


def _node(replay: Replay, fits: Sequence[_Fit], turn: int, turns: int) -> Nodes:
    """The nodes by these captures. Of several that say the same, each has its own in turn."""
    if not fits:
        return Nodes(replay, -1, np.full(len(replay.work), -1, np.int64), False, "")
    said = np.stack([_said(fit) for fit in fits])
    if (said == said[0]).all():  # the files of several ranks: one says it
        fits = [fit for fit in fits if fit.source.file == fits[0].source.file]
        said = said[: len(fits)]
    same = (said == said[0]).all(axis=0) & (said[0] >= 0)
    in_turn = bool(same.all()) and turns % len(fits) == 0
    fit = fits[turn % len(fits)] if in_turn else fits[0]
    call = np.where(same, fit.aligned.call, -1)
    rows = np.where(call >= 0, fit.source.captured.call[np.maximum(call, 0)], -1)
    return Nodes(replay, fit.source.file, rows, in_turn or len(fits) == 1, fit.how)


def _said(fit: _Fit) -> I64:
    """[N] what the capture says of each node; -1 for nothing."""
    call = fit.aligned.call
    return np.where(call >= 0, fit.source.says[np.maximum(call, 0)], -1)


def _size(label: str) -> tuple[int | None, int | None]:
    """The batch that annotations name as it was captured or padded, and as it was asked for.

    vLLM: `capture_32_FULL`, `execute_32_context…`; SGLang: the same, `step[DECODE bs=30]`, and a
    file for each size, `bs_32_rank0.json.gz`.
    """
    exact, least = _PADDED.search(label), _ASKED.search(label)
    return int(exact[1]) if exact else None, int(least[1]) if least else None
