"""The steps of the kernel that take values and keys: numbers exactly, the rest as indices."""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import (
    COMMA,
    MINUS,
    NINE,
    POINT,
    QUOTE,
    SMALL_E,
    SMALL_N,
    UNBRACE,
    ZERO,
    after_key,
    blank,
    digits,
    get,
    is_digit,
    is_joint,
    keep_joint,
    number,
    put,
    string,
    value,
)  # fmt: skip
from tracekit.trace.scan.memory import WIDTH, byte, half, mixed, put_byte, put_half, put_word, word


def _key(name: bytes) -> int:
    return int.from_bytes(name, "little")


TS, DUR, PH, NAME, CAT, PID, TID, ID, ARGS = (
    _key(key) for key in (b"ts", b"dur", b"ph", b"name", b"cat", b"pid", b"tid", b"id", b"args")
)
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


def slot(start: int, stop: int, f: int) -> int:
    """Which of the arguments that are wanted has this name; -1 for none."""
    size = stop - start
    if size < 8:
        one = word(start) & ((1 << (8 * size)) - 1)
        two = one
    else:
        one, two = word(start), word(stop - 8)
    place = mixed(mixed(one, two), size) & (lay.KEYS - 1)
    while True:
        row = get(f, lay.KEY_TABLE) + lay.KEY_ROW * place
        if word(row + 16) == 0:
            return -1
        if (
            word(row) == one
            and word(row + 8) == two
            and word(row + 16) == size
            and (size <= 16 or same(start, row + 32, size))
        ):
            return word(row + 24)
        place = (place + 1) & (lay.KEYS - 1)


def argument_of(start: int, f: int) -> int:
    """The number of the argument whose name starts at `start`."""
    stop = get(f, lay.KEY_STOP)
    found = slot(start, stop, f)
    if found >= 0:
        return lay.FIRST_SLOT + found
    other = mixed(word(stop - 8), stop - start) & (lay.OTHER_ARGS - 1)
    return lay.FIRST_SLOT + lay.MOST_SLOTS + other


def field_of(start: int, f: int) -> int:
    """The number of the field of an event whose name starts at `start`."""
    size = get(f, lay.KEY_STOP) - start
    name = word(start) & ((1 << (8 * size)) - 1) if size < 8 else 0
    if name in (TS, DUR):
        return lay.OF_TS if name == TS else lay.OF_DUR
    if name in (PH, ID):
        return lay.OF_PH if name == PH else lay.OF_ID
    if name in (NAME, CAT):
        return lay.OF_NAME if name == NAME else lay.OF_CAT
    if name in (PID, TID):
        return lay.OF_PID if name == PID else lay.OF_TID
    return lay.OF_ARGS if name == ARGS else lay.OF_OTHER


def key(at: int, f: int) -> int:
    """The place of the next value of an object, after an earlier one or the bracket that opens it.

    KEY is the number of the key before, then of this, or OVER: the object ends before the place.
    What stood here after the last key in an event of this sort is compared before it is read.
    """
    last = get(f, lay.KEY)
    row = get(f, lay.JOINTS) + lay.JOINT_ROW * (last + lay.NUMBERS * get(f, lay.SORT))
    if is_joint(at, row):
        put(f, lay.KEY, word(row + 48))
        return blank(at + word(row + 40))
    start = at
    at = blank(at)
    if byte(at) == UNBRACE:
        put(f, lay.KEY, lay.OVER)
        return at + 1
    if last not in (lay.OPENS_EVENT, lay.OPENS_ARGS):
        if byte(at) != COMMA:
            return lay.REFUSED
        at = blank(at + 1)
    name = at + 1
    put(f, lay.ESCAPED, 0)
    at = after_key(at, f)
    if at < 0:
        return at
    number_ = argument_of(name, f) if last >= lay.OPENS_ARGS else field_of(name, f)
    put(f, lay.KEY, number_)
    if get(f, lay.ESCAPED):
        put(f, lay.IS_ODD, 1)
    if at - start <= WIDTH and not get(f, lay.IS_ODD):
        keep_joint(start, at - start, number_, row)
    return at


STEPS = (
    whole, plain, numeral, rounds_up, nanoseconds, decimal, same, hashed, new_text, text, slot,
    argument_of, field_of, key,
)  # fmt: skip
