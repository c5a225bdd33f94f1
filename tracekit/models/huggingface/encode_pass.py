"""What a pass of a model's encoder multiplies and reads: counted while it runs once more.

Encoders of transformers differ too much for one formula, and what they do depends on the picture or
sound: torch's own counter sees each product. The pass runs after the requests, outside of what is
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tracekit.models.shared import checkpoints

ROWS_ALONE = ("embedding", "select", "slice", "index", "index_select", "gather", "narrow")


class EncodePass:
    """The encode stage of one adapter: what it was first given, and what that costs."""

    def __init__(self, dtype: str) -> None:
        self._size = checkpoints.bytes_per_value(dtype)
        self._run: Callable[[], object] | None = None
        self._rows = 0
        self._shapes: tuple[tuple[int, ...], ...] = ()
        self._alike = True
        self._found: dict[str, int] | None = None
        self.why_not = ""  # why it is not known, after a count that failed

    def saw(
        self, run: Callable[[], object], shapes: tuple[tuple[int, ...], ...], rows: int
    ) -> None:
        """A request that encodes inputs of such shapes, of so many rows; `run` does it again."""
        if self._run is None:
            self._run, self._rows, self._shapes = run, rows, shapes
        self._alike &= shapes == self._shapes

    def dims(self) -> dict[str, int]:
        """`Facts.dims["encode"]`; empty where nothing ran, or requests differ in their shapes."""
        if self._run is None or not self._alike or self.why_not:
            return {}
        if self._found is None:
            try:
                flops, weights = counted(self._run)
            except (RuntimeError, TypeError) as fault:  # kernels that torch's counter cannot pass
                self.why_not = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
                return {}
            self._found = {
                "flops": flops // self._rows,
                "weight_parameters": weights,
                "bytes_per_value": self._size,
            }
        return self._found

    def notes(self) -> tuple[str, ...]:
        """What one should know of the count, in words."""
        if self._run is not None and not self._alike:
            return ("encode has no floor: the requests' inputs differ in their shapes",)
        return (f"encode has no floor: counting failed: {self.why_not}",) if self.why_not else ()


def counted(run: Callable[[], object]) -> tuple[int, int]:
    """FLOPs of the matrix products, convolutions and attention of a call, and values of the
    parameters that it reads whole. Products inside kernels of other packages are not seen.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    read: dict[int, int] = {}

    class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Notes the parameters that operators take, but for those of which they read rows."""

        def __torch_dispatch__(
            self, func: Any, types: object, args: Any = (), kwargs: Any = None
        ) -> object:
            if func.overloadpacket.__name__ not in ROWS_ALONE:
                for one in args:
                    if isinstance(one, torch.nn.Parameter):
                        read[id(one)] = int(one.numel())
            return func(*args, **(kwargs or {}))

    own = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops}
    reads = Reads()  # type: ignore[no-untyped-call]
    with torch.no_grad(), reads, FlopCounterMode(display=False, custom_mapping=own) as counter:
        run()
    return counter.get_total_flops(), sum(read.values())


def attention_flops(
    query: Sequence[int], key: Sequence[int], value: Sequence[int], *_more: object, **_named: object
) -> int:
    """QKᵀ and PV of [B, heads, positions, width]: torch's counter knows the CPU's kernel not."""
    return 2 * math.prod(query[:3]) * key[2] * (query[3] + value[3])
