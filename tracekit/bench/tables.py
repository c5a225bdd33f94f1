"""A benchmark's numbers as grids: one configuration in full, a sweep a row each, two files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.bench import file, statistics
from tracekit.bench.file import DEFINITIONS, Row
from tracekit.results import units
from tracekit.results.result import Column, Grid

MOST_LENGTHS = 12  # lines of a table by prompt length

TIMES = (
    Column("", "text"),
    Column("mean", "ns", "Arithmetic mean over the requests (for itl, over the tokens)."),
    Column("± std", "ns", "Standard deviation of the sample, n - 1."),
    Column("median", "ns"),
    Column("p95", "ns", "95th percentile, linearly interpolated; from 20 values on."),
    Column("p99", "ns", "99th percentile, linearly interpolated; from 100 values on."),
    Column("min", "ns"),
    Column(
        "median from",
        "ns",
        "Lower end of the median's 95 % interval: from order statistics, or, of several fresh "
        "processes, Student's of their medians.",
    ),
    Column("to", "ns", "Upper end of it."),
    Column("n", "count", "How many values."),
)


def full(content: Mapping[str, Any], row: Row) -> list[Grid]:
    """The grids of one configuration of a file: times, then rates and resources."""
    rows: list[tuple[Any, ...]] = []
    runs = [file.measures(run) for run in file.by_run(row)]
    for name, values in file.measures(row).items():
        found = statistics.summarize(values)
        assert found is not None
        low, high = found.low, found.high
        if len(runs) > 1:
            low, high = statistics.interval_of_runs([run.get(name, []) for run in runs])
        rows.append((
            _name(name), found.mean, found.std, found.median, found.p95, found.p99, found.minimum,
            low, high, found.count,
        ))  # fmt: skip
    said = [*(f"{stage}: the model has none" for stage in content["absent_stages"]), *notes(row)]
    said += (row.get("facts") or {}).get("notes") or ()
    title = f"Wall time, {file.label(row)}" if row.get("axes") else "Wall time"
    grids = [Grid("bench", title, TIMES, rows, note="; ".join(said)), resources(content, row)]
    each = by_length(row)
    return [grids[0], each, grids[1]] if each is not None else grids


def by_length(row: Row) -> Grid | None:
    """TTFT by the length of the prompt; None where all requests have one length.

    Lengths beyond MOST_LENGTHS are put together with their neighbours, as many in each line.
    """
    lengths = list(file.lengths(row).items())
    if len(lengths) < 2:
        return None
    size = -(-len(lengths) // MOST_LENGTHS)
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(lengths), size):
        group = lengths[start : start + size]
        samples = [sample for _, some in group for sample in some]
        times = file.measures({"samples": samples})
        rows.append((
            _range([length for length, _ in group]), _median(times.get("ttft", [])),
            _median(times.get("prefill", [])), len(samples),
        ))  # fmt: skip
    columns = (
        Column("tokens in", "text", "Positions that prefill filled of each row."),
        Column("TTFT", "ns", f"Median. {DEFINITIONS['ttft']}"),
        Column("prefill", "ns", "Median."),
        Column("n", "count", "How many requests."),
    )
    return Grid("ttft_by_length", "TTFT by prompt length", columns, rows)


def _range(values: Sequence[int]) -> str:
    """The least and the most of some whole numbers, as text; one number where they are alike."""
    least, most = min(values), max(values)
    return units.count(least) if least == most else f"{units.count(least)} to {units.count(most)}"


def _name(measure: str) -> str:
    return (
        measure.upper() if measure in ("ttft", "tpot", "itl") else measure.replace("ttft", "TTFT")
    )


def resources(content: Mapping[str, object], row: Row) -> Grid:
    """Rates, tokens, memory, energy: one figure a line, each in its own unit as text."""
    columns = (Column("", "text"), Column("value", "text"), Column("definition", "text"))
    lines: list[tuple[str, str, str]] = []
    for name, values in file.rates(row).items():
        found = statistics.summarize(values)
        assert found is not None
        lines.append((name, f"{found.median:,.1f} (median)", DEFINITIONS[name]))
    filled = list(file.lengths(row))
    if filled:
        made = [max(sample.get("tokens") or [0]) for sample in row.get("samples", ())]
        lines.append(("tokens in", _range(filled), "Of each row, sensor included."))
        lines.append(("tokens out", _range(made), "Of each row."))
    memory = row.get("memory") or {}
    peak = memory.get("device_peak_bytes")
    lines.append(("device memory", units.bytes_(peak), "Most bytes that tensors held at once."))
    host = memory.get("host_peak_bytes")
    lines.append(("host memory", units.bytes_(host), "Most bytes of the process at once."))
    joules = row.get("joules_per_request")
    energy = "not measured" if joules is None else f"{joules:,.2f} J"
    lines.append(("energy a request", energy, "Of the whole GPU, by its own counter (NVML)."))
    share = bandwidth(row, device_name(content))
    if share is not None:
        lines.append((
            "MBU of decode", units.share(share.used),
            f"Weights and cache read a token ({units.bytes_(share.bytes)}) / TPOT / "
            f"{units.rate(share.peak, 'B/s')}; {units.share(share.weights_only)} by weights alone.",
        ))  # fmt: skip
    return Grid("resources", "Rates and resources", columns, lines)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """How much of the memory bandwidth decode used: MBU."""

    used: float  # share of the peak, weights and cache
    weights_only: float
    bytes: float  # read for a step, all rows of the batch
    peak: float  # bytes/s


def device_name(content: Mapping[str, Any]) -> str:
    """The device's name as the driver has it; empty where it is not in the file."""
    return str(((content.get("environment") or {}).get("device") or {}).get("name") or "")


def bandwidth(row: Row, device: str) -> Bandwidth | None:
    """Memory bandwidth utilization of decode; None where bytes or the device's peak are unknown.

    Bytes of a step: every weight that a pass reads, once, and keys and values of all positions,
    the mean over the steps, of every row. Over the median TPOT, over the datasheet's peak.

    Source: Databricks, LLM Inference Performance Engineering (MBU); gpt-fast uses weights alone.
    """
    from tracekit.attribution.roofline import devices

    found = devices.named(device)
    need = file.needs(row).get("decode")
    tpot = file.measures(row).get("tpot")
    if found is None or not tpot or need is None:
        return None
    total = sum(read for _, read in need.passes) / len(need.passes)
    weights = need.weight_bytes / len(need.passes)
    summary = statistics.summarize(tpot)
    assert summary is not None
    peak = found.memory_bytes_per_s
    seconds = summary.median / 1e9
    return Bandwidth(total / seconds / peak, weights / seconds / peak, total, peak)


def notes(row: Row) -> list[str]:
    """What a reader should know before quoting the numbers."""
    said = []
    runs = len(file.by_run(row))
    if runs > 1:
        said.append(f"{runs} fresh processes")
    times = file.measures(row)
    walls = times.get("request", [])
    spread, drift = statistics.spread(walls), statistics.drift(walls)
    if spread is not None and spread > statistics.NOISY:
        said.append(
            f"noisy: the middle half of the requests spans {units.share(spread)} of the median"
        )
    if drift is not None and drift > statistics.NOISY:
        said.append(f"drifting: quarters of the run differ by {units.share(drift)}")
    waiting = file.waiting(row)
    if waiting is not None and waiting > statistics.NOISY / 2:
        said.append(
            f"busy machine: in {units.share(waiting)} of a request a thread waited for a core"
        )
    warmup = row.get("warmup") or {}
    if warmup.get("ns") and not warmup.get("stable"):
        said.append(f"still changing after {len(warmup['ns'])} warm-up requests")
    reasons = {r for reading in row.get("gpu") or () for r in reading.get("throttled") or ()}
    if reasons:
        said.append(f"the GPU was slowed down: {', '.join(sorted(reasons))}")
    lengths = {tuple(sample.get("tokens") or ()) for sample in row.get("samples", ())}
    if len(lengths) > 1:
        said.append("requests have different lengths")
    if row.get("error") and row.get("samples"):
        said.append(str(row["error"]))
    return said


def swept(content: Mapping[str, Any]) -> Grid:
    """One row a configuration: medians, rates and memory; what failed says why."""
    rows: list[Sequence[Any]] = []
    configurations = content["configurations"]
    axes = list(configurations[0].get("axes") or {})
    stages = [stage for stage in file.STAGES if stage in content["stages"]]
    for one in configurations:
        place = [str((one.get("axes") or {}).get(axis)) for axis in axes]
        times = {name: _median(v) for name, v in file.measures(one).items()}
        speed = {name: _median(v) for name, v in file.rates(one).items()}
        rows.append([
            *place,
            *(times.get(name) for name in (*stages, "ttft", "tpot", "request")),
            speed.get("decode tokens/s"),
            (one.get("memory") or {}).get("device_peak_bytes"),
            one.get("error") or ", ".join(note.split(":")[0] for note in notes(one)),
        ])  # fmt: skip
    columns = (
        *(Column(axis.replace("_", " "), "text") for axis in axes),
        *(Column(stage, "ns", f"Median. {DEFINITIONS['stage']}") for stage in stages),
        Column("TTFT", "ns", f"Median. {DEFINITIONS['ttft']}"),
        Column("TPOT", "ns", f"Median. {DEFINITIONS['tpot']}"),
        Column("request", "ns", f"Median. {DEFINITIONS['request']}"),
        Column("decode", "tokens/s", f"Median. {DEFINITIONS['decode tokens/s']}"),
        Column("device memory", "bytes", "Most bytes that tensors held at once."),
        Column("note", "text"),
    )
    return Grid("sweep", "Sweep", columns, rows)


def _median(values: Sequence[float]) -> float | None:
    found = statistics.summarize(values)
    return None if found is None else found.median
