"""Loops over columns in which each step needs the one before: nesting, spans.

As `kernel`: plain Python that numba compiles. What is given lies in the block, columns by address.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import get, put
from tracekit.trace.scan.graphs.steps import graph
from tracekit.trace.scan.memory import byte, half, mixed, put_half, put_word, word
from tracekit.trace.scan.stacks import least, walk


def nest(f: int) -> int:
    """As `nesting.previous_reaching` has it, one span after another."""
    tracks, ends, above = get(f, lay.TRACKS), get(f, lay.ENDS), get(f, lay.ABOVE)
    candidates, last = get(f, lay.CANDIDATES), -1
    for k in range(get(f, lay.LENGTH)):
        at = last
        if at >= 0 and word(tracks + 8 * at) != word(tracks + 8 * k):
            at = -1
        while at >= 0 and word(ends + 8 * at) < word(ends + 8 * k):
            at = word(above + 8 * at)
        put_word(above + 8 * k, at)
        if byte(candidates + k):
            last = k
    return lay.DONE


def bucket(f: int) -> int:
    """SORTED: spans by their number among TRACKS, those of one number as they come; FIRST is where
    each number begins, and counted up.
    """
    numbers, begins, out = get(f, lay.TRACKS), get(f, lay.FIRST), get(f, lay.SORTED)
    for k in range(get(f, lay.LENGTH)):
        at = begins + 8 * half(numbers + 4 * k)
        put_half(out + 4 * word(at), k)
        put_word(at, word(at) + 1)
    return lay.DONE


def stack(f: int) -> int:
    """ABOVE of spans in order of time, the longer first: the nearest before on its track that ends
    no earlier. REFUSED where they are not in that order.
    """
    tracks, begins, ends = get(f, lay.TRACKS), get(f, lay.BEGINS), get(f, lay.ENDS)
    above, lasts = get(f, lay.ABOVE), get(f, lay.LASTS)
    begun = until = 0
    for k in range(get(f, lay.LENGTH)):
        begin, end = word(begins + 8 * k), word(ends + 8 * k)
        if k and (begin < begun or (begin == begun and end > until)):
            return lay.REFUSED
        begun, until = begin, end
        lane = lasts + 8 * half(tracks + 4 * k)
        at = word(lane)
        while at >= 0 and word(ends + 8 * at) < end:
            at = half(above + 4 * at)
        put_half(above + 4 * k, at)
        put_word(lane, k)
    return lay.DONE


def around(f: int) -> int:
    """OUT: of each span asked for, the innermost of those of `stack` around it, or -1.

    REFUSED where what is asked for is not in order of its start.
    """
    tracks, begins, ends = get(f, lay.TRACKS), get(f, lay.BEGINS), get(f, lay.ENDS)
    above, lasts, lanes = get(f, lay.ABOVE), get(f, lay.LASTS), get(f, lay.LANES)
    lane, start, stop = get(f, lay.ASKED_TRACKS), get(f, lay.ASKED_BEGINS), get(f, lay.ASKED_ENDS)
    out, count = get(f, lay.OUT), get(f, lay.LENGTH)
    k = before = 0
    for q in range(get(f, lay.ASKED)):
        begin, end, own = word(start + 8 * q), word(stop + 8 * q), word(lane + 8 * q)
        if q and begin < before:
            return lay.REFUSED
        before = begin
        while k < count and word(begins + 8 * k) <= begin:
            put_word(lasts + 8 * half(tracks + 4 * k), k)
            k += 1
        at = -1
        if own >= 0 and own < lanes:
            at = word(lasts + 8 * own)
        while at >= 0 and word(ends + 8 * at) < end:
            at = half(above + 4 * at)
        put_word(out + 8 * q, at)
    return lay.DONE


def put_span(out: int, begin: int, end: int) -> int:
    """Writes a pair; where the next one goes."""
    put_word(out, begin)
    put_word(out + 8, end)
    return out + 16


def unite(f: int) -> int:
    """OUT: the instants of all spans as flat ones, of CANDIDATES alone where these are given;
    RESULT: how many. REFUSED: not in order.
    """
    begins, ends, stride = get(f, lay.BEGINS), get(f, lay.ENDS), get(f, lay.STRIDE)
    some = get(f, lay.CANDIDATES)
    at = out = get(f, lay.OUT)
    opened = low = high = before = k = 0
    count = get(f, lay.LENGTH)
    while k < count:
        if some and byte(some + k) == 0:
            k += 1
            while k + 8 <= count and word(some + k) == 0:  # eight that are not
                k += 8
            continue
        begin, end = word(begins + stride * k), word(ends + stride * k)
        k += 1
        if end <= begin:
            continue
        if opened and begin < before:
            return lay.REFUSED
        before = begin
        if opened and begin <= high:
            high = max(high, end)
            continue
        if opened:
            at = put_span(at, low, high)
        opened, low, high = 1, begin, end
    if opened:
        at = put_span(at, low, high)
    put(f, lay.RESULT, (at - out) // 16)
    return lay.DONE


def meet(f: int) -> int:
    """OUT: what pairs at BEGINS and at ASKED_BEGINS share; RESULT: how many. REFUSED where those of
    either overlap.
    """
    one, two, ones, twos = (
        get(f, lay.BEGINS), get(f, lay.ASKED_BEGINS), get(f, lay.LENGTH), get(f, lay.ASKED),
    )  # fmt: skip
    at = out = get(f, lay.OUT)
    for k in range(1, ones):
        if word(one + 16 * k) < word(one + 16 * k - 8):
            return lay.REFUSED
    for k in range(1, twos):
        if word(two + 16 * k) < word(two + 16 * k - 8):
            return lay.REFUSED
    i = k = 0
    while i < ones and k < twos:
        stop, end = word(one + 16 * i + 8), word(two + 16 * k + 8)
        begin = max(word(one + 16 * i), word(two + 16 * k))
        if min(stop, end) > begin:
            at = put_span(at, begin, min(stop, end))
        if stop <= end:
            i += 1
        if end <= stop:
            k += 1
    put(f, lay.RESULT, (at - out) // 16)
    return lay.DONE


def behind(flat: int, sums: int, instant: int, at: int) -> int:
    """What flat spans cover before an instant, before which `at` of them begin."""
    found = word(sums + 8 * at)
    if at > 0:
        found -= max(word(flat + 16 * at - 8) - instant, 0)
    return found


def cover(f: int) -> int:
    """OUT: how much of each window flat spans cover; SUMS: their lengths so far, from 0."""
    flat, count, sums = get(f, lay.BEGINS), get(f, lay.LENGTH), get(f, lay.SUMS)
    windows, out = get(f, lay.ASKED_BEGINS), get(f, lay.OUT)
    low = high = 0
    for k in range(get(f, lay.ASKED)):
        begin, end = word(windows + 16 * k), word(windows + 16 * k + 8)
        if end <= begin:
            put_word(out + 8 * k, 0)
            continue
        low, high = least(flat, 16, count, begin, low), least(flat, 16, count, end, high)
        put_word(out + 8 * k, behind(flat, sums, end, high) - behind(flat, sums, begin, low))
    return lay.DONE


def is_same(columns: int, width: int, one: int, two: int) -> int:
    """Whether two rows of columns, whose addresses lie at `columns`, are the same."""
    for place in range(width):
        column = word(columns + 8 * place)
        if word(column + 8 * one) != word(column + 8 * two):
            return 0
    return 1


def code(f: int) -> int:
    """OUT: which distinct row of columns each is, as they come; FIRST: where each comes first;
    RESULT: how many. FULL where those are more than ROOM.
    """
    columns, width = get(f, lay.BEGINS), get(f, lay.LANES)
    places, mask, first = get(f, lay.PLACES), get(f, lay.PLACE_MASK), get(f, lay.FIRST)
    room, out = get(f, lay.ROOM), get(f, lay.OUT)
    count = known = 0
    for k in range(get(f, lay.LENGTH)):
        if k and is_same(columns, width, k - 1, k):
            put_half(out + 4 * k, known)
            continue
        at = 0
        for place in range(width):
            at = mixed(word(word(columns + 8 * place) + 8 * k), at)
        at &= mask
        while True:
            known = half(places + 4 * at) - 1
            if known < 0:
                if count == room:
                    return lay.FULL
                known = count
                count += 1
                put_word(first + 8 * known, k)
                put_half(places + 4 * at, count)
                break
            if is_same(columns, width, word(first + 8 * known), k):
                break
            at = (at + 1) & mask
        put_half(out + 4 * k, known)
    put(f, lay.RESULT, count)
    return lay.DONE


def loop(job: int, f: int) -> int:
    """What is asked for beside reading text."""
    if job == lay.NEST:
        return nest(f)
    if job == lay.BUCKET:
        return bucket(f)
    if job == lay.STACK:
        return stack(f)
    if job == lay.AROUND:
        return around(f)
    if job == lay.UNITE:
        return unite(f)
    if job == lay.MEET:
        return meet(f)
    if job == lay.COVER:
        return cover(f)
    if job == lay.CODE:
        return code(f)
    if job >= lay.GRAPHS:
        return graph(job, f)
    return walk(job, f)


STEPS = (
    nest, bucket, stack, around, put_span, unite, meet, behind, cover, is_same, code, loop,
)  # fmt: skip
