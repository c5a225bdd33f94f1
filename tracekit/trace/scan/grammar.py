"""The steps of the kernel that know JSON and nothing of events.

`at` is an address in the text, `f` that of the block that `layout` describes. All steps are strict:
what they read is JSON, byte for byte, or they give a number below zero.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.memory import WIDTH, alike, byte, dark, lowest, put_word, special, word

QUOTE, COMMA, MINUS, POINT, ZERO, NINE, COLON = 34, 44, 45, 46, 48, 57, 58
OPENS, BACKSLASH, CLOSES, BRACE, UNBRACE = 91, 92, 93, 123, 125
SMALL_E, SMALL_N = 101, 110
ESCAPES = (QUOTE, BACKSLASH, *b"/bfnrt")
DEEPEST = 60
EQUAL = (1 << WIDTH) - 1


def get(f: int, field: int) -> int:
    return word(f + 8 * field)


def put(f: int, field: int, value: int) -> None:
    put_word(f + 8 * field, value)


def blank(at: int) -> int:
    """The first place from `at` that is no white space."""
    if byte(at) > 32:
        return at
    if byte(at) == 32 and byte(at + 1) > 32:
        return at + 1
    while True:
        found = dark(at)
        if found:
            return at + lowest(found)
        at += WIDTH


def string(at: int, f: int) -> int:
    """Where the text that starts at `at`, after its quote, has its last quote."""
    while True:
        found = special(at)
        if not found:
            at += WIDTH
            continue
        at += lowest(found)
        c = byte(at)
        if c == QUOTE:
            return at
        if c == BACKSLASH:
            c = byte(at + 1)
            put(f, lay.ESCAPED, 1)
            if c == 117:  # \u: four digits, perhaps half of a pair
                put(f, lay.IS_ODD, 1)
            elif c not in ESCAPES:
                return lay.REFUSED
            at += 2
        elif c > 127:
            put(f, lay.IS_ODD, 1)
            at += 1
        else:
            return lay.REFUSED


def is_digit(at: int) -> bool:
    c = byte(at)
    return c >= ZERO and c <= NINE


def digits(at: int) -> int:
    """The first place from `at` that is no digit."""
    while is_digit(at):
        at += 1
    return at


def number(at: int) -> int:
    """The place after a number."""
    if byte(at) == MINUS:
        at += 1
    if not is_digit(at):
        return lay.REFUSED
    at = at + 1 if byte(at) == ZERO else digits(at)
    if byte(at) == POINT:
        if not is_digit(at + 1):
            return lay.REFUSED
        at = digits(at + 1)
    if byte(at) | 32 == SMALL_E:
        at += 1
        if byte(at) == 43 or byte(at) == MINUS:
            at += 1
        if not is_digit(at):
            return lay.REFUSED
        at = digits(at)
    return at


def literal(at: int) -> int:
    """The place after true, false or null."""
    four = word(at) & 0xFFFFFFFF
    if four == 0x65757274 or four == 0x6C6C756E:
        return at + 4
    if four == 0x736C6166 and byte(at + 4) == 101:
        return at + 5
    return lay.REFUSED


def after_key(at: int, f: int) -> int:
    """Where the value of the entry at `at` starts."""
    if byte(at) != QUOTE:
        return lay.REFUSED
    at = string(at + 1, f)
    if at < 0:
        return at
    put(f, lay.KEY_STOP, at)
    at = blank(at + 1)
    if byte(at) != COLON:
        return lay.REFUSED
    return blank(at + 1)


def is_joint(at: int, row: int) -> bool:
    """Whether the text at `at` is what the row of a joint has."""
    return alike(at, row) | word(row + 32) == EQUAL


def keep_joint(start: int, size: int, number_: int, row: int) -> None:
    """Keeps what stands between two values, for `is_joint`, and the number of its key."""
    for k in range(0, WIDTH, 8):
        put_word(row + k, word(start + k))
    put_word(row + 32, EQUAL - ((1 << size) - 1))
    put_word(row + 40, size)
    put_word(row + 48, number_)


def scalar(at: int, f: int) -> int:
    """The place after a value that is neither a list nor an object."""
    c = byte(at)
    if c == QUOTE:
        at = string(at + 1, f)
        return at + 1 if at >= 0 else at
    if c == MINUS or (c >= ZERO and c <= NINE):
        return number(at)
    return literal(at)


def value(at: int, f: int) -> int:
    """The place after any value."""
    depth = kinds = 0  # a bit a level: whether it is an object
    while True:
        c = byte(at)
        if c in (BRACE, OPENS):
            at = blank(at + 1)
            if byte(at) == c + 2:
                at += 1
            else:
                if depth >= DEEPEST:
                    return lay.REFUSED
                depth += 1
                kinds = 2 * kinds + (1 if c == BRACE else 0)
                if c == BRACE:
                    at = after_key(at, f)
                    if at < 0:
                        return at
                continue
        else:
            at = scalar(at, f)
            if at < 0:
                return at
        at = blank(at) if depth else at
        while depth and byte(at) == (UNBRACE if kinds & 1 else CLOSES):
            depth -= 1
            kinds >>= 1
            at = blank(at + 1) if depth else at + 1
        if depth == 0:
            return at
        if byte(at) != COMMA:
            return lay.REFUSED
        at = blank(at + 1)
        if kinds & 1:
            at = after_key(at, f)
            if at < 0:
                return at


STEPS = (
    get, put, blank, string, is_digit, digits, number, literal, after_key, is_joint, keep_joint,
    scalar, value,
)  # fmt: skip
