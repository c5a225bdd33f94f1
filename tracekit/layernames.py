"""What the place of a call in its layer is called.

GEMMs are named by their place as LLaMA and its kin order them: query, key, value (or in one),
attention, its output, then the MLP. Layers of other make, and mixtures of experts, are numbered.
"""

from __future__ import annotations

from tracekit.layers import FRONT, HEAD, NOWHERE, Layout

LAST = 1 << 20  # place of work after the last GEMM of a pass
_BEFORE = {
    1: ("query, key, value projection",),
    2: ("query projection", "key, value projection"),
    3: ("query projection", "key projection", "value projection"),
}
_AFTER = {
    3: ("attention output projection", "MLP up projection", "MLP down projection"),
    4: ("attention output projection", "MLP gate projection", "MLP up projection",
        "MLP down projection"),
}  # fmt: skip
OUTSIDE_LAYERS = "not in a layer"


def of_call(place: int, layout: Layout, experts: bool) -> str:
    """The name of the GEMM or attention at a place (see layers.places)."""
    before, after = layout.before, layout.after
    known = before in _BEFORE and after in _AFTER and not experts
    if place == FRONT:
        return "GEMM before the first layer"
    if place == HEAD:
        return "head"
    if place == NOWHERE:
        return OUTSIDE_LAYERS
    if place == before:
        return "attention"
    if place < before:
        return _BEFORE[before][place] if known else _numbered(place, before, "before")
    rank = place - before - 1
    return _AFTER[after][rank] if known else _numbered(rank, after, "after")


def _numbered(rank: int, of: int, side: str) -> str:
    return f"GEMM {rank + 1} of {of} {side} attention" if of > 1 else f"GEMM {side} attention"


def of_rest(place: int, layout: Layout, experts: bool) -> str:
    """The name of other work, by the GEMM or attention that follows it."""
    if place == LAST:
        return "work after the last GEMM"
    if place == NOWHERE:
        return OUTSIDE_LAYERS
    follows = {FRONT: "the first layer", HEAD: "the head"}.get(place)
    return f"work before {follows or of_call(place, layout, experts)}"


def rank(place: int, rest: bool) -> float:
    """Sorts places into reading order, other work before the call that it precedes."""
    at = {FRONT: -10.0, HEAD: 1e6, LAST: 2e6, NOWHERE: 3e6}.get(place, float(place))
    return at - 0.5 if rest and place not in (LAST, NOWHERE) else at
