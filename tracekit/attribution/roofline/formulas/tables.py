"""Look-ups in tables, writes into caches: the rows moved, and the numbers that choose them.

Which rows are chosen is in a tensor that the trace does not hold. Some may be the same and stay in
a cache: of what is read, the least is one row; what is written is exact.
"""

from __future__ import annotations

from math import prod

from tracekit.attribution.roofline.formulas.work import (
    Call,
    Family,
    Formula,
    Known,
    Work,
    entries,
    sizes,
)
from tracekit.patterns import later


def _work(call: Call, at: int, bytes_: int, shape: str, known: Known = Known.LEAST) -> Work:
    return Work(0, bytes_, call.dtype(at), shape, None, Family.TABLE, known)


def embedding(call: Call) -> Work:
    """A table [V, D] and indices: a row of it for each."""
    wide, rows = prod(call.dims[0][1:]), call.count(1)
    moved = (rows + 1) * wide * call.size(0) + call.bytes(1)
    return _work(call, 0, moved, f"{rows} rows of {sizes(call.dims[0])}")


def index_select(call: Call) -> Work:
    """self, dim, index: as an embedding along any dimension."""
    at, rows = call.number(1), call.count(2)
    row = call.count(0) // max(call.dims[0][at], 1)
    moved = (rows + 1) * row * call.size(0) + call.bytes(2)
    return _work(call, 0, moved, f"{rows} of {sizes(call.dims[0])}")


def gather(call: Call) -> Work:
    """self, dim, index: a value for each index."""
    moved = call.bytes(2) + call.count(2) * call.size(0)
    return _work(call, 0, moved, f"{call.count(2)} of {sizes(call.dims[0])}")


def scatter(call: Call) -> Work:
    """self, dim, index, source: each value of the source read; written, where they differ."""
    moved = call.bytes(2) + call.bytes(3)
    return _work(call, 0, moved, f"{call.count(2)} into {sizes(call.dims[0])}")


def index_put(call: Call) -> Work:
    """self, indices, values: values read and, where their places differ, written."""
    return _work(call, 0, call.bytes(2), f"{sizes(call.dims[2])} into {sizes(call.dims[0])}")


def cache_write(call: Call) -> Work:
    """keys, values, their caches, slots: every new token has a slot of its own."""
    count = call.count(0) + call.count(1)
    moved = call.bytes(0) + call.bytes(1) + count * call.size(2) + call.bytes(4)
    slots = call.count(4)
    if slots * prod(call.dims[0][1:]) != call.count(0):
        raise ValueError("slots do not fit")
    known = Known.MOST  # tokens of padding have no slot
    return _work(call, 0, moved, f"{slots} tokens of {sizes(call.dims[0][1:])}", known)


def bags(call: Call) -> Work:
    """Weights second, then indices and where each bag of them begins, int64: both read once.

    How wide a row is no argument says, so neither what is read of the tables nor the result counts.
    """
    at = [k for k in call.tensors if call.types[k] == "long int" or call.types[k] == "long"]
    indices = max(at, key=call.count)
    begins = next(k for k in at if k > indices)
    moved = call.bytes(indices) + call.bytes(begins)
    count = call.count(begins) - 1
    return _work(call, 1, moved, f"{count} bags of {call.count(indices)} rows")


def bags_backward(call: Call) -> Work:
    """The gradient of the bags, read once; which rows take a share of it no argument says."""
    return _work(call, 0, call.bytes(0), sizes(call.dims[0]))


# FBGEMM makes one for each optimiser
_BAGS = later(r"^fbgemm::split_embedding_codegen_lookup_\w+_function(?:_pt2)?$")
_BAGS_BACKWARD = later(r"^torch::autograd::CppNode<SplitLookupFunction_\w+_Op>$")
_FBGEMM = "FBGEMM codegen, embedding_backward_split_host_template.cpp"


def of_bags(name: str) -> Formula | None:
    """The formula of FBGEMM's look-ups in many tables at once, by their name."""
    if _BAGS.match(name):
        return Formula(bags, _FBGEMM)
    return Formula(bags_backward, _FBGEMM) if _BAGS_BACKWARD.match(name) else None


_NATIVE = "torch, native_functions.yaml"
FORMULAS: dict[str, Formula] = {
    **entries(_NATIVE, embedding, "aten::embedding"),
    **entries(_NATIVE, index_select, "aten::index_select"),
    **entries(_NATIVE, gather, "aten::gather"),
    **entries(_NATIVE, scatter, "aten::scatter_ aten::scatter_add_"),
    **entries(_NATIVE, index_put, "aten::_index_put_impl_"),
    **entries("vLLM csrc/cache_kernels.cu; SGLang memory_pool.py", cache_write,
              "_C_cache_ops::reshape_and_cache_flash _C_cache_ops::reshape_and_cache"
              " sglang::store_cache"),
}  # fmt: skip
