"""Which stages lie inside which: a chart must not draw a part beside its whole as its equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """An instance of a stage."""

    family: str
    start_ns: int
    end_ns: int


def depths(spans: Sequence[Span]) -> dict[str, int]:
    """By family, in the order of a tree, parents before their children: how deep it lies.

    A family lies inside the one that holds most of its instances, where that is more than half of
    them: the innermost of those that do. Families in no other are at 0.
    """
    order = sorted(spans, key=lambda s: (s.start_ns, -s.end_ns))
    within: dict[str, Counter[str]] = {}
    many: Counter[str] = Counter()
    open_: list[Span] = []
    for span in order:
        while open_ and open_[-1].end_ns < span.end_ns:
            open_.pop()
        many[span.family] += 1
        around = next((s.family for s in reversed(open_) if s.family != span.family), None)
        if around is not None:
            within.setdefault(span.family, Counter())[around] += 1
        open_.append(span)
    parent = {}
    for family, holders in within.items():
        name, count = holders.most_common(1)[0]
        if 2 * count > many[family]:
            parent[family] = name
    children: dict[str | None, list[str]] = {}
    for family in dict.fromkeys(span.family for span in order):
        children.setdefault(_sound(family, parent), []).append(family)
    out: dict[str, int] = {}
    waiting = [(family, 0) for family in reversed(children.get(None, []))]
    while waiting:
        family, depth = waiting.pop()
        out[family] = depth
        waiting += [(child, depth + 1) for child in reversed(children.get(family, []))]
    return out


def among(depths: Mapping[str, int], shown: Collection[str]) -> dict[str, int]:
    """The depths of those that are shown, below others that are shown."""
    out: dict[str, int] = {}
    around: list[tuple[int, bool]] = []
    for family, depth in depths.items():
        while around and around[-1][0] >= depth:
            around.pop()
        if family in shown:
            out[family] = sum(drawn for _, drawn in around)
        around.append((depth, family in shown))
    return out


def _sound(family: str, parent: dict[str, str]) -> str | None:
    """The family's parent; None where the parents go in a circle."""
    seen, at = {family}, parent.get(family)
    while at is not None:
        if at in seen:
            return None
        seen.add(at)
        at = parent.get(at)
    return parent.get(family)
