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
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tracekit.records import Record, replace
from tracekit.trace.trace import I64, Mask

GEMM, ATTENTION = 1, 2  # kinds of call
FRONT, HEAD, NOWHERE = -3, -2, -1  # before the first layer, after the last, not in any
# of the parts between attentions: a pattern that fits fewer is no layer, or none of one phase alone
LEAST, ALONE = 0.65, 0.9


@dataclass(frozen=True, slots=True)
class Layout:
    """GEMMs of one layer before and after its attention."""

    before: int
    after: int
    sure: bool = field(default=True, compare=False)  # no other layout is as likely
    pattern: tuple[int, ...] = field(default=(), compare=False)  # between two attentions


class Order(Record, frozen=True, eq=False):
    """C calls of one phase, in the order of their launches within each forward pass."""

    run: I64  # [C] the pass, ascending
    kind: I64  # [C] GEMM or ATTENTION
    sign: I64  # [C] equal for GEMMs that may be the same one of two layers

    def of(self, rows: I64) -> Order:
        """These calls alone."""
        return Order(self.run[rows], self.kind[rows], self.sign[rows])


class _Part(Record, frozen=True):
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

    Where the order allows several, phases take one that all of them allow. Where they allow none
    together the last decides, which is decode: a prefill may run another tower too. A phase that
    has no such layer has one of its own where it runs hardly anything else.
    """
    choices = {name: found for name, calls in phases.items() if (found := _choices(calls))}
    if not choices:
        return {}
    clear = list(choices)[-1]
    alike = set.intersection(*(set(found) for found in choices.values()))
    together = list(choices) if alike else [clear]
    best = _best([choices[name] for name in together])
    out = {name: replace(best, pattern=_pattern(phases[name])) for name in together}
    for name, calls in phases.items():
        if name in out:
            continue
        if pattern := _like(calls, out[clear]):
            out[name] = replace(best, pattern=pattern)
        elif _mostly(calls) and (own := _choices(calls)):
            out[name] = replace(_best([own]), pattern=_pattern(calls))
    return {name: out[name] for name in phases if name in out}


def _best(choices: Sequence[Mapping[Layout, tuple[int, int]]]) -> Layout:
    """The likeliest layout that all of them allow, and whether it is sure."""
    every = {lay: [c[lay] for c in choices] for lay in choices[0] if all(lay in c for c in choices)}
    cost = {lay: (sum(c[0] for c in own), sum(c[1] for c in own)) for lay, own in every.items()}
    best = min(cost, key=lambda lay: (*cost[lay], -lay.before))
    return replace(best, sure=sum(own[0] <= cost[best][0] for own in cost.values()) == 1)


def _like(calls: Order, clear: Layout) -> tuple[int, ...]:
    """What repeats between attentions, up to the last, as in a layer of another phase; of as many
    GEMMs where that phase cannot tell its own apart. Empty for nothing.
    """
    middles = Counter(p.signs for p in _parts(calls) if not p.first and not p.last)
    _, last = _ends_of(calls)
    blind = len(set(clear.pattern)) == 1
    alike = Counter({
        signs: many
        for signs, many in middles.items()
        if many > 1 and _starts(last, signs[: clear.after])
        and (len(signs) == len(clear.pattern) if blind else signs == clear.pattern)
    })  # fmt: skip
    return _usual(alike)


def _mostly(calls: Order) -> bool:
    """Whether hardly anything but one pattern lies between attentions."""
    middles = [p.signs for p in _parts(calls) if not p.first and not p.last]
    return middles.count(_pattern(calls)) >= ALONE * len(middles)


def _choices(calls: Order) -> dict[Layout, tuple[int, int]]:
    """Layouts that the order allows; of each, how unusual it would be: the smaller the likelier."""
    pattern = _pattern(calls)
    if len(pattern) < 2:
        return {}
    first, last = _ends_of(calls)
    middles = [p.signs for p in _parts(calls) if not p.first and not p.last]
    out = {}
    for before in range(1, len(pattern)):
        after = len(pattern) - before
        if _ends(first, pattern[after:]) and _starts(last, pattern[:after]):
            own = _forms(first, last, pattern, Layout(before, after))
            if sum(part in own for part in middles) >= LEAST * len(middles):
                # what no layer has may well come first: RoPE's frequencies times the positions
                front = sum(sign in pattern for sign in first[: len(first) - before])
                heads = len(last) - after
                # as a rule no layer's GEMM comes before the first, one head or none after the last
                out[Layout(before, after)] = (int(front > 0) + int(heads > 1), front + heads)
    return out


def _forms(
    first: tuple[int, ...], last: tuple[int, ...], pattern: tuple[int, ...], layout: Layout
) -> dict[tuple[int, ...], int]:
    """What may lie between two attentions, with how many GEMMs of it follow the last layer: a
    layer to the next, or one token to the next, with the head and what opens a pass between.
    """
    rest, lead = pattern[: layout.after], pattern[layout.after :]
    front = first[: len(first) - layout.before] if _ends(first, lead) else ()
    tail = last[layout.after :] if _starts(last, rest) else ()
    out = {rest + front + lead: 0, rest + tail + lead: len(tail)}
    return {**out, rest + tail + front + lead: len(tail), pattern: 0}


def _usual(parts: Counter[tuple[int, ...]]) -> tuple[int, ...]:
    """The most frequent; of equals the shorter."""
    return min(parts, key=lambda signs: (-parts[signs], len(signs), signs), default=())


def _ends_of(calls: Order) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The usual GEMMs of a pass before its first attention and after its last."""
    parts = list(_parts(calls))
    firsts = Counter(p.signs for p in parts if p.first)
    return _usual(firsts), _usual(Counter(p.signs for p in parts if p.last))


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
    HEAD, NOWHERE. Of a layer all calls have a place, or none.
    """
    out = np.full(len(calls.run), NOWHERE, np.int64)
    pattern, before, after = layout.pattern or _pattern(calls), layout.before, layout.after
    forms, parts = _forms(*_ends_of(calls), pattern, layout), list(_parts(calls))
    whole = [False, *_whole(parts, pattern, layout, forms), False]  # layer before, after a part
    for part, above, below in zip(parts, whole[:-1], whole[1:], strict=True):
        low = part.low + after if above else part.low
        high = part.high - before if below else part.high
        if above:
            out[part.low : low] = np.arange(before + 1, before + 1 + after)
        if below:
            out[high : part.high] = np.arange(before)
            out[part.high] = before  # the attention that follows
        known = above == (not part.first) and below == (not part.last)
        if known and (part.first or part.last or part.signs in forms):
            heads = 0 if part.first else high - low if part.last else forms[part.signs]
            out[low : low + heads] = HEAD
            out[low + heads : high] = FRONT
    return out


def _whole(
    parts: list[_Part], pattern: tuple[int, ...], layout: Layout, forms: Container[tuple[int, ...]]
) -> Iterator[bool]:
    """Whether the layer between each part and the next is one of the layout."""
    lead, rest = pattern[layout.after :], pattern[: layout.after]
    blind = len(set(pattern)) == 1
    for one, two in pairwise(parts):
        fits = one.first or one.signs in forms
        follows = two.last or two.signs in forms or not blind
        # GEMMs that cannot be told apart: what came before may be another tower's
        told = fits or not blind or two.signs == pattern
        here = not one.last and _ends(one.signs, lead) and _starts(two.signs, rest)
        yield here and follows and told
