"""What each piece of work of prefill and decode is in its layer: see layers, layernames.

By the order of calls around attention, which graph replays keep too; where the order repeats no
layer, GEMMs are told apart by the weights that they multiply with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tracekit.attribution.roofline.formulas.work import Weights
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask

from . import layer_pattern, names
from .gemm_calls import PHASES, Calls, Items
from .layer_pattern import ATTENTION, NOWHERE, Layout
from .names import LAST, OUTSIDE_LAYERS


class Kind(Record, frozen=True):
    """One role of a layer."""

    role: str
    order: float  # sorts roles as a layer runs them
    call: str = ""  # gemm or attention; empty for other work


class Placed(Record, frozen=True, eq=False):
    """What each of I items is: rows of `key` [I, 2] are (index into PHASES, index into kinds)."""

    key: I64
    kinds: tuple[Kind, ...]
    layouts: Mapping[int, Layout]  # by index into PHASES
    by: str  # order or weights
    place: I64  # [C] of each call; NOWHERE where it is not aligned


def by_order(found: Items, calls: Calls, codes: Sequence[int]) -> Placed | None:
    """By the order around attention, where a phase repeats a layer."""
    own = {code: np.flatnonzero(calls.phase == code) for code in codes}
    orders = {PHASES[code]: calls.order.of(mine) for code, mine in own.items()}
    layouts = layer_pattern.layouts(orders)
    if not layouts:
        return None
    place = np.full(len(calls.phase), NOWHERE, np.int64)
    for name, layout in layouts.items():
        place[own[PHASES.index(name)]] = layer_pattern.places(orders[name], layout)
    weights = {name: _of_places(calls, place, own[PHASES.index(name)]) for name in layouts}
    if not _agree(list(weights.values())):
        return None
    plain = not calls.experts and _plain(layouts, weights, len(codes))
    part, rest = _of_items(found, place)
    key = np.stack([found.phase, part, rest & (part != NOWHERE)], axis=1)
    distinct, inverse = segments.distinct(key.astype(np.int64))
    number: dict[Kind, int] = {}
    index = []
    for code, at, other in distinct.tolist():
        layout = layouts.get(PHASES[code], Layout(0, 0))
        named = names.of_rest if other else names.of_call
        call = "" if other or at == NOWHERE else "attention" if at == layout.before else "gemm"
        one = Kind(named(at, layout, plain), names.rank(at, bool(other)), call)
        index.append(number.setdefault(one, len(number)))
    return Placed(
        key=np.stack([found.phase, np.array(index, np.int64)[inverse]], axis=1),
        kinds=tuple(number),
        layouts={PHASES.index(name): layout for name, layout in layouts.items()},
        by="order",
        place=place,
    )


def _plain(
    layouts: Mapping[str, Layout], weights: Mapping[str, Mapping[int, tuple[int, int]]], phases: int
) -> bool:
    """Whether LLaMA's names fit: all phases, or the weights, bear them out.

    Experts that are called in turn look like an MLP where each token has one: not so in prefill.
    """
    both = [(weights[name], layout) for name, layout in layouts.items()]
    told = any(len(own) == layout.before + layout.after for own, layout in both)
    return (
        len(set(layouts.values())) == 1
        and (told or len(layouts) == phases)
        and all(layout.sure and names.like_llama(own, layout) for own, layout in both)
    )


def _of_places(calls: Calls, place: I64, rows: I64) -> dict[int, tuple[int, int]]:
    """k, n of the weights at each place of a layer in these calls, where all have the same."""
    found: dict[int, set[tuple[int, int] | None]] = defaultdict(set)
    for at, call in zip(place[rows].tolist(), rows.tolist(), strict=True):
        one = calls.weights[call]
        found[at].add((one.k, one.n) if one else None)
    alike = {at: next(iter(own)) for at, own in found.items() if at >= 0 and len(own) == 1}
    return {at: one for at, one in alike.items() if one is not None}


def _agree(phases: Sequence[Mapping[int, tuple[int, int]]]) -> bool:
    """Whether each place has one matrix, whatever the phase: a compiler may reorder GEMMs."""
    found: dict[int, tuple[int, int]] = {}
    return all(found.setdefault(at, one) == one for own in phases for at, one in own.items())


def _of_items(found: Items, place: I64) -> tuple[I64, Mask]:
    """[I] the place of each item's call, or of the next one of its pass; whether it is that call's
    own work or what precedes it.
    """
    many = len(found.call)
    at = np.where(found.call >= 0, np.arange(many), many)
    following = np.minimum.accumulate(at[::-1])[::-1] if many else at
    known = following < many
    known[known] &= found.run[following[known]] == found.run[known]
    out = np.full(many, LAST, np.int64)
    out[known] = place[found.call[following[known]]]
    return out, found.call < 0


def by_weights(found: Items, calls: Calls, codes: Sequence[int]) -> Placed | None:
    """GEMMs by the weights that they multiply with, where every phase has some with shapes."""
    known = np.array([one is not None for one in calls.weights], bool)
    if not all(known[calls.phase == code].any() for code in codes):
        return None
    number: dict[Kind, int] = {}
    of_call = [
        number.setdefault(_weighed(one, kind), len(number))
        for one, kind in zip(calls.weights, calls.order.kind.tolist(), strict=True)
    ]
    rest = number.setdefault(Kind("other work", 2.0), len(number))
    index = np.array([*of_call, rest], np.int64)[found.call]  # -1 is the last: no call
    place = np.where(known | (calls.order.kind == ATTENTION), 0, NOWHERE)
    key = np.stack([found.phase, index], axis=1)
    return Placed(key, tuple(number), {}, "weights", place)


def _weighed(one: Weights | None, kind: int) -> Kind:
    if kind == ATTENTION:
        return Kind("attention", 1.0, "attention")
    if one is None:
        return Kind(OUTSIDE_LAYERS, names.rank(NOWHERE, False))
    return Kind(f"GEMM {matrix(one)}", 0.0, "gemm")


def matrix(one: Weights) -> str:
    return f"{one.k} → {one.n}"
