"""Where a JSON value ends, also where the JSON is not quite JSON."""

from __future__ import annotations

import re

from tracekit.patterns import later

SPACE = later(rb"[ \t\r\n]*+")
# a text with anything in it, or a bracket; bad escapes and control characters do no harm here
# (possessive: a quote that nothing closes must not be tried in a million ways)
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = later(STRING + rb"|[{}\[\]]", re.DOTALL)
_SCALAR = later(rb'[^\s,\]}{\["]+')
_KEY = later(rb"[ \t\r\n,]*(" + STRING + rb")[ \t\r\n]*:[ \t\r\n]*", re.DOTALL)

# The first key of an event. Inside a text the quote before it would be escaped, so in valid JSON
# this is where one object ends and the next begins; a nested object is told apart by `is_event`.
_FIRST_KEYS = rb"ph|cat|name|pid|tid|ts|dur|args|id|s|bp|cname|sf|stack"
BOUNDARY = later(rb'\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*"(?:' + _FIRST_KEYS + rb')"[ \t\r\n]*:')
EVENT_START = later(rb'\{[ \t\r\n]*"(?:' + _FIRST_KEYS + rb')"[ \t\r\n]*:')
_PHASE = later(rb'"ph"[ \t\r\n]*:')


def skip_space(text: bytes, at: int) -> int:
    """The first offset from `at` that is no white space."""
    found = SPACE.match(text, at)
    return found.end() if found else at


def value_end(text: bytes, at: int) -> int | None:
    """The offset after the JSON value at `at`; None where the text ends first."""
    head = text[at : at + 1]
    if head and head not in b'{["':
        scalar = _SCALAR.match(text, at)
        end = scalar.end() if scalar else at
        return end if end < len(text) else None
    depth = 0
    for token in _TOKEN.finditer(text, at):
        mark = text[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
        if depth <= 0:
            return token.end()
    return None


def key_at(text: bytes, at: int) -> tuple[bytes, int] | None:
    """The key of an object's entry at `at`, after a comma or not, and where its value starts."""
    found = _KEY.match(text, at)
    return (found[1][1:-1], found.end()) if found else None


def is_event(text: bytes, at: int) -> bool:
    """Whether the object at `at` has a "ph" of its own, and so is an event and no part of one."""
    end = value_end(text, at)
    if end is None:
        return False
    if _PHASE.search(text, at, end) is None:
        return False
    at = skip_space(text, at + 1)
    while at < end and (entry := key_at(text, at)):
        if entry[0] == b"ph":
            return True
        after = value_end(text, entry[1])
        if after is None:
            return False
        at = skip_space(text, after)
    return False
