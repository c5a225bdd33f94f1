"""What single passes of a pair's models cost, timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tracekit.capture import plan as planning
from tracekit.capture.plan import Plan
from tracekit.capture.recorder import Recorder
from tracekit.models.speculative.pair import Pair
from tracekit.models.speculative.track import Track

WARM, TIMES = 5, 40  # passes of each kind that nobody times, and that are timed


@dataclass(frozen=True, slots=True)
class Costs:
    """Median ns of single passes, in turns, the device synchronised after each."""

    target_step: float
    draft_step: float | None  # None where the text itself drafts
    verify: Mapping[int, float] = field(default_factory=dict)  # by positions

    @property
    def c(self) -> float | None:
        """Draft step over target step."""
        return None if self.draft_step is None else self.draft_step / self.target_step


def costs(adapter: Pair, sample: Any, plan: Plan, gammas: Sequence[int]) -> Costs:
    """One position of each model, and γ + 1 of the target, behind the sample's prompt.

    A pass and the choice of its tokens are timed; what it left in the cache is rolled back untimed.
    """
    import torch

    wait = planning.synchroniser(plan.options.device) or (lambda: None)
    with planning.current(plan.options.device), torch.inference_mode():
        target, draft = adapter.tracks(sample, Recorder(mark=False))
        widths = [gamma + 1 for gamma in gammas if gamma < plan.options.max_new_tokens]
        calls = {"target": _pass(target, 1, wait)}
        calls |= {f"verify {width}": _pass(target, width, wait) for width in widths}
        if draft is not None:
            calls["draft"] = _pass(draft, 1, wait)
        taken = _in_turns(calls)
    verify = {width: taken[f"verify {width}"] for width in widths}
    return Costs(taken["target"], taken.get("draft"), verify)


def _pass(track: Track, width: int, wait: Callable[[], None]) -> Callable[[], int]:
    """Times one pass over `width` positions, and forgets them."""
    import torch

    rows, device = len(track.lengths), track.decoder.options.device
    ids = torch.ones((rows, width), dtype=torch.long, device=device)

    def call() -> int:
        wait()
        begin = time.perf_counter_ns()
        track.feed(ids, keep=1 if width == 1 else 0).argmax(dim=-1)
        wait()
        taken = time.perf_counter_ns() - begin
        track.settle(track.lengths)
        return taken

    return call


def _in_turns(calls: Mapping[str, Callable[[], int]]) -> dict[str, float]:
    """Median ns of each, called again and again in turns."""
    taken: dict[str, list[int]] = {name: [] for name in calls}
    for turn in range(WARM + TIMES):
        for name, call in calls.items():
            ns = call()
            if turn >= WARM:
                taken[name].append(ns)
    return {name: median(values) for name, values in taken.items()}
