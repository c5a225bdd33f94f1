"""How much of the work of replayed graphs is known by the trace of their capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracekit.answers.kernels import Kernels
from tracekit.attribution.kernels.graphs.origin import LEAST, RELATED, Match
from tracekit.records import replace
from tracekit.results.first_screen import Remark
from tracekit.results.result import Column, Grid
from tracekit.results.units import count, share

DEFINITIONS = {
    "matched": "Part of the durations of all replayed work whose launch was found in the capture, "
    "by kernel name, grid and order; what could be several launches that differ is not matched.",
    "nodes": "Pieces of work that graph launches issued, each launch counted anew.",
}


def merged(matches: Iterable[Match]) -> tuple[Match, ...]:
    """Of several traces: each capture once, its numbers added up."""
    sums: dict[tuple[str, bool], Match] = {}
    for one in matches:
        key = (one.path, one.used)
        old = sums.get(key)
        sums[key] = one if old is None else replace(
            old,
            replays=old.replays + one.replays, nodes=old.nodes + one.nodes,
            total_ns=old.total_ns + one.total_ns, matched=old.matched + one.matched,
            matched_ns=old.matched_ns + one.matched_ns,
            how=tuple(sorted({*old.how, *one.how})),
        )  # fmt: skip
    return tuple(sums.values())


def grid(result: Kernels) -> list[Grid]:
    """The captures that were tried; nothing where none was."""
    if not result.graphs:
        return []
    columns = (
        Column("capture"), Column("graph launches", "count", "Launches of graphs with work."),
        Column("nodes", "count", DEFINITIONS["nodes"]),
        Column("time", "ns", "Durations of these nodes added up."),
        Column("matched nodes", "count", "Nodes whose launch was found in the capture."),
        Column("matched", "share", DEFINITIONS["matched"]),
        Column("by", "text", "What decided."), Column("used", "text", "Whether it fits enough."),
    )  # fmt: skip
    rows = [
        (_file(m), m.replays, m.nodes, m.total_ns, m.matched, m.share, ", ".join(m.how),
         "yes" if m.used else "no")
        for m in result.graphs
    ]  # fmt: skip
    note = (
        f"A trace beside this one is used where it matches {share(LEAST, 0)} of the time or more; "
        "one that --graph-capture names always."
    )
    return [Grid("graphs", "What replayed graphs were captured from", columns, rows, note)]


def _file(match: Match) -> str:
    return "this trace" if match.own else match.name


def remarks(result: Kernels) -> Iterator[Remark]:
    """The share that is matched, with the name of the file."""
    for one in result.graphs:
        part = f"{share(one.share)} of their GPU time"
        where = "" if one.given or one.own else ", found beside this one"
        if one.used:
            what = f"ops and modules of {part} ({count(one.matched)} of {count(one.nodes)} nodes)"
            yield Remark("Replayed graphs", f"{what} are read from {_file(one)}{where}")
        elif one.given or one.share >= RELATED:
            why = "" if one.given else ": too little to use it unasked (--graph-capture)"
            yield Remark("Replayed graphs", f"{_file(one)}{where} fits {part}{why}")
