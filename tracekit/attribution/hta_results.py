"""Holistic Trace Analysis (HTA) asked about the same file.

HTA reads the file itself, logs much and prints; its faults are part of the answer, not ours, so
they come back as `HtaError` with what it said.
Source: https://github.com/facebookresearch/HolisticTraceAnalysis, MIT.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracekit import extras
from tracekit.trace.categories import category
from tracekit.trace.spans.intervals import Spans
from tracekit.trace.trace import GPU_WORK

ROUNDING = "HTA_DISABLE_NS_ROUNDING"


class HtaError(Exception):
    """HTA could not answer; the text is what it said."""


@contextlib.contextmanager
def _quiet(exact: bool = False) -> Iterator[None]:
    """HTA without its logs and prints; `exact` keeps the nanoseconds that it rounds by default.

    Raises: HtaError for whatever it raises.
    """
    before, level = os.environ.get(ROUNDING), logging.root.manager.disable
    try:
        if exact:
            os.environ[ROUNDING] = "1"
        logging.disable(logging.CRITICAL)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    except Exception as fault:  # a foreign library on a foreign file may raise anything
        said = " ".join(str(fault).split()) or "no message"
        raise HtaError(f"{type(fault).__name__}: {said[:200]}") from fault
    finally:
        logging.disable(level)
        if exact:
            os.environ.pop(ROUNDING, None)
            if before is not None:
                os.environ[ROUNDING] = before


def version() -> str:
    """The installed version of HTA. Raises: TracekitError without it."""
    extras.need("hta", "hta", where="Holistic Trace Analysis")
    from importlib.metadata import version as installed

    return installed("holistictraceanalysis")


def load(path: str, *, exact: bool = False) -> Any:
    """HTA's own `TraceAnalysis` of one file, its last profiler step included.

    Raises: HtaError where HTA cannot load it; TracekitError without HTA.
    """
    extras.need("hta", "hta", where="Holistic Trace Analysis")
    if not Path(path).is_file():
        raise HtaError("reads files only, and this is no file")
    with _quiet(exact):
        from hta.trace_analysis import TraceAnalysis

        return TraceAnalysis(trace_files={0: str(Path(path))}, include_last_profiler_step=True)


@dataclass(frozen=True, slots=True)
class Rows:
    """What HTA takes for GPU work: rows with a stream. Spans in ns from its own first event."""

    real: Spans  # of kernels, copies and fills
    every: Spans
    others: dict[str, int]  # count by category of the rows that are no GPU work


def gpu_rows(path: str) -> Rows:
    """The rows of the file that HTA takes for GPU work, unrounded. Raises: HtaError."""
    asked = load(path, exact=True)
    with _quiet():
        frame = asked.t.get_trace(0)
        names = asked.t.symbol_table.get_sym_table()
        frame = frame[frame["stream"].ne(-1)]
        cats = [str(names[int(code)]) for code in frame["cat"]]
        start = np.rint(frame["ts"].to_numpy(float) * 1000).astype(np.int64)
        end = start + np.rint(frame["dur"].to_numpy(float) * 1000).astype(np.int64)
    spans = np.stack([start, end], axis=1).reshape(-1, 2)
    real = np.array([category(cat) in GPU_WORK for cat in cats], bool)
    others: dict[str, int] = {}
    for cat, own in zip(cats, real.tolist(), strict=True):
        if not own:
            others[cat] = others.get(cat, 0) + 1
    return Rows(spans[real], spans, others)


@dataclass(frozen=True, slots=True)
class Temporal:
    """Of GPU work: window = busy + idle."""

    window_ns: int  # first start to last end
    busy_ns: int
    idle_ns: int


def temporal(path: str) -> Temporal:
    """HTA's temporal breakdown. Raises: HtaError."""
    asked = load(path)
    with _quiet():
        row = asked.get_temporal_breakdown(visualize=False).iloc[0]
        window, idle = float(row["kernel_time(us)"]), float(row["idle_time(us)"])
    return Temporal(round(window * 1000), round((window - idle) * 1000), round(idle * 1000))


@dataclass(frozen=True, slots=True)
class Waits:
    """Idle time in ns by stream, as HTA classes it."""

    host_wait: Mapping[int, int]
    kernel_wait: Mapping[int, int]
    other: Mapping[int, int]


def idle(path: str) -> Waits:
    """HTA's idle breakdown. Raises: HtaError."""
    asked = load(path)
    out: dict[str, dict[int, int]] = {}
    with _quiet():
        frame, _ = asked.get_idle_time_breakdown(ranks=[0], visualize=False)
        for _, row in frame.iterrows():
            category = out.setdefault(str(row["idle_category"]), {})
            category[int(row["stream"])] = round(float(row["idle_time"]) * 1000)
    return Waits(out.get("host_wait", {}), out.get("kernel_wait", {}), out.get("other", {}))


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of the critical path."""

    name: str  # of the slice it stands for
    bound_by: str  # HTA's word for the cause, empty for a dependency
    kind: str  # HTA's type of edge
    ns: int
    on_gpu: bool


def critical_path(
    path: str, annotation: str, instance: int, overlay: Path | None = None
) -> list[Edge]:
    """The edges of the critical path of one annotation instance, in no order.

    `instance` counts host annotations of this exact name by start. With `overlay`, HTA's trace with
    the path drawn in is written there.

    Raises: HtaError where HTA fails, or finds no path.
    """
    asked = load(path)
    with _quiet():
        place = _place(asked, annotation, instance)
        found = asked.critical_path_analysis(0, annotation, place)
        if found is None:
            raise ValueError(f"no annotation named {annotation!r}")
        graph, good = found
        frame = graph.get_critical_path_breakdown() if good else None
        if frame is None or not len(frame):
            raise ValueError("no critical path found")
        edges = [
            Edge(
                str(row["s_name"]) if row["s_name"] == row["s_name"] else "",
                str(row["bound_by"]),
                str(row["type"]).removeprefix("critical_path_"),
                round(float(row["duration"]) * 1000),
                bool(row["stream"] == row["stream"] and row["stream"] >= 0),
            )
            for _, row in frame.iterrows()
        ]
    if overlay is not None:
        _overlay(asked, graph, overlay)
    return edges


def _place(asked: Any, annotation: str, instance: int) -> int:
    """HTA matches parts of names, on the GPU too: where our instance stands in its list."""
    frame = asked.t.get_trace(0)
    ids = asked.t.symbol_table.get_sym_id_map()
    alike = [code for name, code in ids.items() if annotation in name]
    rows = frame[frame.name.isin(alike)].reset_index(drop=True)
    own = rows[rows.name.eq(ids.get(annotation, -1)) & rows.stream.eq(-1)].sort_values("ts")
    if instance >= len(own):
        raise ValueError(f"{annotation!r} has {len(own)} instances")
    return int(own.index[instance])


def _overlay(asked: Any, graph: Any, target: Path) -> None:
    """HTA writes slices that cross, which Perfetto would drop: they are mended on the way.

    All slices are kept: without those beside the path the launch arrows would hang in the air.
    """
    import tempfile

    from tracekit.trace.perfetto.export import export

    with tempfile.TemporaryDirectory() as folder:
        with _quiet():
            made = asked.overlay_critical_path_analysis(
                0, graph, folder, only_show_critical_events=False
            )
        export(made, target)
