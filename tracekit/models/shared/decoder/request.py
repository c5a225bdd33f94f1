"""A request between tokens, and methods that keep no gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import torch


F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Request:
    """A request between tokens; what `catalog.State` asks for, and the cache."""

    ids: list[list[int]]  # [B][n] generated so far, end token included
    finished: bool
    prompt_tokens: int  # positions that prefill filled: text and sensor tokens, of each row
    logits: torch.Tensor  # [B, V] float32, of the last position
    next: torch.Tensor  # [B] the token to feed next, on the device
    cache: Any
    length: int  # positions in the cache
    done: list[bool] = field(default_factory=list)  # [B] rows that met their end token
    prompt: str = ""  # as the model saw it, markers included
    sensor_tokens: int | None = None  # of the encoder, in each row, where only the model knows


def without_gradients(method: F) -> F:
    """The method under `torch.no_grad`; torch is imported when it is first called."""

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        import torch

        with torch.no_grad():
            return method(*args, **named)

    return cast("F", call)
