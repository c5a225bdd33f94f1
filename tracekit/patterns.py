"""Patterns of names that cost next to nothing until a name is tried.

Compiling a regular expression takes a hundred times as long as trying it, and what names kernels,
calls and devices is hundreds of them.
"""

from __future__ import annotations

import re
from functools import cached_property

_SPECIAL = frozenset(r".^$*+?{}[]()\|")
_MAY_BE = "_?"


class Words:
    """Names in which one of `patterns` is found, whatever the case of its letters.

    Plain words, and those with or without a `_`, are looked for as they are; the others are
    compiled when a name has none of them.
    """

    def __init__(self, *patterns: str) -> None:
        self.patterns = patterns
        self._words = [text for one in patterns for text in _spellings(one.lower())]

    @cached_property
    def _others(self) -> re.Pattern[str] | None:
        others = [one for one in self.patterns if not _spellings(one)]
        return re.compile("|".join(others), re.IGNORECASE) if others else None

    def search(self, name: str) -> bool:
        """Whether one of the patterns is found in it."""
        lower = name.lower()
        for word in self._words:
            if word in lower:
                return True
        return self._others is not None and self._others.search(name) is not None


def is_plain(pattern: str) -> bool:
    """Whether a pattern is found where its own text is."""
    return _SPECIAL.isdisjoint(pattern)


def _spellings(pattern: str) -> list[str]:
    """The texts that a pattern stands for, where it is plain but for `_?`; else nothing."""
    parts = pattern.split(_MAY_BE)
    if not all(map(is_plain, parts)):
        return []
    texts = parts[:1]
    for part in parts[1:]:
        texts = [text + between + part for text in texts for between in ("", "_")]
    return texts
