"""Whether GEMMs are bound by reading their weights, told by their rows alone.

A GEMM of m rows over weights [k, n] does 2·m·k·n FLOPs and reads at least k·n values, so its
intensity is below 2·m over the bytes of one value, whatever k and n are. Below the ridge of the
roofline the memory decides: so a replayed graph, which records no shapes, still says it.

Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tracekit.attribution.roofline.devices import BYTES, Device
from tracekit.patterns import later

# dtypes of inputs, as cuBLAS, CUTLASS, Tensile (BBS: bf16 in and out) and Triton write them
_NAMED = (
    ("float8", later(r"e[45]m[32]|fp8|f8", re.IGNORECASE)),
    ("bfloat16", later(r"bf16|bfloat|_BBS|_BSS|_BB_", re.IGNORECASE)),
    ("float16", later(r"(?<!b)f16|16816|half|_HHS|_HSS|_HH_|_h_", re.IGNORECASE)),
)
_PACKED = later(r"marlin|gptq|awq|w4a|int4|e2m1|fp4", re.IGNORECASE)  # below a byte a value
_ANY = ("float32", "tf32", "bfloat16", "float16", "float8", "int8")


def memory_bound(rows: int, kernels: Iterable[str], spec: Device) -> bool:
    """Whether GEMMs of at most `rows` rows, run by these kernels, lie below the device's ridge.

    Where a name does not say the dtype, all that the device multiplies have to agree.
    """
    return all(_below(rows, name, spec) for name in kernels)


def dtype_of(kernel: str) -> str | None:
    """The dtype of the inputs that a GEMM's name says; None where it says none, or packed ones."""
    if _PACKED.search(kernel):
        return None
    return next((dtype for dtype, form in _NAMED if form.search(kernel)), None)


def narrow(kernel: str) -> bool:
    """Whether a GEMM's name says weights of 8 bits or fewer."""
    return _PACKED.search(kernel) is not None or dtype_of(kernel) == "float8"


def _below(rows: int, kernel: str, spec: Device) -> bool:
    if _PACKED.search(kernel):
        return False  # half a byte a value or less: not told by this bound
    said = dtype_of(kernel)
    known = [said] if said is not None and said in spec.flops else _ANY
    dtypes = [dtype for dtype in known if dtype in spec.flops]
    return bool(dtypes) and all(
        2 * rows / BYTES[dtype] < spec.flops[dtype] / spec.memory_bytes_per_s for dtype in dtypes
    )
