"""A Kineto file into a Trace: any size, plain or gzip, whole or damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tracekit.errors import DamagedTraceError, NotATraceError
from tracekit.trace import cache, metadata, snapshot
from tracekit.trace.columns.assemble import Assembly
from tracekit.trace.columns.decode import CUT, UNCLOSED
from tracekit.trace.columns.workers import is_large, processes_for, reads
from tracekit.trace.json.outline import Outline, closing, outline
from tracekit.trace.json.source import Text, opened
from tracekit.trace.trace import TABLES, Loss, Source, Table, Trace, empty

_HINT = "give a torch.profiler trace (.json, .json.gz)"


def load(
    path: str | Path,
    *,
    tables: frozenset[str] = frozenset(),
    strict: bool = False,
    processes: int | None = None,
    snapshots: bool = False,
) -> Trace:
    """The trace in a file; `tables` names side tables to read in the same pass.

    `path`: a file (also one of `tracekit convert`), `-` for standard input, or an address that
    fsspec knows. `processes` is chosen by size where it is None. With `snapshots` a memory snapshot
    of PyTorch is a trace without slices. What is damaged is left out and said in `source.losses`.

    Raises: NotATraceError with what the file is instead, DamagedTraceError (with `strict`, for any
    loss), TracekitError for a file that cannot be read, KeyError for an unknown table.
    """
    if unknown := sorted(set(tables) - set(TABLES)):
        raise KeyError(unknown[0])
    with opened(path) as text:
        if text.starts_with(b"PAR1"):
            from tracekit.trace import parquet  # takes longer to import than most traces to read

            trace = parquet.read(text.path)
        elif snapshots and snapshot.is_one(text.read(0, 2)):
            held = snapshot.read(text.path, text.name)
            trace = empty(Source(text.name, text.stored, text.stored, snapshot=held))
        else:
            trace = _kept(text, frozenset(tables), processes)
    if strict and trace.source.losses:
        raise DamagedTraceError(
            "; ".join(map(_words, trace.source.losses)),
            where=trace.path,
            hint="read it without strict to use what can be read",
        )
    return trace


def _kept(text: Text, tables: frozenset[str], processes: int | None) -> Trace:
    """The trace from the cache; where it is not there, from the file."""
    # plain text takes the scanner no longer than its hash would take
    quick = is_large(text) and not text.compressed and _kernel() is not None
    entry = None if quick else cache.entry(text, tables)
    if entry is None:
        return _read(text, tables, processes)
    trace = cache.load(entry, text, _Reread(text))
    if trace is None:
        trace = _read(text, tables, processes)
        cache.store(entry, trace)
    return trace


def _read(text: Text, tables: frozenset[str], processes: int | None) -> Trace:
    found = outline(text)
    assembly = Assembly(tables)
    count = processes_for(text) if processes is None else processes
    if not (is_large(text) and _scanned(text, found.first, assembly, count)):
        for read in reads(text, found.first, tables, count):
            assembly.add(read)
    losses = _around(text, found, assembly)
    if not any(read.events for read in assembly.reads.values()):
        whole = not any(read.damage for read in assembly.reads.values())
        raise NotATraceError(
            "no events in it" if whole else "no whole event in it", where=text.name, hint=_HINT
        )
    source: dict[str, Any] = {
        "path": text.name,
        "bytes": text.stored,
        "text_bytes": text.size or 0,
        "meta": metadata.typed(found.meta),
        "reread": _Reread(text),
    }
    trace = assembly.trace(source, losses, count)
    if not any(trace.source.events) and not trace.source.losses:
        what = "a list of JSON objects, but not of events: none has a `ph`"
        raise NotATraceError(what, where=text.name, hint=_HINT)
    return trace


def _kernel() -> Callable[[int], int] | None:
    """The compiled scanner; imported for large texts only."""
    from tracekit.trace.scan import machine

    return machine.kernel()


def _scanned(text: Text, first: int, assembly: Assembly, threads: int) -> bool:
    """Whether the compiled scanner is there and has read all pieces; it does where it can."""
    kernel = _kernel()
    if kernel is None:
        return False
    from tracekit.trace.scan import threads as scan

    # it does not mind pieces that are read twice: the same text gives the same columns
    try:
        for read in scan.reads(text, first, assembly.wanted, kernel, assembly.texts, threads):
            assembly.add(read)
    except scan.UnusualFormError:
        text.again()
        return False
    return True


def _around(text: Text, found: Outline, assembly: Assembly) -> list[Loss]:
    """Reads what follows the events; what is wrong there and before them."""
    losses = [Loss(f"{name} is malformed", bytes_lost=None) for name in found.oddities]
    end = assembly.end()
    if end is not None:
        at, read = end
        tail = read.tail if read.last else _from(text, at)
        losses += [Loss(what, at_byte=at) for what in closing(found, tail)]
    text.drain()  # another process may have read the end
    if text.fault:
        losses.append(Loss(text.fault, at_byte=text.size))
    return losses


def _from(text: Text, at: int) -> bytes:
    again = Text(text.path, text.name)
    try:
        return again.read(at)
    finally:
        again.close()


class _Reread:
    """Side tables of a file that was read before."""

    def __init__(self, text: Text) -> None:
        self.path, self.name = text.path, text.name
        self.state = self._state()

    def _state(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def __call__(self, names: frozenset[str]) -> Mapping[str, Table]:
        if self.state is None or self._state() != self.state:
            raise NotATraceError(
                "has changed since it was read", where=self.name, hint="run the command again"
            )
        with opened(self.path) as text:
            return _read(text, names, None).tables


def _words(loss: Loss) -> str:
    where = "" if loss.at_byte is None else f" at byte {loss.at_byte:,}"
    return f"{loss.what}{where}"


__all__ = ["CUT", "UNCLOSED", "load"]
