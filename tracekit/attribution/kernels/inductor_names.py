"""What a Triton kernel of torch.compile does, and which kernels are fused already.

Inductor writes the kind of kernel first: `poi` pointwise, `red` and `per` reductions (looped and
persistent), `tem`, `mm` and `bmm` templates of matrix products. The ops after `fused` are all those
whose nodes lent a part, also ones whose main work is elsewhere: `triton_poi_fused_addmm_gelu` is
the bias and GELU after a GEMM, not the GEMM.

Source: torch/_inductor/codegen/triton.py and scheduler.py, `get_fused_kernel_name`.
"""

from __future__ import annotations

import re

from tracekit.patterns import later
from tracekit.taxonomy import Category

_TAIL = r"(?:_\d+)?(?:_?0d[\dcde]*)?$"  # a number; Triton 2 appended the kinds of the arguments
_FUSED = later(r"^triton_(poi|red|per|tem|for|spl|mix|unk)_fused_?(.*?)" + _TAIL)
_TEMPLATE = later(r"^triton_(mm|bmm|addmm|convolution\dd|scaled_mm|grouped_mm)(_|\d|$)")
_MOVES_TEXT = (
    "to copy clone view unsafe reshape transpose permute t expand cat stack slice select unsqueeze"
    " squeeze constant pad nd as strided split with sizes empty full like fill zeros ones unbind"
    " contiguous lift fresh alias"
)
_MOVES = frozenset(_MOVES_TEXT.split())


def of_kernel(name: str) -> tuple[Category, str] | None:
    """The category of a kernel of torch.compile and the rule that decided; None for any other."""
    if _TEMPLATE.match(name):
        return Category.GEMM, "Triton GEMM template"
    found = _FUSED.match(name)
    if found is None:
        return None
    kind, words = found.group(1), set(found.group(2).split("_")) - {""}
    if kind == "tem":
        attention = words & {"attention", "flex", "sdpa"}
        return (Category.ATTENTION, "Triton attention template") if attention else (
            Category.GEMM, "Triton GEMM template",
        )  # fmt: skip
    if kind == "spl":
        return Category.SORT, "Triton scan"
    if kind in {"red", "per"}:
        return _reduction(words)
    if words and words <= _MOVES:
        return Category.COPY, "Triton fusion of copies"
    return Category.ELEMENTWISE, "Triton pointwise fusion"


def _reduction(words: set[str]) -> tuple[Category, str]:
    if "norm" in words or ("rsqrt" in words and words & {"mean", "var", "pow"}):
        return Category.NORM, "Triton fusion of a normalisation"
    if words & {"softmax", "argmax", "multinomial"}:
        return Category.SAMPLING, "Triton fusion of softmax or sampling"
    if words & {"sort", "cumsum", "cumprod"}:
        return Category.SORT, "Triton sort or scan"
    return Category.REDUCTION, "Triton fusion with a reduction"


# ---------------------------------------------------------------- fused already, or could be

_EAGER = later(
    r"(?<!multi_tensor_)(?:elementwise_kernel|CatArrayBatchedCopy|indexSelect|index_elementwise)"
)
_ALREADY = later(
    r"fused|fusion|act_and_mul|_and_mul|swiglu|multi_tensor|reshape_and_cache|store_?kv|kv_?cache"
    r"|transpose_(cnhw|nchw)|batched_transpose|nchwTo|nhwcTo|rms_?norm|layer_?norm|rotary|routing",
    re.IGNORECASE,
)  # fmt: skip
_TOUCHES = (Category.ELEMENTWISE, Category.COPY, Category.NORM, Category.ROTARY)


def already_fused(name: str) -> bool:
    """Whether a kernel is a fusion, or one function of a library that fusing does not remove."""
    eager = _EAGER.search(name) is not None and "fused" not in name.lower()
    return not eager and (name.startswith("triton_") or _ALREADY.search(name) is not None)


def fusable(name: str, category: Category) -> bool:
    """Whether a kernel only moves or touches data and fusing it with a neighbour would save it.

    Of a normalisation or rotary embedding only the framework's own pointwise kernels count: a
    library's kernel for the whole of it is a fusion.
    """
    if category not in _TOUCHES:
        return False
    if _EAGER.search(name) is not None:
        return "fused" not in name.lower()
    return category in (Category.ELEMENTWISE, Category.COPY) and not already_fused(name)
