"""Hardware counters that CUPTI's range profiler recorded, kernel by kernel.

Their ranges have no times of their own: the profiler replays each kernel as often as its counters
need, and Kineto gives every range the same length. So nothing here is a rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from tracekit.answers.counters import Counters, KernelCounter
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural
from tracekit.trace.trace import Cat, Trace

CATEGORY = "cuda_profiler_range"
MOST = 200
DRAWN = 15


def counters(trace: Trace) -> Counters:
    """Every counter of every kernel that has a range.

    Raises: MissingEventsError for a trace without ranges of counters.
    """
    table = trace.table("counters") if trace.source.cats.get(CATEGORY) else None
    if table is None or not len(table):
        raise MissingEventsError(
            "no hardware counters", where=trace.path,
            hint="record them with experimental_config=_ExperimentalConfig(profiler_metrics=[…])",
        )  # fmt: skip
    ranges = trace.of(Cat.OTHER)
    place = np.stack([ranges.pid, ranges.ts], axis=1)
    at = {(pid, ts): row for row, (pid, ts) in enumerate(place.tolist())}
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    seen = set()
    ranged = table.columns["ranged"] == 1
    columns = {key: column[ranged].tolist() for key, column in table.columns.items()}
    for pid, ts, name, value in zip(
        columns["pid"], columns["ts"], columns["name"], columns["value"], strict=True
    ):
        row = at.get((pid, ts))
        if row is not None:
            seen.add(row)
            values[ranges.text(row), table.strings[name]].append(value)
    if not seen:
        raise MissingEventsError(
            "hardware counters without a kernel", where=trace.path, hint="see them in Perfetto"
        )
    rows = [
        KernelCounter(kernel, counter, len(some), sum(some), sum(some) / len(some), min(some),
                      max(some))
        for (kernel, counter), some in values.items()
    ]  # fmt: skip
    return Counters(_ordered(rows), len(seen))


def _ordered(rows: Iterable[KernelCounter]) -> tuple[KernelCounter, ...]:
    return tuple(sorted(rows, key=lambda r: (r.counter, -r.total, r.kernel, r.rank or "")))


def merge(one: Counters, two: Counters) -> Counters:
    """Rows of the same kernel, counter and rank added up."""
    rows: dict[tuple[str, str, str | None], KernelCounter] = {}
    for row in (*one.rows, *two.rows):
        key = (row.kernel, row.counter, row.rank)
        before = rows.get(key)
        rows[key] = row if before is None else replace(
            row, ranges=row.ranges + before.ranges, total=row.total + before.total,
            mean=(row.total + before.total) / (row.ranges + before.ranges),
            least=min(row.least, before.least), most=max(row.most, before.most),
        )  # fmt: skip
    return Counters(_ordered(rows.values()), one.ranges + two.ranges)


DEFINITIONS = {
    "counter": "As CUPTI names it; NVIDIA's Nsight Compute documentation says what each counts.",
    "ranges": "Runs of the kernel with a value; `__missing__` is what the profiler could not name.",
    "total": "Over these runs.",
}


def tables(result: Counters) -> list[Grid]:
    columns = (
        Column("kernel"), Column("counter", "text", DEFINITIONS["counter"]),
        Column("ranges", "count", DEFINITIONS["ranges"]),
        Column("total", "number", DEFINITIONS["total"]), Column("mean", "number"),
        Column("least", "number"), Column("most", "number"),
    )  # fmt: skip
    # what counts nothing anywhere would hide what does
    rows = [(r.kernel, r.counter, r.ranges, r.total, r.mean, r.least, r.most)
            for r in result.rows if r.most or r.least]  # fmt: skip
    notes = [f"{plural(result.ranges, 'range')} without times, so there are no rates."]
    if zero := len(result.rows) - len(rows):
        notes.append(f"{plural(zero, 'row')} left out here, 0 in every range.")
    title, beyond = "Hardware counters by kernel", max(len(rows) - MOST, 0)
    return [Grid("counters", title, columns, rows[:MOST], " ".join(notes), beyond=beyond)]


def charts(result: Counters) -> list[Chart]:
    """The counter that counted most, by kernel."""
    sums: dict[str, float] = defaultdict(float)
    for row in result.rows:
        sums[row.counter] += row.total
    top = max(sums, key=lambda name: sums[name])
    rows = sorted((r for r in result.rows if r.counter == top), key=lambda r: -r.total)[:DRAWN]
    if not sums[top]:
        return []
    return [
        figures.columns(
            "counters", f"{top}, by kernel", [row.kernel for row in rows],
            {"total": [row.total for row in rows]}, unit="count", x_title="kernel", of="counter",
            summary=f"Total of {top} of each kernel.", table="counters",
        )
    ]  # fmt: skip


ANALYSIS = Analysis(
    title="Hardware counters",
    question="What did the device's own counters count, kernel by kernel?",
    run=counters,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    order=85,
)
