"""Which traces are ranks of which job, and what is shown where several jobs are named at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import job as drawn
from tests.fresh import tracekit
from tracekit.cli import options
from tracekit.errors import UsageError
from tracekit.report import text, traces
from tracekit.report.many import mixed, overview, runs
from tracekit.results import engine
from tracekit.results.answers import Answers, unread
from tracekit.results.jobs import Job, jobs, one_job
from tracekit.trace import run_facts
from tracekit.trace.trace import Source

NOW = 1_780_000_000_000_000_000  # ns since 1970
MINUTE = 60_000_000_000


def rank(path: str, number: int | None = None, *, world: int = 2, began: int = 0,
         stated: int | None = None, **more: object) -> Answers:  # fmt: skip
    meta: Mapping[str, object] = (
        {} if number is None
        else {"distributedInfo": {"backend": "nccl", "rank": number, "world_size": world, **more}}
    )  # fmt: skip
    return Answers(path, Source(path, meta=meta, stated_rank=stated), began_ns=began)


def found(*many: Answers) -> list[tuple[str, list[str]]]:
    return [(job.name, [many[i].path for i in job.members]) for job in jobs(many)]


def test_ranks_of_one_world_are_a_job_and_a_rank_that_is_there_twice_makes_two() -> None:
    assert found(rank("x.json", 0), rank("y.json", 1)) == [("", ["x.json", "y.json"])]
    assert found(rank("x.json", 0), rank("y.json", 1, world=16)) == []
    assert found(rank("x.json", 0), rank("y.json", 0)) == []
    assert found(rank("x.json", 0), Answers("z.json", Source("z.json"))) == []
    # two jobs of one folder by their names, of two folders by those
    mixed_up = (f"run/{job}_rank{n}.json" for n in (0, 1) for job in ("old", "new"))
    assert found(*(rank(path, int(path[-6])) for path in mixed_up)) == [
        ("old", ["run/old_rank0.json", "run/old_rank1.json"]),
        ("new", ["run/new_rank0.json", "run/new_rank1.json"]),
    ]  # fmt: skip
    assert found(*(rank(f"/r/{job}/rank{n}/t.json", n) for job in "ab" for n in (0, 1))) == [
        ("a", ["/r/a/rank0/t.json", "/r/a/rank1/t.json"]),
        ("b", ["/r/b/rank0/t.json", "/r/b/rank1/t.json"]),
    ]
    # ranks of one job in a folder for each machine stay one
    assert len(found(*(rank(f"node{n // 2}/rank{n}.json", n, world=4) for n in range(4)))) == 1


def test_jobs_of_one_folder_are_told_apart_by_when_they_begin() -> None:
    hosts = [rank(f"run/host{n}_{at}.json", n, began=NOW + at * MINUTE + n)
             for at in (0, 9) for n in (0, 1)]  # fmt: skip
    assert found(*hosts) == [
        ("job 1", ["run/host0_0.json", "run/host1_0.json"]),
        ("job 2", ["run/host0_9.json", "run/host1_9.json"]),
    ]
    # of a time that counts from elsewhere nothing follows
    assert found(*(rank(f"run/{n}.json", n % 2, began=n) for n in range(4))) == []
    # other ranks of as many, but of another day: two halves of two jobs
    far = rank("b.json", 1, began=NOW + 24 * 60 * MINUTE)
    assert found(rank("a.json", 0, began=NOW), far) == []
    assert len(found(rank("a.json", 0, began=NOW), rank("b.json", 1, began=NOW + MINUTE))) == 1


def test_process_groups_and_backends_tell_jobs_of_one_world_apart() -> None:
    def of(members: list[int], **more: Any) -> dict[str, Any]:
        group = {"pg_name": "0", "pg_desc": "default_pg", "ranks": members}
        return {"pg_config": [group, {"pg_name": "1", "pg_desc": "tp", "ranks": [1]}], **more}

    many = [rank("a0", 0, **of([0, 1])), rank("a1", 1, **of([0, 1])),
            rank("b0", 0, **of([0, 1], nccl_version="2.30")),
            rank("b1", 1, **of([0, 1], nccl_version="2.30"))]  # fmt: skip
    assert [paths for _, paths in found(*many)] == [["a0", "a1"], ["b0", "b1"]]


def test_ranks_are_known_by_name_or_as_stated() -> None:
    named = [rank(f"run/step_rank-{n}.json") for n in (0, 1, 10)]
    assert jobs(named) == (Job("", (0, 1, 2), "name"),)
    assert run_facts.rank_name(named[2].source) == "rank 10"
    assert not one_job([rank("a/rank0.json"), rank("b/rank1.json")])  # of other folders: unknown
    assert run_facts.named_rank("frank7.json") is None
    stated = [rank("x.json", 5, stated=0), rank("y.json", stated=3)]
    assert jobs(stated) == (Job("", (0, 1), "stated"),)
    assert [run_facts.rank(one.source) for one in stated] == [0, 3]


@pytest.mark.parametrize("words", ["0-1,x", "0,0", "0-9", "", "2-1"])
def test_what_states_no_ranks_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        options.ranks(words, 3)
    assert options.ranks("0-1, 7", 3) == [0, 1, 7]
    assert options.ranks(None, 3) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two jobs in one folder, in one of which rank 2 computes longer; and a file that is none."""
    root = tmp_path_factory.mktemp("two")
    drawn.draw(root / "slow", 3, steps=3, layer=lambda r, _: drawn.LAYER * (1.4 if r == 2 else 1))
    drawn.draw(root / "fine", 2, steps=3)
    (root / "fine" / "rank9.json").write_text('{"traceEvents": [{')
    return root


ONLY = ("stages", "devices", "idle", "kernels", "collectives", "findings", "audit")


def test_each_job_has_its_own_sentence_tables_and_sum(folder: Path) -> None:
    paths = sorted(folder.glob("*/rank[0-2].json"))
    broken = unread(str(folder / "fine" / "rank9.json"), "is cut off")
    sides = runs.read([*(engine.answers(path, ONLY) for path in paths), broken])
    assert [side.name for side in sides] == [
        "fine: rank 0", "fine: rank 1", "slow: rank 0", "slow: rank 1", "slow: rank 2",
    ]  # fmt: skip
    assert not sides.one_job
    assert not sides.adds_up
    assert overview.title(sides) == "2 jobs of 2 and 3 ranks"
    view = overview.overview(sides)
    assert view.headlines[1].startswith("slow · Rank 2 holds the others up: it computes")
    assert view.headlines[0].startswith("fine · rank ")
    # the first finding of a job is about the rank of its headline
    of_slow = [one for one in view.findings if one.claim.startswith("slow · ")]
    assert of_slow[0].claim.startswith("slow · Rank 2 comes last to 3 of 3 collective calls")
    assert "clock" in of_slow[0].todo
    assert "is waiting for them (1.08 ms for rank 2), the rest transfer" in of_slow[1].claim
    grids = {grid.key: grid for grid in view.grids}
    assert [row[:4] for row in grids["jobs"].rows] == [
        ("fine", "0–1", 2, mixed.KNOWN["profiler"]), ("slow", "0–2", 3, mixed.KNOWN["profiler"])
    ]  # fmt: skip
    assert [row[0] for row in grids["ranks-2"].rows] == ["rank 0", "rank 1", "rank 2"]
    assert grids["ranks-2"].title == "slow · Rank by rank"
    # two of three ranks have as much: neither is the one with the most
    ties = {row[0]: row for row in grids["imbalance-2"].rows}
    assert ties["exposed communication"][5] == "rank 0 and rank 1"
    assert any("rank 0 and rank 1 have 2.70 ms" in said for said in view.limits)
    assert grids["traces"].rows[-1][:3] == ("rank9", "rank9.json", "could not be read")
    assert "rank9.json could not be read: is cut off" in view.notes
    page = traces.render([side.one for side in sides] + [broken])
    assert "2 jobs of 2 and 3 ranks" in page
    assert "could not be read" in page
    assert "could not be read" in text.markdown_of_several([*(s.one for s in sides), broken])
    assert len({one.key for one in view.charts}) == len(view.charts)


def test_the_command_has_a_row_for_every_file_and_says_which_job_it_is_of(folder: Path) -> None:
    told = tracekit("analyze", folder, "--json", "--only", "collectives", cwd=folder)
    assert told.returncode == 1
    document = json.loads(told.stdout)
    rows = {Path(one["path"]).name: one for one in document["traces"] if "fine" in one["path"]}
    assert rows["rank9.json"]["answers"] == {}
    assert "no whole event" in rows["rank9.json"]["error"]
    assert "error" not in rows["rank0.json"]
    own = document["together"]["jobs"]
    assert [(job["name"], job["members"], job["ranks"]) for job in own] == [
        ("fine", [0, 1], [0, 1]), ("slow", [2, 3, 4], [0, 1, 2])
    ]  # fmt: skip
    assert (own[1]["told_by"], own[1]["world_size"]) == ("profiler", 3)
    assert own[1]["sentence"].startswith("Rank 2 comes last to 3 of 3")
    files = sorted(folder.glob("fine/rank[01].json"))
    asked = ("--ranks", "4,6", "--json", "--only", "collectives")
    stated = tracekit("analyze", *files, *asked, cwd=folder)
    together = json.loads(stated.stdout)["together"]
    assert together["names"] == ["rank 4", "rank 6"]
    assert together["jobs"][0]["told_by"] == "stated"


def test_a_lone_trace_stands_beside_a_job(folder: Path, tmp_path: Path) -> None:
    (other,) = drawn.draw(tmp_path / "lone", 1, steps=3)
    paths = [other, *sorted(folder.glob("slow/rank[0-2].json"))]
    sides = runs.read([engine.answers(path, ONLY) for path in paths])
    assert [side.name for side in sides] == ["rank0", "rank 0", "rank 1", "rank 2"]
    view = overview.overview(sides)
    assert overview.title(sides) == "1 job of 3 ranks, and 1 other trace"
    assert view.headlines[0].startswith("the job · Rank 2 holds the others up")
    assert view.headlines[1].startswith("rank0 · ")
    assert overview.to_json(sides)["jobs"][0]["members"] == [1, 2, 3]
    assert [row[0] for row in next(g for g in view.grids if g.key == "traces").rows] == [
        "rank0", "rank 0", "rank 1", "rank 2",
    ]  # fmt: skip
