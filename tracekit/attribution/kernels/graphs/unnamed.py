"""Launches whose kernel the trace does not name: what their op says that they do.

CUDA's launch calls carry no name. An op still says what its kernel does: a matrix product of
`aten::mm` is no softmax.
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels import name_rules
from tracekit.attribution.kernels.graphs.words import UNNAMED
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

_CODE = {category: code for code, category in enumerate(Category)}
_AGREE = 0.9  # of the pairs of which both sides say something
_TELLING = 0.5  # of all pairs
NOTHING = -1
# what ops run beside the work that they are named for
_BESIDE = frozenset((_CODE[Category.COPY], _CODE[Category.ELEMENTWISE], _CODE[Category.REDUCTION]))


def of_work(trace: Trace) -> I64:
    """[G] the category that the name of each row of `links.work` says, or -1."""
    gpu = links.work(trace)
    distinct, inverse = segments.codes(gpu.name)
    found = [name_rules.of_kernel(trace.strings[int(n)])[0] for n in distinct]
    codes = [NOTHING if one is Category.OTHER else _CODE[one] for one in found]
    out = np.array(codes, np.int64)[np.asarray(inverse).reshape(-1)]
    return np.where(gpu.is_(Cat.KERNEL), out, NOTHING)


def of_calls(trace: Trace) -> I64:
    """[R] the category that the op around each call says, or -1."""
    ops, row, parent = links.ops(trace), links.call_op_row(trace), links.op_parent_row(trace)
    distinct, inverse = segments.codes(row)
    codes = []
    for op in distinct.tolist():
        code, at = NOTHING, op
        while at >= 0 and code == NOTHING:
            name = ops.text(at)
            found = name_rules.of_whole_op(name) or name_rules.of_single_op(name)
            code = _CODE[found[0]] if found else NOTHING
            at = int(parent[at]) if name.startswith(("aten::", "autograd::")) else -1
        codes.append(code)
    return np.array(codes, np.int64)[np.asarray(inverse).reshape(-1)] if codes else row


def agree(kinds: I64, hints: I64) -> bool:
    """Whether nodes and launches, place by place, are of the same kinds."""
    both = (kinds != NOTHING) & (hints != NOTHING)
    if both.mean() < _TELLING:
        return False
    light = np.isin(kinds, list(_BESIDE))  # a copy inside a product says nothing against it
    judged = both & ((kinds == hints) | ~light)
    return bool(judged.any() and (kinds == hints)[judged].mean() >= _AGREE)


def score(word: int, kind: int, words: I64, hints: I64) -> I64:
    """[M] how well a node fits each launch: 4 by name, 2 by kind, 1 where nothing speaks against
    it, 0 where it cannot be.
    """
    bare = words == UNNAMED
    by_kind = np.where(hints == kind, 2, np.where((hints == NOTHING) | (kind == NOTHING), 1, 0))
    if kind == NOTHING:
        by_kind = np.where(bare, 1, 0)
    return np.where(words == word, 4, np.where(bare, by_kind, 0))
