"""One pass over the text of a piece: columns of its slices, and of the rest but counts.

`at` is an address in the text, `f` that of the block that `layout` describes. All steps are strict:
what they read is JSON, byte for byte, or they give a number below zero. An event whose known fields
have values of other types than usual is noted by its place, for the caller to read.

Plain Python that numba compiles: no objects, no exceptions, signed 64-bit numbers only.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.memory import (
    WIDTH, byte, dark, half, lowest, mixed, put_byte, put_half, put_word, special, word,
)  # fmt: skip

QUOTE, COMMA, MINUS, POINT, ZERO, NINE, COLON = 34, 44, 45, 46, 48, 57, 58
OPENS, BACKSLASH, CLOSES, BRACE, UNBRACE = 91, 92, 93, 123, 125
DEEPEST = 60
# of a number of µs; an integer of 18 digits fits in 64 bits whatever they are
DIGITS_US, DIGITS = 16, 18
FARTHEST_US = (1 << 61) // 1000 - 1
LONGEST_TEXT = 60
MANTISSA, DECIMALS = 15, 22  # a double divided by a power of ten is exact up to here


def _key(text: bytes) -> int:
    return int.from_bytes(text, "little")


PH, TS, ID, CAT, PID, TID, DUR, NAME, ARGS = (
    _key(key) for key in (b"ph", b"ts", b"id", b"cat", b"pid", b"tid", b"dur", b"name", b"args")
)


def get(f: int, field: int) -> int:
    return word(f + 8 * field)


def put(f: int, field: int, value: int) -> None:
    put_word(f + 8 * field, value)


# ---------------------------------------------------------------- JSON


def blank(at: int) -> int:
    """The first place from `at` that is no white space."""
    if byte(at) > 32:
        return at
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
            elif not (
                c == QUOTE or c == BACKSLASH or c == 47 or c == 98 or c == 102
                or c == 110 or c == 114 or c == 116
            ):  # fmt: skip
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
    if byte(at) | 32 == 101:
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
        if c == BRACE or c == OPENS:
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


# ---------------------------------------------------------------- values


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
    put(f, lay.KIND, lay.NOTHING if c == 110 else lay.OTHER)
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
    if at - first > DIGITS or c == POINT or c | 32 == 101:
        put(f, lay.KIND, lay.OTHER)
        return number(start)
    if at == first or (byte(first) == ZERO and at > first + 1):
        return lay.REFUSED
    put(f, lay.KIND, lay.WHOLE)
    put(f, lay.VALUE, -sum_ if minus else sum_)
    return at


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
    if byte(at) | 32 == 101 or at - start > LONGEST_TEXT:
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
    if count + places > MANTISSA or places > DECIMALS or byte(at) | 32 == 101:
        return number(start)
    put(f, lay.KIND, lay.WHOLE)
    put(f, lay.VALUE, (sum_ << lay.POWERS) + places)
    return number(start)


# ---------------------------------------------------------------- texts


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


# ---------------------------------------------------------------- arguments


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


def record(slot_: int, value_: int, f: int) -> None:
    """Keeps an argument of the event at hand."""
    one = get(f, lay.RECORDS)
    put_half(get(f, lay.RECORD_ROW) + 4 * one, get(f, lay.ROWS))
    put_byte(get(f, lay.RECORD_SLOT) + one, slot_)
    put_word(get(f, lay.RECORD_VALUE) + 8 * one, value_)
    put(f, lay.RECORDS, one + 1)


def argument(at: int, slot_: int, f: int) -> int:
    """The place after the value of an argument that is wanted."""
    kind = byte(get(f, lay.SLOT_KINDS) + slot_)
    if kind == lay.RAW:
        stop = value(at, f)
        if stop < 0:
            return stop
        one = -1
        if byte(at) != 110:  # null is an argument without a value
            one = text(at, stop, 1, f)
            if one == lay.FULL:
                return lay.FULL
        record(slot_, one, f)
        return stop
    if kind == lay.TRIPLE:
        return triple(at, slot_, f)
    stop = decimal(at, f) if kind == lay.DECIMAL else plain(at, f)
    if stop < 0:
        return stop
    found = get(f, lay.KIND)
    if found == lay.NOTHING:
        return stop
    if found == lay.WORDS and kind == lay.TEXT:
        one = text(get(f, lay.START), get(f, lay.STOP), 0, f)
        if one == lay.FULL:
            return lay.FULL
        record(slot_, one, f)
    elif found == lay.WHOLE and kind == lay.COLUMN:
        put(f, lay.DEVICE + slot_, get(f, lay.VALUE))
    elif found == lay.WHOLE and kind != lay.TEXT:
        record(slot_, get(f, lay.VALUE), f)
    else:
        put(f, lay.IS_ODD, 1)
    return stop


def triple(at: int, slot_: int, f: int) -> int:
    """The place after a list of three integers, kept in this slot and the next two."""
    start = at
    fine = byte(at) == OPENS
    at += 1
    for k in range(3):
        if fine:
            at = blank(at)
            c = byte(at)
            fine = c == MINUS or (c >= ZERO and c <= NINE)
        if fine:
            at = whole(at, f)
            if at < 0:
                return at
            fine = get(f, lay.KIND) == lay.WHOLE
        if fine:
            record(slot_ + k, get(f, lay.VALUE), f)
            at = blank(at)
            fine = byte(at) == (COMMA if k < 2 else CLOSES)
            at += 1
    if fine:
        return at
    put(f, lay.IS_ODD, 1)
    return value(start, f)


def arguments(at: int, f: int) -> int:
    """The place after the object of arguments at `at`."""
    at = blank(at + 1)
    if byte(at) == UNBRACE:
        return at + 1
    while True:
        put(f, lay.ESCAPED, 0)
        start = at + 1
        at = after_key(at, f)
        if at < 0:
            return at
        if get(f, lay.ESCAPED):
            put(f, lay.IS_ODD, 1)
        slot_ = slot(start, get(f, lay.KEY_STOP), f)
        if slot_ < 0:
            at = value(at, f)
        else:
            bit = 1 << slot_
            if get(f, lay.SEEN_ARGS) & bit:
                put(f, lay.IS_ODD, 1)
            put(f, lay.SEEN_ARGS, get(f, lay.SEEN_ARGS) | bit)
            at = argument(at, slot_, f)
        if at < 0:
            return at
        at = blank(at)
        if byte(at) == UNBRACE:
            return at + 1
        if byte(at) != COMMA:
            return lay.REFUSED
        at = blank(at + 1)


# ---------------------------------------------------------------- events


def field(start: int, at: int, f: int) -> int:
    """The place after the value at `at` of the field whose name starts at `start`."""
    size = get(f, lay.KEY_STOP) - start
    key = word(start) & ((1 << (8 * size)) - 1) if size < 8 else 0
    if get(f, lay.ESCAPED):
        put(f, lay.IS_ODD, 1)
    bit, kept = 0, -1
    if key == TS or key == DUR:
        bit = 1 if key == TS else 2
        at = nanoseconds(at, f)
        if get(f, lay.KIND) == lay.WHOLE:
            put(f, lay.TS if key == TS else lay.DUR, get(f, lay.VALUE))
            put(f, lay.HAS_TS if key == TS else lay.HAS_DUR, 1)
    elif key == PH:
        bit = 4
        at = plain(at, f)
        if get(f, lay.KIND) == lay.WORDS and get(f, lay.STOP) == get(f, lay.START) + 1:
            put(f, lay.PHASE, byte(get(f, lay.START)))
        else:
            put(f, lay.IS_ODD, 1)
    elif key == NAME or key == CAT:
        bit = 8 if key == NAME else 16
        at = plain(at, f)
        if get(f, lay.KIND) == lay.WORDS:
            put(f, lay.NAME_START if key == NAME else lay.CAT_START, get(f, lay.START))
            put(f, lay.NAME_STOP if key == NAME else lay.CAT_STOP, get(f, lay.STOP))
        elif get(f, lay.KIND) != lay.NOTHING:
            put(f, lay.IS_ODD, 1)
    elif key == PID or key == TID:
        bit = 32 if key == PID else 64
        kept = lay.PID if key == PID else lay.TID
        at = plain(at, f)
        if get(f, lay.KIND) == lay.WHOLE:
            put(f, kept, get(f, lay.VALUE))
        elif get(f, lay.KIND) != lay.NOTHING:
            put(f, lay.IS_ODD, 1)
    elif key == ID:
        bit = 128
        at = plain(at, f)
        if get(f, lay.KIND) == lay.WHOLE:
            put(f, lay.ID, get(f, lay.VALUE))
            put(f, lay.HAS_ID, 1)
    elif key == ARGS:
        bit = 256
        if byte(at) == BRACE:
            at = arguments(at, f)
        elif byte(at) == 110:
            at = literal(at)
        else:
            return lay.REFUSED
    else:
        return value(at, f)
    if get(f, lay.SEEN) & bit:
        put(f, lay.IS_ODD, 1)
    put(f, lay.SEEN, get(f, lay.SEEN) | bit)
    return at


def forget(f: int) -> None:
    """Nothing is known of the next event."""
    for one in range(lay.IS_ODD, lay.PID):
        put(f, one, 0)
    put(f, lay.RECORDS_BEFORE, get(f, lay.RECORDS))
    for one in range(lay.PID, lay.KIND):
        put(f, one, -1)
    for one in (lay.HAS_TS, lay.HAS_DUR, lay.HAS_ID):
        put(f, one, 0)


def event(at: int, f: int) -> int:
    """The place after the event at `at`; its fields are in the block."""
    forget(f)
    at = blank(at + 1)
    if byte(at) == UNBRACE:
        return at + 1
    while True:
        put(f, lay.ESCAPED, 0)
        start = at + 1
        at = after_key(at, f)
        if at < 0:
            return at
        at = field(start, at, f)
        if at < 0:
            return at
        at = blank(at)
        if byte(at) == UNBRACE:
            return at + 1
        if byte(at) != COMMA:
            return lay.REFUSED
        at = blank(at + 1)


def is_usable(do: int, f: int) -> bool:
    """Whether the event has what a row of its phase must have."""
    if get(f, lay.IS_ODD) or do == lay.SLOWLY:
        return False
    if do == lay.SLICE:
        return get(f, lay.HAS_TS) == 1 and get(f, lay.HAS_DUR) == 1
    if do == lay.FLOW:
        return get(f, lay.HAS_TS) == 1 and get(f, lay.HAS_ID) == 1
    return do == lay.COUNT or get(f, lay.HAS_TS) == 1


def keep(start: int, stop: int, f: int) -> int:
    """Keeps the event at hand in the way that its phase asks for."""
    phase, number_ = get(f, lay.PHASE), get(f, lay.EVENTS)
    put(f, lay.EVENTS, number_ + 1)
    do = byte(get(f, lay.PHASES) + phase)
    if do == lay.MEMORY and not (
        get(f, lay.NAME_STOP) - get(f, lay.NAME_START) == 8
        and word(get(f, lay.NAME_START)) == get(f, lay.MEMORY_NAME)
    ):
        do = lay.COUNT
    if not is_usable(do, f):
        put(f, lay.RECORDS, get(f, lay.RECORDS_BEFORE))
        one = get(f, lay.ODD_ONES)
        put_word(get(f, lay.ODD_START) + 8 * one, start - get(f, lay.BASE))
        put_word(get(f, lay.ODD_STOP) + 8 * one, stop - get(f, lay.BASE))
        put_half(get(f, lay.ODD_EVENT) + 4 * one, number_)
        put(f, lay.ODD_ONES, one + 1)
        return lay.DONE
    counts = get(f, lay.COUNTS) + 8 * phase
    if word(counts) == 0:
        put_word(get(f, lay.FIRSTS) + 8 * phase, number_)
    put_word(counts, word(counts) + 1)
    if do == lay.COUNT:
        put(f, lay.RECORDS, get(f, lay.RECORDS_BEFORE))
        return lay.DONE
    return row(number_, f)


def row(number_: int, f: int) -> int:
    """Writes the row of the event at hand."""
    name = cat = 0  # the first text is the empty one
    if get(f, lay.NAME_START):
        name = text(get(f, lay.NAME_START), get(f, lay.NAME_STOP), 0, f)
    if get(f, lay.CAT_START):
        cat = text(get(f, lay.CAT_START), get(f, lay.CAT_STOP), 0, f)
    if name < 0 or cat < 0:
        return lay.FULL
    at = get(f, lay.ROWS)
    put_half(get(f, lay.ROW_EVENT) + 4 * at, number_)
    put_byte(get(f, lay.ROW_PHASE) + at, get(f, lay.PHASE))
    put_half(get(f, lay.ROW_NAME) + 4 * at, name)
    put_half(get(f, lay.ROW_CAT) + 4 * at, cat)
    put_word(get(f, lay.ROW_TS) + 8 * at, get(f, lay.TS))
    put_word(get(f, lay.ROW_DUR) + 8 * at, get(f, lay.DUR))
    put_word(get(f, lay.ROW_PID) + 8 * at, get(f, lay.PID))
    put_word(get(f, lay.ROW_TID) + 8 * at, get(f, lay.TID))
    put_word(get(f, lay.ROW_DEVICE) + 8 * at, get(f, lay.DEVICE))
    put_word(get(f, lay.ROW_STREAM) + 8 * at, get(f, lay.STREAM))
    slice_ = byte(get(f, lay.PHASES) + get(f, lay.PHASE)) == lay.SLICE
    put_word(get(f, lay.ROW_LINK) + 8 * at, get(f, lay.LINK if slice_ else lay.ID))
    put(f, lay.ROWS, at + 1)
    return lay.DONE


def scan(f: int) -> int:
    """Reads a piece; DONE, REFUSED or FULL."""
    base = get(f, lay.BASE)
    end = base + get(f, lay.LENGTH)
    at = base
    while at < end:
        start = at
        if byte(at) != BRACE:
            return lay.REFUSED
        at = event(at, f)
        if at < 0:
            return at
        status = keep(start, at, f)
        if status < 0:
            return status
        if at == end and not get(f, lay.LAST):
            return lay.DONE
        at = blank(at)
        if byte(at) == CLOSES and get(f, lay.LAST):
            put(f, lay.END, at - base)
            return lay.DONE
        if byte(at) != COMMA:
            return lay.REFUSED
        at = blank(at + 1)
    return lay.DONE if base == end and not get(f, lay.LAST) else lay.REFUSED


# in the order in which they may be compiled: each calls only those before it
STEPS = (
    get, put, blank, string, is_digit, digits, number, literal, after_key, scalar, value, whole,
    plain, rounds_up, nanoseconds, decimal, same, hashed, new_text, text, slot, record, triple,
    argument, arguments, field, forget, event, is_usable, row, keep,
)  # fmt: skip
