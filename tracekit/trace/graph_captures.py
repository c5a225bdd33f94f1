"""The traces in which graphs that a trace replays may have been captured: given, or beside it.

Engines capture their graphs at start-up and write that trace to a file of its own: vLLM and
TraceLens to `capture_traces/graph_capture_rank_0….json.gz`, SGLang beside the others. What a file
says of a graph is for `attribution/kernels/graphs` to judge; here it is only found and read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tracekit.errors import TracekitError
from tracekit.trace import kineto
from tracekit.trace.json.source import opened
from tracekit.trace.trace import Cat, GraphCapture, Trace

OWN = frozenset({"graph_nodes", "launched"})  # side tables of the trace that replays
TABLES = frozenset({"shapes", "ops", "python", "grids", "launched"})
_SUFFIXES = (".json", ".json.gz", ".parquet")
_NAMED = "capture"  # in the name of the file, or of its folder
_FEW = 8  # files in a folder that are searched, whatever they are called
_SEARCHED = 64 << 20  # bytes as stored: larger files are read only where their name says it
_MARK = b"StreamBeginCapture"
_BLOCK = 1 << 20


def attached(trace: Trace, given: Sequence[str | Path] = ()) -> Trace:
    """The trace with those of its captures; itself where it replays no graph, or none is there.

    Raises: TracekitError for a given file that is no trace.
    """
    if not (trace.is_(Cat.RUNTIME) & trace.named(r"(?i)graph_?launch")).any():
        return trace
    if given:
        found = tuple(GraphCapture(kineto.load(path, tables=TABLES), True) for path in given)
    else:
        found = tuple(_neighbours(Path(trace.path)))
    source = replace(trace.source, captures=found)
    return replace(trace, source=source, memo={}) if found else trace


def _neighbours(path: Path) -> Iterator[GraphCapture]:
    """Those in its folder, and in folders there that are named for captures."""
    for file in _candidates(path):
        try:
            yield GraphCapture(kineto.load(file, tables=TABLES), False)
        except TracekitError:  # a neighbour that is no trace is no fault of this one
            continue


def _candidates(path: Path) -> list[Path]:
    if not path.is_file():
        return []
    files = [one for one in _traces(path.parent) if not one.samefile(path)]
    named = [one for one in files if _NAMED in one.name.lower()]
    try:
        folders = sorted(one for one in path.parent.iterdir() if one.is_dir())
    except OSError:
        folders = []
    for folder in folders:
        if _NAMED in folder.name.lower():
            named += _traces(folder)
    if named or len(files) > _FEW:
        return named
    return [one for one in files if one.stat().st_size <= _SEARCHED and _captures(one)]


def _traces(folder: Path) -> list[Path]:
    """Files that may be traces, by their names."""
    try:
        return sorted(p for p in folder.iterdir() if p.name.endswith(_SUFFIXES) and p.is_file())
    except OSError:
        return []


def _captures(path: Path) -> bool:
    """Whether the text of a trace has a capture in it."""
    try:
        with opened(path) as text:
            before = b""
            at = 0
            while block := text.read(at, _BLOCK):
                if _MARK in before + block:
                    return True
                before, at = block[-len(_MARK) :], at + len(block)
    except TracekitError:
        return False
    return False
