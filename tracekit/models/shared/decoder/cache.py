"""transformers' KV caches: what a model calls its own, and how the newest positions are dropped."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError

if TYPE_CHECKING:
    pass


CACHE_KINDS = ("dynamic", "static")  # those that keep every position, and can be rolled back

CACHES = ("cache", "past_key_values", "cache_params", "state")  # names in forward, newest first


def cache_argument(model: Any) -> str:
    """What the model's forward calls its KV cache, or its recurrent state; transformers renamed it
    in 5.24, and drops the old name in 5.40.
    """
    named = inspect.signature(model.forward).parameters
    return next((name for name in CACHES if name in named), "past_key_values")


def drop(cache: Any, positions: int) -> None:
    """Drop the newest `positions` of a dynamic or static cache of transformers.

    Raises: TracekitError for layers that cannot forget (recurrent ones).
    """
    if not positions:
        return
    for layer in cache.layers:
        if hasattr(layer, "crop"):
            layer.crop(-positions)
        elif hasattr(layer, "cumulative_length"):
            layer.cumulative_length.sub_(positions)
        else:
            raise TracekitError(
                "this kind of cache cannot be rolled back",
                where=type(layer).__name__,
                hint="use --cache dynamic",
            )
