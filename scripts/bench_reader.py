#!/usr/bin/env python3
"""How fast and in how much memory a large trace is read: ours beside Holistic Trace Analysis.

    scripts/bench_reader.py [TRACE] [--megabytes 388] [--repeats 3] [--only ours,hta] [--keep FILE]

A large trace is made from a real one (or, without one, from generated events): repeated with
shifted times and correlations until it has the size asked for. Every contender then loads it in a
process of its own, in turn, so that noise of the machine falls on all alike. Times are of the load
call, without start-up. Memory is the peak of the resident sets of the process and its children,
sampled, so shared pages count more than once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT.parent / "shared" / "traces" / "tl_h100_qwen15_05b.json.gz"
CONTENDERS = {
    "ours": "from tracekit.trace import kineto; made = lambda: kineto.load(path)",
    "ours (one process)": (
        "from tracekit.trace import kineto\nmade = lambda: kineto.load(path, processes=1)"
    ),
    "analyze with its page": (
        "from tracekit.results import engine\nfrom tracekit.report import traces\n"
        "made = lambda: traces.render([engine.answers(path)], command='')"
    ),
    "hta": (
        "import logging; logging.disable(logging.CRITICAL)\n"
        "from hta.trace_analysis import TraceAnalysis\n"
        "made = lambda: TraceAnalysis(trace_files={0: path}, trace_dir='')"
    ),
    "json": (
        "import json, gzip\n"
        "made = lambda: json.load((gzip.open if path.endswith('.gz') else open)(path, 'rb'))"
    ),
    "msgspec (whole file)": (
        "import msgspec, gzip\nfrom typing import Any\n"
        "fields = 'ph cat name pid tid ts dur'.split()\n"
        "Args = msgspec.defstruct('Args', [(k, Any, None) for k in"
        " ('correlation', 'device', 'stream')], gc=False)\n"
        "Event = msgspec.defstruct('Event', [*((k, Any, None) for k in fields),"
        " ('args', Args | None, None)], gc=False)\n"
        "Doc = msgspec.defstruct('Doc', [('traceEvents', list[Event])])\n"
        "read = lambda: (gzip.open if path.endswith('.gz') else open)(path, 'rb').read()\n"
        "made = lambda: msgspec.json.decode(read(), type=Doc)"
    ),
    "the bytes alone": "made = lambda: len(open(path, 'rb').read())",
}
TIMED = """
import sys, time, os, json
path = sys.argv[1]
{code}
def cpu():
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system
before, start = cpu(), time.perf_counter()
kept = made()
print(json.dumps(dict(wall=time.perf_counter() - start, cpu=cpu() - before)))
"""


def sample_events(trace: Path | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metadata and events to repeat."""
    if trace is None:
        return {}, list(generated(20_000))
    opened = gzip.open if trace.read_bytes()[:2] == b"\x1f\x8b" else open
    with opened(trace, "rb") as stream:
        document = json.load(stream)
    events = document.pop("traceEvents")
    return document, events


def generated(count: int) -> Iterator[dict[str, Any]]:
    """An op, its launch and its kernel, again and again."""
    for n in range(count // 3):
        at = round(n * 12.345, 3)
        host = {"ph": "X", "pid": 100, "tid": 100}
        yield {**host, "cat": "cpu_op", "name": f"aten::op{n % 40}", "ts": at, "dur": 9.125,
               "args": {"External id": n, "Input Dims": [[16, 2048, 1024], [1024]]}}  # fmt: skip
        yield {**host, "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": at + 1, "dur": 4.5,
               "args": {"cbid": 211, "correlation": n}}  # fmt: skip
        yield {"ph": "X", "cat": "kernel", "name": f"void kernel<{n % 60}>(float*)", "pid": 0,
               "tid": 7, "ts": at + 20, "dur": 7.891,
               "args": {"device": 0, "stream": 7, "correlation": n, "grid": [128, 1, 1],
                        "block": [256, 1, 1], "registers per thread": 32}}  # fmt: skip


def build(trace: Path | None, target: Path, megabytes: int) -> int:
    """Writes the large trace; how many events it has."""
    meta, events = sample_events(trace)
    times = [e["ts"] for e in events if e.get("ph") == "X"]
    span = int(max(times) - min(times)) + 1000
    count = copy = 0
    with open(target, "w") as out:
        out.write(json.dumps(meta)[:-1] + (", " if meta else "") + '"traceEvents": [')
        while out.tell() < megabytes * 1e6:
            moved = (shifted(event, copy * span, copy * 10**7) for event in events)
            out.write((", " if copy else "") + ", ".join(map(json.dumps, moved)))
            count += len(events)
            copy += 1
        out.write("]}")
    return count


def shifted(event: dict[str, Any], us: int, correlation: int) -> dict[str, Any]:
    """The event, later; times keep their three decimals."""
    event = dict(event)
    if "ts" in event and event.get("ph") != "M":
        event["ts"] = round(event["ts"] + us, 3)
    if "correlation" in event.get("args", {}):
        number = event["args"]["correlation"]
        event["args"] = {**event["args"], "correlation": number + correlation}
    return event


def run(name: str, path: Path) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of one load."""
    process = subprocess.Popen(
        [sys.executable, "-c", TIMED.format(code=CONTENDERS[name]), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TRACEKIT_CACHE": "off", "PYTHONPATH": str(ROOT)},
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    assert process.stdout is not None
    printed = process.stdout.read()
    if process.returncode:
        return {}
    return {**json.loads(printed.splitlines()[-1]), "peak": peak}


def resident(pid: int) -> int:
    """Bytes resident in a process and all below it."""
    total, waiting = 0, [pid]
    page = os.sysconf("SC_PAGE_SIZE")
    while waiting:
        one = waiting.pop()
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * page
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "trace", nargs="?", type=Path, default=DEFAULT if DEFAULT.exists() else None
    )
    parser.add_argument("--megabytes", type=int, default=388)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(("ours", "hta")), help="or: all")
    parser.add_argument("--keep", type=Path, help="where the large trace stays, and is reused")
    parser.add_argument("--gzip", action="store_true", help="compress the large trace")
    given = parser.parse_args()
    chosen = list(CONTENDERS) if given.only == "all" else given.only.split(",")
    if unknown := sorted(set(chosen) - set(CONTENDERS)):
        parser.error(f"no contender {unknown[0]!r}; there are: {', '.join(CONTENDERS)}")
    with tempfile.TemporaryDirectory() as folder:
        path = given.keep or Path(folder) / "large.json"
        if not path.exists():
            events = build(given.trace, path, given.megabytes)
            print(f"{events:,} events", end=", ")
        if given.gzip:
            packed = Path(folder) / "large.json.gz"
            packed.write_bytes(gzip.compress(path.read_bytes(), 6))
            path = packed
        cores = len(os.sched_getaffinity(0))
        print(f"{path.stat().st_size / 1e6:,.0f} MB, {cores} cores, load {os.getloadavg()[0]:.1f}")
        results: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
        for _ in range(given.repeats):
            for name in chosen:
                found = run(name, path)
                if found:
                    results[name].append(found)
        show(results, "hta" if results.get("hta") else None)


def show(results: dict[str, list[dict[str, float]]], base: str | None) -> None:
    """The table, as Markdown: medians, and how many times better than `base`."""

    def middle(name: str, key: str) -> float:
        return statistics.median(one[key] for one in results[name])

    print("\n| reader | wall s | CPU s | peak MB | wall ratio | memory ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, found in results.items():
        if not found:
            print(f"| {name} | failed | | | | |")
            continue
        wall, peak = middle(name, "wall"), middle(name, "peak")
        ratios = ("", "")
        if base:
            ratios = (f"{middle(base, 'wall') / wall:.1f}", f"{middle(base, 'peak') / peak:.1f}")
        print(f"| {name} | {wall:.2f} | {middle(name, 'cpu'):.2f} | {peak / 1e6:.0f} |"
              f" {ratios[0]} | {ratios[1]} |")  # fmt: skip


if __name__ == "__main__":
    main()
