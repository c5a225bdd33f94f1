"""How many examples a property is tried on."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

# of what a property names: two fifths at each push; for a night TRACEKIT_EXAMPLES=10
FACTOR = float(os.environ.get("TRACEKIT_EXAMPLES", "0.4"))


def examples(count: int, **more: Any) -> settings:
    """So many examples, times TRACEKIT_EXAMPLES, without a limit of time for each."""
    return settings(max_examples=max(1, round(count * FACTOR)), deadline=None, **more)
