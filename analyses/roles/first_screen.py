"""How near the roof that usually bounds a stage its GEMMs came together."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.roles import Roles
from tracekit.answers.stages import Stages
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, Remark
from tracekit.taxonomy import Stage


def remarks(result: Roles, one: Answers) -> Iterator[Remark]:
    """Of each of the main stages: decode by memory, others by arithmetic."""
    stages = one.get(Stages)
    for stage in stages.main if stages is not None and result.on_gpu else ():
        row = result.phase(stage.family)
        if row is None:
            continue
        peak, memory = row.gemm_flops_share, row.gemm_bytes_share
        if stage.family == Stage.DECODE and memory is not None:
            yield Remark(stage.title, f"its GEMMs at {memory:.0%} of the memory bandwidth")
        elif stage.family != Stage.DECODE and peak is not None:
            yield Remark(stage.title, f"its GEMMs at {peak:.0%} of peak FLOP/s")


FIRST_SCREEN = FirstScreen(order=50, remarks=remarks)
