"""A benchmark's charts: stages by configuration, against a swept axis, request by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.bench import file, statistics
from tracekit.bench.file import Row
from tracekit.results import figures
from tracekit.results.figures import Chart, Sample

NUMERIC = ("batch_size", "prompt_tokens")
MOST = 12  # charts of one axis


def charts(content: Mapping[str, Any]) -> list[Chart]:
    """All charts of a file; none for configurations that gave no number."""
    rows = [row for row in content["configurations"] if row.get("samples")]
    if not rows:
        return []
    stages = [stage for stage in file.STAGES if stage in content["stages"]]
    many = len(content["configurations"]) > 1
    if not many:
        return [_distributions(rows[0], stages), _split(rows, stages, "bench"),
                *_in_order(rows[0], stages)]  # fmt: skip
    found: list[Chart] = []
    for axis in NUMERIC:
        found += _against(rows, stages, axis)
    return [*found, _split(rows, stages, "sweep")]


def _interval(row: Row, measure: str) -> tuple[float | None, float | None]:
    """Of the median: over fresh processes where there are several, else over the values."""
    runs = [file.measures(run).get(measure, []) for run in file.by_run(row)]
    if len(runs) > 1:
        return statistics.interval_of_runs(runs)
    return statistics.median_interval(runs[0]) if runs and len(runs[0]) else (None, None)


def _distributions(row: Row, stages: Sequence[str]) -> Chart:
    """Every request of each stage, and of the latencies."""
    times = file.measures(row)
    shown = [("TTFT", "ttft"), ("TPOT", "tpot"), ("inter-token", "itl"),
             *((stage, stage) for stage in stages)]  # fmt: skip
    samples = [
        Sample(label, times[key], _median(times[key]) or 0.0, *_interval(row, key))
        for label, key in shown if times.get(key)
    ]  # fmt: skip
    return figures.strip(
        "distributions", "Every request: each dot is one, in the order in which they ran", samples,
        of="wall time", table="bench",
        summary="Each value of each stage and latency, its median and the interval of the median; "
        "a row that leans shows drift",
    )  # fmt: skip


def _median(values: Sequence[float] | None) -> float | None:
    found = statistics.summarize(values or ())
    return None if found is None else found.median


def _split(rows: Sequence[Row], stages: Sequence[str], table: str) -> Chart:
    times = [file.measures(row) for row in rows]
    parts = {stage: [_median(one.get(stage)) for one in times] for stage in stages}
    labels = [file.label(row) or "request" for row in rows]
    return figures.split_bars(
        "stages", "Median time of each stage", labels, parts, of="wall time", table=table,
        summary="Median wall time of each stage, one bar a configuration",
    )  # fmt: skip


def _against(rows: Sequence[Row], stages: Sequence[str], axis: str) -> list[Chart]:
    """Stage time against one swept axis, a chart for each choice of the other axes."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        axes = dict(row.get("axes") or {})
        if axes.pop(axis, None) is not None:
            groups.setdefault(file.label({"axes": axes}), []).append(row)
    name = axis.replace("_", " ")
    found = []
    for place, (others, members) in enumerate(list(groups.items())[:MOST]):
        members.sort(key=lambda row: row["axes"][axis])
        if len(members) < 2:
            continue
        times = [file.measures(row) for row in members]
        series = {
            label: [_median(one.get(key)) for one in times]
            for label, key in (*((s, s) for s in stages), ("TPOT", "tpot"))
        }
        spans = {
            label: [_interval(row, key) for row in members]
            for label, key in (*((s, s) for s in stages), ("TPOT", "tpot"))
        }
        found.append(figures.lines(
            f"{axis}-{place}", f"Stage time against {name}" + (f" ({others})" if others else ""),
            [row["axes"][axis] for row in members], series, x_title=name, of="median wall time",
            spans=spans, swept=True, table="sweep",
            summary=f"Median wall time of each stage as {name} grows, with its 95 % interval",
        ))  # fmt: skip
    return found


def _in_order(row: Row, stages: Sequence[str]) -> list[Chart]:
    times = file.measures(row)
    whole = times["request"]
    found = [figures.lines(
        "order", "Requests in the order in which they ran", list(range(len(whole))),
        {stage: times[stage] for stage in stages if len(times.get(stage, ())) == len(whole)},
        x_title="request", of="wall time", table="bench",
        summary="Wall time of each stage, request by request: a level line is a quiet machine",
    )]  # fmt: skip
    steps = [sample["steps"] for sample in row["samples"] if sample.get("steps")]
    longest = max(map(len, steps), default=0)
    if longest > 1:
        each = [[one[i] for one in steps if len(one) > i] for i in range(longest)]
        found.append(figures.lines(
            "itl", "Time of each token after the first", list(range(2, longest + 2)),
            {"median": [_median(v) for v in each], "slowest": [max(v) for v in each]},
            x_title="token", of="inter-token latency", table="bench",
            summary="Time from one token to the next, over the requests, token by token",
        ))  # fmt: skip
    return found
