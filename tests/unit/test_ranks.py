"""Several ranks in one file: ids of one never meet those of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drawing import Slice, build
from tracekit.answers.audit import Audit
from tracekit.answers.devices import Devices
from tracekit.answers.findings import Findings
from tracekit.answers.idle import IdleTime
from tracekit.answers.kernels import Kernels
from tracekit.answers.launches import Launches
from tracekit.answers.stages import Stages
from tracekit.answers.timeline import Timelines
from tracekit.answers.tokens import Tokens
from tracekit.attribution import links
from tracekit.attribution.stages.instances import launched, markers
from tracekit.errors import MissingEventsError
from tracekit.report import text, traces, tracks
from tracekit.report.many import overview as many
from tracekit.report.many import runs
from tracekit.results import answers, catalog, engine
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
    "its rank alone": lambda rank, _pid: f"rank_{rank}",
    "its rank as a number": lambda rank, _pid: rank + 1,
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


def merged(form: PID, folder: Path, later: float = 30.0, count: int = 2, mark: str = "") -> Trace:
    events: list[Any] = []
    for rank in range(count):
        events += rank_events(
            lambda pid, rank=rank: form(rank, pid), 1000 + later * rank, 10 + 10 * rank,
            mark or f"step {rank}",
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
    assert ranks.named(rows[11].rank, "device 0") == "rank TP11, device 0"
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


@pytest.mark.parametrize(
    ("form", "later", "guess"),
    [
        ("only hosts differ", 30.0, True),
        ("only hosts differ", 5_000.0, False),
        ("sglang", 0, False),
    ],
)
def test_lockstep_ranks_of_equal_ids_are_said_to_be_a_guess(
    form: str, later: float, guess: bool, tmp_path: Path
) -> None:
    audit = catalog.ask(merged(FORMS[form], tmp_path, later), Audit)
    said = [row for row in audit.rows if row.check == "merged_ranks"]
    assert [row.effect for row in said] == ["degraded", "note"][1 - guess :]
    assert all(row.rank is None for row in said)
    assert any("best guess" in row.what for row in said) == guess
    assert (audit.trust("devices").verdict == "degraded") == guess


def lockstep(hosts: list[int], devices: list[int], later: list[float]) -> Trace:
    """Ranks that launch the same 40 kernels at the same times, but for `later` µs."""
    slices = []
    for host, device, shift in zip(hosts, devices, later, strict=True):
        for n in range(40):
            at = round((60 * n + shift) * 1000)
            slices.append(Slice(at, 5_000, "cudaLaunchKernel", Cat.RUNTIME, pid=host,
                                correlation=n + 1))  # fmt: skip
            # the device takes 9 to 12 µs, each rank's in another order
            begin = at + 9_000 + n * (host % 7) % 4 * 1000
            slices.append(Slice(begin, 40_000, "gemm", Cat.KERNEL, pid=device, device=device % 1000,
                                stream=7, correlation=n + 1))  # fmt: skip
    return build(slices)


@pytest.mark.parametrize("later", [[0, 0, 0], [3, 0, 7], [0, 5, 1], [12, 0, 0]])
@pytest.mark.parametrize(
    ("hosts", "devices"),
    [
        ([83, 100_083, 200_090], [0, 100_000, 200_000]),  # above their own devices
        ([83, 100_083, 200_090], [0, 100_001, 200_002]),
        ([2_000_083, 2_100_085, 2_200_091], [0, 100_000, 200_000]),  # as far above as the others
    ],
)
def test_what_a_merger_added_to_ids_says_whose_device_is_whose(
    hosts: list[int], devices: list[int], later: list[float]
) -> None:
    parts = ranks.split(lockstep(hosts, devices, later))
    assert [p.source.rank_guessed for p in parts] == [False] * 3
    own = [({*p.of(Cat.RUNTIME).pid.tolist()}, {*p.of(Cat.KERNEL).pid.tolist()}) for p in parts]
    assert own == [({host}, {device}) for host, device in zip(hosts, devices, strict=True)]


@pytest.mark.parametrize("later", [[0, 4], [4, 0], [300, 0]])
def test_lockstep_ranks_keep_the_order_of_their_numbers_and_degrade_what_is_said(
    later: list[float],
) -> None:
    trace = lockstep([83, 9_000], [0, 1], later)
    parts = ranks.split(trace)
    assert [{*p.of(Cat.KERNEL).pid.tolist()} for p in parts] == [{0}, {1}]
    if later[0] < 100:  # else one rank's work would begin before the other launches it
        assert all(p.source.rank_guessed for p in parts)
        assert catalog.ask(trace, Audit).trust("devices").verdict == "degraded"


def test_ranks_of_one_device_number_in_lockstep_each_have_as_much_work() -> None:
    parts = ranks.split(lockstep([83, 84], [0, 0], [0, 3]))
    assert [len(p.of(Cat.KERNEL)) for p in parts] == [40, 40]
    assert all(p.source.rank_guessed for p in parts)


def test_every_row_of_one_rank_names_it_and_of_one_process_none(tmp_path: Path) -> None:
    kinds = (Devices, IdleTime, Launches, Stages, Timelines, Tokens, Findings)
    for count in (1, 2):
        trace = merged(FORMS["sglang"], tmp_path, count=count, mark="step[DECODE bs=1]")
        names = {f"TP{n:02d}-DP00" for n in range(count)} if count > 1 else {None}
        for kind in kinds:
            result = catalog.ask(trace, kind)
            rows = getattr(result, "rows")  # noqa: B009
            # what ranks have alike is one finding, of which `ranks` names all
            every = {one.rank for row in rows for one in getattr(row, "ranks", ())}
            assert every | {row.rank for row in rows} == names, kind
        idle = catalog.ask(trace, IdleTime)
        assert {r.rank for r in (*idle.reasons, *idle.longest)} == names
        assert {q.rank for q in catalog.ask(trace, Launches).queues} == names


def test_what_ranks_wait_for_alike_is_one_finding_that_names_them(tmp_path: Path) -> None:
    trace = merged(FORMS["sglang"], tmp_path, count=7, mark="step[DECODE bs=1]")
    found = catalog.ask(trace, Findings)
    kinds = [row.kind for row in found.rows]
    assert len(kinds) == len(set(kinds))
    # each is idle 16 µs before three launches' kernels, in windows of 310 to 370 µs
    (row,) = (row for row in found.rows if row.kind == "launch_latency")
    assert [one.number for one in row.ranks] == [48 / (310 + 10 * n) for n in range(7)]
    assert [one.rank for one in row.ranks] == [f"TP{n:02d}-DP00" for n in range(7)]
    assert (row.rank, row.number) == ("TP00-DP00", row.ranks[0].number)
    assert row.what.endswith(
        " The same on rank TP01-DP00 (15.0%), rank TP02-DP00 (14.5%), rank TP03-DP00 (14.1%), rank "
        "TP04-DP00 (13.7%) and 2 more ranks (13.0% to 13.3%)."
    )
    assert row.numbers["ranks"] == 7


def test_ranks_of_a_file_stand_side_by_side_and_no_window_is_a_sum(tmp_path: Path) -> None:
    trace = merged(FORMS["sglang"], tmp_path, mark="step[DECODE bs=1]")
    whole = engine.of_trace(trace, path="t.json")
    assert [side.source.rank for side in whole.ranks] == ["TP00-DP00", "TP01-DP00"]
    found = runs.read(answers.by_rank([whole]))
    assert [side.name for side in found] == ["rank TP00-DP00", "rank TP01-DP00"]
    assert many.title(found) == "2 ranks in one file"
    view = many.overview(found)
    assert "ranks" in {chart.key for chart in view.charts}
    assert {"ranks", "imbalance"} <= {grid.key for grid in view.grids}
    assert any(said.startswith("Compute is uneven: rank TP01-DP00") for said in view.limits)
    # 270 µs idle of 310 µs on one, 240 µs of 320 µs on the other
    shown = {tile.label: tile.value.replace("\u00a0", " ") for tile in view.tiles}
    assert shown["GPU idle"] == "87.1% · 75.0%"
    assert shown["Wall time of all stages"] == "390 µs · 390 µs"
    page = traces.render([whole])
    assert "2 ranks in one file" in page
    assert "rank TP01-DP00" in page
    files = {path.parent.name for path in text.write_csv([whole], tmp_path / "csv")}
    assert files == {"csv", "t-rank-TP00-DP00", "t-rank-TP01-DP00"}


def test_files_of_which_one_is_merged_are_named_by_file_and_rank(tmp_path: Path) -> None:
    one = engine.of_trace(merged(FORMS["sglang"], tmp_path), path="a.json")
    two = engine.of_trace(build([kernel(0, 1)]), path="b.json")
    names = [side.name for side in runs.read(answers.by_rank([one, two]))]
    assert names == ["a, rank TP00-DP00", "a, rank TP01-DP00", "b"]


def test_tracks_of_idle_time_and_queues_are_of_one_rank_each(tmp_path: Path) -> None:
    trace = merged(FORMS["sglang"], tmp_path)
    events, _ = tracks.events(trace, ["stages", "idle", "queue"])
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {f"idle of rank TP0{n}-DP00, device 0" for n in (0, 1)} <= names
    queues = {e["name"] for e in events if e["ph"] == "C"}
    assert queues == {f"queue depth, rank TP0{n}-DP00, device 0" for n in (0, 1)}
    marks = {e["name"] for e in events if e["ph"] == "X" and e.get("tid") == 1}
    assert marks == {"rank TP00-DP00, step 0", "rank TP01-DP00, step 1"}


def test_holistic_trace_analysis_is_not_asked_about_ranks_in_one_file(tmp_path: Path) -> None:
    trace = merged(FORMS["sglang"], tmp_path)
    with pytest.raises(MissingEventsError, match="several ranks"):
        catalog.answer(trace, "critical_path")


def test_what_an_analysis_asks_another_is_answered_from_the_same_slices() -> None:
    # an empty record twice, a second process, and a kernel that only its launch calls: each look at
    # what is left of the file could set aside, or split, once more
    launch = [
        Slice(0, 0, "cudaLaunchKernel", Cat.RUNTIME, pid=pid, correlation=number)
        for pid, number in ((100, 1), (101, 2), (100, 0), (100, 0))
    ]
    gemm = [Slice(0, 0, "gemm", Cat.KERNEL, -1, 0, 0, 0, number) for number in (1, 0, 0)]
    mark = Slice(0, 1, "tracekit::prefill", Cat.ANNOTATION, tid=2)
    trace = build([mark, Slice(0, 1, "gemm", Cat.KERNEL, -1, 0, 0, 0, 2), *launch, *gemm])
    idle = {row.family: row.idle_ns for row in catalog.ask(trace, IdleTime).stages}
    clocks = {row.family: row.clock for row in catalog.ask(trace, Stages).totals}
    assert idle == {name: clock and clock.idle_ns for name, clock in clocks.items()}
