"""Kernels whose name and grid say what they move: PyTorch's vectorised elementwise ones.

The name has the functor with the types of its operands, how many tensors it runs over, and how many
values a thread takes at once; these tensors are contiguous and none is broadcast. All blocks but
the last are full: so many values at least, one block's less than there are at most.

Source: aten/src/ATen/native/cuda/CUDALoops.cuh (vectorized_elementwise_kernel),
aten/src/ATen/native/cuda/thread_constants.h (a thread takes 4 values or more).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tracekit.attribution.roofline.formulas.work import Family, Known, Work, dtype_of, size_of
from tracekit.patterns import later

LEAST = 4  # values a thread
_KERNEL = later(
    r"vectorized_elementwise_kernel<(?P<width>\d+), (?P<functor>.+?), "
    r"(?:at::detail::Array|std::array)<char\*, (?P<tensors>\d+)(?:ul)?>"
)
_FUNCTOR = later(r"(?:\w+::|\(anonymous namespace\)::)*(?P<name>\w+)<(?P<types>.+)")
_SAME = later(r"^(?:FillFunctor|AddFunctor|CUDAFunctor(?:OnSelf|OnOther)?_add)$")
_PLACES = {"BinaryFunctor": (0, 1, 2), "AUnaryFunctor": (1, 2), "BUnaryFunctor": (0, 2)}


@lru_cache(maxsize=4096)
def of_kernel(name: str, grid: int, block: int) -> Work | None:
    """What a launch of `grid` blocks of `block` threads does at least; None where its name does
    not say.
    """
    found = _KERNEL.search(name)
    kinds = _operands(found["functor"], int(found["tensors"])) if found else []
    if found is None or not kinds or grid < 1 or block < 1:
        return None
    try:
        size = sum(map(size_of, kinds))
    except KeyError:
        return None
    values = (grid - 1) * block * max(int(found["width"]), LEAST) + 1
    done = 0 if len(kinds) == 1 else values
    return Work(done, values * size, dtype_of(kinds[0]), str(values), None, Family.POINTWISE,
                Known.LEAST)  # fmt: skip


def called(name: str) -> str:
    """The functor of a kernel, for a reader."""
    found = _KERNEL.search(name)
    return found["functor"].rsplit("::", 1)[-1] if found else name


def _operands(functor: str, tensors: int) -> Sequence[str]:
    """The dtypes of the inputs and of the result; empty where the functor does not say them."""
    found = _FUNCTOR.match(functor)
    if found is None:
        return ()
    types = [part.strip(" >") for part in found["types"].split(",")]
    if _SAME.match(found["name"]):
        return [types[0]] * tensors
    own = _PLACES.get(found["name"], ())
    return [types[at] for at in own] if len(own) == tensors and len(types) > 3 else ()
