"""Where each GEMM and attention call stands in its decoder layer, by their order alone.

A decoder repeats one layer, so its calls repeat one pattern around each attention. Of two layers
with three GEMMs before and four after attention, and a head:

    q k v A o g u d q k v A o g u d h
    first   middle        last

What lies between two attentions is a middle: the GEMMs after one attention, then those before the
next. Where it divides is read off the first and the last part. Names, shapes and stacks are not
needed: the replay of a graph has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tracekit.trace import I64, Mask

GEMM, ATTENTION = 1, 2  # kinds of call
FRONT, HEAD, NOWHERE = -3, -2, -1  # before the first layer, after the last, not in any


@dataclass(frozen=True, slots=True)
class Layout:
    """GEMMs of one layer before and after its attention."""

    before: int
    after: int


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """C calls of one phase, in the order of their launches within each forward pass."""

    run: I64  # [C] the pass, ascending
    kind: I64  # [C] GEMM or ATTENTION
    sign: I64  # [C] equal for GEMMs that may be the same one of two layers

    def of(self, rows: I64) -> Order:
        """These calls alone."""
        return Order(self.run[rows], self.kind[rows], self.sign[rows])


@dataclass(frozen=True, slots=True)
class _Part:
    """The GEMMs low … high - 1 between two attentions, or between one and an end of the pass."""

    low: int
    high: int
    first: bool
    last: bool
    signs: tuple[int, ...]


def join(run: I64, kind: I64, key: I64, goes_on: Mask) -> I64:
    """[I] the call of each item that is a GEMM or attention, ascending from 0; -1 for the others.

    Items are in order: `run` [I] ascending, `kind` [I] GEMM, ATTENTION or 0, `key` [I] the op that
    is one call, or -1. One call are: the items of one op; attention kernels with no GEMM between;
    an item that `goes_on` [I] with the GEMM before it (the reduction of a split-K GEMM).
    """
    dense = np.flatnonzero(kind > 0)
    out = np.full(len(kind), -1, np.int64)
    if not len(dense):
        return out
    here, prior = dense[1:], dense[:-1]
    alike = (run[here] == run[prior]) & (kind[here] == kind[prior])
    one_op = (key[here] == key[prior]) & (key[here] >= 0)
    same = alike & (one_op | (kind[here] == ATTENTION) | goes_on[here])
    out[dense] = np.concatenate([[0], np.cumsum(~same)])
    return out


# ---------------------------------------------------------------- the pattern of a layer


def layouts(phases: Mapping[str, Order]) -> dict[str, Layout]:
    """The layer of each phase; phases that do not repeat one are left out.

    Where the order allows several, phases take one that all of them allow.
    """
    choices = {name: found for name, calls in phases.items() if (found := _choices(calls))}
    if not choices:
        return {}
    common = set.intersection(*(set(found) for found in choices.values()))
    if common:

        def cost(lay: Layout) -> tuple[int, int, int]:
            every = [found[lay] for found in choices.values()]
            return (sum(c[0] for c in every), sum(c[1] for c in every), -lay.before)

        best = min(common, key=cost)
        return dict.fromkeys(choices, best)
    return {
        name: min(found, key=lambda lay: (*found[lay], -lay.before))
        for name, found in choices.items()
    }


def _choices(calls: Order) -> dict[Layout, tuple[int, int]]:
    """Layouts that the order allows; of each, how unusual it would be: the smaller the likelier."""
    firsts, lasts = Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
    for part in _parts(calls):
        if part.first:
            firsts[part.signs] += 1
        if part.last:
            lasts[part.signs] += 1
    pattern = _pattern(calls)
    if len(pattern) < 2:
        return {}
    first, last = _usual(firsts), _usual(lasts)
    out = {}
    for before in range(1, len(pattern)):
        after = len(pattern) - before
        if _ends(first, pattern[after:]) and _starts(last, pattern[:after]):
            front, heads = len(first) - before, len(last) - after
            # as a rule nothing comes before the first layer, and one head or none after the last
            out[Layout(before, after)] = (int(front > 0) + int(heads > 1), front + heads)
    return out


def _usual(parts: Counter[tuple[int, ...]]) -> tuple[int, ...]:
    """The most frequent; of equals the shorter."""
    return min(parts, key=lambda signs: (-parts[signs], len(signs), signs), default=())


def _pattern(calls: Order) -> tuple[int, ...]:
    """The GEMMs between the attentions of two layers: those after the one, before the other."""
    return _usual(Counter(p.signs for p in _parts(calls) if not p.first and not p.last))


def _parts(calls: Order) -> Iterator[_Part]:
    """The parts of every pass that has attention, in order."""
    size = len(calls.run)
    ends = np.flatnonzero(np.append(calls.run[1:] != calls.run[:-1], True)[:size]) + 1
    signs, begin = calls.sign.tolist(), 0
    for end in ends.tolist():
        at = (np.flatnonzero(calls.kind[begin:end] == ATTENTION) + begin).tolist()
        if at:
            for low, high in zip([begin - 1, *at], [*at, end], strict=True):
                own = tuple(signs[low + 1 : high])
                yield _Part(low + 1, high, low < begin, high == end, own)
        begin = end


def _starts(signs: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return signs[: len(wanted)] == wanted


def _ends(signs: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(signs) >= len(wanted) and signs[len(signs) - len(wanted) :] == wanted


# ---------------------------------------------------------------- the place of each call


def places(calls: Order, layout: Layout) -> I64:
    """[C] each call's place: its rank in the layer, where attention is `layout.before`; or FRONT,
    HEAD, NOWHERE.
    """
    out = np.full(len(calls.run), NOWHERE, np.int64)
    pattern, before = _pattern(calls), layout.before
    lead = np.arange(before)
    rest = np.arange(before + 1, before + 1 + layout.after)
    for part in _parts(calls):
        opens = part.first or _starts(part.signs, pattern[: layout.after])
        closes = part.last or _ends(part.signs, pattern[layout.after :])
        needed = (0 if part.first else layout.after) + (0 if part.last else before)
        if not (opens and closes and len(part.signs) >= needed):
            continue
        # more than a layer between two attentions: another token began, the head is between
        out[part.low : part.high] = FRONT if part.first else HEAD
        if not part.first:
            out[part.low : part.low + layout.after] = rest
        if not part.last:
            out[part.high - before : part.high] = lead
            out[part.high] = before  # the attention that follows
    return out
