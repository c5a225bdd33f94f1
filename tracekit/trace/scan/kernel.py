"""One pass over the text of a piece: columns of its slices, and of the rest but counts.

An event whose known fields have values of other types than usual is noted by its place, for the
caller to read. Plain Python that numba compiles: no objects, no exceptions, signed 64-bit numbers
only; `build` compiles the STEPS of this file and of those that it imports.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import (
    BRACE,
    CLOSES,
    COMMA,
    MINUS,
    NINE,
    OPENS,
    SMALL_N,
    ZERO,
    blank,
    get,
    literal,
    put,
    value,
)  # fmt: skip
from tracekit.trace.scan.loops import loop
from tracekit.trace.scan.memory import byte, mixed, put_byte, put_half, put_word, word
from tracekit.trace.scan.values import decimal, key, nanoseconds, numeral, plain, same, text, whole


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
        stop = listed(at, 0 if byte(at) == SMALL_N else 1, f)  # null is an argument without a value
        if stop >= 0:
            record(slot_, get(f, lay.VALUE), f)
        return stop
    if kind == lay.LEFT:
        put(f, lay.IS_ODD, 1)
        return value(at, f)
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


def listed(at: int, is_kept: int, f: int) -> int:
    """The place after a list or any value; VALUE is the index of its text where it is kept.

    Ops of one name have the same lists again and again: such a one is compared, not read.
    """
    tail = get(f, lay.NAME_STOP)
    key_, hash_ = get(f, lay.KEY), word(tail - 8) if tail else 0
    hash_ = mixed(mixed(word(at), key_), hash_)
    row = get(f, lay.LISTS) + lay.LIST_ROW * (hash_ & (lay.LIST_ROWS - 1))
    size = word(row + 8)
    if size and word(row + 24) == key_ and same(at, word(row), size):
        put(f, lay.VALUE, word(row + 16))
        return at + size
    stop = value(at, f)
    if stop < 0:
        return stop
    one = text(at, stop, 1, f) if is_kept else -1
    if one == lay.FULL:
        return lay.FULL
    if byte(at) == OPENS and not get(f, lay.IS_ODD):
        put_word(row, at)
        put_word(row + 8, stop - at)
        put_word(row + 16, one)
        put_word(row + 24, key_)
    put(f, lay.VALUE, one)
    return stop


def arguments(at: int, f: int) -> int:
    """The place after the object of arguments at `at`."""
    put(f, lay.KEY, lay.OPENS_ARGS)
    at += 1
    while True:
        at = key(at, f)
        if at < 0 or get(f, lay.KEY) == lay.OVER:
            return at
        slot_ = get(f, lay.KEY) - lay.FIRST_SLOT
        if slot_ >= lay.MOST_SLOTS:
            at = listed(at, 0, f) if byte(at) == OPENS else value(at, f)
        else:
            bit = 1 << slot_
            if get(f, lay.SEEN_ARGS) & bit:
                put(f, lay.IS_ODD, 1)
            put(f, lay.SEEN_ARGS, get(f, lay.SEEN_ARGS) | bit)
            at = argument(at, slot_, f)
        if at < 0:
            return at


# ---------------------------------------------------------------- events


def timed(at: int, is_start: int, f: int) -> int:
    """The place after a time."""
    at = nanoseconds(at, f)
    if get(f, lay.KIND) == lay.WHOLE:
        put(f, lay.TS if is_start else lay.DUR, get(f, lay.VALUE))
        put(f, lay.HAS_TS if is_start else lay.HAS_DUR, 1)
    return at


def phased(at: int, f: int) -> int:
    """The place after the phase, one letter."""
    at = plain(at, f)
    if get(f, lay.KIND) == lay.WORDS and get(f, lay.STOP) == get(f, lay.START) + 1:
        put(f, lay.PHASE, byte(get(f, lay.START)))
    else:
        put(f, lay.IS_ODD, 1)
    return at


def said(at: int, is_name: int, f: int) -> int:
    """The place after the name, or the category."""
    at = plain(at, f)
    if get(f, lay.KIND) == lay.WORDS:
        start = get(f, lay.START)
        put(f, lay.NAME_START if is_name else lay.CAT_START, start)
        put(f, lay.NAME_STOP if is_name else lay.CAT_STOP, get(f, lay.STOP))
        if not is_name:
            put(f, lay.SORT, mixed(word(start), get(f, lay.PHASE)) & (lay.SORTS - 1))
    elif get(f, lay.KIND) != lay.NOTHING:
        put(f, lay.IS_ODD, 1)
    return at


def numbered(at: int, is_process: int, f: int) -> int:
    """The place after the number of a process, or of a thread."""
    at = plain(at, f)
    if get(f, lay.KIND) == lay.WORDS:
        numeral(f)
    if get(f, lay.KIND) == lay.WHOLE:
        put(f, lay.PID if is_process else lay.TID, get(f, lay.VALUE))
    elif get(f, lay.KIND) != lay.NOTHING:
        put(f, lay.IS_ODD, 1)
    return at


def identified(at: int, f: int) -> int:
    """The place after the number of an arrow; of other events it may be anything."""
    at = plain(at, f)
    if get(f, lay.KIND) == lay.WHOLE:
        put(f, lay.ID, get(f, lay.VALUE))
        put(f, lay.HAS_ID, 1)
    return at


def field(at: int, f: int) -> int:
    """The place after the value at `at` of the field that KEY has."""
    number_ = get(f, lay.KEY)
    if number_ == lay.OF_OTHER:
        return value(at, f)
    bit = 1 << number_
    if get(f, lay.SEEN) & bit:
        put(f, lay.IS_ODD, 1)
    put(f, lay.SEEN, get(f, lay.SEEN) | bit)
    if number_ in (lay.OF_TS, lay.OF_DUR):
        return timed(at, 1 if number_ == lay.OF_TS else 0, f)
    if number_ == lay.OF_PH:
        return phased(at, f)
    if number_ in (lay.OF_NAME, lay.OF_CAT):
        return said(at, 1 if number_ == lay.OF_NAME else 0, f)
    if number_ in (lay.OF_PID, lay.OF_TID):
        return numbered(at, 1 if number_ == lay.OF_PID else 0, f)
    if number_ == lay.OF_ID:
        return identified(at, f)
    if byte(at) == BRACE:
        at = arguments(at, f)
        put(f, lay.KEY, lay.OF_ARGS)
        return at
    put(f, lay.IS_ODD, 1)
    return literal(at) if byte(at) == SMALL_N else lay.REFUSED


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
    put(f, lay.KEY, lay.OPENS_EVENT)
    at += 1
    while True:
        at = key(at, f)
        if at < 0 or get(f, lay.KEY) == lay.OVER:
            return at
        at = field(at, f)
        if at < 0:
            return at


def is_usable(do: int, f: int) -> bool:
    """Whether the event has what a row of its phase must have."""
    if get(f, lay.IS_ODD) or do == lay.SLOWLY:
        return False
    if do == lay.SLICE:
        return get(f, lay.HAS_TS) == 1 and get(f, lay.HAS_DUR) == 1
    if do == lay.FLOW:
        return get(f, lay.HAS_TS) == 1 and get(f, lay.HAS_ID) == 1
    if do == lay.MEMORY:
        return get(f, lay.HAS_TS) == 1 and get(f, lay.SEEN) & (1 << lay.OF_ARGS) != 0
    return True


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


def run(f: int) -> int:
    """What the caller asked for."""
    job = get(f, lay.JOB)
    if job != lay.SCAN:
        return loop(job, f)
    return scan(f)


STEPS = (
    record, triple, listed, argument, arguments, timed, phased,
    said, numbered, identified, field, forget, event, is_usable, row, keep, scan, run,
)  # fmt: skip
