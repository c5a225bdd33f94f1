"""Loops over all slices of a trace in order of time: what encloses what, what is open when.

As `loops`: plain Python that numba compiles. Nothing of a trace is copied to be asked.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import get, put
from tracekit.trace.scan.memory import byte, half, put_byte, put_half, put_word, word


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
    for k in range(get(f, lay.LENGTH)):
        if byte(marks + k):
            continue
        begin, length = word(begins + 8 * k), word(lengths + 8 * k)
        at = max(min((begin - origin) // width, bins - 1), 0) + bins * word(tracks + 8 * k)
        cell = out + 32 * at
        known = word(cell + 16)
        if known == 0 or begin < word(cell):
            put_word(cell, begin)
        if known == 0 or begin + length > word(cell + 8):
            put_word(cell + 8, begin + length)
        put_word(cell + 16, known + 1)
        put_word(cell + 24, word(cell + 24) + length)
    return lay.DONE


def walk(job: int, f: int) -> int:
    """What is asked of slices in order of time."""
    if job == lay.ENCLOSE:
        return enclose(f)
    if job == lay.OPENED:
        return opened(f)
    if job == lay.CLIMB:
        return climb(f)
    return gather(f)


STEPS = (under, enclose, following, opened, climb, gather, walk)
