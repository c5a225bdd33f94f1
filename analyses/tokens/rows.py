"""Lines of the ledger of tokens, and what follows from them: latencies, growth, slow tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

import numpy as np

from tracekit.answers.tokens import Fit, Latency, Line, Request, Slow
from tracekit.records import replace

from .columns import parts_of
from .growth import fit

FEW = 8  # fewer decoded tokens have no slow twentieth


# ---------------------------------------------------------------- what follows from the lines


def requests_of(lines: Sequence[Line]) -> Iterable[Request]:
    groups: defaultdict[tuple[str, str | None, int], list[Line]] = defaultdict(list)
    for line in lines:
        if line.request is not None:
            groups[line.trace, line.rank, line.request].append(line)
    for (trace, rank, number), own in groups.items():
        start, end = own[0].start_ns, own[-1].start_ns + own[-1].wall_ns
        first = next((r.start_ns + r.wall_ns - start for r in own if r.token == 0), None)
        # a decode stage without marked steps made nobody knows how many
        known = first is not None and not any(r.part == "decode" and r.token is None for r in own)
        made = sum(r.token is not None for r in own) if known else None
        loading = sum(r.wall_ns for r in own if r.part == "load")
        later = made is not None and made > 1 and first is not None
        yield Request(
            trace=trace,
            request=number,
            ttft_ns=first,
            ttft_without_load_ns=None if first is None else first - loading,
            tpot_ns=(end - start - first) / (made - 1) if later and first and made else None,
            end_to_end_ns=end - start,
            tokens=made,
            itl_ns=tuple(r.wall_ns for r in own if r.part == "decode" and r.token is not None),
            rank=rank,
        )


def latency_of(found: Sequence[Request]) -> Latency | None:
    if not found:
        return None

    def mean(values: Iterable[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return fmean(known) if known else None

    gaps = [ns for request in found for ns in request.itl_ns]
    half, high, most = np.percentile(gaps, [50, 95, 99]).tolist() if gaps else (None,) * 3
    return Latency(
        len(found), mean(r.ttft_ns for r in found), mean(r.ttft_without_load_ns for r in found),
        mean(r.tpot_ns for r in found), len(gaps), half, high, most,
    )  # fmt: skip


def growth_of(decoded: Sequence[Line]) -> Iterator[Fit]:
    """Of each rank by itself: ranks decode the same tokens, which would count as new ones."""
    for rank in dict.fromkeys(r.rank for r in decoded):
        for one in _growth([r for r in decoded if r.rank == rank]):
            yield replace(one, rank=rank)


def _growth(decoded: Sequence[Line]) -> Iterable[Fit]:
    """The first token of each request is left out: it warms caches up.

    Where the length of a context is not known, the number of the token stands for the position:
    the slope is the same, and a is not known.
    """
    lines = [r for r in decoded if r.token != 1]
    known = all(r.position is not None for r in lines)
    position = [float((r.position if known else r.token) or 0) for r in lines]
    names = list(dict.fromkeys(name for r in lines for name in parts_of(r.spent)))
    numbers = {key: at for at, key in enumerate(dict.fromkeys((r.trace, r.request) for r in lines))}
    request = [numbers[r.trace, r.request] for r in lines]
    whole = fit("token", position, [r.wall_ns for r in lines], request)
    parts = [
        fit(name, position, [parts_of(r.spent).get(name, 0) for r in lines], request)
        for name in names
    ]
    found = [one for one in (whole, *parts) if one is not None]
    return found if known else [replace(one, a_ns=None) for one in found]


def slow_of(decoded: Sequence[Line]) -> Slow | None:
    if len(decoded) < FEW:
        return None
    ranked = sorted(decoded, key=lambda r: -r.wall_ns)
    count = max(1, len(ranked) // 20)
    slow, rest = ranked[:count], ranked[count:]

    def mean(rows: Sequence[Line], name: str) -> float:
        return fmean(parts_of(r.spent).get(name, 0) for r in rows)

    names = dict.fromkeys(name for r in decoded for name in parts_of(r.spent))
    parts = {name: mean(slow, name) - mean(rest, name) for name in names}
    excess = fmean(r.wall_ns for r in slow) - fmean(r.wall_ns for r in rest)
    ordered = dict(sorted(parts.items(), key=lambda item: -abs(item[1])))
    return Slow(count, len(ranked), slow[-1].wall_ns, excess, ordered)
