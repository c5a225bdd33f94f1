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
from tracekit.trace.spans.nesting import innermost, nearest
from tracekit.trace.trace import I32, I64, Cat, Mask, Trace

CATEGORIES: tuple[Category, ...] = tuple(Category)
CODE: Mapping[Category, int] = {category: code for code, category in enumerate(CATEGORIES)}

_Decision = tuple[Category, str]
Numbers = I32  # of decisions
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

    def of(self, part: Trace, decide: Callable[[str], _Decision | None]) -> Numbers:
        """[N] the decision on the name of each slice; each distinct name is decided once."""
        found = np.full(len(part.strings), _UNDECIDED, np.int32)
        for name in part.names.tolist():
            found[name] = self.number(decide(part.strings[name]))
        return np.take(found, part.name)


def classify(trace: Trace) -> Classes:
    """The category of each row of `links.work`, and the rule that decided; computed once."""
    return trace.once("classify", lambda: _classify(trace))


def _classify(trace: Trace) -> Classes:
    gpu = links.work(trace)
    rules = _Rules()
    decided = np.full(len(gpu), _UNDECIDED, np.int32)
    if len(gpu):
        decided[gpu.cat == Cat.MEMCPY] = rules.number((Category.MEMCPY, "memcpy event"))
        decided[gpu.cat == Cat.MEMSET] = rules.number((Category.MEMSET, "memset event"))
        for step in (_by_strong_name, _by_op, _by_name):
            todo = np.flatnonzero(decided < 0)
            if len(todo):
                decided[todo] = step(trace, rules, todo)
    codes = np.array(rules.codes, np.int16)
    return Classes(
        category=codes[decided] if len(gpu) else np.empty(0, np.int16),
        rule=decided,
        rules=tuple(rules.names),
    )


def _by_strong_name(trace: Trace, rules: _Rules, todo: I64) -> Numbers:
    """Names that say more than the op around them: communication, layout changes inside ops."""
    return rules.of(links.work(trace).where(todo), name_rules.of_strong_name)


def _by_name(trace: Trace, rules: _Rules, todo: I64) -> Numbers:
    return rules.of(links.work(trace).where(todo), name_rules.of_kernel)


def _by_op(trace: Trace, rules: _Rules, todo: I64) -> Numbers:
    """What the op stack around the launch of each row decides, or -1."""
    row = origin.op_row(trace)[todo]
    out = np.full(len(row), _UNDECIDED, np.int32)
    known = row >= 0
    if known.any():
        out[known] = origin.over_ops(trace, lambda one: _mapped(one, rules))[row[known]]
    return out


def _mapped(trace: Trace, rules: _Rules) -> Numbers:
    """[O] what `_ops` decides, by other numbers."""
    own, decided = _ops(trace)
    decisions = zip(own.codes, own.names, strict=True)
    number = [rules.number((CATEGORIES[code], name)) for code, name in decisions]
    return np.array([*number, _UNDECIDED], np.int32)[decided]  # -1 is the last


def _ops(trace: Trace) -> tuple[_Rules, Numbers]:
    """[O] what each op and the ops around it decide, or -1; computed once."""

    def make() -> tuple[_Rules, Numbers]:
        rules = _Rules()
        ops = len(links.ops(trace))
        return rules, _decided(trace, rules) if ops else np.empty(0, np.int32)

    return trace.once("decided by ops", make)


def _decided(trace: Trace, rules: _Rules) -> Numbers:
    ops = links.ops(trace)
    parent = links.op_parent_row(trace)
    whole = rules.of(ops, name_rules.of_whole_op)
    single = rules.of(ops, name_rules.of_single_op)
    aten = ops.named(r"^(aten::|autograd::)")
    # an op of no table hides the ones above it, save torch's own wrappers around ops
    single = _nearest(single, np.where(aten, parent, -1))
    whole = _nearest(whole, parent)
    return _optimizer(trace, rules, np.where(whole >= 0, whole, single))


_STEP = r"^Optimizer\.step#"  # torch.optim marks every step by itself
_LIGHT = (Category.ELEMENTWISE, Category.COPY, Category.REDUCTION)


def _optimizer(trace: Trace, rules: _Rules, decided: Numbers) -> Numbers:
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
        (step >= 0) & light, np.int32(rules.number((Category.OPTIMIZER, "optimiser step"))), decided
    )


_ALLOCATES = r"^aten::((new_)?empty(_like|_strided|_permuted)?|resize_(as_)?)$"


def op_categories(trace: Trace) -> npt.NDArray[np.int16]:
    """[O] the category of each row of `links.ops`, as an index into CATEGORIES; OTHER by default.

    By the op and the ops around it alone: what a trace without GPU work can say.
    """

    def make() -> npt.NDArray[np.int16]:
        rules, decided = _ops(trace)
        codes = np.array([*rules.codes, CODE[Category.OTHER]], np.int16)
        found = codes[decided]  # -1 is the last
        # whatever op asked for the memory, `aten::empty` itself reduces and multiplies nothing
        found[links.ops(trace).named(_ALLOCATES)] = CODE[Category.OTHER]
        return found

    return trace.once("op categories", make)


def _nearest(decided: Numbers, parent: I64) -> Numbers:
    """[O] the decision of the innermost op at or above each that has one, or -1."""
    at = nearest(parent, decided >= 0)
    return np.where(at >= 0, decided[at], np.int32(_UNDECIDED))
