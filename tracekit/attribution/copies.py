"""Between which memories a copy went, by its name or by the kinds among its arguments.

    Memcpy HtoD (Pageable -> Device)        CUPTI, as Kineto names it
    Memcpy M2D (HOST -> DEVICE)             XPU: M is memory that Level Zero did not allocate
    Memcpy, copy kind HtoD, src pageable    torch's cupti_monitor, since 2.13
    CopyHostToDevice, MEMORY_COPY_HOST_TO_DEVICE    roctracer, rocprofiler-sdk

Sources: kineto's CuptiActivity.cpp and plugin/xpupti/XpuptiActivityHandlers.cpp; `pti_view.h` of
intel/pti-gpu; torch/profiler's cupti_monitor; CUpti_ActivityMemcpyKind in cupti_activity.h.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from tracekit.patterns import later

# Direction (H host, D device, P peer, S shared by both) and kind of host memory where it is said
Way = tuple[str, str | None]

# CUpti_ActivityMemcpyKind; an array is memory of the device
_NUMBERS: Mapping[str, str] = {
    "1": "HtoD", "2": "DtoH", "3": "HtoD", "4": "DtoH", "5": "DtoD", "6": "DtoD", "7": "DtoD",
    "8": "DtoD", "9": "HtoH", "10": "PtoP",
}  # fmt: skip
_LETTERS = later(r"(?<![A-Z0-9])(?P<one>[HDPAMSU])(?:to|2)(?P<two>[HDPAMSU])(?![a-z0-9])")
_VAGUE = later(r"\b(?:M2\w|\w2M)\b")  # M is any memory: what stands in brackets says more
_SIDE = {"H": "H", "M": "H", "D": "D", "A": "D", "P": "P", "S": "S", "U": "S"}
_WAY = later(r"\((?P<one>[\w ()]+?)\s*->\s*(?P<two>[\w ()]+)\)")
_WORDS = later(
    r"(?P<one>host|device|peer|shared)[_ ]?(?:to|->)[_ ]?(?P<two>host|device|peer|shared)"
)
# memories by the words of CUPTI, ROCm, Level Zero
_MEMORIES: Mapping[str, str] = {
    "pageable": "H", "pinned": "H", "host": "H", "device": "D", "device static": "D", "array": "D",
    "peer": "P", "shared": "S", "managed": "S", "managed static": "S",
}  # fmt: skip


@lru_cache(maxsize=4096)
def way(name: str, kind: str = "", source: str = "", target: str = "") -> Way:
    """Direction and kind of host memory of a copy; `unknown` where neither name nor kinds say.

    `kind`, `source` and `target` are arguments of the event, empty where it has none.
    """
    found = _WAY.search(name)
    one, two = (found["one"], found["two"]) if found else (source, target)
    one, two = (text.lower().replace("_", " ").strip() for text in (one, two))
    memory = next((m for m in ("pageable", "pinned") if m in (one, two)), None)
    said = _direction(kind) or _direction(name)
    if said is None or _VAGUE.search(name):
        said = _of_memories(one, two) or said
    return said or "unknown", memory


def _direction(text: str) -> str | None:
    """What letters or words of a text say: HtoD, M2D, host to device."""
    if text in _NUMBERS:
        return _NUMBERS[text]
    if letters := _LETTERS.search(text):
        return f"{_SIDE[letters['one']]}to{_SIDE[letters['two']]}"
    low = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    if words := _WORDS.search(low):
        return _of_memories(words["one"], words["two"])
    return None


def _of_memories(one: str, two: str) -> str | None:
    sides = _MEMORIES.get(one), _MEMORIES.get(two)
    return f"{sides[0]}to{sides[1]}" if None not in sides else None
