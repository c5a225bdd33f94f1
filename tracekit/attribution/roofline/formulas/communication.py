"""Collectives: what one rank reads from its memory and writes to it, at least.

The links between devices bound them, not the memory: they have no floor here.

Source: torch/csrc/distributed/c10d/ParamCommsUtils.hpp (the arguments of record_param_comms).
"""

from __future__ import annotations

from math import prod

from tracekit.attribution.roofline.formulas.work import (
    Call,
    Family,
    Formula,
    Known,
    Work,
    dtype_of,
    entries,
    size_of,
    sizes,
)

OF = "collective of "  # before the dtype that torch writes beside the arguments


def moved(call: Call) -> Work:
    """The first tensor, or list of them, read once; as much is written, or more by a gather."""
    if call.types[0] == "TensorList":
        parts = call.lists(0)
        dtype = call.hint.removeprefix(OF)
        bytes_ = sum(prod(part) for part in parts) * size_of(dtype)
        return Work(0, 2 * bytes_, dtype_of(dtype), sizes(parts[0]), None, Family.COMMUNICATION,
                    Known.LEAST)  # fmt: skip
    return Work(0, 2 * call.bytes(0), call.dtype(0), sizes(call.dims[0]), None,
                Family.COMMUNICATION, Known.LEAST)  # fmt: skip


def gathered(call: Call) -> Work:
    """The result first, written, then what this rank gives, read."""
    return Work(0, call.bytes(0) + call.bytes(1), call.dtype(0), sizes(call.dims[0]), None,
                Family.COMMUNICATION)  # fmt: skip


_C10D = "torch/csrc/distributed/c10d"
FORMULAS: dict[str, Formula] = {
    **entries(_C10D, moved, "record_param_comms", asks_hint=True),
    **entries(_C10D, gathered, "c10d::_allgather_base_ c10d::_reduce_scatter_base_"),
}
