"""Names of kernels as a person says them: the function and what it applies, without the types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tracekit.patterns import later

# what a template argument may be that says more than the function that it is given to
_TELLING = later(
    r"\b(?!(?:[AB]?Unary|Binary|Opaque)Functor\b)"
    r"(\w*(?:[Ff]unctor|gemm|fmha|flash|softmax|norm|Norm|copy_kernel|_kernel_cuda|Ops)\w*)"
)
# a GEMM of AMD's Tensile: layouts and types, macro tile, work group
_TENSILE = later(
    r"^(Cijk_[A-Za-z]+_[A-Za-z]+)_([A-Z0-9]+)_.*?(MT\d+x\d+x\d+)(?:.*_(WG\d+_\d+_\d+))?"
)
_ANONYMOUS = later(r"\(anonymous namespace\)::|\(anonymous namespace\)|<unnamed>::")


@lru_cache(maxsize=1 << 12)
def readable(name: str) -> str:
    """A C++ signature as `function: what it applies`; any other text as it is.

    For eyes only: two signatures may read the same, so nothing is looked up by it.
    """
    if name.startswith("_Z"):
        return _mangled(name)
    if match := _TENSILE.match(name):
        return " ".join(part for part in match.groups() if part)
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


_WORD = later(r"[A-Za-z0-9:]+")


def differences(names: Sequence[str]) -> dict[str, str]:
    """What sets each of several names apart from the others: a word or a few of it, '' for none.

    Of a template's arguments the first that differs, of `a_b_c` the first part.
    """
    words = {name: _WORD.findall(name) for name in dict.fromkeys(names)}
    return {name: " ".join(found) for name, found in _apart(words, 0).items()}


def _apart(words: Mapping[str, Sequence[str]], start: int) -> dict[str, list[str]]:
    if len(words) < 2:
        return {name: [] for name in words}
    longest = max(map(len, words.values()))
    for at in range(start, longest):
        groups: dict[str, dict[str, Sequence[str]]] = {}
        for name, own in words.items():
            groups.setdefault(own[at] if at < len(own) else "", {})[name] = own
        if len(groups) < 2:
            continue
        lasts = [word.strip(":").rsplit("::", 1)[-1] for word in groups]
        telling = lasts if len(set(lasts)) == len(groups) else list(groups)
        return {
            name: [*([word] if word else []), *more]
            for word, group in zip(telling, groups.values(), strict=True)
            for name, more in _apart(group, at + 1).items()
        }
    return {name: [] for name in words}  # they differ in signs alone


def _mangled(name: str) -> str:
    """A mangled C++ name as `function: what it applies`.

    Source: Itanium C++ ABI, 5.1: an identifier is its length and its letters.
    """
    head, inner, at = "", list[str](), 0
    while match := _DIGITS.search(name, at):
        start, end = match.end(), match.end() + int(match[0][:4])
        literal = name[max(match.start() - 2, 0) : match.start()]  # Li128E is the number 128
        word = name[start:end]
        if re.fullmatch(r"L[a-z]", literal) or not re.fullmatch(r"[A-Za-z_]\w+", word):
            at = start
            continue
        # the parts of a nested name stand side by side; what comes later is an argument
        if inner or (head and match.start() != at):
            inner.append(word)
        elif not word.startswith("_GLOBAL_"):
            head = word
        at = end
    said = "" if _APPLIED.search(head) else next((w for w in inner if _APPLIED.search(w)), "")
    return f"{head}: {said}" if said else head or name


_DIGITS = later(r"\d+")
_APPLIED = later(r"gemm|fmha|attention|flash|norm|silu|gelu|softmax|functor|copy", re.IGNORECASE)
