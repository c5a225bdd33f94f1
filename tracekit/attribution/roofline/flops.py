"""FLOPs and least bytes of an op, from the shapes and dtypes that the profiler recorded.

A multiply-add is 2 FLOPs. Least bytes: every operand read once and the result written once, as if
all else stayed in cache; real traffic is more. An op whose arguments do not say enough has no
number: sequence lengths in packed batches, an unknown mask, a kind of op that is not listed. The
formulas are in `formulas/`, a file for each family of ops.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from tracekit.attribution.roofline.formulas import registry
from tracekit.attribution.roofline.formulas.work import MATRIX, Call, Lengths, Work

_MOST = 1 << 63  # no op does as much; sizes that a damaged file holds may be infinite


@lru_cache(maxsize=65536)
def of_op(
    name: str, dims: str, types: str, values: str, strides: str = "", hint: str = "",
    lengths: Lengths | None = None,
) -> Work | None:  # fmt: skip
    """What one call of the op has to do at least, or None where the trace does not say.

    `dims`, `types`, `values` and `strides` are the recorded arguments as JSON text; `hint` and
    `lengths` are for formulas that ask for them.
    """
    formula = registry.formula(name)
    if formula is None:
        return None
    try:
        arguments = (_list(dims), _list(types), [str(v) for v in _list(values)], _list(strides))
        work = formula.run(Call(*arguments, hint, lengths))
    except (KeyError, IndexError, ValueError, TypeError, ArithmeticError, StopIteration):
        return None  # arguments that this version of the op does not have, or not recorded
    real = 0 < work.bytes < _MOST and work.flops < _MOST
    real = real and (work.flops > 0 or work.family not in MATRIX)
    return work if real else None


def _list(text: str) -> list[Any]:
    found = json.loads(text) if text else []
    if not isinstance(found, list):
        raise TypeError("arguments are a list")
    return found
