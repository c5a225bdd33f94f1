"""The traces in which graphs that a trace replays may have been captured: given, or beside it.

Engines capture their graphs at start-up and write that trace to a file of its own: vLLM and
TraceLens to `capture_traces/graph_capture_rank_0….json.gz`, SGLang beside the others. What a file
says of a graph is for `attribution/kernels/graphs` to judge; here it is only found and read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tracekit.errors import TracekitError
from tracekit.patterns import later
from tracekit.records import replace
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
_BATCH = later(r"bs_(\d+)_rank(\d+)\.")
_ASKED = later(r"(?:^execute_(?=\d+_context)|step\[DECODE bs=)(\d+)")


def attached(trace: Trace, given: Sequence[str | Path] = ()) -> Trace:
    """The trace with those of its captures; itself where it replays no graph, or none is there.

    Raises: TracekitError for a given file that is no trace.
    """
    if not (trace.is_(Cat.RUNTIME) & trace.named(r"(?i)graph_?launch")).any():
        return trace
    if given:
        found = tuple(GraphCapture(kineto.load(path, tables=TABLES), True) for path in given)
    else:
        found = tuple(_neighbours(trace))
    source = replace(trace.source, captures=found)
    return replace(trace, source=source, memo={}) if found else trace


def _neighbours(trace: Trace) -> Iterator[GraphCapture]:
    """Those in its folder, and in folders there that are named for captures."""
    for file in _of_batch(trace, _candidates(Path(trace.path))):
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


def _of_batch(trace: Trace, files: Sequence[Path]) -> list[Path]:
    """Without captures of batch sizes and ranks that the trace does not run, by their names.

    SGLang writes a file for each: `bs_32_rank0.json.gz`. A batch is padded to the next size.
    """
    named = {file: (int(m[1]), int(m[2])) for file in files if (m := _BATCH.match(file.name))}
    ranks = {rank for _, rank in named.values()}
    if not named:
        return list(files)
    rank = _rank(trace)
    rank = rank if rank in ranks else min(ranks)
    sizes = sorted({size for size, own in named.values() if own == rank})
    asked = {int(n) for text in trace.strings for n in _ASKED.findall(text)}
    wanted = {size for n in asked for size in [next((s for s in sizes if s >= n), None)] if size}
    return [
        file for file in files
        if file not in named
        or (named[file][1] == rank and (not asked or named[file][0] in wanted))
    ]  # fmt: skip


def _rank(trace: Trace) -> int | None:
    """The rank that a trace is of: as it says, else by its name (`…-TP-0.trace.json.gz`)."""
    spread = trace.source.meta.get("distributedInfo")
    said = spread.get("rank") if isinstance(spread, Mapping) else None
    if isinstance(said, int):
        return said
    found = re.search(r"(?i)(?:rank|tp)[-_]?(\d+)", Path(trace.path).name)
    return int(found[1]) if found else None


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
