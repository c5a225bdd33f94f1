"""The ops on the first screen of a trace without kernels: those that cost most."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.kernels import Kernels
from tracekit.answers.ops import Ops
from tracekit.answers.stages import Stages
from tracekit.attribution.stages import prefill_vs_decode
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, Listed


def grids(result: Ops, one: Answers) -> Iterator[Listed]:
    """Those that cost most in prefill, beside those that cost most in decode."""
    if one.get(Kernels) is None:
        stages, phases = one.get(Stages), result.main_phases
        wholes = {p.phase: p.self_ns for p in result.phases}
        depths = stages.depths if stages is not None else {}
        yield Listed(
            prefill_vs_decode.dearest(
                result.rows, phases, "op", "Host time without the ops inside.",
                prefill_vs_decode.inside(phases, wholes, depths, "op"),
            ),
            folded=False,
        )  # fmt: skip


FIRST_SCREEN = FirstScreen(order=45, grids=grids)
