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

_OF = "collective of "  # before the dtype and numbers of elements that torch writes on the op
_BUCKET = "bucket of "  # before the bytes and dtype of gradients
# c10 ScalarTypes as torch writes them there, where it calls arguments otherwise
_TYPES = {
    "Float": "float", "Double": "double", "Long": "long int", "Int": "int", "Short": "short int",
    "Byte": "unsigned char", "Char": "signed char", "Bool": "bool",
    "Float8_e4m3fn": "float8", "Float8_e5m2": "float8", "Float8_e4m3fnuz": "float8",
    "Float8_e5m2fnuz": "float8",
}  # fmt: skip


def recorded(dtype: str, sent: int, received: int) -> str:
    """The hint of a collective of so many elements in and out, -1 where not recorded."""
    return f"{_OF}{dtype} {sent} {received}"


def bucket(size: int, dtype: str) -> str:
    """The hint of an all-reduce of so many bytes of gradients: see messages.py."""
    return f"{_BUCKET}{size} {dtype}"


def moved(call: Call) -> Work:
    """What goes in read once, what comes out written once; as much, where only the first tensor, or
    list of them, is known. Raises: ValueError where nothing is.
    """
    if call.hint.startswith(_BUCKET):
        size, dtype = call.hint.removeprefix(_BUCKET).split(" ")
        shape = str(int(size) // size_of(dtype))
        return Work(0, 2 * int(size), dtype, shape, None, Family.COMMUNICATION, Known.LEAST)
    dtype, sent, received = _said(call)
    if sent > 0 and received > 0:
        return Work(0, (sent + received) * size_of(dtype), dtype_of(dtype),
                    str(max(sent, received)), None, Family.COMMUNICATION)  # fmt: skip
    if call.types[0] == "TensorList":
        parts = call.lists(0)
        bytes_ = sum(prod(part) for part in parts) * size_of(dtype)
        return Work(0, 2 * bytes_, dtype_of(dtype), sizes(parts[0]), None, Family.COMMUNICATION,
                    Known.LEAST)  # fmt: skip
    return Work(0, 2 * call.bytes(0), call.dtype(0), sizes(call.dims[0]), None,
                Family.COMMUNICATION, Known.LEAST)  # fmt: skip


def _said(call: Call) -> tuple[str, int, int]:
    if not call.hint.startswith(_OF):
        return "", -1, -1
    dtype, sent, received = call.hint.removeprefix(_OF).split(" ")
    return _TYPES.get(dtype, dtype), int(sent), int(received)


def gathered(call: Call) -> Work:
    """The result first, written, then what this rank gives, read: each once."""
    return Work(0, call.bytes(0) + call.bytes(1), call.dtype(0), sizes(call.dims[0]), None,
                Family.COMMUNICATION)  # fmt: skip


_C10D = "torch/csrc/distributed/c10d"
FORMULAS: dict[str, Formula] = {
    **entries(_C10D, moved, "record_param_comms", asks_hint=True),
    **entries(
        _C10D, gathered, "c10d::_allgather_base_ c10d::_reduce_scatter_base_ c10d::alltoall_base_"
    ),
}
