"""Loops over the edges of a graph, which lie by target: its order, its longest paths.

As `loops`: plain Python that numba compiles. Edges into v are FIRST of v up to FIRST of v + 1, each
from EDGE_END; numbers of points and edges take 32 bits, times 64, lengths of edges what WIDE says.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import get, put
from tracekit.trace.scan.memory import byte, half, put_byte, put_half, put_word, word


def length(column: int, wide: int, at: int) -> int:
    """A number of a column of 64 bits, or of 32."""
    if wide:
        return word(column + 8 * at)
    return half(column + 4 * at)


def tally(f: int) -> int:
    """OUT: how many of TRACKS are each number, added to what is there."""
    numbers, out = get(f, lay.TRACKS), get(f, lay.OUT)
    for k in range(get(f, lay.LENGTH)):
        at = out + 4 * half(numbers + 4 * k)
        put_half(at, half(at) + 1)
    return lay.DONE


def fill(f: int) -> int:
    """Edges, by whatever, to their places by target: TRACKS is that of each, FIRST where the next
    into each point goes, and counted up; ends, lengths and kinds go to SORTED, SUMS and MARKS.
    """
    target, source = get(f, lay.TRACKS), get(f, lay.EDGE_END)
    weight, kind, wide = get(f, lay.WEIGHT), get(f, lay.CATS), get(f, lay.WIDE)
    first, ends = get(f, lay.FIRST), get(f, lay.SORTED)
    lengths, kinds = get(f, lay.SUMS), get(f, lay.MARKS)
    for k in range(get(f, lay.LENGTH)):
        place = first + 4 * half(target + 4 * k)
        at = half(place)
        put_half(place, at + 1)
        put_half(ends + 4 * at, half(source + 4 * k))
        put_byte(kinds + at, byte(kind + k))
        if wide:
            put_word(lengths + 8 * at, word(weight + 8 * k))
        else:
            put_half(lengths + 4 * at, half(weight + 4 * k))
    return lay.DONE


def order(f: int) -> int:
    """SORTED: points so that each comes after those it waits for; RESULT: how many, all of them
    where there is no circle. WAITING: the next edge to look at, plus 1; 0 of a point that was not
    met, -1 of one that is sorted.

    The path that is being followed lies at the end of SORTED, which is not filled so far.
    """
    first, source, waiting = get(f, lay.FIRST), get(f, lay.EDGE_END), get(f, lay.WAITING)
    found, points, count = get(f, lay.SORTED), get(f, lay.POINTS), 0
    for root in range(points):
        if half(waiting + 4 * root) < 0:
            continue
        top = points - 1
        put_half(found + 4 * top, root)
        put_half(waiting + 4 * root, half(first + 4 * root) + 1)
        while top < points:
            v = half(found + 4 * top)
            edge, end = half(waiting + 4 * v) - 1, half(first + 4 * v + 4)
            while edge < end and half(waiting + 4 * half(source + 4 * edge)) < 0:
                edge += 1
            if edge == end:
                top += 1
                put_half(waiting + 4 * v, -1)
                put_half(found + 4 * count, v)
                count += 1
                continue
            put_half(waiting + 4 * v, edge + 1)
            u = half(source + 4 * edge)
            if half(waiting + 4 * u) > 0:
                return lay.DONE
            top -= 1
            put_half(found + 4 * top, u)
            put_half(waiting + 4 * u, half(first + 4 * u) + 1)
    put(f, lay.RESULT, count)
    return lay.DONE


def longest(f: int) -> int:
    """WHEN of each point, which holds the soonest: the latest of its edges; those of CANDIDATES, if
    given, hold nothing.

    With EXTRA, the lengths as recorded, what these do not explain of the times that were recorded,
    BEGINS, is added to each point; no edge then takes longer than it did for that it is too long.
    """
    found, first, source = get(f, lay.SORTED), get(f, lay.FIRST), get(f, lay.EDGE_END)
    weight, when, wide = get(f, lay.WEIGHT), get(f, lay.WHEN), get(f, lay.WIDE)
    own, recorded, dropped = get(f, lay.EXTRA), get(f, lay.BEGINS), get(f, lay.CANDIDATES)
    for k in range(get(f, lay.POINTS)):
        v = half(found + 4 * k)
        best = known = word(when + 8 * v)
        now = 0
        if own:
            now = word(recorded + 8 * v)
        for edge in range(half(first + 4 * v), half(first + 4 * v + 4)):
            u = half(source + 4 * edge)
            here = length(weight, wide, edge)
            if own:
                came = word(recorded + 8 * u) + length(own, wide, edge)
                if came > now:
                    here -= came - now
                    came = now
                known = max(known, came)
            if dropped and byte(dropped + edge):
                here = lay.NEVER
            best = max(best, word(when + 8 * u) + here)
        if own:
            best += now - known
        put_word(when + 8 * v, best)
    return lay.DONE


def reach(f: int) -> int:
    """ABOVE: whence the edge is that lets each point come last, but no later than it came, of
    several the last, or -1; LASTS holds the soonest of each, and then what is left of WHEN it came,
    and COST of that edge, if it is one of ASKED_BEGINS, which ascend.
    """
    first, source, when = get(f, lay.FIRST), get(f, lay.EDGE_END), get(f, lay.WHEN)
    weight, wide = get(f, lay.WEIGHT), get(f, lay.WIDE)
    lasts, above = get(f, lay.LASTS), get(f, lay.ABOVE)
    some, cost, count, k = get(f, lay.ASKED_BEGINS), get(f, lay.COST), get(f, lay.ASKED), 0
    for v in range(get(f, lay.POINTS)):
        best, most, now, latest = -1, 0, word(when + 8 * v), word(lasts + 8 * v)
        for edge in range(half(first + 4 * v), half(first + 4 * v + 4)):
            came = word(when + 8 * half(source + 4 * edge)) + length(weight, wide, edge)
            latest = max(latest, came)
            came = min(came, now)
            if best < 0 or came >= most:
                best, most = edge, came
        left, whence = now - latest, -1
        if best >= 0:
            whence = half(source + 4 * best)
            while k < count and word(some + 8 * k) < best:
                k += 1
            if k < count and word(some + 8 * k) == best:
                left += word(cost + 8 * k)
        put_half(above + 4 * v, whence)
        put_word(lasts + 8 * v, left)
    return lay.DONE


def path(f: int) -> int:
    """RESULT: COST of the points from FROM back, while after UNTIL; FROM: where that ends."""
    above, cost, when = get(f, lay.ABOVE), get(f, lay.COST), get(f, lay.WHEN)
    v, until, total = get(f, lay.FROM), get(f, lay.UNTIL), 0
    while word(when + 8 * v) > until and half(above + 4 * v) >= 0:
        total += word(cost + 8 * v)
        v = half(above + 4 * v)
    put(f, lay.RESULT, total)
    put(f, lay.FROM, v)
    return lay.DONE


def graph(job: int, f: int) -> int:
    """What is asked for of a graph."""
    if job == lay.ORDER:
        return order(f)
    if job == lay.LONGEST:
        return longest(f)
    if job == lay.PATH:
        return path(f)
    if job == lay.REACH:
        return reach(f)
    if job == lay.TALLY:
        return tally(f)
    return fill(f)


STEPS = length, tally, fill, order, longest, reach, path, graph
