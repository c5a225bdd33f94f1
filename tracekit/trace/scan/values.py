"""The steps of the kernel that take values: numbers exactly, texts as indices."""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import (
    MINUS,
    NINE,
    POINT,
    QUOTE,
    SMALL_E,
    SMALL_N,
    ZERO,
    digits,
    get,
    is_digit,
    number,
    put,
    string,
    value,
)  # fmt: skip
from tracekit.trace.scan.memory import byte, half, mixed, put_byte, put_half, put_word, word

# of a number of µs; an integer of 18 digits fits in 64 bits whatever they are
DIGITS_US, DIGITS = 16, 18
FARTHEST_US = (1 << 61) // 1000 - 1
LONGEST_TEXT = 60
MANTISSA, DECIMALS = 15, 22  # a double divided by a power of ten is exact up to here


def plain(at: int, f: int) -> int:
    """The place after a value; KIND says what it was, VALUE or START and STOP hold it."""
    c = byte(at)
    if c == QUOTE:
        stop = string(at + 1, f)
        put(f, lay.KIND, lay.WORDS)
        put(f, lay.START, at + 1)
        put(f, lay.STOP, stop)
        return stop + 1 if stop >= 0 else stop
    if c == MINUS or (c >= ZERO and c <= NINE):
        return whole(at, f)
    put(f, lay.KIND, lay.NOTHING if c == SMALL_N else lay.OTHER)
    return value(at, f)


def whole(at: int, f: int) -> int:
    """The place after a number; VALUE holds it where it is an integer that fits."""
    start = at
    minus = byte(at) == MINUS
    if minus:
        at += 1
    first, sum_ = at, 0
    while is_digit(at):
        sum_ = 10 * sum_ + (byte(at) - ZERO)
        at += 1
    c = byte(at)
    if at - first > DIGITS or c == POINT or c | 32 == SMALL_E:
        put(f, lay.KIND, lay.OTHER)
        return number(start)
    if at == first or (byte(first) == ZERO and at > first + 1):
        return lay.REFUSED
    put(f, lay.KIND, lay.WHOLE)
    put(f, lay.VALUE, -sum_ if minus else sum_)
    return at


def numeral(f: int) -> None:
    """Takes a text of digits for the number."""
    at, stop, sum_ = get(f, lay.START), get(f, lay.STOP), 0
    if at < stop and stop - at <= DIGITS and digits(at) == stop:
        while at < stop:
            sum_ = 10 * sum_ + (byte(at) - ZERO)
            at += 1
        put(f, lay.KIND, lay.WHOLE)
        put(f, lay.VALUE, sum_)


def nanoseconds(at: int, f: int) -> int:
    """The place after a number of µs; VALUE holds the exact ns, ties to even."""
    start = at
    minus = byte(at) == MINUS
    if minus:
        at += 1
    first, us = at, 0
    while is_digit(at):
        us = 10 * us + (byte(at) - ZERO)
        at += 1
    put(f, lay.KIND, lay.OTHER)
    if at == first or at - first > DIGITS_US or us > FARTHEST_US:
        return plain(start, f) if at == first else number(start)
    if byte(first) == ZERO and at > first + 1:
        return lay.REFUSED
    ns = 1000 * us
    if byte(at) == POINT:
        if not is_digit(at + 1):
            return lay.REFUSED
        at += 1
        scale = 100
        while scale and is_digit(at):
            ns += scale * (byte(at) - ZERO)
            scale //= 10
            at += 1
        if is_digit(at):
            up = rounds_up(at, ns & 1)
            at = digits(at)
            ns += up
    if byte(at) | 32 == SMALL_E or at - start > LONGEST_TEXT:
        return number(start)
    put(f, lay.KIND, lay.WHOLE)
    put(f, lay.VALUE, -ns if minus else ns)
    return at


def rounds_up(at: int, is_uneven: int) -> int:
    """1 where the digits at `at` are more than half, or half of something uneven."""
    lead, rest = byte(at) - ZERO, 0
    at += 1
    while is_digit(at):
        rest |= byte(at) - ZERO
        at += 1
    return 1 if lead > 5 or (lead == 5 and (rest or is_uneven)) else 0


def decimal(at: int, f: int) -> int:
    """The place after a number; VALUE holds its digits and, in the lowest bits, its decimals."""
    start = at
    minus = byte(at) == MINUS
    if minus:
        at += 1
    first, sum_, places = at, 0, 0
    while is_digit(at):
        sum_ = 10 * sum_ + (byte(at) - ZERO)
        at += 1
    count = at - first
    if byte(at) == POINT:
        at += 1
        while is_digit(at):
            sum_ = 10 * sum_ + (byte(at) - ZERO)
            at += 1
            places += 1
    put(f, lay.KIND, lay.OTHER)
    if count == 0 or minus:
        return plain(start, f) if count == 0 else number(start)
    if count + places > MANTISSA or places > DECIMALS or byte(at) | 32 == SMALL_E:
        return number(start)
    put(f, lay.KIND, lay.WHOLE)
    put(f, lay.VALUE, (sum_ << lay.POWERS) + places)
    return number(start)


def same(one: int, two: int, size: int) -> bool:
    """Whether `size` bytes are equal."""
    while size >= 8:
        if word(one) != word(two):
            return False
        one += 8
        two += 8
        size -= 8
    return size == 0 or (word(one) ^ word(two)) & ((1 << (8 * size)) - 1) == 0


def hashed(start: int, stop: int, kind: int) -> int:
    found = mixed(stop - start, kind)
    while start + 8 <= stop:
        found = mixed(found, word(start))
        start += 8
    if start < stop:
        found = mixed(found, word(start) & ((1 << (8 * (stop - start))) - 1))
    return found


def text(start: int, stop: int, kind: int, f: int) -> int:
    """The index of a text, its own where it is new; FULL where there is no room."""
    hash_ = hashed(start, stop, kind)
    size = stop - start
    place = hash_ & get(f, lay.PLACE_MASK)
    while True:
        one = half(get(f, lay.PLACES) + 4 * place) - 1
        if one < 0:
            return new_text(start, size, kind, hash_, place, f)
        if (
            word(get(f, lay.HASHES) + 8 * one) == hash_
            and word(get(f, lay.SIZES) + 8 * one) == size
            and byte(get(f, lay.KINDS) + one) == kind
            and same(start, get(f, lay.ARENA) + word(get(f, lay.STARTS) + 8 * one), size)
        ):
            return one
        place = (place + 1) & get(f, lay.PLACE_MASK)


def new_text(start: int, size: int, kind: int, hash_: int, place: int, f: int) -> int:
    one, used = get(f, lay.TEXTS), get(f, lay.ARENA_USED)
    if one >= get(f, lay.TEXTS_ROOM) or used + size + 8 > get(f, lay.ARENA_ROOM):
        return lay.FULL
    put_half(get(f, lay.PLACES) + 4 * place, one + 1)
    put_word(get(f, lay.HASHES) + 8 * one, hash_)
    put_word(get(f, lay.STARTS) + 8 * one, used)
    put_word(get(f, lay.SIZES) + 8 * one, size)
    put_byte(get(f, lay.KINDS) + one, kind)
    to = get(f, lay.ARENA) + used
    for k in range(0, size, 8):
        put_word(to + k, word(start + k))
    put(f, lay.ARENA_USED, used + size)
    put(f, lay.TEXTS, one + 1)
    return one


STEPS = (
    whole, plain, numeral, rounds_up, nanoseconds, decimal, same, hashed, new_text, text,
)  # fmt: skip
