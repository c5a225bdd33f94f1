"""How many examples a property is tried on."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

# TRACEKIT_EXAMPLES=10: ten times as many, for a night
FACTOR = float(os.environ.get("TRACEKIT_EXAMPLES", "1"))


def examples(count: int, **more: Any) -> settings:
    """So many examples, times TRACEKIT_EXAMPLES, without a limit of time for each."""
    return settings(max_examples=max(1, round(count * FACTOR)), deadline=None, **more)
