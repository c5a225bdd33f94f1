"""Stages whose idle time the host's launches cause."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.idle import IdleTime
from tracekit.answers.launches import Launches
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, share


def findings(result: Launches, _ask: Ask) -> Iterator[Draft]:
    """Idle time that the host caused, stage by stage; of the whole trace where it has no stages."""
    stages = [row for row in result.rows if not row.is_all]
    for row in stages or result.rows:
        waits, window = row.graph_saves_ns, row.window_ns
        if not row.launch_bound or not window or waits / window < LEAST:
            continue
        per = row.graph_saves_per_token_ns
        token = f", {duration(per)} per token" if per else ""
        graphs = row.graph_calls > 0 and row.activities > 10 * row.calls
        yield Draft(
            row.stage,
            f"{row.stage} is launch-bound: the GPU waits {share(waits / window)} of its window for "
            f"the host, which launches {row.activities:,} activities in {row.calls:,} calls"
            f"{token}.",
            waits / window, "share", waits, window,
            "Shorten what the host does between graph launches."
            if graphs
            else 'Use CUDA graphs or torch.compile(mode="reduce-overhead"), or a larger batch.',
            also=(IdleTime,),
        )  # fmt: skip
