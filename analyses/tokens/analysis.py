"""The ledger: what each request part and each decoded token spent its time on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean

import numpy as np

from tracekit.answers.tokens import Fit, Line, Request, Tokens
from tracekit.attribution import breakdown, links
from tracekit.attribution.breakdown import IDLE
from tracekit.attribution.stages import requests
from tracekit.attribution.stages.alike import ALIKE, MEAN_OF, alike
from tracekit.attribution.stages.instances import Markers, launched, markers
from tracekit.errors import MissingEventsError
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration
from tracekit.trace.trace import Trace

from .columns import LEFT_OUT, parts_of, used
from .columns import columns as columns_of
from .findings import findings
from .first_screen import FIRST_SCREEN
from .rows import FEW, growth_of, latency_of, requests_of, slow_of

OWN = (
    "request parts in wall time: what the device (or the host) did from the end of the part before"
)
STEPS = "engine steps in GPU windows: the window of the work that each launched"
INFERRED = "inferred forward passes in GPU windows: the window of the work that each launched"
COLUMNS = 120  # of a chart: more tokens share columns


def tokens(trace: Trace, *, stages: str | None = None) -> Tokens:
    """The ledger of a trace: by clock for our own markers, by launch for engine steps.

    `stages` is the pattern of the stages analysis; engine steps that it leaves out are left out.

    Raises: MissingEventsError where neither request stages nor engine steps are marked.
    """
    parts = requests.parts(trace)
    if parts:
        return _result(OWN, _lines(trace, parts))
    marks = markers(trace, stages)
    if marks.chosen == "file" or not any(step and step.phase for step in marks.step):
        raise MissingEventsError(
            "no request stages and no engine steps are marked",
            where=trace.path,
            hint="capture with `tracekit capture`, or with vLLM's or SGLang's step annotations",
        )
    if not len(links.work(trace)):
        raise MissingEventsError(
            "engine steps without kernel events", where=trace.path,
            hint="capture with a GPU visible",
        )  # fmt: skip
    basis = INFERRED if marks.chosen == "inferred" else STEPS
    return _result(basis, _steps(trace, marks))


def _lines(trace: Trace, parts: Sequence[requests.Part]) -> list[Line]:
    windows = np.array([(p.start_ns, p.end_ns) for p in parts], np.int64)
    pid, tid = (np.array([getattr(p, key) for p in parts], np.int64) for key in ("pid", "tid"))
    spent = breakdown.by_clock(trace, pid, tid, windows)
    base = {n: requests.positions(trace, n) for n in {p.request for p in parts}}
    return [
        Line(
            trace.path, p.request, p.name, p.token,
            None if p.token is None or (at := base[p.request]) is None else at + p.token,
            p.start_ns, p.end_ns - p.start_ns, p.marker_ns, s,
        )
        for p, s in zip(parts, spent, strict=True)
    ]  # fmt: skip


def _steps(trace: Trace, marks: Markers) -> list[Line]:
    """One line an engine step; of steps nested in one another the outermost."""
    known = [step is not None and step.phase is not None for step in marks.step]
    chosen = np.flatnonzero(np.array(known) & ~marks.nested)
    place = np.full(len(marks), -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    instance, work = launched(trace, marks)
    keep = place[instance] >= 0
    windows, spent = breakdown.by_launch(trace, (place[instance[keep]], work[keep]), len(chosen))
    busy = np.bincount(place[instance[keep]], minlength=len(chosen)) > 0
    return [
        Line(
            trace.path, None, marks.stage[at], None, None, int(windows[i, 0]),
            int(windows[i, 1] - windows[i, 0]), int(marks.end[at] - marks.start[at]), spent[i],
        )
        for i, at in enumerate(chosen.tolist())
        if busy[i]
    ]  # fmt: skip


# ---------------------------------------------------------------- what follows from the lines


def _result(basis: str, rows: Iterable[Line]) -> Tokens:
    """Everything else follows from the lines, so that many traces merge exactly."""
    lines = tuple(rows)
    found = tuple(requests_of(lines))
    decoded = [r for r in lines if r.part == "decode" and r.token is not None]
    return Tokens(
        basis, lines, found, latency_of(found), tuple(growth_of(decoded)), slow_of(decoded)
    )  # fmt: skip


def merge(one: Tokens, two: Tokens) -> Tokens:
    """Lines joined; latencies, growth and slow tokens are taken over all of them."""
    basis = "; ".join(dict.fromkeys([*one.basis.split("; "), *two.basis.split("; ")]))
    return _result(basis, one.rows + two.rows)


# ---------------------------------------------------------------- tables and charts

DEFINITIONS = {
    "part": "A stage of the request, or one decoded token: from the end of the part before it (the "
    "first: from its own start) to its own end, so that parts leave nothing out.",
    "TTFT": "Time to first token: from the start of the first stage (load) to the end of prefill, "
    "offline: no queue and no network are in it.",
    "TTFT without load": "The same less the load part.",
    "TPOT": "(end to end - TTFT) / (tokens - 1): mean time per later token.",
    "ITL": "Inter-token latency: from one token to the next, each gap by itself.",
    "end to end": "From the start of the request's first stage to the end of its last.",
    "tokens": "Tokens that one batch row generated, the first (of prefill) included.",
    "growth": "b of time = a + b · position, fitted by least squares over decoded tokens but the "
    "first of each request, with the range that holds it in 95 % of repetitions, with "
    "neighbours as alike as they are.",
    "slow": "Mean of the slowest twentieth of the decoded tokens less the mean of the rest.",
}
MOST = 200


def tables(result: Tokens) -> list[Grid]:
    grids = [_latency_grid(result), _parts_grid(result)]
    if len(result.rows) > len(grids[1].rows):  # else the means are the lines
        grids.append(_ledger_grid(result))
    return [grid for grid in (*grids, _growth_grid(result), _slow_grid(result)) if grid.rows]


def _latency_grid(result: Tokens) -> Grid:
    columns = (
        Column("request"),
        Column("TTFT", "ns", DEFINITIONS["TTFT"]),
        Column("without load", "ns", DEFINITIONS["TTFT without load"]),
        Column("TPOT", "ns", DEFINITIONS["TPOT"]),
        Column("ITL median", "ns", DEFINITIONS["ITL"]),
        Column("p95", "ns", DEFINITIONS["ITL"]),
        Column("p99", "ns", DEFINITIONS["ITL"]),
        Column("tokens", "count", DEFINITIONS["tokens"]),
        Column("end to end", "ns", DEFINITIONS["end to end"]),
    )

    def row(r: Request) -> tuple[object, ...]:
        gaps = np.percentile(r.itl_ns, [50, 95, 99]).tolist() if r.itl_ns else (None,) * 3
        return (str(r.request), r.ttft_ns, r.ttft_without_load_ns, r.tpot_ns, *gaps,
                r.tokens, r.end_to_end_ns)  # fmt: skip

    rows = [row(r) for r in result.requests[:MOST]]
    total = None
    if (whole := result.latency) is not None:
        total = ("all", whole.ttft_ns, whole.ttft_without_load_ns, whole.tpot_ns,
                 whole.itl_p50_ns, whole.itl_p95_ns, whole.itl_p99_ns, None, None)  # fmt: skip
    note = "The last row: means over requests, and percentiles over all gaps."
    beyond = len(result.requests) - len(rows)
    return Grid("latency", "Latency of each request", columns, rows, note, total, beyond=beyond)


def _on_host(result: Tokens) -> bool:
    return any(r.spent.host is not None for r in result.rows)


def _by_part(result: Tokens) -> dict[str, list[Line]]:
    groups: defaultdict[str, list[Line]] = defaultdict(list)
    for line in result.rows:
        groups["decode, each token" if line.token and line.part == "decode" else line.part].append(
            line
        )
    return dict(groups)


def _alike(rows: Sequence[Line]) -> list[Line]:
    """The lines of one part that a mean may be of: see `attribution.stages.alike`."""
    worked = [any(not name.startswith(IDLE) for name in r.spent.parts) for r in rows]
    return [rows[i] for i in alike([r.wall_ns for r in rows], worked)]


def _mean(rows: Sequence[Line]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for row in rows:
        for name, ns in parts_of(row.spent).items():
            sums[name] = sums.get(name, 0) + ns
    return {name: ns / len(rows) for name, ns in sums.items()}


def _parts_grid(result: Tokens) -> Grid:
    groups = _by_part(result)
    some = {part: _alike(rows) for part, rows in groups.items()}
    means = {part: _mean(rows) for part, rows in some.items()}
    names = used(list(means.values()))
    unlike = any(len(some[part]) < len(rows) for part, rows in groups.items())
    columns = (
        Column("part", "text", DEFINITIONS["part"]), Column("count", "count", "How many of them."),
        *([Column("mean of", "text", f"How many, empty where all. {ALIKE}")] if unlike else []),
        Column("mean", "ns", "Mean time of one; the columns to the right add up to it."),
        *columns_of(names, _on_host(result)),
    )  # fmt: skip
    rows = [
        (part, len(own), *([_of(len(some[part]), len(own))] if unlike else []),
         fmean(r.wall_ns for r in some[part]), *(means[part].get(n, 0) for n in names))
        for part, own in groups.items()
    ]  # fmt: skip
    note = f"{_stop(result.basis)} {MEAN_OF}" if unlike else _stop(result.basis)
    return Grid("parts", "What each part spends its time on", columns, rows, note)


def _of(some: int, every: int) -> str:
    return f"{some} of {every}" if some < every else ""


def _stop(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _ledger_grid(result: Tokens) -> Grid:
    rows = result.rows[:MOST]
    names = used([parts_of(r.spent) for r in rows])
    columns = (
        Column("request"), Column("part"), Column("token", "text", "Number of the token made."),
        Column("position", "text", "Place of that token in the context."),
        Column("time", "ns", "The columns to the right add up to it."),
        *columns_of(names, _on_host(result)),
    )  # fmt: skip
    cells = [
        (
            "" if r.request is None else str(r.request), r.part,
            "" if r.token is None else str(r.token), "" if r.position is None else str(r.position),
            r.wall_ns, *(parts_of(r.spent).get(name, 0) for name in names),
        )
        for r in rows
    ]  # fmt: skip
    beyond = len(result.rows) - len(rows)
    return Grid("ledger", "Every request part and every token", columns, cells, beyond=beyond)


def _growth_grid(result: Tokens) -> Grid:
    columns = (
        Column("time of"), Column("at position 0", "ns", "a of time = a + b · position."),
        Column("per position", "ns", DEFINITIONS["growth"]),
        Column("from", "ns", "Lower end of the 95 % range of b."),
        Column("to", "ns", "Upper end of the 95 % range of b."),
        Column("grows", "text", "Yes where the whole range is above zero."),
        Column("tokens", "count", "Points of the fit."),
    )  # fmt: skip
    rows = [
        (f.name, f.a_ns, f.b_ns, f.low_ns, f.high_ns, "yes" if f.grows else "not shown", f.points)
        for f in result.growth
    ]
    return Grid("growth", "How a token's time grows with the context", columns, rows)


def _slow_grid(result: Tokens) -> Grid:
    slow = result.slow
    if slow is None or slow.excess_ns <= 0:
        return Grid("slow", "", (), [])
    columns = (
        Column("time in"), Column("more", "ns", DEFINITIONS["slow"]),
        Column("of the excess", "share", "Over the whole excess."),
    )  # fmt: skip
    rows = [(name, ns, ns / slow.excess_ns) for name, ns in slow.parts.items()]
    note = (
        f"{slow.count} of {slow.of} tokens took {duration(slow.over_ns)} or more, "
        f"{duration(slow.excess_ns)} more than the rest on average."
    )
    total = ("all", slow.excess_ns, 1.0)
    return Grid("slow", "What made the slow tokens slow", columns, rows, note, total)


def charts(result: Tokens) -> list[figures.Chart]:
    found = [_parts_chart(result)] if result.rows else []
    decoded = [r for r in result.rows if r.part == "decode" and r.token is not None]
    if len(decoded) >= FEW and len({(r.trace, r.rank) for r in decoded}) == 1:
        found.append(_tokens_chart(result, decoded))
    return found


def _tokens_chart(result: Tokens, decoded: Sequence[Line]) -> figures.Chart:
    """A column a decoded token; of many tokens, the middle one of so many one after another."""
    many = -(-len(decoded) // COLUMNS)
    every = _chunks(decoded, many)
    shown = every[:COLUMNS]
    # a mean would be of tokens that are not alike
    means = [_mean([sorted(lines, key=_wall)[len(lines) // 2]]) for lines in shown]
    names = [name for name in used(means) if name != LEFT_OUT]
    title = "What each decoded token spent its time on"
    if many > 1:
        title = f"What decoded tokens spent their time on, the middle one of {many} at a time"
    if len(every) > len(shown):
        requests_shown = len({lines[0].request for lines in shown})
        title += f", the first {requests_shown} of {len({r.request for r in decoded})} requests"
    return figures.columns(
        "tokens", title, [_label(lines) for lines in shown],
        {name: [mean.get(name, 0) for mean in means] for name in names},
        of="host time" if _on_host(result) else "time", x_title="request · decoded token",
        fits=_fits(result.growth, decoded, shown), table="ledger",
        summary="Time of each decoded token, cut into what it was spent on."
        + (f" A column is the middle one of {many} tokens, by its time." if many > 1 else "")
        + (f" Growth {_slope(result.growth[0])}." if result.growth else ""),
    )  # fmt: skip


def _wall(line: Line) -> int:
    return line.wall_ns


def _chunks(decoded: Sequence[Line], size: int) -> list[Sequence[Line]]:
    """Tokens of one request that follow one another, `size` at a time."""
    out: list[Sequence[Line]] = []
    for _, own in groupby(decoded, key=lambda r: r.request):
        lines = list(own)
        out += [lines[at : at + size] for at in range(0, len(lines), size)]
    return out


def _label(lines: Sequence[Line]) -> str:
    first, last = lines[0], lines[-1]
    to = f"–{last.token}" if len(lines) > 1 else ""
    return f"{first.request} · {first.token}{to}"


def _slope(found: Fit) -> str:
    sign = "+" if found.b_ns >= 0 else "−"
    doubt = "" if found.grows else ", within the noise"
    return f"fitted: {sign}{duration(abs(found.b_ns))} a position{doubt}"


def _fits(
    growth: Sequence[Fit], decoded: Sequence[Line], shown: Sequence[Sequence[Line]]
) -> list[tuple[str, list[float | None]]]:
    """The fitted growth of the whole token along each request that is shown."""
    if not growth:
        return []
    fitted = [r for r in decoded if r.token != 1]
    known = all(r.position is not None for r in fitted)

    def at(line: Line) -> float:
        return float((line.position if known else line.token) or 0)

    # least squares pass through the mean of what they were fitted to
    middle, mean = fmean(at(r) for r in fitted), fmean(r.wall_ns for r in fitted)
    slope = growth[0].b_ns
    return [
        (
            _slope(growth[0]),
            [
                mean + slope * (fmean(at(r) for r in lines) - middle)
                if lines[0].request == one
                else None
                for lines in shown
            ],
        )
        for one in dict.fromkeys(lines[0].request for lines in shown)
    ]


def _parts_chart(result: Tokens) -> figures.Chart:
    groups = {part: _alike(rows) for part, rows in _by_part(result).items()}
    means = [_mean(rows) for rows in groups.values()]
    names = [name for name in used(means) if name != LEFT_OUT]
    title = "What each part spends its time on"
    if (whole := result.latency) is not None and whole.ttft_ns:
        title = f"First token after {duration(whole.ttft_ns)}"
        if whole.tpot_ns:
            title += f", then one every {duration(whole.tpot_ns)}"
    return figures.split_bars(
        "parts", title, list(groups), {n: [m.get(n, 0) for m in means] for n in names},
        of="mean host time" if _on_host(result) else "mean time", table="parts",
        summary="Mean time of each request part and of a decoded token, of those that are alike, "
        "by what it was spent on.",
    )  # fmt: skip


ANALYSIS = Analysis(
    title="Where each request part and each token spent its time",
    question="What did the time to the first token, and the time of every later one, go to?",
    run=tokens,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    order=15,
    adds_up=False,
)
