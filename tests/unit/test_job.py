"""The ranks of a job together: who is late and why, ranks by steps, hundreds of ranks on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests import job as drawn
from tracekit.answers.collectives import Collectives
from tracekit.report import traces
from tracekit.report.many import causes, groups, overview
from tracekit.report.many import job as jobs
from tracekit.report.many.job import Job
from tracekit.report.many.runs import read
from tracekit.results import engine
from tracekit.results.answers import Answers
from tracekit.results.figures import heat

RANKS, STEPS = 4, 4
ONLY = ["stages", "devices", "idle", "kernels", "collectives", "findings"]


@cache
def answered(kind: str) -> tuple[Answers, ...]:
    """A job in which rank 2 is late: by slower kernels, by data, by launches; or nobody is."""
    late: dict[str, drawn.Late] = {
        "kernels": {"layer": lambda rank, _: 150 + 30 * (rank == 2)},
        "one kernel": {"more": lambda rank, _: {"softmax": 100 + 200 * (rank == 2)}},
        "data": {"data": lambda rank, _: 300 + 400 * (rank == 2)},
        "host": {"layer": lambda *_: 20, "host": lambda rank, _: 30 + 60 * (rank == 2)},
        "more work": {"more": lambda rank, _: {"extra": 300} if rank == 2 else {}},
        "nobody": {},
    }
    paths = drawn.draw(Path(mkdtemp()), RANKS, steps=STEPS, **late[kind])
    return tuple(engine.answers(path, ONLY) for path in paths)


def job(kind: str) -> Job:
    return jobs.read(read(answered(kind)))


@pytest.mark.parametrize(
    ("kind", "part", "us", "said"),
    [
        ("kernels", causes.COMPUTE, 6 * 30, "its kernels slower, nearly all of them"),
        ("one kernel", causes.COMPUTE, 200, "800 µs of it in softmax"),
        ("data", causes.DATA, 400, "loads data 1.20 ms longer"),
        ("host", causes.HOST, 6 * 60, "launches later"),
        ("more work", causes.COMPUTE, 300, "with +17% kernels"),
    ],
)
def test_the_late_rank_is_named_first_with_its_cause(
    kind: str, part: str, us: float, said: str
) -> None:
    found = job(kind)
    main = jobs.headline(found)
    assert main.startswith("Rank 2 holds the others up: it ")
    assert said in main
    assert f"comes last to {STEPS} of {STEPS} collective calls" in main
    late = found.apart[2]
    assert late.largest == part
    # the first step's loading is before the device's first work: its window begins after it
    steps = STEPS - 1 if part == causes.DATA else STEPS
    assert late.more[part] == pytest.approx(us * steps * 1e3, rel=0.35)
    assert late.more[causes.EXPOSED] < 0
    assert causes.grid(found.apart, found.calls)


def test_where_nobody_is_late_nobody_is_named() -> None:
    found = job("nobody")
    assert [own.cause for own in found.apart] == [""] * RANKS
    assert jobs.headline(found) == ""
    assert list(jobs.sentences(found)) == []
    assert causes.grid(found.apart, found.calls) is None


def test_steps_are_met_by_their_numbers_and_read_off_the_picture() -> None:
    found = job("kernels").steps
    assert found is not None
    assert (found.family, found.names, found.by_number) == ("ProfilerStep", ("3", "4", "5", "6"),
                                                            True)  # fmt: skip
    exposed = found.values(lambda step: step.exposed_ns)
    # rank 2 waits for nobody: its all-reduce is the transfer; the others come 6 x 30 µs before it
    assert exposed[2][1] == pytest.approx(drawn.TRANSFER * 1e3, rel=0.01)
    assert exposed[0][1] == pytest.approx((drawn.TRANSFER + 180) * 1e3, rel=0.01)
    busy = found.values(lambda step: step.busy_share)
    assert all(0 < share < 1 for own in busy for share in own if share is not None)
    walls = found.values(lambda step: step.wall_ns)
    assert walls[0] == walls[2]


def test_steps_that_one_rank_has_not_are_left_out(tmp_path: Path) -> None:
    short = drawn.draw(tmp_path, RANKS, steps=3)
    many = [*answered("nobody")[:3], engine.answers(short[3], ONLY)]
    found = jobs.read(read(many)).steps
    assert found is not None
    assert (found.names, found.left_out) == (("3", "4", "5"), 1)


def test_what_waits_say_in_a_finding_and_in_the_table_of_ranks_agrees() -> None:
    sides = read(answered("kernels"))
    view = overview.overview(sides)
    waiting = {w.rank: w.waited_ns for w in jobs.read(sides).calls.waiting}  # type: ignore[union-attr]
    assert waiting["rank 0"] == pytest.approx(4 * 180e3, rel=0.01)
    (said,) = [f.claim for f in view.findings if "in communication alone" in f.claim]
    assert "Matched with the other ranks' calls, 720 µs of it is waiting for them" in said
    assert "beyond the fastest" not in said


def named(one: Answers, rank: int, world: int) -> Answers:
    """The answers of a rank, as if it had been another of a larger job."""
    meta = {"distributedInfo": {"rank": rank, "world_size": world}}
    source = replace(one.source, path=f"rank{rank}.json", meta={**one.source.meta, **meta})
    calls = one.get(Collectives)
    assert calls is not None
    calls = replace(calls, calls=(replace(calls.calls[0], rank=f"rank {rank}"),))
    return replace(one, path=source.path, source=source,
                   answers={**one.answers, "collectives": calls})  # fmt: skip


def many(count: int) -> list[Answers]:
    own = answered("kernels")
    return [named(own[2] if i == 77 else own[i % 2], i, count) for i in range(count)]


def test_512_ranks_are_a_page_of_2_mb_with_the_worst_whole_and_the_rest_in_groups() -> None:
    sides = read(many(512))
    found = jobs.read(sides)
    labels = [row.label for row in found.rows]
    assert len(labels) == groups.WORST + groups.GROUPS
    assert "rank 77" in labels
    assert labels[-1] == "ranks 480–511"
    assert sum(len(row.members) for row in found.rows if len(row.members) > 1) == 512
    page = traces.render([side.one for side in sides])
    assert len(page.encode()) < 2_000_000
    assert "512 ranks of one job" in page
    assert "Rank 77 " in page
    assert "Of 512 ranks, 8 that are farthest from the middle have a row each" in page
    told = overview.to_json(sides)
    assert len(told["steps"]["wall_ns"]) == 512
    assert len(told["names"]) == 512
    whole = {grid.key: grid for grid in overview.whole(sides)}
    assert [len(whole[key].rows) for key in ("ranks", "traces", "steps")] == [512, 512, 4 * 512]


def test_a_group_is_called_by_its_first_and_last() -> None:
    names = [f"rank {i}" for i in range(40)]
    rows = groups.rows(names, [float(i == 7) for i in range(40)])
    assert [row.label for row in rows][-5:] == [
        "ranks 0–7", "ranks 8–15", "ranks 16–23", "ranks 24–31", "ranks 32–39"
    ]  # fmt: skip
    assert groups.rows(names[:3], [0, 0, 0])[1] == groups.Row("rank 1", (1,))
    assert [row.label for row in groups.rows(["a"] * 24 + ["b"], [0] * 25)][-1] == "b"


def cells(chart_values: Sequence[Sequence[float | None]]) -> dict[str, int]:
    chart = heat("k", "t", ["a", "b"], ["1", "2"], chart_values)
    return {trace["marker"]["color"]: len(trace["x"]) for trace in chart.data}


def test_colours_are_classes_from_the_least_to_the_most() -> None:
    assert cells([[0, 100e3], [49e3, None]]) == {
        "var(--heat-0)": 1, "var(--heat-2)": 1, "var(--heat-5)": 1
    }  # fmt: skip
    # less than a twentieth apart: no picture of noise
    assert cells([[100e3, 100.5e3], [100.2e3, 100.1e3]]) == {"var(--heat-0)": 4}
