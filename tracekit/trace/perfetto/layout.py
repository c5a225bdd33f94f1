"""Traces that Perfetto imports whole: exact times, nothing that overlaps on one row.

Perfetto drops a slice that starts inside another of its row and ends after it, and reads times as
doubles. Both are mended here on the events of a file, in integer ns; no slice is lost, and none
but the profiler's own bookkeeping frames changes its times.
"""

from __future__ import annotations

import gzip
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from queue import Queue
from typing import Any

import msgspec
import numpy as np

from tracekit.files import writing, writing_new
from tracekit.trace.columns.documents import document
from tracekit.trace.perfetto.microseconds import us
from tracekit.trace.perfetto.rows import NONE, Event, kept_whole, time
from tracekit.trace.perfetto.settle import Settled
from tracekit.trace.perfetto.settle import settle as settled

_AHEAD = 4  # blocks of text that wait to be compressed


# ---------------------------------------------------------------- files


def read(path: str | Path) -> dict[str, Any]:
    """A trace's JSON with every number as written: decimals are `Decimal`, never float.

    Raises: TracekitError for a file that cannot be read, NotATraceError for one that is no trace.
    """
    whole = document(path)
    return {**whole.meta, "traceEvents": whole.events}


def write(whole: Mapping[str, Any], path: str | Path, *, asked: bool = True) -> Path:
    """The document as JSON at `path`, gzipped if it ends in `.gz`; whole, or not there at all.

    `asked` is off where nobody named `path`: what is there keeps its name, and the new file gets
    another, which is returned.

    Text is UTF-8 and not escaped (Perfetto shows escapes as they are); no NaN is ever written.

    Raises: TracekitError where the folder cannot be written or the disk is full.
    """
    if asked:
        with writing(path) as temporary:
            _write(whole, temporary, zipped=str(path).endswith(".gz"))
        return Path(path)
    with writing_new(path) as (temporary, name):
        _write(whole, temporary, zipped=str(path).endswith(".gz"))
    return name()


def write_text(head: Mapping[str, Any], blocks: Iterable[bytes], path: str | Path) -> None:
    """As `write`, of a document without its events, and these as text: blocks of several each."""
    with writing(path) as temporary:
        _write_text(head, blocks, temporary, zipped=str(path).endswith(".gz"))


def _write(whole: Mapping[str, Any], path: Path, *, zipped: bool) -> None:
    encode = msgspec.json.Encoder(decimal_format="number").encode
    events = iter(whole["traceEvents"])
    head = {key: value for key, value in whole.items() if key != "traceEvents"}
    some = iter(lambda: list(itertools.islice(events, 1000)), [])
    _write_text(head, (b",\n".join(map(encode, each)) for each in some), path, zipped=zipped)


def _write_text(
    head: Mapping[str, Any], blocks: Iterable[bytes], path: Path, *, zipped: bool
) -> None:
    first = msgspec.json.Encoder(decimal_format="number").encode(head)[:-1]
    with path.open("wb") as raw:
        texts = _whole_text(first + (b"," if head else b""), blocks)
        if not zipped:
            raw.writelines(texts)
            return
        # no name and no time in the gzip header: the same events give the same bytes
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
            _write_on_a_thread(texts, out)


def _whole_text(head: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    yield head + b'"traceEvents":[\n'
    before = b""
    for block in blocks:
        yield before + block
        before = b",\n"
    yield b"\n]}\n"


def _write_on_a_thread(texts: Iterable[bytes], out: gzip.GzipFile) -> None:
    """Writes texts on a thread of its own: to compress them takes no interpreter."""
    waiting: Queue[bytes | None] = Queue(_AHEAD)
    faults: list[BaseException] = []

    def work() -> None:
        while (text := waiting.get()) is not None:
            if not faults:
                try:
                    out.write(text)
                except BaseException as fault:  # raised below, where it can be caught
                    faults.append(fault)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for text in texts:
            if faults:
                break
            waiting.put(text)
    finally:
        waiting.put(None)
        thread.join()
    if faults:
        raise faults[0]


# ---------------------------------------------------------------- times


def rebase(whole: dict[str, Any]) -> None:
    """Times relative to the first event, with `baseTimeNanoseconds` moved by as much.

    A double resolves 256 ns of time since the epoch; near zero it resolves every ns.
    """
    events = [event for event in whole["traceEvents"] if isinstance(event, dict)]
    times = [time(event.get("ts")) for event in events]
    starts = (at for event, at in zip(events, times, strict=True) if event.get("ph") != "M")
    origin = min((at for at in starts if at != NONE), default=0)
    move_base(whole, origin)
    for event, at in zip(events, times, strict=True):
        if at == NONE:
            continue
        event["ts"] = us(max(at - origin, 0))
        length = time(event.get("dur"))
        if length != NONE:
            event["dur"] = us(length)


def move_base(head: dict[str, Any], origin: int) -> None:
    """Moves `baseTimeNanoseconds` by where times start now."""
    base = head.get("baseTimeNanoseconds", 0)
    head["baseTimeNanoseconds"] = int(base if isinstance(base, int | Decimal) else 0) + origin


# ---------------------------------------------------------------- rows


def settle(events: list[Event]) -> Settled:
    """Changes `events` in place so that the slices of every row nest.

    Thread ids that Perfetto would fold into another thread's get one that it keeps. Bookkeeping
    frames of the profiler are cut at the ends of the marker they open or close. What still overlaps
    goes to a new row, "NAME (overlap 1)", with the flow arrows that start or end at it; new rows
    are named by events added at the end. GPU processes are named by device.

    Raises: nothing; slices without times are left as they are.
    """
    rows = kept_whole(events)
    ts, dur, tid = rows.ts.copy(), rows.dur.copy(), rows.codes["tid"].copy()
    found, added = settled(rows)
    for row in np.flatnonzero((rows.ts != ts) | (rows.dur != dur)).tolist():
        events[row]["ts"], events[row]["dur"] = us(int(rows.ts[row])), us(int(rows.dur[row]))
    for row in np.flatnonzero(rows.codes["tid"] != tid).tolist():
        events[row]["tid"] = rows.said("tid", row)
    events += added
    return found
