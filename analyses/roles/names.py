"""What the place of a call in its layer is called.

GEMMs are named by their place as LLaMA and its kin order them: query, key, value (or in one),
attention, its output, then the MLP. Layers of other make, mixtures of experts, and layers whose
recorded weights are not a LLaMA's (latent attention, adapters) are numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import eq, gt

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
IN, OUT = 0, 1
_RESIDUAL = {  # the end of each matrix k → n that is as wide as the model
    "query, key, value projection": IN,
    "query projection": IN,
    "key, value projection": IN,
    "key projection": IN,
    "value projection": IN,
    "attention output projection": OUT,
    "MLP gate projection": IN,
    "MLP up projection": IN,
    "MLP down projection": OUT,
}
LLAMA = frozenset((*_RESIDUAL, "head"))
Fit = tuple[str, str, Callable[[int, int], bool]]
_FITS: tuple[Fit, ...] = (  # how wide the other ends of two are, where both are known
    ("key projection", "value projection", eq),
    # heads of queries share those of keys
    ("query projection", "key projection", lambda query, key: query % key == 0),
    ("query projection", "key, value projection", lambda query, both: 2 * query % both == 0),
    ("query projection", "attention output projection", eq),
    ("query, key, value projection", "attention output projection", gt),
)
_MLP_FITS: dict[int, tuple[Fit, ...]] = {  # by GEMMs after attention
    # gate and up may be one matrix
    3: (("MLP up projection", "MLP down projection", lambda up, down: up in (down, 2 * down)),),
    4: (
        ("MLP gate projection", "MLP up projection", eq),
        ("MLP gate projection", "MLP down projection", eq),
        ("MLP up projection", "MLP down projection", eq),
    ),
}
OUTSIDE_LAYERS = "not in a layer"
IN_FRONT = "GEMM before the first layer"


def like_llama(weights: Mapping[int, tuple[int, int]], layout: Layout) -> bool:
    """Whether the matrices k → n at the places of a layer can be those that LLaMA's names say;
    places without one are taken as said.
    """
    roles = _roles(layout)
    known = {role: weights[at] for at, role in roles.items() if at in weights}
    hidden = {matrix[_RESIDUAL[role]] for role, matrix in known.items()}
    other = {role: matrix[1 - _RESIDUAL[role]] for role, matrix in known.items()}
    return len(hidden) <= 1 and all(
        fit(other[one], other[two])
        for one, two, fit in (*_FITS, *_MLP_FITS.get(layout.after, ()))
        if one in other and two in other
    )


def _roles(layout: Layout) -> dict[int, str]:
    """LLaMA's name of each place of a layer; empty for a layer of other make."""
    if layout.before not in _BEFORE or layout.after not in _AFTER:
        return {}
    after = enumerate(_AFTER[layout.after], layout.before + 1)  # attention lies between
    return {**dict(enumerate(_BEFORE[layout.before])), **dict(after)}


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
