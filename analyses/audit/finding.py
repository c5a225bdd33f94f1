"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tracekit.trace.trace import Trace

Effect = Literal["note", "degraded", "refused"]

BY_TIME = ("devices", "stages", "idle", "tokens")
BY_LAUNCH = ("stages", "idle", "kernels", "launches", "tokens")
BOTH = tuple(dict.fromkeys(BY_TIME + BY_LAUNCH))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is odd about a trace, and what it does to the answers that it touches."""

    trace: str
    check: str
    effect: Effect
    what: str  # one sentence with its numbers
    count: int
    ns: int | None  # time at stake, where the check knows
    share: float | None  # of what `what` names
    touches: tuple[str, ...]  # analyses


Check = Callable[[Trace], Iterator[Finding]]
