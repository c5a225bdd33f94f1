"""Holistic Trace Analysis (HTA) asked about the same file.

HTA reads the file itself, logs much and prints. What its own code raises is part of the answer and
comes back as `HtaError` with what it said; a fault of ours stays ours, and one of the machine (no
such file, no space, a broken installation) is said to be that.
Source: https://github.com/facebookresearch/HolisticTraceAnalysis, MIT.
"""

from __future__ import annotations

import contextlib
import io
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tracekit import extras, files
from tracekit.errors import TracekitError
from tracekit.records import Record
from tracekit.trace.categories import category
from tracekit.trace.spans.intervals import Spans
from tracekit.trace.trace import GPU_WORK

T = TypeVar("T")
NAME = "Holistic Trace Analysis"
FAILS_WITH_PANDAS = 3  # HTA 0.5: the critical path, and several loads
ROUNDING = "HTA_DISABLE_NS_ROUNDING"


class HtaError(Exception):
    """HTA could not answer; the text is what it said."""


@contextlib.contextmanager
def _quiet(exact: bool = False) -> Iterator[None]:
    """HTA without its logs and prints; `exact` keeps the nanoseconds that it rounds by default.

    Raises: HtaError for whatever HTA's code raises; TracekitError for a fault of the machine.
    """
    import logging  # which no analysis of our own needs

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
        if not _in_hta(fault):
            raise
        said = " ".join(str(fault).split()) or "no message"
        if isinstance(fault, ImportError):
            raise TracekitError(
                f"cannot be loaded ({type(fault).__name__}: {said[:200]})",
                where=NAME,
                hint=extras.install("hta"),
            ) from fault
        if isinstance(fault, OSError) and fault.errno is not None:  # a damaged file has no number
            raise TracekitError(
                f"stopped ({fault.strerror or said})",
                where=fault.filename or NAME,
                hint="check the path and the space left",
            ) from fault
        raise HtaError(f"{type(fault).__name__}: {said[:200]}") from fault
    finally:
        logging.disable(level)
        if exact:
            os.environ.pop(ROUNDING, None)
            if before is not None:
                os.environ[ROUNDING] = before


def _in_hta(fault: Exception) -> bool:
    """Whether a line of HTA's was being run, in whatever library below it the fault arose."""
    lines = traceback.walk_tb(fault.__traceback__)
    return any(frame.f_globals.get("__name__", "").split(".")[0] == "hta" for frame, _ in lines)


def version() -> str:
    """The installed version of HTA. Raises: TracekitError without it."""
    _installed()
    from importlib.metadata import version as installed

    return installed("holistictraceanalysis")


def _installed() -> None:
    """Raises: TracekitError without HTA, or with a pandas on which it fails whatever the trace."""
    extras.need("hta", "hta", where=NAME)
    import pandas as pd

    if int(pd.__version__.split(".")[0]) >= FAILS_WITH_PANDAS:
        raise TracekitError(
            f"works with pandas below {FAILS_WITH_PANDAS}, and {pd.__version__} is installed",
            where=NAME,
            hint=extras.install("hta"),
        )


@contextlib.contextmanager
def loaded(path: str, *, exact: bool = False) -> Iterator[Any]:
    """HTA's own `TraceAnalysis` of one file, its last profiler step included.

    HTA goes by the file's ending, and takes a relative path for one inside its own folder: it is
    given a name that suits what the file holds.

    Raises: HtaError where HTA cannot load it; TracekitError without HTA, or for an unreadable file.
    """
    _installed()
    if not Path(path).is_file():
        raise HtaError("it reads files only, and this is no file")
    with files.scratch() as folder:
        name = _suiting(Path(path).absolute(), folder)
        with _quiet(exact):
            from hta.trace_analysis import TraceAnalysis

            asked = TraceAnalysis(trace_files={0: str(name)}, include_last_profiler_step=True)
        yield asked


def _suiting(path: Path, folder: Path) -> Path:
    """The file, or a link to it in `folder`, under an ending that says how it is stored."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as fault:
        raise TracekitError(
            f"cannot be read ({fault.strerror})", where=path, hint="check the path"
        ) from None
    if start == b"PAR1":
        raise HtaError("it reads JSON only, and this file is Parquet")
    ending = ".gz" if start[:2] == b"\x1f\x8b" else ".json"
    if path.suffix == ending:
        return path
    link = folder / f"trace{ending}"
    link.symlink_to(path)
    return link


class Rows(Record, frozen=True):
    """What HTA takes for GPU work: rows with a stream. Spans in ns from its own first event."""

    real: Spans  # of kernels, copies and memsets
    every: Spans
    others: dict[str, int]  # count by category of the rows that are no GPU work


def gpu_rows(path: str) -> Rows:
    """The rows of the file that HTA takes for GPU work, unrounded. Raises: HtaError."""
    with loaded(path, exact=True) as asked, _quiet():
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


class Temporal(Record, frozen=True):
    """Of GPU work: window = busy + idle."""

    window_ns: int  # first start to last end
    busy_ns: int
    idle_ns: int


def temporal(path: str) -> Temporal:
    """HTA's temporal breakdown. Raises: HtaError."""
    with loaded(path) as asked:
        return _temporal(asked)


def _temporal(asked: Any) -> Temporal:
    with _quiet():
        frame = asked.get_temporal_breakdown(visualize=False)
        if not len(frame):
            raise HtaError("its breakdown is empty")
        row = frame.iloc[0]
        window, idle = float(row["kernel_time(us)"]), float(row["idle_time(us)"])
    return Temporal(round(window * 1000), round((window - idle) * 1000), round(idle * 1000))


class Waits(Record, frozen=True):
    """Idle time in ns by stream, as HTA classes it."""

    host_wait: Mapping[int, int]
    kernel_wait: Mapping[int, int]
    other: Mapping[int, int]


def _idle(asked: Any) -> Waits:
    out: dict[str, dict[int, int]] = {}
    with _quiet():
        frame, _ = asked.get_idle_time_breakdown(ranks=[0], visualize=False)
        for _, row in frame.iterrows():
            category = out.setdefault(str(row["idle_category"]), {})
            category[int(row["stream"])] = round(float(row["idle_time"]) * 1000)
    return Waits(out.get("host_wait", {}), out.get("kernel_wait", {}), out.get("other", {}))


def breakdowns(path: str) -> tuple[Temporal | HtaError, Waits | HtaError]:
    """HTA's temporal and idle breakdown of a file that it loads once, or why there is none."""
    try:
        with loaded(path) as asked:
            return _or_why(_temporal, asked), _or_why(_idle, asked)
    except HtaError as fault:
        return fault, fault


def _or_why(ask: Callable[[Any], T], asked: Any) -> T | HtaError:
    try:
        return ask(asked)
    except HtaError as fault:
        return fault


class Edge(Record, frozen=True):
    """One edge of the critical path."""

    name: str  # of the slice it stands for
    bound_by: str  # HTA's word for the cause, empty for a dependency
    kind: str  # HTA's type of edge
    ns: int
    on_gpu: bool


def critical_path(
    path: str, annotation: str | None, instance: int, overlay: Path | None = None
) -> list[Edge]:
    """The edges of the critical path of one annotation instance, in no order; None: of all.

    `instance` counts host annotations of this exact name by start. With `overlay`, HTA's trace with
    the path drawn in is written there.

    Raises: HtaError where HTA fails, or finds no path.
    """
    with loaded(path) as asked:
        place = 0 if annotation is None else _place(asked, annotation, instance)
        with _quiet():
            # to HTA no name is the whole trace
            found = asked.critical_path_analysis(0, annotation or "", place)
            if found is None:
                raise HtaError(f"it finds no annotation named {annotation!r}")
            graph, good = found
            frame = graph.get_critical_path_breakdown() if good else None
        if frame is None or not len(frame):
            raise HtaError("it finds no path")
        if overlay is not None:
            _overlay(asked, graph, overlay)
    return [
        Edge(
            str(row["s_name"]) if row["s_name"] == row["s_name"] else "",
            str(row["bound_by"]),
            str(row["type"]).removeprefix("critical_path_"),
            round(float(row["duration"]) * 1000),
            bool(row["stream"] == row["stream"] and row["stream"] >= 0),
        )
        for _, row in frame.iterrows()
    ]


def _place(asked: Any, annotation: str, instance: int) -> int:
    """HTA matches parts of names, on the GPU too: where our instance stands in its list.

    Raises: HtaError where HTA has left the instance out.
    """
    with _quiet():
        frame = asked.t.get_trace(0)
        ids = asked.t.symbol_table.get_sym_id_map()
    alike = [code for name, code in ids.items() if annotation in name]
    rows = frame[frame.name.isin(alike)].reset_index(drop=True)
    own = rows[rows.name.eq(ids.get(annotation, -1)) & rows.stream.eq(-1)].sort_values("ts")
    if instance >= len(own):
        raise HtaError(f"it reads {len(own)} instances of {annotation!r}")
    return int(own.index[instance])


def _overlay(asked: Any, graph: Any, target: Path) -> None:
    """HTA writes slices that cross, which Perfetto would drop: they are mended on the way.

    All slices are kept: without those beside the path the launch arrows would hang in the air.
    """
    from tracekit.trace.perfetto.export import export

    with files.scratch() as folder:
        with _quiet():
            made = asked.overlay_critical_path_analysis(
                0, graph, str(folder), only_show_critical_events=False
            )
        export(made, target)
