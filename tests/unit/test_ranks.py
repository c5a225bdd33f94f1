"""Several ranks in one file: ids of one never meet those of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drawing import Slice, build
from tracekit.answers.devices import Devices, named
from tracekit.answers.kernels import Kernels
from tracekit.answers.launches import Launches
from tracekit.answers.stages import Stages
from tracekit.attribution import links
from tracekit.attribution.stages.instances import launched, markers
from tracekit.results import catalog
from tracekit.trace import kineto, ranks
from tracekit.trace.trace import Cat, Trace

PID = Callable[[int, int], Any]  # (rank, process id in its own file)
FORMS: dict[str, PID] = {
    "sglang": lambda rank, pid: f"[TP{rank:02d}-DP00] {pid}",
    "inside the brackets": lambda rank, pid: f"[TP{rank:02d} {pid}]",
    "suffix": lambda rank, pid: f"{pid}_{rank}",
    "words": lambda rank, pid: f"rank{rank}_pid{pid}",
    "colon": lambda rank, pid: f"{rank}:{pid}",
    "one left as it was": lambda rank, pid: f"{rank}.0 {pid}" if rank else pid,
    "offset": lambda rank, pid: pid + 100_000 * rank,
    "only hosts differ": lambda rank, pid: pid + rank if pid > 100 else pid,
}


def rank_events(pid: Callable[[int], Any], start: float, length: float, mark: str) -> list[Any]:
    """Four launches, 100 µs apart, each of a kernel of `length` µs 20 µs later."""
    host, out = pid(4242), []
    out.append({"ph": "X", "cat": "user_annotation", "name": mark, "pid": host, "tid": 1,
                "ts": start, "dur": 390})  # fmt: skip
    for n in range(4):
        at = start + 5 + 100 * n
        out.append({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": host,
                    "tid": 1, "ts": at, "dur": 4, "args": {"correlation": n + 1}})  # fmt: skip
        out.append({"ph": "X", "cat": "kernel", "name": f"{mark} gemm", "pid": pid(0), "tid": 7,
                    "ts": at + 20, "dur": length,
                    "args": {"correlation": n + 1, "device": 0, "stream": 7}})  # fmt: skip
    return out


def merged(form: PID, folder: Path, later: float = 30.0, count: int = 2) -> Trace:
    events: list[Any] = []
    for rank in range(count):
        events += rank_events(
            lambda pid, rank=rank: form(rank, pid), 1000 + later * rank, 10 + 10 * rank,
            f"step {rank}",
        )  # fmt: skip
    path = folder / "t.json"
    path.write_text(json.dumps({"traceEvents": events}))
    return kineto.load(path)


@pytest.mark.parametrize("later", [30.0, 5_000.0, 9e11])
@pytest.mark.parametrize("form", FORMS)
def test_each_rank_has_its_own_device_launches_and_stages(
    form: str, later: float, tmp_path: Path
) -> None:
    trace = merged(FORMS[form], tmp_path, later)
    devices = catalog.ask(trace, Devices)
    assert [r.busy_ns for r in devices.rows] == [40_000, 80_000]
    assert [r.window_ns for r in devices.rows] == [310_000, 320_000]
    assert [r.device for r in devices.rows] == [0, 0]
    assert len({r.rank for r in devices.rows}) == len({s.rank for s in devices.streams}) == 2
    assert all(r.unlaunched_count == 0 for r in devices.rows)
    stages = catalog.ask(trace, Stages)
    kernel = {r.name: r.launched.kernel_ns for r in stages.rows if r.launched is not None}
    assert kernel == {"step 0": 40_000, "step 1": 80_000}
    phases = {k.name: k.phase for k in catalog.ask(trace, Kernels).rows}
    assert phases == {"step 0 gemm": "step 0", "step 1 gemm": "step 1"}
    delays = [r.delay.median_ns for r in catalog.ask(trace, Launches).rows if r.delay is not None]
    assert set(delays) == {20_000}


def test_ranks_are_named_and_sorted_as_the_merger_wrote_them(tmp_path: Path) -> None:
    trace = merged(lambda rank, pid: f"[TP{rank}] {pid}", tmp_path, count=12)
    names = [part.source.rank for part in ranks.split(trace)]
    assert names == [f"TP{n}" for n in range(12)]
    rows = catalog.ask(trace, Devices).rows
    assert named(rows[11].rank, "device 0") == "rank TP11, device 0"
    assert sum(len(part) for part in ranks.split(trace)) == len(trace)


@pytest.mark.parametrize(
    ("gpu", "host"), [(0, 9), ("GPU 0", "CPU 9"), ("cuda:0", 9), (-1, 9), ("GPU 0", "python 3.11")]
)
def test_a_file_of_one_process_stays_whole(gpu: Any, host: Any, tmp_path: Path) -> None:
    trace = merged(lambda _rank, pid: gpu if pid == 0 else host, tmp_path, count=1)
    assert ranks.split(trace) == (trace,)
    assert [r.rank for r in catalog.ask(trace, Devices).rows] == [None]


def call(ts: int, link: int, name: str = "cudaLaunchKernel", tid: int = 1) -> Slice:
    return Slice(ts, 5, name, Cat.RUNTIME, tid=tid, correlation=link)


def kernel(ts: int, link: int) -> Slice:
    return Slice(ts, 10, "gemm", Cat.KERNEL, 7, 0, 0, 7, link)


@pytest.mark.parametrize(
    ("name", "linked"),
    [("cudaLaunchKernel", True), ("cudaMemcpyAsync", True), ("cudaMalloc", False)],
)
def test_the_correlation_0_is_a_link_only_where_a_launch_call_carries_it(
    name: str, linked: bool
) -> None:
    trace = build([call(0, 0, name), kernel(20, 0)])
    assert links.launch_row(trace).tolist() == [0 if linked else -1]


def test_ids_that_start_anew_link_to_the_launch_before_the_work() -> None:
    later = 5_000_000
    trace = build([call(0, 1), kernel(20, 1), call(later, 1), call(later + 1, 1, "cuLaunchKernel"),
                   kernel(later + 20, 1)])  # fmt: skip
    assert links.launch_row(trace).tolist() == [0, 1]


def test_the_mark_of_the_launching_thread_owns_the_work_and_autograd_works_for_all() -> None:
    engine = "autograd::engine::evaluate_function: MmBackward0"
    trace = build([
        Slice(0, 1000, "one", Cat.ANNOTATION, tid=1), Slice(5, 900, "two", Cat.ANNOTATION, tid=2),
        call(10, 1, tid=1), kernel(20, 1), call(600, 2, tid=2), kernel(610, 2),
        call(700, 3, tid=3), kernel(710, 3),  # a thread without any mark
        Slice(800, 50, engine, Cat.CPU_OP, tid=4), Slice(800, 50, "own", Cat.ANNOTATION, tid=4),
        call(810, 4, tid=4), kernel(820, 4),
        call(950, 5, tid=2), kernel(960, 5),  # in none of its own, and in no other's
    ])  # fmt: skip
    marks = markers(trace)
    pairs = zip(*launched(trace, marks), strict=True)
    found: dict[str, set[int]] = {name: set() for name in marks.name}
    for instance, work in pairs:
        found[marks.name[instance]].add(int(links.work(trace).correlation[work]))
    assert found == {"one": {1, 3, 4}, "two": {2, 3, 4}, "own": {4}}
