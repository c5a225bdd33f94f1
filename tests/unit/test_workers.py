"""Traces answered by other processes: the same answers, whoever gives them and whoever is lost."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import signal
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tracekit.answers.collectives import Collectives
from tracekit.errors import TracekitError
from tracekit.records import replace
from tracekit.report.many import overview, runs
from tracekit.results import engine, merging
from tracekit.results.workers import cluster, machine, pool, run
from tracekit.results.workers.run import Together, Where
from tracekit.results.workers.work import Asked, Done, Work, do, small

ASKED = Asked(only=("devices", "stages", "collectives"))


def trace(rank: int, ranks: int = 4) -> bytes:
    """Two training steps, each with a kernel and an all-reduce that the last rank is late to."""
    events: list[dict[str, object]] = []
    for step in range(2):
        at = 1000.0 * step
        events += [
            {"ph": "X", "cat": "user_annotation", "name": f"ProfilerStep#{step}", "pid": 9,
             "tid": 9, "ts": at, "dur": 900},
            {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": at + 10 + rank,
             "dur": 100 + rank, "args": {"stream": 7, "device": 0}},
            {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce", "pid": 0, "tid": 8,
             "ts": at + 200 + 10 * rank, "dur": 200 - 10 * rank,
             "args": {"stream": 8, "device": 0, "Collective name": "allreduce", "Seq": step,
                      "Process Group Name": "0", "In msg nelems": 64, "dtype": "Float"}},
        ]  # fmt: skip
    spread = {"rank": rank, "world_size": ranks}
    return json.dumps({"distributedInfo": spread, "traceEvents": events}).encode()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four ranks, and a file that is none."""
    at = tmp_path_factory.mktemp("job")
    for rank in range(4):
        (at / f"rank{rank}.json.gz").write_bytes(gzip.compress(trace(rank)))
    (at / "rank4.json").write_text("[{")
    return [str(at / f"rank{rank}.json.gz") for rank in range(4)] + [str(at / "rank4.json")]


def said(found: Together) -> str:
    return json.dumps([engine.to_json(found.answers), found.faults, found.left])


@pytest.fixture(scope="module")
def plain(files: list[str]) -> str:
    """In this process, one after another."""
    found = run.answers(files, ASKED, Where(workers=1))
    assert len(found.answers) == 4
    assert len(found.faults) == 1
    assert "rank4.json" in found.faults[0]
    return said(found)


def works(files: Sequence[str]) -> list[Work]:
    return [Work(place, path, ASKED) for place, path in enumerate(files)]


def together(files: Sequence[str], found: Iterator[Done]) -> Together:
    return Together(files, {done.place: done for done in found})


@pytest.mark.parametrize("count", [1, 2, 4])
def test_threads_of_a_dask_cluster_answer_and_add_up_the_same(
    count: int, files: list[str], plain: str
) -> None:
    with cluster.local(count, processes=False) as client:
        reading = cluster.Reading(client, works(files))
        found = together(files, reading.results())
        assert said(found) == plain
        assert run.adding(found) == [(0, 1, 2, 3)]  # the job; not the file that is none
        summed = reading.added([0, 1, 2, 3])
        assert summed is not None
        assert reading.added([0, 1], only=["stages"]).keys() == {"stages"}  # type: ignore[union-attr]
    here = engine.merged(found.answers)
    for name, result in summed.items():
        assert json.dumps(result.to_json()) == json.dumps(here[name].to_json())
    assert set(here) - set(summed) == {"devices"}  # which no report adds up
    late = summed["collectives"]
    assert isinstance(late, Collectives)
    assert [one.last for one in late.arrivals] == ["rank 3"]


def killed_when_done(found: Iterator[Done], pids: Sequence[int]) -> Iterator[Done]:
    """Ends these processes when the first file is done."""
    for place, done in enumerate(found):
        if not place:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        yield done


def test_files_of_a_dask_worker_that_is_killed_are_read_by_another(
    files: list[str], plain: str
) -> None:
    with cluster.local(2) as client:
        pids = [int(pid) for pid in client.run(os.getpid).values()]
        reading = cluster.Reading(client, works(files))
        found = together(files, killed_when_done(reading.results(), pids[:1]))
        assert said(found) == plain
        # what the lost one had read is read again where the sum asks for it
        summed = reading.added([0, 1, 2, 3])
    here = engine.merged(found.answers)
    assert summed is not None
    assert all(summed[name].to_json() == here[name].to_json() for name in summed)


def test_without_dask_processes_do_it_and_one_that_is_killed_is_replaced(
    files: list[str], plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    before, seen = set(children()), []

    def kill(doing: str) -> None:
        if doing.startswith("1 of"):
            seen.extend(pid for pid in children() if pid not in before)
            for pid in seen:
                os.kill(pid, signal.SIGKILL)

    assert said(run.answers(files, ASKED, Where(workers=2), progress=kill)) == plain
    assert seen
    with pytest.raises(TracekitError, match=r"pip install 'tracekit\[scale\]'"):
        run.answers(files, ASKED, Where(scheduler="tcp://127.0.0.1:1"))


def children() -> list[int]:
    return [
        int(pid)
        for task in Path(f"/proc/{os.getpid()}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def test_a_file_that_ends_every_process_is_a_fault_beside_the_others(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def often_lost(work: Work) -> Done:
        if work.place == 1:
            raise BrokenProcessPool("lost")
        return do(work)

    def threads(_count: int) -> Executor:
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(pool, "do", often_lost)
    monkeypatch.setattr(pool, "_pool", threads)
    found = together(files, pool.results(works(files), 2))
    assert [one.path for one in found.answers] == [files[0], files[2], files[3]]
    assert pool.LOST in found.faults[0]


def test_ctrl_c_keeps_what_is_done(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(work: Work, _progress: object) -> Done:
        if work.place == 2:
            raise KeyboardInterrupt
        return do(work)

    monkeypatch.setattr(run, "do", stopped)
    found = run.answers(files, ASKED, Where(workers=1))
    assert found.interrupted
    assert [one.path for one in found.answers] == files[:2]
    assert found.left == files[2:]
    monkeypatch.setattr(run, "do", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # nothing is done: nothing is kept
        run.answers(files, ASKED, Where(workers=1))


def test_a_named_scheduler_reads_and_one_that_is_not_there_is_said(
    files: list[str], plain: str, tmp_path: Path
) -> None:
    with cluster.local(1, processes=False) as client:
        file = tmp_path / "scheduler.json"
        client.write_scheduler_file(str(file))
        found = run.answers(files, ASKED, Where(scheduler_file=str(file)))
    assert said(found) == plain
    assert {name for names in found.sums.values() for name in names} == {"stages", "collectives"}
    assert list(found.sums) == [tuple(files[:4])]
    # the report takes what the cluster added up, and says the same as where this process does
    shown = [overview.to_json(runs.read(found.rows, sums)) for sums in (found.sums, {})]
    assert shown[0] == shown[1]
    with pytest.raises(TracekitError, match="no scheduler answers"):
        run.answers(files, ASKED, Where(scheduler="nonsense://nowhere"))


def test_a_worker_of_another_version_says_so(files: list[str]) -> None:
    done = do(replace(works(files)[0], version="0.0.1"))
    assert done.answers is None
    assert "install the same on both" in done.fault


def test_only_numbers_and_text_leave_a_worker(files: list[str]) -> None:
    found = engine.answers(files[0])
    assert found.source.reread is not None
    left = pickle.loads(pickle.dumps(small(found)))
    assert left.source.reread is None
    assert engine.to_json([left]) == engine.to_json([found])


def test_results_are_merged_in_pairs_of_neighbours() -> None:
    def pair(one: str, two: str) -> str:
        return f"({one}{two})"

    assert merging.merged(pair, list("a")) == "a"
    assert merging.merged(pair, list("abcde")) == "(((ab)(cd))e)"
    assert merging.merged(lambda a, b: a + b, list(range(1000))) == 499_500


def test_workers_are_as_many_as_there_is_work_and_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "_free", lambda: 8 << 30)
    large = 100 << 20
    assert machine.workers([5 << 30]) == 1
    assert machine.workers([1 << 20] * 8) == 1
    assert machine.workers([large] * 3) == 3
    assert machine.workers([large] * 64) == 8
    assert machine.workers([1 << 30] * 64) == 2
    monkeypatch.setattr(machine, "_free", lambda: None)
    assert machine.workers([1 << 30] * 64) == 8
    monkeypatch.setattr(machine, "cores", lambda: 2)
    assert machine.workers([large] * 64) == 2
    assert machine.workers([large, 1 << 30]) == 1  # which takes both


def test_members_of_an_archive_are_unpacked_once_for_all_workers(
    files: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "ranks.zip"
    with zipfile.ZipFile(path, "w") as made:
        for rank in range(2):
            made.writestr(f"rank{rank}.json", trace(rank))
    named = [f"{path}!/rank{rank}.json" for rank in range(2)]
    with cluster.local(1, processes=False) as client:
        ready = [run.lent(work) for work in works(named)]
        assert all(Path(work.unpacked).is_file() for work in ready)
        found = together(named, cluster.results(client, ready))
    assert [one.path for one in found.answers] == named
    assert found.answers[1].to_json()["answers"]["devices"]["streams"][0]["trace"] == named[1]
