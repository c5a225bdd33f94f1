"""Traces drawn as text, so that the expected number can be read off the picture.

    host      aa.....bb..      1 µs a column; launch a issues kernel A
    stream 7  ..AAA....BB

A line is a track: what kind of slices it holds, an optional number (thread or stream), and a
picture without blanks; whatever follows the picture is a remark. A run of one letter is a slice, a
dot is nothing. On the tracks `host` and `stream` a letter is also the link: `a` launches every `A`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from tracekit.trace.trace import TABLES, Cat, Source, Table, Trace

PID = 100
THREAD = 1
TRACKS = {
    "host": Cat.RUNTIME,
    "op": Cat.CPU_OP,
    "mark": Cat.ANNOTATION,
    "python": Cat.PYTHON,
    "overhead": Cat.OVERHEAD,
    "sync": Cat.SYNC,
    "stream": Cat.KERNEL,
}
LINE = re.compile(
    rf"^\s*(?:device (?P<device>\d+) )?(?P<kind>{'|'.join(TRACKS)})(?: (?P<number>-?\d+))?"
    r"\s+(?P<picture>[A-Za-z0-9.#]+)(?:\s|$)"
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One row of a trace, in ns."""

    ts: int
    dur: int
    name: str
    cat: Cat
    tid: int = THREAD
    pid: int = PID
    device: int = -1
    stream: int = -1
    correlation: int = -1


def build(
    slices: Iterable[Slice],
    meta: Mapping[str, object] | None = None,
    tables: Mapping[str, Table] | None = None,
    source: Source | None = None,
) -> Trace:
    """A trace of these slices; ids are rows, and ts counts from the first slice."""
    rows = sorted(slices, key=lambda s: (s.ts, -s.dur))
    strings = list(dict.fromkeys(s.name for s in rows))
    index = {text: i for i, text in enumerate(strings)}
    origin = rows[0].ts if rows else 0

    def column(values: Iterable[int], kind: type[np.generic]) -> np.ndarray:  # type: ignore[type-arg]
        return np.array(list(values), kind)

    empty = {
        name: Table(np.empty(0, np.int32), {c.rstrip("*"): np.empty(0, np.int64) for c in columns})
        for name, columns in TABLES.items()
    }
    return Trace(
        source=source or Source("drawing", meta=dict(meta or {})),
        strings=tuple(strings),
        origin_ns=origin,
        ts=column((s.ts - origin for s in rows), np.int64),
        dur=column((s.dur for s in rows), np.int64),
        name=column((index[s.name] for s in rows), np.int32),
        cat=column((int(s.cat) for s in rows), np.uint8),
        pid=column((s.pid for s in rows), np.int64),
        tid=column((s.tid for s in rows), np.int64),
        device=column((s.device for s in rows), np.int32),
        stream=column((s.stream for s in rows), np.int64),
        correlation=column((s.correlation for s in rows), np.int64),
        id=np.arange(len(rows), dtype=np.int32),
        tables={**empty, **(tables or {})},
    )


def draw(
    picture: str,
    names: Mapping[str, str] | None = None,
    kinds: Mapping[str, Cat] | None = None,
    launched_by: Mapping[str, str] | None = None,
    column_ns: int = 1000,
    meta: Mapping[str, object] | None = None,
) -> Trace:
    """The trace in a picture.

    `names` gives letters a name (else the letter is the name), `kinds` makes letters of a stream
    copies or fills, `launched_by` links a letter of a stream to a launch of another letter (a graph
    launch of several kernels). Column 0 of the picture is `column_ns` * 0 in the trace only where a
    slice starts there: ts counts from the first slice.
    """
    slices: list[Slice] = []
    texts = names or {}
    links = launched_by or {}
    for line in picture.splitlines():
        if not line.strip():
            continue
        track = LINE.match(line)
        if track is None:
            raise ValueError(f"not a track: {line!r}")
        kind, number = track["kind"], int(track["number"] or -1)
        at = 0
        for letter, run in groupby(track["picture"]):
            length = len(list(run))
            if letter not in ".":
                gpu = kind == "stream"
                link = ord(links.get(letter, letter).lower()) if kind in ("host", "stream") else -1
                slices.append(
                    Slice(
                        ts=at * column_ns,
                        dur=length * column_ns,
                        name=texts.get(letter, letter),
                        cat=(kinds or {}).get(letter, TRACKS[kind]) if gpu else TRACKS[kind],
                        tid=number if number >= 0 else THREAD,
                        pid=int(track["device"] or 0) if gpu else PID,
                        device=int(track["device"] or 0) if gpu else -1,
                        stream=max(number, 0) if gpu else -1,
                        correlation=link,
                    )
                )
            at += length
    return build(slices, meta)
