"""Which ranks have a row of their own where there are hundreds: the worst; the rest in groups."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.records import Record

ALONE = 24  # at most as many ranks have a row each
WORST = 8  # of more ranks, those that stand out most do, before the groups
GROUPS = 16


class Row(Record, frozen=True):
    """A rank, or neighbours: `members` are their places."""

    label: str
    members: tuple[int, ...]


def alone(names: Sequence[str]) -> tuple[Row, ...]:
    """A row a rank."""
    return tuple(Row(name, (i,)) for i, name in enumerate(names))


def rows(names: Sequence[str], apart: Sequence[float]) -> list[Row]:
    """A row a rank; of many ranks the worst first, then groups of neighbours with all of them.

    `apart` says how far each rank is from the middle, in any unit. Groups are of 8 ranks, as most
    machines are, or of a multiple.
    """
    every = range(len(names))
    if len(names) <= ALONE:
        return list(alone(names))
    worst = sorted(sorted(every, key=lambda i: -apart[i])[:WORST])
    size = 8
    while -(-len(names) // size) > GROUPS:
        size *= 2
    return [
        *(Row(names[i], (i,)) for i in worst),
        *(_group(names, range(at, min(at + size, len(names)))) for at in every[::size]),
    ]


def _group(names: Sequence[str], own: range) -> Row:
    """Neighbours, called by the first and the last of them."""
    first, last = names[own[0]], names[own[-1]]
    if len(own) == 1:
        return Row(first, tuple(own))
    head = first.rsplit(" ", 1)[0]
    if head and last.startswith(f"{head} "):
        last = last[len(head) + 1 :]
        return Row(f"{head}s {first[len(head) + 1 :]}–{last}", tuple(own))
    return Row(f"{first} – {last}", tuple(own))


def said(shown: Sequence[Row], ranks: int) -> str:
    """What the rows are, where they are not the ranks."""
    own = [row for row in shown if len(row.members) > 1]
    if not own:
        return ""
    alone = len(shown) - len(own)
    return (
        f"Of {ranks} ranks, {alone} that are farthest from the middle have a row each; then all of "
        f"them in {len(own)} groups, as means."
    )
