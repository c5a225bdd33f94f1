"""Which attention a model computes with, in words for the metadata."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions

if TYPE_CHECKING:
    pass


def set_attention(model: Any, options: BuildOptions, cache: str) -> str:
    """Choose the model's attention; says which it is, in words for the metadata.

    Raises: TracekitError where flash attention cannot be had.
    """
    kind = options.attention
    if kind != "flash":
        try:
            model.set_attn_implementation(kind)
        except ValueError:  # transformers: this architecture has no fused attention
            model.set_attn_implementation("eager")
            return f"eager ({type(model).__name__} has no {kind})"
        return kind
    if cache == "static":
        raise TracekitError(
            "flash attention takes no mask, and a static cache needs one",
            where="--attention flash",
            hint="use --cache dynamic without --compile, or --attention sdpa",
        )
    from transformers import utils

    half = options.dtype in ("float16", "bfloat16")
    found = getattr(utils, "is_flash_attn_2_available", lambda: False)()
    if found and options.device.startswith("cuda") and half:
        model.set_attn_implementation("flash_attention_2")
        return "flash (package flash-attn)"
    if options.device.startswith("cuda") and not half:
        raise TracekitError(
            "flash attention computes in half precision only",
            where="--attention flash",
            hint="add --dtype bfloat16",
        )
    model.set_attn_implementation("sdpa")
    return "flash (torch SDPA's flash backend)"


@contextmanager
def flash_backend() -> Iterator[None]:
    """SDPA inside uses its flash kernels or fails."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
        yield
