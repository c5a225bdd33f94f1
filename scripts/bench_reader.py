#!/usr/bin/env python3
"""How fast and in how much memory large traces are read and explained, beside HTA and TraceLens.

    scripts/bench_reader.py [--megabytes 388] [--repeats 3] [--slow-repeats 1]
                            [--layouts plain,gzip] [--only ours;hta] [--peers plain,gzip]
                            [--also eight,forty,5gb] [--trace TRACE] [--keep FOLDER] [--write]
                            [--note TEXT]

A real trace is repeated, in the layout that Kineto writes (scripts/large_trace.py), as `plain`, the
same compressed (`gzip`), with three times the Python frames (`stacks`), and with counters and names
of threads (`counters`). Every reader loads each in a process of its own, in turn, so that noise of
the machine falls on all alike; medians are shown. Readers that take a minute or more (peers,
`json`) run once, and what says nothing of a layout runs on `plain` only, so that all of it takes
about ten minutes on two quiet cores. `--also eight` adds the analysis of eight such traces in one
call, `forty` that of forty, `5gb` loading and analysing one of 5 GB (five minutes and 5 GB of disk
more). Times
are of the call, without start-up, but for the commands, whose times have it. At the end stand the
goals, and whether they are reached (scripts/bench_goals.py). Memory is the peak of the resident
sets of the process and its children, sampled, so shared pages count more than once. Peers run where
they are installed, on the layouts of `--peers`: HolisticTraceAnalysis, and AMD's TraceLens, which
comes from its repository (what PyPI has under that name is another). `--write` puts the tables into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata, util
from pathlib import Path

import bench_goals
import large_trace
from bench_code import READERS, SHARES, TIMED
from bench_goals import Medians

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT.parent / "shared" / "traces" / "tl_h100_qwen15_05b.json.gz"
PAGE = ROOT / "docs" / "performance.md"
START, END = "<!-- measured: scripts/bench_reader.py -->", "<!-- end of measured -->"
LAYOUTS = ("plain", "gzip", "stacks", "counters")
SLOW = ("hta", "tracelens", "json")
PLAIN_ONLY = (
    "json",
    "the bytes alone",
    "ours, one thread",
    "analyze with its page, one core",
)  # elsewhere they say the same
# by reader: the distribution, and a module that only it has
PEERS = {
    "hta": ("HolisticTraceAnalysis", "hta.trace_analysis"),
    "tracelens": ("TraceLens", "TraceLens.TreePerf"),
}
ALSO = (*bench_goals.SEVERAL, "5gb")
LONGEST_S = 900  # what takes longer has failed


def environment() -> dict[str, str]:
    """As a user's, with nothing kept of a trace that was read before."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TRACEKIT_CACHE": "off", "PYTHONPATH": str(ROOT)}


def run(command: list[str]) -> tuple[str, float, int]:
    """What a command printed ('' where it failed), its seconds, and its peak memory in bytes.

    One that takes longer than LONGEST_S is ended, and has failed.
    """
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(), text=True
    )
    while process.poll() is None:
        if time.perf_counter() - start > LONGEST_S:
            process.kill()
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    assert process.stdout is not None
    printed = process.stdout.read()
    return "" if process.returncode else printed, time.perf_counter() - start, peak


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


def measured(name: str, path: Path) -> dict[str, float] | None:
    """Wall and CPU seconds and peak memory of one load; None where it failed."""
    code = TIMED.format(code=READERS[name])
    printed, _, peak = run([sys.executable, "-c", code, str(path)])
    return {**json.loads(printed.splitlines()[-1]), "peak": peak} if printed else None


def prepared() -> bool:
    """Compiles the scanner, so that no reader waits for it; whether it is there."""
    code = (
        "from tracekit.trace.scan import machine; import llvmlite.binding as llvm\n"
        "path = machine.place(llvm)\nif not path.exists(): machine.make(path)\nprint(path)"
    )
    return bool(run([sys.executable, "-c", code])[0])


def build(trace: Path, folder: Path, layout: str, megabytes: float) -> tuple[Path, int]:
    """The file of a layout, made where it is not there, and how many events it has."""
    kind = "plain" if layout == "gzip" else layout
    path = folder / f"{kind}-{megabytes:g}.json"
    counted = path.with_suffix(".count")
    if not counted.exists():
        counted.write_text(str(large_trace.build(trace, path, megabytes, kind)))
    if layout == "gzip":
        packed = path.with_suffix(".json.gz")
        if not packed.exists():
            with open(path, "rb") as plain, gzip.open(packed, "wb", compresslevel=6) as out:
                shutil.copyfileobj(plain, out, 1 << 20)
        return packed, int(counted.read_text())
    return path, int(counted.read_text())


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in found) for key in found[0]} if found else {}


def table(results: Medians) -> list[str]:
    """Medians of each reader, as Markdown, and how many times better than HTA it is."""
    base = results.get("hta")
    lines = ["| reader | wall s | CPU s | peak MB | HTA's wall ÷ | HTA's memory ÷ |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, found in results.items():
        if not found:
            lines.append(f"| {name} | failed | | | | |")
            continue
        wall, peak = found["wall"], found["peak"]
        ratios = ("", "")
        if base:
            ratios = (f"{base['wall'] / wall:.1f}", f"{base['peak'] / peak:.1f}")
        shown = name
        if name in PEERS:
            package = PEERS[name][0]
            shown = f"{package} {metadata.version(package)}, load"
        lines.append(f"| {shown} | {wall:.2f} | {found['cpu']:.2f} | {peak / 1e6:.0f} |"
                     f" {ratios[0]} | {ratios[1]} |")  # fmt: skip
    return lines


def of_layout(
    trace: Path, folder: Path, layout: str, given: argparse.Namespace
) -> tuple[list[str], Medians]:
    """What is shown of a layout, and the medians of each reader."""
    path, count = build(trace, folder, layout, given.megabytes)
    names = [
        name
        for name in given.only
        if (layout == "plain" or name not in PLAIN_ONLY)
        and (layout in given.peers or name not in PEERS)
    ]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(max(given.repeats, given.slow_repeats)):
        for name in names:
            most = given.slow_repeats if name in SLOW else given.repeats
            if turn < most and (found := measured(name, path)):
                runs[name].append(found)
    results = {name: medians(found) for name, found in runs.items()}
    size = f"{path.stat().st_size / 1e6:,.0f} MB, {count:,} events"
    return [f"### {layout}: {size}", "", *table(results), ""], results


def of_shares(path: Path) -> list[str]:
    """What the CPU time of a load with one thread goes into."""
    printed, _, _ = run([sys.executable, "-c", SHARES, str(path)])
    if not printed:
        return []
    spent = json.loads(printed.splitlines()[-1])
    whole = sum(spent.values())
    lines = ["### What a load spends its CPU time on (plain, one thread)", "",
             "| step | CPU s | share |", "| --- | ---: | ---: |"]  # fmt: skip
    for what, s in sorted(spent.items(), key=lambda pair: -pair[1]):
        lines.append(f"| {what} | {s:.2f} | {s / whole:.0%} |")
    return [*lines, ""]


def like(large: Path, number: int) -> str:
    """The same file under another name."""
    path = large.with_name(f"{number}-{large.name}")
    if not path.exists():
        os.link(large, path)
    return str(path)


def of_commands(
    folder: Path, large: Path, repeats: int, also: list[str]
) -> tuple[list[str], Medians]:
    """The commands as a user types them, start-up included, and the medians of each."""
    small = ROOT.parent / "shared" / "traces" / "tl_h100_nsfw.json.gz"
    page = ["-o", str(folder / "page.html")]
    out = str(folder / "out.json.gz")
    commands = {
        bench_goals.HELP: (["--help"], repeats),
        bench_goals.ANALYZE: (["analyze", str(large), *page], 1),
        bench_goals.COMPARE: (["compare", str(large), like(large, 2), *page], 1),
        bench_goals.EXPORT: (["export", str(large), out, "--force"], 1),
    }
    for word, count in bench_goals.SEVERAL.items():
        if word in also:
            others = [like(large, number) for number in range(2, count + 1)]
            commands[bench_goals.of_several(word)] = (["analyze", str(large), *others, *page], 1)
    if small.exists():
        nine = folder / "nine.json"
        large_trace.build(small, nine, 8)
        commands[bench_goals.SMALL] = (["analyze", str(nine), *page], max(repeats, 3))
    code = "from tracekit.cli.app import main; main()"
    lines = ["### Commands, start-up included", "", "| command | wall s | CPU s | peak MB |",
             "| --- | ---: | ---: | ---: |"]  # fmt: skip
    found: Medians = {}
    for shown, (arguments, times) in commands.items():
        runs = [command_run(code, arguments) for _ in range(times)]
        if all(runs):
            one = found[shown] = medians(runs)
            lines.append(
                f"| {shown} | {one['wall']:.2f} | {one['cpu']:.2f} | {one['peak'] / 1e6:.0f} |"
            )
    return [*lines, ""], found


def of_5_gb(trace: Path, folder: Path, repeats: int) -> tuple[list[str], Medians]:
    """A trace of 5 GB, loaded and explained in turn."""
    path, count = build(trace, folder, "plain", 5000)
    names = ("ours", bench_goals.TABLES, bench_goals.PAGE)
    runs = [(name, measured(name, path)) for _ in range(repeats) for name in names]
    results: Medians = {}
    for name in names:
        one = medians([found for of, found in runs if of == name and found])
        results[name] = {**one, "events": count} if one else {}
    path.unlink()  # of this size they are not kept
    path.with_suffix(".count").unlink()
    return [f"### plain: 5,000 MB, {count:,} events", "", *table(results), ""], results


def command_run(code: str, arguments: list[str]) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of a command; nothing where it failed."""
    before = os.times()
    printed, wall, peak = run([sys.executable, "-c", code, *arguments])
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {"wall": wall, "cpu": cpu, "peak": peak} if printed else {}


def bandwidth() -> str:
    """Copying in memory, GB/s."""
    import numpy as np

    source = np.ones(1 << 28, np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    start = time.perf_counter()
    np.copyto(target, source)
    return f"{len(source) / 1e9 / (time.perf_counter() - start):.1f} GB/s"


def machine_line(note: str) -> str:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = " ".join(
        f"{name} {metadata.version(name)}," for name in ("numpy", "msgspec", "numba")
        if found(name)
    )  # fmt: skip
    return (
        f"{time.strftime('%Y-%m-%d')}, {cores} cores, {memory:.0f} GB, Python "
        f"{platform.python_version()}, {versions} copying in memory {bandwidth()}, load before "
        f"{os.getloadavg()[0]:.1f}.{' ' + note if note else ''}"
    )


def found(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", type=Path, default=DEFAULT)
    parser.add_argument("--megabytes", type=float, default=388)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slow-repeats", type=int, default=1, help=", ".join(SLOW))
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--only", default=",".join(READERS), help="readers, joined by ;")
    parser.add_argument("--peers", default=",".join(LAYOUTS), help="layouts that peers read too")
    parser.add_argument("--also", default="", help=f"what takes longer: {', '.join(ALSO)}")
    parser.add_argument("--keep", type=Path, help="where the large traces stay, and are reused")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--note", default="", help="a sentence on the machine")
    given = parser.parse_args()
    named = list(READERS) if given.only == parser.get_default("only") else given.only.split(";")
    if unknown := sorted(set(named) - set(READERS)):
        parser.error(f"no reader {unknown[0]!r}; there are: {'; '.join(READERS)}")
    given.only = [name for name in named if name not in PEERS or is_there(PEERS[name][1])]
    for option, known in (("layouts", LAYOUTS), ("peers", LAYOUTS), ("also", ALSO)):
        chosen = [name for name in getattr(given, option).split(",") if name]
        setattr(given, option, chosen)
        if unknown := sorted(set(chosen) - set(known)):
            parser.error(f"--{option}: no {unknown[0]!r}; there are: {', '.join(known)}")
    return given


def is_there(module: str) -> bool:
    """Whether a module can be imported; its packages are."""
    try:
        return util.find_spec(module) is not None
    except ImportError:
        return False


def main() -> None:
    given = parsed()
    lines = [machine_line(given.note), ""]
    if not prepared():
        lines += ["Without the compiled scanner: numba is not installed.", ""]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        layouts: dict[str, Medians] = {}
        for layout in given.layouts:
            said, layouts[layout] = of_layout(given.trace, folder, layout, given)
            print("\n".join(said), flush=True)
            lines += said
        large, count = build(given.trace, folder, "plain", given.megabytes)
        lines += of_shares(large)
        said, commands = of_commands(folder, large, given.repeats, given.also)
        lines += said
        huge: Medians = {}
        if "5gb" in given.also:
            said, huge = of_5_gb(given.trace, folder, given.repeats)
            lines += said
        lines += bench_goals.table(layouts, commands, huge, count)
    print("\n".join(lines))
    if given.write:
        before, rest = PAGE.read_text().split(START)
        PAGE.write_text(before + START + "\n" + "\n".join(lines) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
