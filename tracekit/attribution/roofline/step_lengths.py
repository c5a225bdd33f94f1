"""Lengths of sequences by the annotation of the step: sums over its requests.

Source: vLLM PR 37524, `execute_B_context_N(sqAskBsqsqCsqskD)_generation_M(…)`; SGLang writes the
same around its steps.
"""

from __future__ import annotations

from functools import lru_cache

from tracekit.attribution.kernels.graphs.captures import label_of_launch
from tracekit.attribution.roofline.formulas.work import Lengths
from tracekit.patterns import later
from tracekit.trace.trace import Trace

_STEP = later(r"execute_(?:\d+_)?context_\d+\(([^)]*)\)_generation_\d+\(([^)]*)\)")
_SUMS = later(r"^sq(\d+)sk(\d+)sqsq(\d+)sqsk(\d+)$")


@lru_cache(maxsize=65536)
def of_name(name: str) -> Lengths | None:
    """Of context and generation together; None where the name does not say them."""
    step = _STEP.search(name)
    parts = [_SUMS.match(text) for text in step.groups()] if step else []
    if not parts or None in parts:
        return None
    sums = [tuple(map(int, part.groups())) for part in parts if part is not None]
    return Lengths(*(sum(column) for column in zip(*sums, strict=True)))


def around(trace: Trace, call: int) -> Lengths | None:
    """Of the step around a row of `links.calls`."""
    return of_name(label_of_launch(trace, call))
