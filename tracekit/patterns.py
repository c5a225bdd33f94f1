"""Patterns of names that cost next to nothing until a name is tried.

Compiling a regular expression takes a hundred times as long as trying it, three times where it
ignores case; and what names kernels, calls and devices is hundreds of them.
"""

from __future__ import annotations

import re
from functools import cache, cached_property
from typing import Any, AnyStr, cast

_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")  # an escaped letter, a class of letters
_GROUP = re.compile(r"\([^()]*\)")
_REPEATED = re.compile(r".(?:[?*]|\{[^}]*\})")  # perhaps not there at all
_BREAKS = re.compile(r"[\0.^$+?*]+")
_SPECIAL = frozenset(r".^$*+?{}[]()\|")


def later(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, which is called when the pattern is first tried."""
    return cast("re.Pattern[AnyStr]", _Later(pattern, flags))


class _Later:
    """Has what a compiled pattern has, each as its own once it was asked for."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self.pattern, self._flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = vars(self)[name] = getattr(re.compile(self.pattern, self._flags), name)
        return found


class Words:
    """Names in which one of `patterns` is found, whatever the case of its letters, or `exact`.

    Plain words are looked for as they are; another pattern is compiled when a name has a word
    that it cannot be found without. All is in lower case: no pattern may have a class like `\\S`.
    """

    def __init__(self, *patterns: str, exact: str | None = None) -> None:
        self.patterns, self.exact = patterns, exact
        self._words = [one.lower() for one in patterns if is_plain(one)]

    @cached_property
    def _others(self) -> list[tuple[str, str]]:
        """The other patterns, each with a word that is in all that it matches, which may be ""."""
        others = [one.lower() for one in self.patterns if not is_plain(one)]
        return [(needed(one), one) for one in others]

    def search(self, name: str) -> bool:
        """Whether one of the patterns is found in it."""
        lower = name.lower()
        for word in self._words:
            if word in lower:
                return True
        for word, pattern in self._others:
            if word in lower and _compiled(pattern).search(lower):
                return True
        return self.exact is not None and re.search(self.exact, name) is not None


def is_plain(pattern: str) -> bool:
    """Whether a pattern is found where its own text is."""
    return _SPECIAL.isdisjoint(pattern)


def needed(pattern: str) -> str:
    """The longest word that is in whatever a pattern is found in; "" where that is not seen."""
    text, before = _ATOM.sub("\0", pattern), ""
    while text != before:  # groups from the inner to the outer
        text, before = _GROUP.sub("\0", text), text
    if not {"(", ")", "|"}.isdisjoint(text):
        return ""
    return max(_BREAKS.split(_REPEATED.sub("\0", text)), key=len)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
