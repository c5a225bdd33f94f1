"""The category of every piece of GPU work, and the rule that decided it.

First the trace's own category (copy, fill), then communication by name, then the op that launched
the work, then the kernel's name. Work of a CUDA or HIP graph has the op of its capture where that
is known (graphs/); elsewhere its name alone decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.kernels import name_rules
from tracekit.attribution.kernels.graphs import origin
from tracekit.records import Record
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.trace import Cat, Mask, Trace

CATEGORIES: tuple[Category, ...] = tuple(Category)
CODE: Mapping[Category, int] = {category: code for code, category in enumerate(CATEGORIES)}

_Decision = tuple[Category, str]
_UNDECIDED = -1


class Classes(Record, frozen=True, eq=False):
    """Categories of the G rows of `links.work`."""

    category: npt.NDArray[np.int16]  # [G] index into CATEGORIES
    rule: npt.NDArray[np.int32]  # [G] index into rules
    rules: tuple[str, ...]

    def of(self, category: Category) -> Mask:
        """[G] whether the row is of this category."""
        return np.asarray(self.category == CODE[category])


class _Rules:
    """Decisions by number, so that arrays can hold them."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.names: list[str] = []
        self._known: dict[_Decision, int] = {}

    def number(self, decision: _Decision | None) -> int:
        if decision is None:
            return _UNDECIDED
        if decision not in self._known:
            self._known[decision] = len(self.names)
            self.codes.append(CODE[decision[0]])
            self.names.append(decision[1])
        return self._known[decision]

    def of(
        self, names: npt.NDArray[np.int32], strings: tuple[str, ...],
        decide: Callable[[str], _Decision | None],
    ) -> npt.NDArray[np.int64]:  # fmt: skip
        """[N] the decision on each name; each distinct name is decided once."""
        distinct, inverse = segments.codes(names.astype(np.int64))
        found = [self.number(decide(strings[name])) for name in distinct.tolist()]
        return np.asarray(np.array(found, np.int64)[inverse], np.int64)


def classify(trace: Trace) -> Classes:
    """The category of each row of `links.work`, and the rule that decided; computed once."""
    return trace.once("classify", lambda: _classify(trace))


def _classify(trace: Trace) -> Classes:
    gpu = links.work(trace)
    rules = _Rules()
    decided = np.full(len(gpu), _UNDECIDED, np.int64)
    if len(gpu):
        decided[gpu.is_(Cat.MEMCPY)] = rules.number((Category.MEMCPY, "memcpy event"))
        decided[gpu.is_(Cat.MEMSET)] = rules.number((Category.MEMSET, "memset event"))
        for step in (_by_strong_name, _by_op, _by_name):
            todo = decided < 0
            if todo.any():
                decided[todo] = step(trace, rules)[todo]
    codes = np.array(rules.codes, np.int16)
    return Classes(
        category=codes[decided] if len(gpu) else np.empty(0, np.int16),
        rule=decided.astype(np.int32),
        rules=tuple(rules.names),
    )


def _by_strong_name(trace: Trace, rules: _Rules) -> npt.NDArray[np.int64]:
    """Names that say more than the op around them: communication, layout changes inside ops."""
    return rules.of(links.work(trace).name, trace.strings, name_rules.of_strong_name)


def _by_name(trace: Trace, rules: _Rules) -> npt.NDArray[np.int64]:
    return rules.of(links.work(trace).name, trace.strings, name_rules.of_kernel)


def _by_op(trace: Trace, rules: _Rules) -> npt.NDArray[np.int64]:
    """[G] what the op stack around the launch decides, or -1."""
    row = origin.op_row(trace)
    out = np.full(len(row), _UNDECIDED, np.int64)
    known = row >= 0
    if known.any():
        out[known] = origin.over_ops(trace, lambda one: _ops(one, rules))[row[known]]
    return out


def _ops(trace: Trace, rules: _Rules) -> npt.NDArray[np.int64]:
    """[O] what each op and the ops around it decide, or -1."""
    ops = links.ops(trace)
    parent = links.op_parent_row(trace)
    whole = rules.of(ops.name, trace.strings, name_rules.of_whole_op)
    single = rules.of(ops.name, trace.strings, name_rules.of_single_op)
    aten = trace.named(r"^(aten::|autograd::)")[trace.is_(Cat.CPU_OP)]
    # an op of no table hides the ones above it, save torch's own wrappers around ops
    single = _nearest(single, np.where(aten, parent, -1))
    whole = _nearest(whole, parent)
    return _optimizer(trace, rules, np.where(whole >= 0, whole, single))


_STEP = r"^Optimizer\.step#"  # torch.optim marks every step by itself
_LIGHT = (Category.ELEMENTWISE, Category.COPY, Category.REDUCTION)


def _optimizer(
    trace: Trace, rules: _Rules, decided: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """[O] the same, with the optimiser's for ops that only touch its state during its step.

    A matrix product or a collective within a step (Shampoo, ZeRO) stays what it is.
    """
    ops, note = links.ops(trace), trace.named(_STEP)
    if not note.any():
        return decided
    thread = links.thread(trace)
    step = innermost(
        thread[note], trace.ts[note], trace.end[note], thread[trace.is_(Cat.CPU_OP)],
        ops.ts, ops.ts + 1,
    )  # fmt: skip
    codes = np.array([*rules.codes, CODE[Category.ELEMENTWISE]], np.int64)  # -1 is the last
    light = np.isin(codes[decided], [CODE[category] for category in _LIGHT])
    return np.where(
        (step >= 0) & light, rules.number((Category.OPTIMIZER, "optimiser step")), decided
    )


_ALLOCATES = r"^aten::((new_)?empty(_like|_strided|_permuted)?|resize_(as_)?)$"


def op_categories(trace: Trace) -> npt.NDArray[np.int16]:
    """[O] the category of each row of `links.ops`, as an index into CATEGORIES; OTHER by default.

    By the op and the ops around it alone: what a trace without GPU work can say.
    """

    def make() -> npt.NDArray[np.int16]:
        rules = _Rules()
        decided = _ops(trace, rules) if len(links.ops(trace)) else np.empty(0, np.int64)
        codes = np.array([*rules.codes, CODE[Category.OTHER]], np.int16)
        found = codes[decided]  # -1 is the last
        # whatever op asked for the memory, `aten::empty` itself reduces and multiplies nothing
        found[links.ops(trace).named(_ALLOCATES)] = CODE[Category.OTHER]
        return found

    return trace.once("op categories", make)


def _nearest(
    decided: npt.NDArray[np.int64], parent: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """[O] the decision of the innermost op at or above each that has one, or -1."""
    here = np.arange(len(decided))
    up = np.where((decided >= 0) | (parent < 0), here, parent)
    while not np.array_equal(up, up[up]):  # doubles the distance each time
        up = up[up]
    return np.asarray(decided[up])
