"""Loops over columns in which each step needs the one before: nesting, and paths of graphs.

As `kernel`: plain Python that numba compiles. What is given lies in the block, columns by address.
"""

from __future__ import annotations

from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.grammar import get, put
from tracekit.trace.scan.memory import byte, put_word, word


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


def order(f: int) -> int:
    """Points of a graph so that each comes after those it waits for; RESULT: how many."""
    waiting, first, target = get(f, lay.WAITING), get(f, lay.FIRST), get(f, lay.EDGE_END)
    found, count = get(f, lay.SORTED), 0
    for v in range(get(f, lay.POINTS)):
        if word(waiting + 8 * v) == 0:
            put_word(found + 8 * count, v)
            count += 1
    at = 0
    while at < count:
        v = word(found + 8 * at)
        for edge in range(word(first + 8 * v), word(first + 8 * v + 8)):
            u = word(target + 8 * edge)
            left = word(waiting + 8 * u) - 1
            put_word(waiting + 8 * u, left)
            if left == 0:
                put_word(found + 8 * count, u)
                count += 1
        at += 1
    put(f, lay.RESULT, count)
    return lay.DONE


def longest(f: int) -> int:
    """WHEN of each point, which holds the soonest: the latest of its edges, and its EXTRA."""
    found, first, source = get(f, lay.SORTED), get(f, lay.FIRST), get(f, lay.EDGE_END)
    weight, extra, when = get(f, lay.WEIGHT), get(f, lay.EXTRA), get(f, lay.WHEN)
    for k in range(get(f, lay.POINTS)):
        v = word(found + 8 * k)
        best = word(when + 8 * v)
        for edge in range(word(first + 8 * v), word(first + 8 * v + 8)):
            here = word(when + 8 * word(source + 8 * edge)) + word(weight + 8 * edge)
            if here > best:
                best = here
        put_word(when + 8 * v, best + word(extra + 8 * v))
    return lay.DONE


def path(f: int) -> int:
    """RESULT: COST of the points from FROM back, while after UNTIL; FROM: where that ends."""
    above, cost, when = get(f, lay.ABOVE), get(f, lay.COST), get(f, lay.WHEN)
    v, until, total = get(f, lay.FROM), get(f, lay.UNTIL), 0
    while word(when + 8 * v) > until and word(above + 8 * v) >= 0:
        total += word(cost + 8 * v)
        v = word(above + 8 * v)
    put(f, lay.RESULT, total)
    put(f, lay.FROM, v)
    return lay.DONE


STEPS = (nest, order, longest, path)
