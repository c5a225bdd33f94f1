"""JSON inside a page, and markup of ours between escaped text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tracekit.patterns import later

LONGEST = 2000  # characters of a name: a page keeps its size whatever names hold
SERIES = 400  # numbers in order, such as one a bin: half of them would be another total
_AS_THEY_ARE = frozenset({int, float, bool, type(None)})


def within(answers: Mapping[str, object], limit: int) -> dict[str, str]:
    """The answers as JSON, lists of the largest cut until all have at most `limit` bytes."""
    most = dict.fromkeys(answers, 200)
    out = {name: embedded(cut(value, 200)) for name, value in answers.items()}
    while sum(map(len, out.values())) > limit and max(most.values()) > 4:
        largest = max((n for n in out if most[n] > 4), key=lambda n: len(out[n]))
        most[largest] = most[largest] * 2 // 3
        out[largest] = embedded(cut(answers[largest], most[largest]))
    return out


def cut(value: Any, most: int) -> Any:
    """JSON with every list at most `most` long; what was cut is counted beside it.

    Series of numbers stay whole, up to SERIES of them; text is at most LONGEST characters.
    """
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, dict):
        return _cut_mapping(value, most)
    if isinstance(value, list):
        if _AS_THEY_ARE.issuperset(map(type, value)):
            return value[: max(most, SERIES)]
        return [cut(item, most) for item in value[:most]]
    return value


def _cut_mapping(value: Mapping[str, Any], most: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    left_out: dict[str, int] = {}
    for key, item in value.items():
        kept = item if type(item) in _AS_THEY_ARE else cut(item, most)
        if isinstance(item, list) and len(kept) < len(item):
            left_out[key] = len(item) - len(kept)
        out[bounded(str(key))] = kept
    return {**out, "left_out": left_out} if left_out else out


def bounded(text: str) -> str:
    """The text, its middle left out where it is longer than any page needs."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters … {text[-half:]}"


def texts(value: object) -> Any:
    """JSON with all of its texts bounded."""
    if isinstance(value, str):
        return bounded(value)
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Mapping):
        return {bounded(str(key)): texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not _AS_THEY_ARE.issuperset(map(type, value)):
        return [texts(item) for item in value]
    return value


def embedded(value: object) -> str:
    """JSON that may stand inside a <script>: no `<` in it ends the element or opens a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def safe(markup: str) -> Any:
    """Marks text that is markup of ours as such; everything else is escaped by the template."""
    from markupsafe import Markup

    return Markup(markup)


_UNIT = later(r"(?<=\d) (?=(?:ns|µs|ms|s|Hz|m/s²|GiB|MiB|KiB|tokens/s)\b)")


def unbroken(text: str) -> str:
    """The text, each number on one line with its unit."""
    return _UNIT.sub("\u00a0", text)


def coded(text: str) -> object:
    """Escaped text, with what stands between backticks as code."""
    from markupsafe import escape

    return safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
