"""How long each collective ran, at which rate, and which rank the others waited for."""

from __future__ import annotations

from tracekit.answers.collectives import Collectives, merge
from tracekit.attribution.collectives import arrivals
from tracekit.attribution.collectives.by_group import by_group
from tracekit.errors import MissingEventsError
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, plural
from tracekit.trace import run_facts
from tracekit.trace.ranks import named
from tracekit.trace.trace import Source, Trace

MOST = 200


def collectives(trace: Trace) -> Collectives:
    """Communication kernels by device, process group and collective.

    Raises: MissingEventsError for a trace without any.
    """
    rows = by_group(trace)
    if not rows:
        raise MissingEventsError(
            "no communication kernels" if trace.devices else "no kernel events",
            where=trace.path,
            hint="of a job of several ranks, capture on a GPU",
        )
    return Collectives(rows, calls=(arrivals.of_rank(trace, _rank(trace.source)),))


def _rank(source: Source) -> str:
    """Which rank a trace is of, else what its file is called."""
    if source.rank is not None:
        return named(source.rank)
    number = run_facts.rank(source)
    if number is not None:
        return named(str(number))
    return source.path.rsplit("/", 1)[-1]


DEFINITIONS = {
    "process group": "The group of ranks that the call is of, as PyTorch names it.",
    "collective": "As PyTorch names it, else as the kernel's name says.",
    "calls": "Communication kernels.",
    "time": "Their durations added up: transfer, and waiting for ranks that come later.",
    "exposed": "Of the time, with no other kernel of the device running.",
    "ranks": "Size of the process group.",
    "bytes": "What one rank puts in, or gets where that is more, added up over calls that "
    "record a size.",
    "beyond the fastest": "Time of calls beyond the fastest of the same size: waiting for other "
    "ranks, or contention.",
    "algorithm bandwidth": "Bytes over the time of the same calls, waiting included.",
    "bus bandwidth": "What each link carried: algorithm bandwidth times 2(n-1)/n for an "
    "all-reduce of n ranks, (n-1)/n for all-gather, reduce-scatter and all-to-all "
    "(nccl-tests, PERFORMANCE.md).",
    "link": "What one device's links to its peers carry in one direction (datasheet), where the "
    "group lies in one machine of 8 by its rank numbers; a reduction inside the switch can exceed "
    "it.",
    "of link": "Bus bandwidth over the link's peak.",
    "transfer": "The shortest kernel of each call over the ranks, added up: the last to come waits "
    "for nobody.",
    "arrival skew": "The longest kernel of each call beyond the shortest, added up: how long the "
    "first rank waited for the last.",
    "comes last": "The rank whose kernel was the shortest of the call most often.",
    "waited": "Kernel time of the rank beyond the shortest of each call: waiting for others.",
}


def _column(label: str, unit: str = "text") -> Column:
    return Column(label, unit, DEFINITIONS[label])  # type: ignore[arg-type]


def tables(result: Collectives) -> list[Grid]:
    grids = [_calls(result), _arrivals(result), _waiting(result)]
    return [grid for grid in grids if grid.rows]


def _calls(result: Collectives) -> Grid:
    rows = [
        (
            named(r.rank, str(r.device)), r.group or "not named", r.name, r.count, r.total_ns,
            r.exposed_ns, r.group_size, r.bytes, r.waited_ns, r.bytes_per_s, r.bus_bytes_per_s,
            r.link_bytes_per_s, r.link_share,
        )
        for r in result.rows[:MOST]
    ]  # fmt: skip
    columns = (
        Column("device"), _column("process group"), _column("collective"),
        _column("calls", "count"), _column("time", "ns"), _column("exposed", "ns"),
        _column("ranks", "count"), _column("bytes", "bytes"), _column("beyond the fastest", "ns"),
        _column("algorithm bandwidth", "bytes/s"), _column("bus bandwidth", "bytes/s"),
        _column("link", "bytes/s"), _column("of link", "share"),
    )  # fmt: skip
    notes = [f"{link} between devices." for link in {r.link for r in result.rows if r.link}]
    title, beyond = "Collectives by process group", len(result.rows) - len(rows)
    return Grid("collectives", title, columns, rows, " ".join(notes), beyond=beyond)


def _arrivals(result: Collectives) -> Grid:
    rows = [
        (a.group or "not named", a.name, a.ranks, a.count, a.transfer_ns, a.skew_ns,
         a.largest_skew_ns, a.last or "all together", a.last_count, a.last_skew_ns)
        for a in result.arrivals[:MOST]
    ]  # fmt: skip
    columns = (
        _column("process group"), _column("collective"), Column("ranks", "count", "In the table."),
        Column("calls", "count", "Calls that every one of these ranks has."),
        _column("transfer", "ns"), _column("arrival skew", "ns"),
        Column("largest skew", "ns", "Of one call."), _column("comes last"),
        Column("calls it was last in", "count"),
        Column("skew of these", "ns", "Arrival skew of the calls that it was last in."),
    )  # fmt: skip
    note = (
        "Calls are met by their number in the group"
        if all(a.met_by == "number" for a in result.arrivals)
        else "Calls without a number are met by their order, where all ranks have as many of the "
        "same sizes"
    )
    return Grid("arrivals", "Who comes late", columns, rows, f"{note}.")


def _waiting(result: Collectives) -> Grid:
    rows = sorted(
        ((w.rank, w.count, w.waited_ns, w.waited_ns / w.window_ns if w.window_ns else None,
          w.last_count) for w in result.waiting),
        key=lambda row: (-row[4], row[2]),
    )[:MOST]  # fmt: skip
    columns = (
        Column("rank"), Column("calls", "count", "In the table above."), _column("waited", "ns"),
        Column("of its window", "share", "Waited over the window of its device."),
        Column("came last", "count", "Calls in which the others waited for it."),
    )  # fmt: skip
    return Grid("waiting", "What each rank waited", columns, rows)


def charts(result: Collectives) -> list[figures.Chart]:
    if result.waiting:
        return [_waiting_chart(result)]
    rows = result.rows[:20]
    labels = [f"{r.name}, {r.group or 'group not named'}, {_device(r.rank, r.device)}"
              for r in rows]  # fmt: skip
    exposed, total = sum(r.exposed_ns for r in result.rows), sum(r.total_ns for r in result.rows)
    return [
        figures.split_bars(
            "collectives",
            f"Communication kernels took {duration(total)}, {duration(exposed)} of it with no "
            "other kernel beside",
            labels,
            {"exposed": [r.exposed_ns for r in rows],
             "covered": [r.total_ns - r.exposed_ns for r in rows]},
            of="time of communication kernels",
            summary="Time of each collective, exposed and covered by other kernels.",
            table="collectives",
        )
    ]  # fmt: skip


def _waiting_chart(result: Collectives) -> figures.Chart:
    rows = sorted(result.waiting, key=lambda w: w.waited_ns)[:40]
    late = rows[0]
    return figures.split_bars(
        "waiting",
        f"{late.rank} waits least, {duration(late.waited_ns)}: the others waited for it in "
        f"{plural(late.last_count, 'call')} of {late.count:,}",
        [row.rank for row in rows],
        {"waited": [row.waited_ns for row in rows]},
        of="time waited for other ranks",
        summary="How long each rank's collectives waited for ranks that came later.",
        table="waiting",
    )


def _device(rank: str | None, device: int) -> str:
    return named(rank, f"device {device}")


ANALYSIS = Analysis(
    title="Communication between ranks",
    question="How long did each collective run, at which rate, and who was waited for?",
    run=collectives,
    merge=merge,
    tables=tables,
    charts=charts,
    needs=frozenset({"collectives", "shapes"}),
    definitions=DEFINITIONS,
    order=62,
)
