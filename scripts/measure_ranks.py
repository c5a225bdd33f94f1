#!/usr/bin/env python3
"""What many ranks cost: time and memory by ranks and workers, merging alone, and HTA next to it.

    scripts/measure_ranks.py [--ranks 8,16,64] [--megabytes 8] [--workers 1,2] [--merged 250,1000]
                             [--trace TRACE] [--pair A B] [--keep FOLDER] [--write] [--note TEXT]

A real trace of one rank is repeated until a rank's file has the size asked for, and is written
for each rank with its number; 8 MB are about what a few steps of a rank take. `tracekit analyze
FOLDER -o PAGE` is run whole, start-up and page included, with the cache of traces off. Memory is
the peak of the resident sets of the command and all its children, sampled, so that pages that they
share count more than once. Merging is of answers that one rank gave, with other numbers, in this
process. HTA is asked what tracekit is asked of the same two traces. `--write` puts the tables into
docs/scale.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import bench_reader
import large_trace

from tracekit.records import replace

ROOT = Path(__file__).resolve().parents[1]
TRACES = ROOT.parent / "shared" / "traces"
PAGE = ROOT / "docs" / "scale.md"
START, END = "<!-- measured: scripts/measure_ranks.py -->", "<!-- end of measured -->"
QUESTIONS = "devices,idle,kernels,collectives"
OURS = (
    "import sys; from tracekit.results import engine\n"
    f"made = lambda: [engine.answers(path, {QUESTIONS.split(',')!r}).to_json() for path in paths]"
)
HTA = """
import logging; logging.disable(logging.CRITICAL)
from hta.trace_analysis import TraceAnalysis
def made():
    asked = TraceAnalysis(trace_files=dict(enumerate(paths)), trace_dir="",
                          include_last_profiler_step=True)
    out = dict(temporal=asked.get_temporal_breakdown(visualize=False),
               overlap=asked.get_comm_comp_overlap(visualize=False))
    idle = asked.get_idle_time_breakdown(ranks=list(range(len(paths))), visualize=False)[0]
    kernels = asked.get_gpu_kernel_breakdown(visualize=False)[0]
    return {name: json.loads(own.to_json(orient="records"))
            for name, own in (*out.items(), ("idle", idle), ("kernels", kernels))}
"""
TIMED = """
import json, os, sys, time
out, *paths = sys.argv[1:]
{code}
def cpu():
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system
before, start = cpu(), time.perf_counter()
kept = made()
spent = dict(wall=time.perf_counter() - start, cpu=cpu() - before, kept=kept)
with open(out, "w") as file:
    json.dump(spent, file)
"""


def ranks(trace: Path, folder: Path, count: int, megabytes: float) -> Path:
    """A folder of so many ranks of one job; made where it is not there."""
    job = folder / f"{count}-ranks-of-{megabytes:g}"
    if job.is_dir():
        return job
    meta, events = large_trace.read(trace)
    making = job.with_suffix(".part")
    making.mkdir(parents=True)
    for rank in range(count):
        meta["distributedInfo"] = {"backend": "nccl", "rank": rank, "world_size": count}
        with open(making / f"rank{rank}.json", "w", encoding="utf-8") as out:
            large_trace.write(out, meta, slower(events, rank), int(megabytes * 1e6), "plain")
    making.rename(job)
    return job


def slower(events: list[dict[str, object]], rank: int) -> list[dict[str, object]]:
    """The events with kernels a little shorter in each rank but the last, so that ranks differ."""
    part = Decimal(1) - Decimal(rank % 7) / 200
    return [
        {**one, "dur": Decimal(str(one["dur"])) * part} if one.get("cat") == "kernel" else one
        for one in events
    ]


def whole(folder: Path, workers: int) -> dict[str, float]:
    """`tracekit analyze` with its page: wall and CPU seconds, peak bytes, bytes of the page."""
    with tempfile.TemporaryDirectory() as out:
        page = Path(out) / "page.html"
        before = os.times()
        command = [sys.executable, "-m", "tracekit", "-q", "analyze", str(folder), "-o", str(page),
                   "--workers", str(workers)]  # fmt: skip
        _, wall, peak = bench_reader.run(command)
        wait_for_orphans()
        after = os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])
        size = page.stat().st_size if page.exists() else 0
    return {"wall": wall, "cpu": cpu, "peak": peak, "page": size}


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants' children when their own is gone.

    Workers are forked from a process that nobody waits for: its CPU time would count nowhere.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def wait_for_orphans() -> None:
    with suppress(ChildProcessError):
        while True:
            os.wait()


def job_table(trace: Path, folder: Path, given: argparse.Namespace) -> list[str]:
    lines = [
        "| ranks | workers | wall s | CPU s | peak MB, all processes | page MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for count in given.ranks:
        job = ranks(trace, folder, count, given.megabytes)
        for workers in given.workers:
            own = whole(job, workers)
            shown = f"{own['page'] / 1e6:.2f}" if own["page"] else "failed"
            lines.append(f"| {count} | {workers} | {own['wall']:.1f} | {own['cpu']:.1f} |"
                         f" {own['peak'] / 1e6:.0f} | {shown} |")  # fmt: skip
            print(lines[-1], flush=True)
    return lines


def merge_table(trace: Path, folder: Path, counts: Sequence[int], megabytes: float) -> list[str]:
    """Merging alone, by analysis, of answers of one rank with other numbers."""
    from tracekit.answers.collectives import Collectives
    from tracekit.results import catalog, engine, merging

    job = ranks(trace, folder, 8, megabytes)
    one = engine.answers(job / "rank0.json")
    calls = one.get(Collectives)
    lines = ["| results | all analyses, s | the longest | MB of the process then |",
             "| ---: | ---: | --- | ---: |"]  # fmt: skip
    for count in counts:
        spent: dict[str, float] = {}
        for name, result in one.answers.items():
            parts = [result] * count
            if calls is not None and name == Collectives.analysis:
                parts = [
                    replace(calls, calls=(replace(calls.calls[0], rank=f"rank {i}"),))
                    for i in range(count)
                ]
            start = time.process_time()
            merging.merged(catalog.analysis(name).merge, parts)
            spent[name] = time.process_time() - start
        first = sorted(spent, key=lambda name: -spent[name])[:3]
        said = ", ".join(f"{name} {spent[name]:.2f}" for name in first)
        size = bench_reader.resident(os.getpid()) / 1e6
        lines.append(f"| {count:,} | {sum(spent.values()):.2f} | {said} | {size:.0f} |")
        print(lines[-1], flush=True)
    return lines


def asked(code: str, paths: Sequence[Path]) -> dict[str, object] | None:
    """What one of the two answers, its seconds and its peak bytes; None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.json"  # more than a pipe holds
        command = [sys.executable, "-c", TIMED.format(code=code), str(out), *map(str, paths)]
        peak = bench_reader.run(command)[2]
        return {**json.loads(out.read_text()), "peak": peak} if out.exists() else None


def hta_tables(paths: Sequence[Path]) -> list[str]:
    """The same questions, to both: what they take, and what they say."""
    both = {"tracekit": asked(OURS, paths), "HolisticTraceAnalysis": asked(HTA, paths)}
    lines = ["| | wall s | CPU s | peak MB |", "| --- | ---: | ---: | ---: |"]
    for name, own in both.items():
        shown = (
            f"{own['wall']:.2f} | {own['cpu']:.2f} | {own['peak'] / 1e6:.0f}"  # type: ignore[operator]
            if own else "failed | | "
        )  # fmt: skip
        lines.append(f"| {name} | {shown} |")
    ours, theirs = both.values()
    if ours is None or theirs is None:
        return lines
    lines += ["", "| rank | question | tracekit | HTA |", "| ---: | --- | ---: | ---: |"]
    for rank, own in enumerate(ours["kept"]):  # type: ignore[arg-type]
        for question, one, two in compared(own["answers"], theirs["kept"], rank):
            lines.append(f"| {rank} | {question} | {one:.2f} | {two:.2f} |")
    return lines


def compared(own: dict[str, dict[str, list[dict[str, float]]]], theirs: object,
             rank: int) -> list[tuple[str, float, float]]:  # fmt: skip
    """Numbers that both give, in ms or percent: ours from the JSON, HTA's from its tables."""
    assert isinstance(theirs, dict)
    row = own["devices"]["rows"][0]
    time_of = next(t for t in theirs["temporal"] if t["rank"] == rank)
    overlap = next(t for t in theirs["overlap"] if t["rank"] == rank)
    compute = row["kernel_ns"] - row["exposed_communication_ns"]
    covered = 1 - row["exposed_communication_ns"] / (row["communication_ns"] or 1)
    return [
        ("device window, ms", row["window_ns"] / 1e6, time_of["kernel_time(us)"] / 1e3),
        ("compute, ms", compute / 1e6, time_of["compute_time(us)"] / 1e3),
        ("busy, but not computing, ms", (row["busy_ns"] - compute) / 1e6,
         time_of["non_compute_time(us)"] / 1e3),
        ("idle, ms", row["idle_ns"] / 1e6, time_of["idle_time(us)"] / 1e3),
        ("communication that compute covers, %", 100 * covered, overlap["comp_comm_overlap_pctg"]),
    ]  # fmt: skip


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=numbers, default=[8, 16, 64])
    parser.add_argument("--workers", type=numbers, default=[1, 2])
    parser.add_argument("--merged", type=numbers, default=[250, 500, 1000])
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--trace", type=Path, default=TRACES / "hta_sampled_rank0.json.gz")
    parser.add_argument("--pair", type=Path, nargs=2, default=[
        TRACES / "hta_sampled_rank0.json.gz", TRACES / "hta_sampled_rank1.json.gz",
    ])  # fmt: skip
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--note", default="")
    given = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        bench_reader.prepared()
        parts = [
            bench_reader.machine_line(given.note), "",
            f"### Ranks of {given.megabytes:g} MB, with the page", "",
            *job_table(given.trace, folder, given), "", "### Merging alone", "",
            *merge_table(given.trace, folder, given.merged, given.megabytes), "",
            f"### The same questions to HTA: {' and '.join(p.name for p in given.pair)}", "",
            *hta_tables(given.pair),
        ]  # fmt: skip
    print("\n".join(parts))
    if given.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        _, _, after = rest.partition(END)
        text = "\n".join([START, *parts, END])
        PAGE.write_text(f"{before}{text}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
