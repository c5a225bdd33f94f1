"""Loops over all slices of a trace, or rows: what encloses what, is open when, was last alike.

As `loops`: plain Python that numba compiles. Nothing of a trace is copied to be asked.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import get, put
from tracekit.trace.scan.memory import byte, half, mixed, put_byte, put_half, put_word, word


def under(above: int, ends: int, at: int, end: int) -> int:
    """The first of a slice and those above it that ends no earlier, or -1."""
    while at >= 0 and word(ends + 8 * at) < end:
        at = half(above + 4 * at)
    return at


def enclose(f: int) -> int:
    """ABOVE: of each slice the innermost of its group around it on its track, or -1. MARKS: whether
    one of them that began before ends inside it; OUT: when the last such ends.

    GROUP_OF says the group of a category, from 1; slices of the group 0 enclose nothing. REFUSED
    where slices are not in order of time, the longer first.
    """
    tracks, begins, ends = get(f, lay.TRACKS), get(f, lay.BEGINS), get(f, lay.ENDS)
    cats, group_of, groups = get(f, lay.CATS), get(f, lay.GROUP_OF), get(f, lay.GROUPS)
    above, lasts, marks, out = (
        get(f, lay.ABOVE), get(f, lay.LASTS), get(f, lay.MARKS), get(f, lay.OUT),
    )  # fmt: skip
    begun = until = 0
    for k in range(get(f, lay.LENGTH)):
        begin, end = word(begins + 8 * k), word(ends + 8 * k)
        if k and (begin < begun or (begin == begun and end > until)):
            return lay.REFUSED
        begun, until = begin, end
        group = byte(group_of + byte(cats + k))
        if group == 0:
            put_half(above + 4 * k, -1)
            continue
        stack = lasts + 8 * (groups * word(tracks + 8 * k) + group - 1)
        at, reach = word(stack), begin
        while at >= 0 and word(ends + 8 * at) < end:
            reach = word(ends + 8 * at)
            at = half(above + 4 * at)
        if reach > begin:
            put_byte(marks + k, 1)
            put_word(out + 8 * k, reach)
        put_half(above + 4 * k, at)
        put_word(stack, k)
    return lay.DONE


def inside(f: int) -> int:
    """OUT: of each span asked about, by start, the innermost slice of the group 1 around it on its
    track, or -1. ABOVE is as `enclose` has it.
    """
    tracks, begins, ends = get(f, lay.TRACKS), get(f, lay.BEGINS), get(f, lay.ENDS)
    cats, group_of = get(f, lay.CATS), get(f, lay.GROUP_OF)
    above, lasts, count = get(f, lay.ABOVE), get(f, lay.LASTS), get(f, lay.LANES)
    track, start, stop = get(f, lay.ASKED_TRACKS), get(f, lay.ASKED_BEGINS), get(f, lay.ASKED_ENDS)
    out, k = get(f, lay.OUT), 0
    for q in range(get(f, lay.ASKED)):
        begin, own, at = word(start + 8 * q), word(track + 8 * q), -1
        while k < get(f, lay.LENGTH) and word(begins + 8 * k) <= begin:
            if byte(group_of + byte(cats + k)) == 1:
                put_word(lasts + 8 * word(tracks + 8 * k), k)
            k += 1
        if own >= 0 and own < count:
            at = under(above, ends, word(lasts + 8 * own), word(stop + 8 * q))
        put_word(out + 8 * q, at)
    return lay.DONE


def following(f: int, k: int) -> int:
    """The first slice from `k` on that is asked about: on the track, of a group, not empty."""
    tracks, cats, group_of = get(f, lay.TRACKS), get(f, lay.CATS), get(f, lay.GROUP_OF)
    begins, ends = get(f, lay.BEGINS), get(f, lay.ENDS)
    track, count = get(f, lay.TRACK), get(f, lay.LENGTH)
    while k < count and (
        byte(group_of + byte(cats + k)) == 0
        or word(tracks + 8 * k) != track
        or word(ends + 8 * k) <= word(begins + 8 * k)
    ):
        k += 1
    return k


def opened(f: int) -> int:
    """OUT: pieces of windows and the innermost slice of one track that is open then, as begin, end
    and slice; RESULT: how many. Windows are flat. REFUSED where slices are not in order of time.
    """
    begins, ends, above = get(f, lay.BEGINS), get(f, lay.ENDS), get(f, lay.ABOVE)
    windows, count = get(f, lay.ASKED_BEGINS), get(f, lay.LENGTH)
    out = first = get(f, lay.OUT)
    last, seen, begun, until = -1, 0, 0, 0
    k = following(f, 0)
    for w in range(get(f, lay.ASKED)):
        at, stop = word(windows + 16 * w), word(windows + 16 * w + 8)
        while at < stop:
            while k < count and word(begins + 8 * k) <= at:
                begin, end = word(begins + 8 * k), word(ends + 8 * k)
                if seen and (begin < begun or (begin == begun and end > until)):
                    return lay.REFUSED
                seen, begun, until = 1, begin, end
                put_half(above + 4 * k, under(above, ends, last, end))
                last = k
                k = following(f, k + 1)
            last = under(above, ends, last, at + 1)
            edge = stop
            if k < count:
                edge = min(edge, word(begins + 8 * k))
            if last >= 0:
                edge = min(edge, word(ends + 8 * last))
                put_word(out, at)
                put_word(out + 8, edge)
                put_word(out + 16, last)
                out += 24
            at = edge
    put(f, lay.RESULT, (out - first) // 24)
    return lay.DONE


def climb(f: int) -> int:
    """OUT: of each slice asked about, itself or the nearest one ABOVE with a mark, or -1."""
    asked, above = get(f, lay.ASKED_BEGINS), get(f, lay.ABOVE)
    marks, out = get(f, lay.MARKS), get(f, lay.OUT)
    for k in range(get(f, lay.ASKED)):
        at = word(asked + 8 * k)
        while at >= 0 and byte(marks + at) == 0:
            at = word(above + 8 * at)
        put_word(out + 8 * k, at)
    return lay.DONE


def gather(f: int) -> int:
    """OUT: first start, last end, how many and durations added up, of the slices without a mark in
    each of BINS bins of each track, WIDTH wide from FROM on; all 0 at first.
    """
    tracks, begins, lengths = get(f, lay.TRACKS), get(f, lay.BEGINS), get(f, lay.ENDS)
    marks, out = get(f, lay.MARKS), get(f, lay.OUT)
    origin, width, bins = get(f, lay.FROM), get(f, lay.WIDTH), get(f, lay.BINS)
    place = since = until = 0  # of the bin at hand: mostly the next slice starts there too
    for k in range(get(f, lay.LENGTH)):
        if byte(marks + k):
            continue
        begin, length = word(begins + 8 * k), word(lengths + 8 * k)
        if begin < since or begin >= until:
            place = max(min((begin - origin) // width, bins - 1), 0)
            since = origin + place * width
            until = since + width
        cell = out + 32 * (place + bins * word(tracks + 8 * k))
        known = word(cell + 16)
        if known == 0 or begin < word(cell):
            put_word(cell, begin)
        if known == 0 or begin + length > word(cell + 8):
            put_word(cell + 8, begin + length)
        put_word(cell + 16, known + 1)
        put_word(cell + 24, word(cell + 24) + length)
    return lay.DONE


def nearest(f: int) -> int:
    """OUT: each row itself, or the nearest above it, that is in CANDIDATES; -1 where none is.

    REFUSED where a row does not come after the one above it.
    """
    above, marks, out = get(f, lay.ABOVE), get(f, lay.CANDIDATES), get(f, lay.OUT)
    for k in range(get(f, lay.LENGTH)):
        at = k
        if byte(marks + k) == 0:
            at = half(above + 4 * k)
            if at >= k:
                return lay.REFUSED
            if at >= 0:
                at = half(out + 4 * at)
        put_half(out + 4 * k, at)
    return lay.DONE


def fresh(f: int) -> int:
    """OUT: how much the spans of each track cover together, of CANDIDATES alone where these are
    given. LASTS: how far they reach so far; SUMS: when the last began.

    REFUSED where those of a track are not in order of their start.
    """
    tracks, begins, ends = get(f, lay.TRACKS), get(f, lay.BEGINS), get(f, lay.ENDS)
    lasts, begun, out = get(f, lay.LASTS), get(f, lay.SUMS), get(f, lay.OUT)
    some = get(f, lay.CANDIDATES)
    for k in range(get(f, lay.LENGTH)):
        begin, end = word(begins + 8 * k), word(ends + 8 * k)
        if end <= begin or (some and byte(some + k) == 0):
            continue
        lane = 8 * word(tracks + 8 * k)
        if begin < word(begun + lane):
            return lay.REFUSED
        put_word(begun + lane, begin)
        since = max(begin, word(lasts + lane))
        if end > since:
            put_word(out + lane, word(out + lane) + end - since)
            put_word(lasts + lane, end)
    return lay.DONE


def chain_above(above: int, out: int, k: int) -> int:
    """The chain of the row above one, -1 for none."""
    at = word(above + 8 * k)
    if at < 0:
        return -1
    return half(out + 4 * at)


def chain(f: int) -> int:
    """OUT: which distinct chain each row ends, by its number and the chain of the row above, as
    they come; FIRST: where each comes first; RESULT: how many. FULL where those are more than ROOM,
    REFUSED where the row above comes later.
    """
    above, values, out = get(f, lay.ABOVE), get(f, lay.BEGINS), get(f, lay.OUT)
    places, mask, first = get(f, lay.PLACES), get(f, lay.PLACE_MASK), get(f, lay.FIRST)
    count = 0
    for k in range(get(f, lay.LENGTH)):
        if word(above + 8 * k) >= k:
            return lay.REFUSED
        value, before = word(values + 8 * k), chain_above(above, out, k)
        at = mixed(value, mixed(before, 0)) & mask
        known = half(places + 4 * at) - 1
        while known >= 0:
            row = word(first + 8 * known)
            if word(values + 8 * row) == value and chain_above(above, out, row) == before:
                break
            at = (at + 1) & mask
            known = half(places + 4 * at) - 1
        if known < 0:
            if count == get(f, lay.ROOM):
                return lay.FULL
            known = count
            count += 1
            put_word(first + 8 * known, k)
            put_half(places + 4 * at, count)
        put_half(out + 4 * k, known)
    put(f, lay.RESULT, count)
    return lay.DONE


def again(f: int) -> int:
    """OUT: the row before that has the same number, or -1. PLACES: 1 more than the last of each."""
    values, places, mask = get(f, lay.BEGINS), get(f, lay.PLACES), get(f, lay.PLACE_MASK)
    out = get(f, lay.OUT)
    for k in range(get(f, lay.LENGTH)):
        value = word(values + 8 * k)
        at = mixed(value, 0) & mask
        last = half(places + 4 * at) - 1
        while last >= 0 and word(values + 8 * last) != value:
            at = (at + 1) & mask
            last = half(places + 4 * at) - 1
        put_half(places + 4 * at, k + 1)
        put_half(out + 4 * k, last)
    return lay.DONE


def seek(f: int) -> int:
    """OUT: how many of ascending numbers are below each of others, which mostly ascend too."""
    values, count = get(f, lay.BEGINS), get(f, lay.LENGTH)
    wanted, out, at = get(f, lay.ASKED_BEGINS), get(f, lay.OUT), 0
    for k in range(get(f, lay.ASKED)):
        at = least(values, 8, count, word(wanted + 8 * k), at)
        put_word(out + 8 * k, at)
    return lay.DONE


def least(values: int, stride: int, count: int, value: int, at: int) -> int:
    """How many ascending numbers, so many bytes apart, are below a value.

    Sought from `at`, a guess, in growing steps.
    """
    step, low, high = 1, at, at
    if at < count and word(values + stride * at) < value:
        low = high = at + 1
        while high < count and word(values + stride * high) < value:
            low = high + 1
            high += step
            step *= 2
        high = min(high, count)
    else:
        while low > 0 and word(values + stride * (low - 1)) >= value:
            high = low - 1
            low = max(low - step, 0)
            step *= 2
    while low < high:
        middle = (low + high) // 2
        if word(values + stride * middle) < value:
            low = middle + 1
        else:
            high = middle
    return low


def walk(job: int, f: int) -> int:
    """What is asked of slices or rows."""
    if job == lay.ENCLOSE:
        return enclose(f)
    if job == lay.INSIDE:
        return inside(f)
    if job == lay.OPENED:
        return opened(f)
    if job == lay.CLIMB:
        return climb(f)
    if job == lay.GATHER:
        return gather(f)
    if job == lay.NEAREST:
        return nearest(f)
    if job == lay.FRESH:
        return fresh(f)
    if job == lay.AGAIN:
        return again(f)
    if job == lay.CHAIN:
        return chain(f)
    return seek(f)


STEPS = (
    under, enclose, inside, following, opened, climb, gather, nearest, fresh, chain_above, chain,
    again, least, seek, walk,
)  # fmt: skip
