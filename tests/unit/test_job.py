"""The ranks of a job together: who is late and why, ranks by steps, hundreds of ranks on a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from tests import job as drawn
from tests import real
from tracekit.answers.collectives import Collectives
from tracekit.attribution.collectives.arrivals import RankCalls
from tracekit.attribution.collectives.clocks import align
from tracekit.records import replace
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
        ("more work", causes.COMPUTE, 300, "with 17% more kernels"),
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
    # heat maps begin with the rank that something sets apart, and a row waits for those below it
    late = [chart for chart in jobs.charts(job("kernels")) if chart and chart.key == "step-exposed"]
    assert late[0].layout["yaxis"]["ticktext"] == ["rank 2", "rank 0", "rank 1", "rank 3"]
    tables = {grid.key: grid for grid in jobs.grids(job("kernels")) if grid}
    assert tables["step-exposed"].rows[0][0] == "rank 2"


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


def test_clocks_are_told_by_the_ends_of_calls_and_bounded_by_their_begins(tmp_path: Path) -> None:
    ahead = [0.0, 40.0, -5_000.0]
    paths = drawn.draw(tmp_path, 3, steps=6, offset=lambda rank: 9e6 + ahead[rank], base_ns=7)
    found = jobs.read(read([engine.answers(path, ["collectives"]) for path in paths]))
    assert [own.ahead_ns for own in found.clocks] == [0, 40_000, -5_000_000]
    # the shortest kernel of the calls: the transfer, after all have come
    assert [own.error_ns for own in found.clocks][1:] == [pytest.approx(200e3, abs=10e3)] * 2
    assert [own.spread_ns for own in found.clocks] == [0, 0, 0]
    (said,) = [text for text in jobs.sentences(found) if text.startswith("Clocks differ")]
    assert said.startswith(
        "Clocks differ: that of rank 2 is 5.00 ms behind that of rank 0, certain"
    )


Events = list[dict[str, Any]]


def edited(path: Path, change: Callable[[Events], Events]) -> None:
    whole = json.loads(path.read_text())
    whole["traceEvents"] = change(whole["traceEvents"])
    path.write_text(json.dumps(whole))


def is_call(one: dict[str, Any]) -> bool:
    return "AllReduce" in one["name"]


def without(number: int) -> Callable[[Events], Events]:
    """A collective of one step is lost."""
    return lambda events: [e for e in events if not (is_call(e) and e["args"]["Seq"] == number)]


def drifting(share: float) -> Callable[[Events], Events]:
    """A clock that runs faster than the others'."""
    return lambda events: [{**e, "ts": 9e6 + (e["ts"] - 9e6) * (1 + share)} for e in events]


def unnumbered(events: Events) -> Events:
    kept = [{**e, "args": {k: v for k, v in e["args"].items() if k != "Seq"}} for e in events]
    return kept[: len(kept) * 3 // 4]


def test_clocks_of_damaged_ranks_are_told_by_what_is_left_or_not_at_all(tmp_path: Path) -> None:
    def clocks(name: str, change: Callable[[Events], Events], late: float = -5_000.0,
               cut: float = 1.0) -> list[tuple[int | None, int]]:  # fmt: skip
        paths = drawn.draw(tmp_path / name, 3, steps=6, offset=lambda r: 9e6 + late * (r == 2))
        edited(paths[1], change)
        text = paths[2].read_text()
        paths[2].write_text(text[: int(len(text) * cut)])
        found = jobs.read(read([engine.answers(path, ["collectives"]) for path in paths]))
        assert all((one.error_ns or 0) < 230_000 for one in found.clocks)
        return [(one.ahead_ns, one.calls) for one in found.clocks]

    behind = -5_000_000
    # calls that one rank lost, or that stand behind the end of a file, are left out of all
    assert clocks("lost", without(2)) == [(0, 0), (0, 5), (behind, 5)]
    assert clocks("cut", without(1), cut=0.6) == [(0, 0), (0, 2), (behind, 2)]
    # 50 parts in a million over 9 ms are less than the error; a tenth no one difference fits
    near = clocks("slow", drifting(50e-6), late=0.0)
    assert near[1][0] == pytest.approx(230, abs=200)
    assert clocks("fast", drifting(0.1), late=0.0)[1] == (None, 0)
    # without numbers calls are met by their order, and then one rank has fewer
    assert clocks("plain", unnumbered) == []


def calls(rank: str, ends: list[int], group: str = "0", members: str = "[0, 1]") -> RankCalls:
    count = len(ends)
    number = np.arange(count)
    return RankCalls(rank, ((group, members, "allreduce"),), np.zeros(count, np.int64),
                     np.full(count, 10), np.full(count, 4), number, 99, np.array(ends))  # fmt: skip


def test_clocks_that_drift_are_not_known_and_others_are_joined_over_ranks() -> None:
    drifting = align([calls("a", [100, 200]), calls("b", [100, 900])])
    assert drifting == ()
    one, two = calls("a", [100, 200]), calls("b", [1103, 1201])
    over = replace(two, keys=(*two.keys, ("1", "[1, 2]", "allreduce")),
                   key=np.array([0, 0, 1]), dur=np.array([10, 10, 10]), size=np.full(3, 4),
                   sequence=np.array([0, 1, 0]), end=np.array([1103, 1201, 1300]))  # fmt: skip
    far = calls("c", [800], "1", "[1, 2]")
    found = align([one, over, far])
    assert [own.ahead_ns for own in found] == [0, 1002, 502]
    assert [own.error_ns for own in found] == [0, 9, 19]  # 1002 is within 993 and 1011


def test_what_ranks_are_given_and_a_pipelines_bubbles(tmp_path: Path) -> None:
    def rank(number: int, decoded: int, received: int, message: float) -> Answers:
        args = {"stream": 7, "device": 0, "dtype": "BFloat16", "Group size": 2,
                "In msg nelems": 100, "Process Group Name": "0"}  # fmt: skip
        kernels = [("gemm", 0, 100, {}), ("ncclDevKernel_SendRecv", 100, 50, {
            "Collective name": "all_to_allv", "Out msg nelems": received}),
            ("ncclDevKernel_SendRecv", 150, message, {"Collective name": "recv"}),
            ("gemm", 400, 100, {})]  # fmt: skip
        events: list[dict[str, object]] = [
            {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": ts, "dur": dur,
             "args": args | more} for name, ts, dur, more in kernels
        ]  # fmt: skip
        mark = f"step[DECODE bs={decoded}]"
        events += [{"ph": "X", "cat": "user_annotation", "name": mark,
                    "pid": 9, "tid": 9, "ts": 200 * n, "dur": 150} for n in (0, 1)]  # fmt: skip
        path = tmp_path / f"rank{number}.json"
        path.write_text(json.dumps({"traceEvents": events, "distributedInfo": {
            "rank": number, "world_size": 2}}))  # fmt: skip
        return engine.answers(path, ["stages", "devices", "idle", "kernels", "collectives"])

    found = jobs.read(read([rank(0, 8, 4_000, 50), rank(1, 24, 1_000, 150)]))
    grids = {grid.key: grid.rows for grid in jobs.grids(found) if grid is not None}
    assert grids["loads"] == [("rank 0", 16, 8_000), ("rank 1", 48, 2_000)]
    # 500 µs: 250 of compute and all-to-all, 50 or 150 of the message, the rest idle
    assert [row[2:] for row in grids["bubbles"]] == [
        (50_000, 200_000, 0.5), (150_000, 100_000, 0.5)
    ]  # fmt: skip
    said = " ".join(jobs.sentences(found))
    assert "Tokens of decode are uneven: rank 1 has 48, 50% above the mean of 32" in said
    assert "What all-to-all brings is uneven: rank 0 has 7.81 KiB, 60% above" in said
    assert "Pipeline: ranks are without compute, idle or in send and recv alone" in said


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


def test_where_nobody_is_late_the_first_sentence_and_finding_are_of_one_rank() -> None:
    """Rank 1's window is the longer one, rank 0 communicates alone for longer."""
    view = overview.overview(read([real.answers(f"hta_sampled_rank{rank}") for rank in (0, 1)]))
    (said,) = view.headlines
    assert said.startswith("rank 0 · Communication that no other kernel covers takes 36.5%")
    assert view.findings[0].claim.startswith("rank 0: Device 0 spends 36.5% of its window")
