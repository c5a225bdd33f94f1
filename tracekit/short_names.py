"""Names of kernels as a person says them: the function and what it applies, without the types."""

from __future__ import annotations

import re

# what a template argument may be that says more than the function that it is given to
_TELLING = re.compile(
    r"\b(?!(?:[AB]?Unary|Binary|Opaque)Functor\b)"
    r"(\w*(?:[Ff]unctor|gemm|fmha|flash|softmax|norm|Norm|copy_kernel|_kernel_cuda|Ops)\w*)"
)
_ANONYMOUS = re.compile(r"\(anonymous namespace\)::|\(anonymous namespace\)|<unnamed>::")


def readable(name: str) -> str:
    """A C++ signature as `function: what it applies`; any other text as it is.

    For eyes only: two signatures may read the same, so nothing is looked up by it.
    """
    if "<" not in name and "(" not in name:
        return name
    text = _ANONYMOUS.sub("", name).removeprefix("void ")
    cut = min((place for place in (text.find("<"), text.find("(")) if place > 0), default=-1)
    if cut < 0 or not re.fullmatch(r"[\w:~ ]+", text[:cut]) or text[:cut].count(" ") > 1:
        return name
    head = text[:cut].rsplit("::", 1)[-1].strip()
    if not head:
        return name
    if text[cut] == "(":
        return head
    inner = [word for word in _TELLING.findall(text[cut:]) if word != head]
    return f"{head}: {inner[0]}" if inner else head
