"""What the place of a call in its layer is called.

GEMMs are named by their place as LLaMA and its kin order them: query, key, value (or in one),
attention, its output, then the MLP. Layers of other make, mixtures of experts, and layers whose
recorded weights are not a LLaMA's (latent attention, adapters) are numbered.
"""

from __future__ import annotations

from collections.abc import Mapping

from .layer_pattern import FRONT, HEAD, NOWHERE, Layout

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
IN_FRONT = "GEMM before the first layer"


def like_llama(weights: Mapping[int, tuple[int, int]], layout: Layout) -> bool:
    """Whether the matrices k → n at the places of a layer can be those that LLaMA's names say;
    places without one are taken as said.
    """
    before, after = layout.before, layout.after
    own = [weights.get(at) for at in range(before)]
    rest = [weights.get(before + 1 + at) for at in range(after)]
    hidden = {one[0] for one in own if one}  # into the attention and the MLP, out of both
    hidden |= {one[1] for one in rest[:1] + rest[-1:] if one}
    hidden |= {one[0] for one in rest[1:-1] if one}
    wide = {one[1] for one in rest[1:-1] if one}  # of gate and up
    if len(hidden) > 1 or len(wide) > 1:
        return False
    query, keys, values = own[0], own[1:2], own[2:3]
    if keys and values and keys[0] and values[0] and keys[0][1] != values[0][1]:
        return False
    if query and keys and keys[0] and query[1] % (keys[0][1] if values else keys[0][1] / 2):
        return False  # heads of queries share those of keys
    out, down = rest[0] if rest else None, rest[-1] if rest else None
    if query and out and not (out[0] == query[1] if keys else out[0] < query[1]):
        return False
    # gate and up are one matrix where there are two GEMMs
    return not (wide and down) or down[0] in {*wide, *(n / 2 for n in wide if after == 3)}


def of_call(place: int, layout: Layout, plain: bool) -> str:
    """The name of the GEMM or attention at a place (see layers.places); LLaMA's where `plain`."""
    before, after = layout.before, layout.after
    known = before in _BEFORE and after in _AFTER and plain
    if place == FRONT:
        return IN_FRONT
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


def of_rest(place: int, layout: Layout, plain: bool) -> str:
    """The name of other work, by the GEMM or attention that follows it."""
    if place == LAST:
        return "work after the last GEMM"
    if place == NOWHERE:
        return OUTSIDE_LAYERS
    follows = {FRONT: "the first layer", HEAD: "the head"}.get(place)
    return f"work before {follows or of_call(place, layout, plain)}"


def rank(place: int, rest: bool) -> float:
    """Sorts places into reading order, other work before the call that it precedes."""
    at = {FRONT: -10.0, HEAD: 1e6, LAST: 2e6, NOWHERE: 3e6}.get(place, float(place))
    return at - 0.5 if rest and place not in (LAST, NOWHERE) else at
