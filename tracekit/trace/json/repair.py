"""Events whose JSON is malformed: repaired where what was meant is plain, else given up."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.json.scanning import STRING

# a text, or a word that JSON has not: only the second is replaced
_TOKEN = later(
    STRING + rb"|-?\b(?:NaN|nan|NAN|Infinity|infinity|inf|Inf|INF)\b|-nan\(ind\)", re.DOTALL
)
_BAD_ESCAPE = later(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}|)', re.DOTALL)
# NUL too where it stands alone: a long run of it is a hole in a file, and no part of a text
_CONTROL = later(rb"[\x01-\x1f]|(?<!\x00)\x00{1,7}(?!\x00)")
# half a pair is no character; an escaped backslash before a u is skipped
_SURROGATE = later(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
# the whole of a name, up to the next key that an event has
_NAME = later(
    rb'("name"[ \t\r\n]*:[ \t\r\n]*")(.*?)("[ \t\r\n]*(?:,[ \t\r\n]*'
    rb'"(?:ph|cat|pid|tid|ts|dur|args|id|bp|s)"[ \t\r\n]*:|\}))',
    re.DOTALL,
)
_INNER_QUOTE = later(rb'\\.|"', re.DOTALL)

NOT_A_NUMBER = "NaN or infinity bare in the JSON, read as no value"
FORBIDDEN = "control characters or bad escapes in a text, kept as they look"
NOT_UTF8 = "invalid UTF-8, shown as �"
QUOTES = "unescaped quotes in a name, kept as they look"


class Places(Struct):
    """Where one kind of damage was repaired."""

    first: int  # offset in the text
    count: int = 0


class Repaired(Record, frozen=True):
    """JSON text that can be decoded, perhaps, and what was done to it."""

    text: bytes
    what: Mapping[str, Places]  # by kind of damage


def repaired(text: bytes, quotes: bool = False) -> Repaired:
    """`text` with what JSON forbids replaced by what was plainly meant.

    With `quotes`, quotes inside the name of an event are taken for part of it.
    """
    done: dict[str, Places] = {}

    def note(what: str, at: int) -> None:
        done.setdefault(what, Places(at)).count += 1

    try:
        text.decode("utf-8")
    except UnicodeDecodeError as fault:
        text = text.decode("utf-8", "replace").encode()
        note(NOT_UTF8, fault.start)
    if quotes:
        # in a name with loose quotes a backslash before the last one is no escape
        fixed = _NAME.sub(lambda m: m[1] + _INNER_QUOTE.sub(_escaped, m[2]) + m[3], text)
        if fixed != text:
            note(QUOTES, 0)
        text = fixed

    def one(token: re.Match[bytes]) -> bytes:
        found = token[0]
        if found[:1] != b'"':
            note(NOT_A_NUMBER, token.start())
            return b"null"
        fixed = _SURROGATE.sub(_paired, _BAD_ESCAPE.sub(_doubled, found))
        fixed = _CONTROL.sub(lambda run: b"".join(b"\\u%04x" % c for c in run[0]), fixed)
        if fixed != found:
            note(FORBIDDEN, token.start())
        return fixed

    return Repaired(_TOKEN.sub(one, text), done)


def _doubled(found: re.Match[bytes]) -> bytes:
    return found[0] if len(found[0]) > 1 else b"\\\\"


def _paired(found: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if len(found[0]) == 6 else found[0]


def _escaped(found: re.Match[bytes]) -> bytes:
    return b'\\"' if found[0] == b'"' else found[0]
