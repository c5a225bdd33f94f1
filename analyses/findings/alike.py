"""Ranks of one file that wait for the same: one finding, that of the rank with most of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tracekit.answers.findings import Finding, OfRank
from tracekit.patterns import later
from tracekit.records import replace
from tracekit.results.trust import worst
from tracekit.results.units import duration, plural, share
from tracekit.trace.ranks import named

NAMES = 4  # ranks that a sentence names


def together(rows: Iterable[Finding], weight: Callable[[Finding], float]) -> list[Finding]:
    """Those of several ranks that say the same as one row each; the others as they are.

    `weight` is what findings are ranked by: the row with most of it speaks for the others.
    """
    out: list[Finding] = []
    of: dict[tuple[str | None, ...], list[int]] = {}  # places in `out`
    for row in rows:
        if row.rank is None:
            out.append(row)
            continue
        places = of.setdefault((row.trace, *row.alike), [])
        own = {one.rank for one in _ranks(row)}
        at = next((i for i in places if own.isdisjoint(o.rank for o in _ranks(out[i]))), None)
        if at is None:
            places.append(len(out))
            out.append(row)
        else:
            out[at] = _one(out[at], row, weight)
    return out


def _ranks(row: Finding) -> Sequence[OfRank]:
    return row.ranks or (OfRank(row.rank or "", row.stage, row.number, row.saves_ns),)


def _one(left: Finding, right: Finding, weight: Callable[[Finding], float]) -> Finding:
    first, second = sorted(
        (left, right), key=lambda row: (-weight(row), -row.number, row.rank or "")
    )
    every = sorted((*_ranks(left), *_ranks(right)), key=lambda one: (-one.number, one.rank))
    others = [one for one in every if one.rank != first.rank]
    numbers = {f"other_{i}": one.number for i, one in enumerate(others, 1)}
    why = (*first.why, *(text for text in second.why if text not in first.why))
    return replace(
        first,
        what=f"{_alone(first)}{_also(first, others)}",
        ranks=tuple(every),
        trust=worst((first.trust, second.trust)),
        why=why,
        numbers={**_own_numbers(first), "ranks": len(every), **numbers},
    )  # fmt: skip


def _own_numbers(row: Finding) -> dict[str, float]:
    """The numbers of its own sentence."""
    return {
        name: n for name, n in row.numbers.items() if name != "ranks" and not _OTHER.match(name)
    }


def _alone(row: Finding) -> str:
    """Its sentence without the other ranks."""
    return row.what.split(_MARK, 1)[0]


_MARK = " The same on "
_OTHER = later(r"other_\d+$")


def _also(first: Finding, others: Sequence[OfRank]) -> str:
    """The other ranks by name with what each has, in which stage where that is another."""
    shown = share if first.unit == "share" else duration
    said = [
        f"{named(one.rank)} ({shown(one.number)}"
        f"{f', in {one.stage}' if one.stage and one.stage != first.stage else ''})"
        for one in others[:NAMES]
    ]
    if rest := others[NAMES:]:
        least, most = shown(rest[-1].number), shown(rest[0].number)
        range_ = least if least == most else f"{least} to {most}"
        said.append(f"{plural(len(rest), 'more rank')} ({range_})")
    return f"{_MARK}{', '.join(said[:-1])}{' and ' if said[1:] else ''}{said[-1]}."
