"""Every number that a report shows, with its label, its unit and what it is of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tracekit.answers.devices import Devices
from tracekit.answers.findings import Findings
from tracekit.answers.stages import PHASES
from tracekit.report.html.tables import is_prose
from tracekit.report.one.overview import Overview, overview
from tracekit.results import catalog
from tracekit.results.answers import Answers
from tracekit.results.figures import Chart
from tracekit.results.result import Grid
from tracekit.results.units import duration
from tracekit.taxonomy import FindingKind


class Shown(NamedTuple):
    """`value` is the text that a reader sees."""

    label: str
    unit: str
    frame: str  # 'device 0', 'stage decode'
    value: str
    where: str


# the first column of a table says what its rows are of
FRAMES = {"stage": "stage", "device": "device", "part": "part"}
TILES = {"Device window": ("window", "ns"), "GPU busy": ("busy share", "share"),
         "GPU idle": ("idle share", "share")}  # fmt: skip
STAGE_CHARTS = ("stage-bar", "stages", "launched")


def numbers(one: Answers) -> list[Shown]:
    """Of one trace: large numbers, tables, charts, sentences and findings."""
    view = overview(one)
    found = [*_tiles(view, one), *_findings(one)]
    for grid in (*view.grids, *view.opened):
        found += _grid("first screen", grid)
    for chart in view.charts:
        found += _chart("first screen", chart)
    for name, result in one.answers.items():
        entry = catalog.analysis(name)
        for grid in entry.tables(result):
            found += _grid(name, grid)
        for chart in entry.charts(result):
            found += _chart(name, chart)
    return [*found, *_sentences(view)]


def contradictions(found: Iterable[Shown]) -> list[tuple[Shown, Shown]]:
    """Pairs of one label, unit and frame whose values differ."""
    first: dict[tuple[str, str, str], Shown] = {}
    out = []
    for number in found:
        known = first.setdefault(number[:3], number)
        if known.value != number.value:
            out.append((known, number))
    return out


def _tiles(view: Overview, one: Answers) -> Iterator[Shown]:
    """Of the devices: of several the ends of the range, on the devices that they are of."""
    devices = one.get(Devices)
    for tile in view.tiles if devices is not None else ():
        if tile.label not in TILES:
            continue
        label, unit = TILES[tile.label]
        ends = tile.value.replace("\u00a0", " ").split(" – ")
        if len(devices.rows) == 1:
            frame = f"device {devices.rows[0].device}"
            yield Shown(label, unit, frame, ends[0], f"tile {tile.label}")
            if unit == "share":
                yield Shown(label.removesuffix(" share"), "ns", frame, tile.sub, "tile, below")
        elif named := re.fullmatch(r"least device (\d+), most device (\d+)", tile.sub):
            for place, end in enumerate(named.groups()):
                yield Shown(label, unit, f"device {end}", ends[-place], f"tile {tile.label}")


K = FindingKind
OF_A_DEVICE = frozenset(
    {K.LAUNCH_BOUND, K.BETWEEN_STEPS, K.HOST_WORK, K.HOST_SYNC, K.DATA_LOADING, K.ALLOCATION,
     K.INITIALISATION, K.COMPILED, K.LAUNCH_LATENCY, K.STREAM_WAIT, K.DEVICE_IDLE, K.COLLECTIVE,
     K.COPY, K.SATURATED, K.RECORD_MORE}
)  # fmt: skip
# what the numbers of a finding are called in tables, where it is of a whole device
SAID = {"window_ns": "window", "busy_ns": "busy", "exposed_ns": "exposed communication",
        "communication_ns": "communication"}  # fmt: skip


def _findings(one: Answers) -> Iterator[Shown]:
    found, devices = one.get(Findings), one.get(Devices)
    for row in found.rows if found is not None and devices is not None else ():
        only = devices.rows[0].device if len(devices.rows) == 1 else None
        device = row.device if row.device is not None else only
        for key, value in row.numbers.items():
            named = key in SAID and not (key == "exposed_ns" and row.kind is K.COPY)
            if named and device is not None and row.kind in OF_A_DEVICE:
                yield Shown(SAID[key], "ns", f"device {device}", duration(value),
                            f"finding {row.kind}")  # fmt: skip


IDLE_FOR = re.compile(r"(?P<of>.*): GPU idle for (?P<part>[\d.]+%) of its (?P<whole>[a-z]+)")


def _sentences(view: Overview) -> Iterator[Shown]:
    for text in view.limits:
        if said := IDLE_FOR.match(text):
            by = "idle in GPU window" if said["whole"] == "window" else "idle in wall time"
            stage = said["of"] if said["of"].lower() not in PHASES else said["of"].lower()
            yield Shown(f"{by}, share", "share", f"stage {stage}", said["part"], "sentence")


def _grid(analysis: str, grid: Grid) -> Iterator[Shown]:
    kind = FRAMES.get(grid.columns[0].label) if grid.columns else None
    rows = [*grid.rows, *([grid.total] if grid.total is not None else [])]
    many = Counter(row[0] for row in rows)
    for row in rows if kind else ():
        if many[row[0]] == 1:  # else the rows are of parts of it
            for column, value in zip(grid.columns[1:], row[1:], strict=True):
                if column.unit != "text" and value is not None:
                    yield Shown(column.label, column.unit, f"{kind} {row[0]}",
                                column.show(value), f"table {analysis}/{grid.key}")  # fmt: skip


def _chart(analysis: str, chart: Chart) -> Iterator[Shown]:
    kind = "stage " if chart.key in STAGE_CHARTS else "" if chart.key == "devices" else None
    if kind is None:
        return
    of = chart.layout["xaxis"]["title"]["text"].partition(" of ")[2]
    mean = ", mean" if of.endswith(", mean") else ""
    for trace in chart.data:
        for row, name, value, _ in trace["customdata"]:
            if value:
                yield Shown(f"{name}{mean}", "ns", f"{kind}{row}", value,
                            f"chart {analysis}/{chart.key}")  # fmt: skip


def texts(one: Answers) -> Iterator[str]:
    """Every text of ours that a report shows: sentences, titles, heads, notes, cells of prose."""
    view = overview(one)
    yield from (*view.headlines, *view.limits, *view.notes)
    yield from (verdict.text for verdict in view.verdicts)
    for tile in view.tiles:
        yield from (f"{tile.label} {tile.value} {tile.sub}", tile.definition)
    for finding in view.findings:
        yield from (finding.claim, finding.saves, finding.todo)
    grids, charts = [*view.grids, *view.opened], [*view.charts]
    for name, result in one.answers.items():
        entry = catalog.analysis(name)
        grids += entry.tables(result)
        charts += entry.charts(result)
        yield from (entry.title, entry.question, *entry.definitions, *entry.definitions.values())
    for chart in charts:
        yield from (chart.title, chart.summary)
    for grid in grids:
        yield from (grid.title, grid.note)
        for column in grid.columns:
            yield from (column.label, column.definition)
        for row in grid.rows:
            yield from (cell for cell in row if isinstance(cell, str) and is_prose(cell))
    yield from (*one.unanswered.values(), *one.hints.values())
