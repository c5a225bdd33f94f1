#!/usr/bin/env python3
"""A large trace from a real one, in the layout that Kineto writes.

    scripts/large_trace.py TRACE OUT [--megabytes 388] [--kind plain|stacks|counters]

The events are repeated with later times and other correlations until the file has the size asked
for. Layout: several indented lines an event, times with three decimals, as `output_json.cpp` of
libkineto has it (handleActivity, handleTraceStart). A name that ends in .gz is compressed.
`stacks` repeats the Python frames of the trace three times as often as the rest, nested;
`counters` adds counter events and names of threads, a few in a hundred events.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple

KINDS = ("plain", "stacks", "counters")
STEP = 10**7  # between the correlations of two copies


def read(trace: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metadata and events to repeat."""
    opened = gzip.open if trace.read_bytes()[:2] == b"\x1f\x8b" else open
    with opened(trace, "rb") as stream:
        document = json.load(stream, parse_float=Decimal)
    events = document.pop("traceEvents")
    return document, events


def value(one: Any) -> str:
    """JSON of an argument."""
    if isinstance(one, Decimal):
        return str(one)
    if isinstance(one, list):
        return "[" + ", ".join(map(value, one)) + "]"
    if isinstance(one, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {value(v)}" for k, v in one.items()) + "}"
    return json.dumps(one)


def template(event: dict[str, Any]) -> str:
    """The event as Kineto prints it, with `%s` where its time is, and its id or correlation."""

    def quoted(text: str) -> str:
        return text.replace("%", "%%")

    head = [f'"{key}": {quoted(value(event[key]))}' for key in ("ph", "cat", "name", "pid", "tid")
            if key in event and not (key == "cat" and event["ph"] in "sf")]  # fmt: skip
    if event.get("ph") in ("s", "f", "t"):
        lines = f'"ph": "{event["ph"]}", "id": %d, "pid": {quoted(value(event["pid"]))}, '
        lines += f'"tid": {quoted(value(event["tid"]))}, "ts": %s,\n    "cat": '
        lines += f'{value(event.get("cat", "ac2g"))}, "name": {value(event.get("name", "ac2g"))}'
        lines += ', "bp": "e"' if event["ph"] == "f" else ""
        return "  {\n    " + lines + "\n  }"
    text = "  {\n    " + ", ".join(head)
    if "ts" in event:
        text += ',\n    "ts": %s'
        text += f', "dur": {Decimal(event["dur"]):.3f}' if "dur" in event else ""
    text += f', "s": "{event["s"]}"' if "s" in event else ""
    if "args" in event:
        args = [
            f"{quoted(json.dumps(key))}: " + ("%d" if key == "correlation" else quoted(value(one)))
            for key, one in event["args"].items()
        ]
        text += ',\n    "args": {\n      ' + ", ".join(args) + "\n    }"
    return text + "\n  }"


class Event(NamedTuple):
    """An event to repeat."""

    text: str  # of `template`
    ns: int | None
    number: int | None  # its correlation, or the id of its arrow

    def moved(self, ns: int, number: int) -> str:
        """The same, later."""
        given: list[Any] = []
        if self.ns is not None:
            given.append(f"{(self.ns + ns) // 1000}.{(self.ns + ns) % 1000:03d}")
        if self.number is not None:
            given.insert(0 if '"id": %d' in self.text else 1, self.number + number)
        return self.text % tuple(given)


def known(event: dict[str, Any]) -> Event:
    number = event.get("id") if event.get("ph") in ("s", "f", "t") else None
    if number is None:
        number = event.get("args", {}).get("correlation")
    ns = int(Decimal(event["ts"]) * 1000) if "ts" in event else None
    return Event(template(event), ns, number)


def copies(events: list[dict[str, Any]], kind: str) -> Iterator[str]:
    """One copy after another, as text."""
    many = [event for event in events if event.get("ph") != "M"]
    if kind == "stacks":
        frames = [event for event in many if event.get("cat") == "python_function"]
        many = [*frames, *many, *frames]
    if kind == "counters":
        many += [counter(event) for event in many[::25] if "ts" in event]
        many += [event for event in events if event.get("ph") == "M"]
    each = [known(event) for event in many]
    times = [ns for _, ns, _ in each if ns is not None]
    span = max(times) - min(times) + 1_000_000
    copy = 0
    while True:
        yield ",\n".join([event.moved(copy * span, copy * STEP) for event in each])
        copy += 1


def counter(event: dict[str, Any]) -> dict[str, Any]:
    """A counter at the time of an event, as GPU samplers write it."""
    return {"ph": "C", "name": "GPU 0 Utilization", "pid": event["pid"], "tid": event["tid"],
            "ts": event["ts"], "args": {"GPU 0 Utilization": int(event["ts"]) % 100}}  # fmt: skip


def build(trace: Path, target: Path, megabytes: float, kind: str = "plain") -> int:
    """Writes the large trace; how many events it has."""
    meta, events = read(trace)
    opened: Any = gzip.open if target.suffix == ".gz" else open
    options = {"compresslevel": 6} if target.suffix == ".gz" else {}
    with opened(target, "wt", encoding="utf-8", **options) as out:
        return write(out, meta, events, int(megabytes * 1e6), kind)


def write(
    out: IO[str], meta: dict[str, Any], events: list[dict[str, Any]], size: int, kind: str
) -> int:
    out.write('{\n  "schemaVersion": 1,\n')
    for key in ("deviceProperties", "distributedInfo", "baseTimeNanoseconds"):
        if key in meta:
            out.write(f'  "{key}": {value(meta[key])},\n')
    out.write('  "traceEvents": [\n')
    first = [known(event).moved(0, 0) for event in events if event.get("ph") == "M"]
    text = ",\n".join(first)
    out.write(text)
    written, count = len(text), len(first)
    for copy in copies(events, kind):
        out.write(",\n" if count else "")
        out.write(copy)
        written += len(copy)
        count += copy.count('"ph": ')
        if written >= size:
            break
    out.write('\n  ],\n  "traceName": "large.json",\n  "displayTimeUnit": "ms"\n}\n')
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=float, default=388)
    parser.add_argument("--kind", choices=KINDS, default="plain")
    given = parser.parse_args()
    count = build(given.trace, given.out, given.megabytes, given.kind)
    print(f"{count:,} events, {given.out.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
