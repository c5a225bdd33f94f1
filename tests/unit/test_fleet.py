"""An index of traces, kept up to date, and what it says over time."""

import itertools
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests import requests
from tests.fresh import tracekit
from tracekit.cli import process
from tracekit.cli.app import app
from tracekit.comparison.fleet import cause, change_point, index, rows, store, tables, trend
from tracekit.comparison.fleet.change_point import changes
from tracekit.comparison.fleet.columns import COLUMNS, Row
from tracekit.comparison.fleet.rows import File
from tracekit.errors import TracekitError, UsageError
from tracekit.results import engine
from tracekit.results.workers.run import Where

HERE = Where(workers=1)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "fleet.md"
FORMS = ("parquet", "csv", "jsonl")


def fleet(folder: Path, count: int = 3) -> list[str]:
    return [
        str(requests.write(folder / f"run-{i}" / "t.json", (800.0 + i, 810.0), day=i))
        for i in range(count)
    ]


# ---------------------------------------------------------------- the index


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    path = requests.write(tmp_path_factory.mktemp("one") / "t.json", (800.0, 840.0))
    return rows.of(File("t.json", 7, 8, "ab"), engine.answers(path, rows.ASKED))


def test_a_trace_is_a_row_and_a_row_for_each_stage(analysed: list[Row]) -> None:
    whole, *stages = analysed
    assert [tuple(row) for row in analysed] == [tuple(c.name for c in COLUMNS)] * 6
    assert [row["stage"] for row in stages] == ["load", "preprocess", "encode", "prefill", "decode"]
    assert (whole["scope"], whole["stage"], whole["model"]) == ("trace", None, "drawn")
    assert (whole["ttft_ns"], whole["tpot_ns"], whole["requests"]) == (630_000, 820_000, 2)
    assert whole["captured"] == requests.BASE_NS // 1000
    assert whole["wall_ns"] == sum(int(row["wall_ns"]) for row in stages)  # type: ignore[arg-type]
    decode = stages[-1]
    assert (decode["instances"], decode["mean_ns"], decode["ttft_ns"]) == (2, 820_000, None)
    assert (decode["kernel_ns"], decode["gemm_ns"], decode["elementwise_ns"]) == (
        1_230_000, 1_230_000, 0,
    )  # fmt: skip
    assert whole["kernel_ns"] == 1_230_000 + 600_000
    assert whole["busy_ns"] == 1_830_000
    assert stages[0]["kernel_ns"] == 0  # it launched nothing, which is known
    assert "largest_stage" in whole["findings"]  # type: ignore[operator]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_back_what_was_written(
    form: str, analysed: list[Row], tmp_path: Path
) -> None:
    path = tmp_path / f"traces.{form}"
    odd = [("x", "no\ntrace; at all"), ("=cmd()", "@"), ("'=1", "' -"), ("\u200b=1", "\t")]
    broken = [row for name, said in odd
              for row in rows.of_fault(File(name, None, None, None), said)]  # fmt: skip
    store.write([*analysed, *broken], path)
    assert store.read(path) == [*analysed, *broken]
    assert form != "csv" or "\n=" not in path.read_text().replace(",", "\n")  # no formula
    assert store.is_index(path)
    path.write_bytes(path.read_bytes()[:-40])  # cut short
    if form == "parquet":
        with pytest.raises(TracekitError, match="no index of traces"):
            store.read(path)


def test_pandas_reads_it_with_types(analysed: list[Row], tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    store.write(analysed, tmp_path / "traces.parquet")
    frame = pandas.read_parquet(tmp_path / "traces.parquet")
    assert frame[frame.scope == "trace"].captured[0].year == 2023
    assert frame.groupby("stage").mean_ns.mean()["decode"] == 820_000
    assert list(frame.columns) == [column.name for column in COLUMNS]


def test_only_what_is_new_or_changed_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, target = fleet(tmp_path), tmp_path / "traces.jsonl"
    label = index.labels(None, r"run-(\d)")
    first = index.update(paths, target, label=label, where=HERE)
    assert (first.new, first.traces, first.rows) == (3, 3, 18)
    read = [row["trace"] for row in store.read(target) if row["scope"] == "trace"]
    assert read == ["run-0/t.json", "run-1/t.json", "run-2/t.json"]  # wherever the folder moves
    assert {row["label"] for row in store.read(target)} == {"0", "1", "2"}
    wrong = tmp_path / "run-9.json"
    wrong.write_text("[{")
    copied = tmp_path / "copy" / "t.json"
    copied.parent.mkdir()
    copied.write_bytes(Path(paths[1]).read_bytes())
    requests.write(Path(paths[2]), (900.0, 910.0), day=9)
    Path(paths[0]).unlink()
    asked: list[str] = []
    answers = index.run.answers

    def counted(paths: list[str], *more: object, **given: object) -> object:
        asked.extend(paths)
        return answers(paths, *more, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(index.run, "answers", counted)
    second = index.update([paths[1], str(copied), paths[2], str(wrong)], target, where=HERE)
    assert asked == [paths[2], str(wrong)]
    assert (second.new, second.changed, second.moved, second.unchanged) == (1, 1, 1, 1)
    assert (second.absent, len(second.faults)) == (1, 1)
    assert (second.traces, second.unreadable) == (4, 1)
    table = {(row["trace"], row["stage"]): row for row in store.read(target)}
    assert table["run-0/t.json", None]["tpot_ns"] == 805_000  # what is gone is history
    assert table["run-2/t.json", None]["tpot_ns"] == 905_000
    assert table["copy/t.json", "decode"]["mean_ns"] == table["run-1/t.json", "decode"]["mean_ns"]
    assert table["run-9.json", None]["error"]
    third = index.update([str(wrong)], target, where=HERE)  # it has not changed
    assert (third.unchanged, third.faults) == (1, [])


def test_an_interrupted_run_keeps_what_was_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, target = fleet(tmp_path), tmp_path / "traces.jsonl"
    answers = index.run.answers
    calls = itertools.count()

    def stopped(paths: list[str], *more: object, **given: object) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return answers(paths, *more, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(index.run, "answers", stopped)
    with pytest.raises(KeyboardInterrupt):
        index.update(paths, target, where=HERE)
    assert {row["trace"] for row in store.read(target)} == {"run-0/t.json", "run-1/t.json"}
    monkeypatch.setattr(index.run, "answers", answers)
    assert index.update(paths, target, where=HERE).new == 1


@pytest.mark.parametrize(("text", "says"), [("(", "no regular expression"), ("run", "no group")])
def test_a_pattern_for_labels_is_checked(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        index.labels(None, text)


# ---------------------------------------------------------------- changes


def test_a_change_is_found_where_it_is_and_nowhere_else() -> None:
    noise = random.Random(2)
    series = [100 + noise.gauss(0, 1) for _ in range(30)]
    assert changes(series) == []
    series[12:] = [value + 6 for value in series[12:]]
    series[22:] = [value - 6 for value in series[22:]]
    found = changes(series)
    assert [one.at for one in found] == [12, 22]
    assert all(one.p <= 0.05 for one in found)
    assert found[0].after - found[0].before == pytest.approx(6, abs=1)
    # two of 22 at the end are enough where the noise is small, one never is
    assert [one.at for one in changes([*series[:12], *series[:8], 150.0, 151.0])] == [20]
    assert changes([*series[:12], *series[:9], 150.0]) == []
    assert changes([*series[:12], 9e9, *series[:9]]) == []  # one wild value is no level
    assert changes([1.0] * 30) == []


def test_fewer_than_the_fewest_say_nothing_however_clear() -> None:
    least = change_point.fewest(0.05)
    assert least == 8  # 2 of the 70 orders of 4 + 4 are as clear
    clear = [1.0, 1.1, 1.2, 1.3, 9.0, 9.1, 9.2, 9.3]
    assert [one.at for one in changes(clear)] == [4]
    assert changes(clear[1:]) == []


def test_between_labels_is_the_only_place_for_a_change() -> None:
    values = [1.0, 1.1, 1.05, 1.0, 1.2, 5.0, 5.1, 5.2, 5.1, 5.0]
    assert [one.at for one in changes(values)] == [5]
    assert [one.at for one in changes(values, bounds=[4, 8])] == [4]


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy"])
def test_without_a_change_few_are_reported(draw: str) -> None:
    """Of 400 series 20 may be; 36 would come by chance once in 2,000 times."""
    source = np.random.default_rng(5)
    drawn: Callable[..., np.ndarray] = getattr(source, draw)  # type: ignore[type-arg]
    found = sum(
        bool(changes(drawn(size=12).tolist(), permutations=199, seed=i)) for i in range(400)
    )
    assert found <= 36


# ---------------------------------------------------------------- the trend


def series(
    analysed: list[Row], tpots: list[float], *, labels: str = "", name: str = "run", **more: object
) -> list[Row]:
    """Rows of traces that differ in TPOT and the length of decode alone."""
    out: list[Row] = []
    for day, tpot in enumerate(tpots):
        for row in analysed:
            own: Row = {**row, "trace": f"{name}-{day:02d}.json", **more}  # type: ignore[dict-item]
            own["captured"] = int(row["captured"]) + day * 86_400_000_000  # type: ignore[arg-type]
            own["label"] = labels[day] if labels else None
            if row["scope"] == "trace":
                own["tpot_ns"] = tpot
            elif row["stage"] == "decode":
                own["mean_ns"] = tpot
            out.append(own)
    random.Random(1).shuffle(out)
    return out


TPOTS = [100e3, 101e3, 99e3, 100.5e3, 99.7e3, 100.2e3, 112e3, 111e3, 113e3, 112.2e3, 111.8e3]


def test_the_first_trace_with_a_change_is_named(analysed: list[Row]) -> None:
    other = series(analysed, [5e3, 6e3], name="other", model="another")
    found = trend.trend([*series(analysed, TPOTS), *other], "traces.parquet")
    first, second = found.series
    assert (len(first.points), first.work["model"], second.work["model"]) == (
        11,
        "drawn",
        "another",
    )
    told = {measure.name: change for measure, change in first.changes}
    assert set(told) == {"TPOT", "one decode"}  # the rest is the same in all
    assert (told["TPOT"].trace, told["TPOT"].previous) == ("run-06.json", "run-05.json")
    assert told["TPOT"].relative == pytest.approx(0.119, abs=0.002)
    assert (first.tested, first.level, first.fewest) == (2, 0.025, 9)
    assert first.findings[0].count == 11
    (said,) = tables.sentences(first, cause.causes(first, Path("/nowhere/t.parquet")))
    assert "First change: run-06.json (2023-11-20 22:13): TPOT +11.9% (100 µs → 112 µs)" in said
    assert "Why is not known: " in said
    assert "is no longer there" in said
    assert tables.sentences(second, []) == [
        "2 traces of this work: no change can be told from chance below 9; 7 more are needed."
    ]
    # what is too short has no empty table of changes, and every row goes into a file
    assert [grid.key for grid in tables.grids(found, second, 2)] == ["traces-2", "findings-2"]
    assert trend.trend(series(analysed, TPOTS[:6] * 2), "t").series[0].changes == []


def test_by_label_a_change_begins_with_one(analysed: list[Row]) -> None:
    found = trend.trend(series(analysed, TPOTS, labels="aaaabbccccc"), "t", "label")
    (change,) = (c for m, c in found.series[0].changes if m.name == "TPOT")
    assert (change.label, change.trace) == ("c", "run-06.json")
    grid = tables.grids(found, found.series[0], 1)[1]
    assert [(row[0], row[2]) for row in grid.rows] == [("a", 4), ("b", 2), ("c", 5)]
    with pytest.raises(TracekitError, match="no trace with a label"):
        trend.trend(series(analysed, TPOTS), "t", "label")


def test_ranks_of_a_job_are_one_point_and_the_refused_are_none(analysed: list[Row]) -> None:
    def of(row: Row, rank: int) -> Row:
        own: Row = {**row, "trace": f"job/rank{rank}.json", "rank": str(rank), "world_size": 2}
        if isinstance(tpot := row["tpot_ns"], float):
            own["tpot_ns"] = tpot + rank * 1e3
        return own

    ranks = [of(row, rank) for rank in (1, 0) for row in analysed]
    bad: Row = {**analysed[0], "trace": "bad", "verdict": "refused", "world_size": 2}
    found = trend.trend([*ranks, bad], "t")
    ((point,),) = [one.points for one in found.series]
    assert found.series[0].title.endswith(", 2 ranks")
    assert (point.trace, point.traces, point.values["TPOT"]) == ("job/rank0.json", 2, 820_500)
    assert any("1 of 3 traces is refused by its audit" in note for note in found.notes)


# ---------------------------------------------------------------- the commands


def test_the_commands_from_traces_to_the_cause(analysed: list[Row], tmp_path: Path) -> None:
    for day, (factor, torch) in {5: (1.0, "2.12.1"), 6: (1.2, "2.13.0")}.items():
        decode = [800 * factor, 804 * factor]
        requests.write(tmp_path / f"run-{day:02d}.json", decode, day=day, torch=torch)
    store.write(series(analysed, TPOTS), tmp_path / "t.csv")
    made = tracekit("index", "run-06.json", "-o", "t.csv", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (json.loads(made.stdout)["changed"], json.loads(made.stdout)["traces"]) == (1, 11)
    store.write(series(analysed, TPOTS), tmp_path / "t.csv")
    told = tracekit("trend", "t.csv", "-o", "t.html", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    for part in (
        "First change: run-06.json", "TPOT +", "torch 2.12.1 → 2.13.0", "are kernel",
        "ampere_sgemm_64 (gemm)", "tracekit compare run-05.json run-06.json",
    ):  # fmt: skip
        assert part in told.stdout
    assert "run-06.json" in (tmp_path / "t.html").read_text()
    table = tracekit("trend", "t.csv", "--markdown", "--csv", "tables", "--no-cause", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert "| run-06.json | 2023-11-20 22:13 | TPOT |" in table.stdout
    assert "- First change: run-06.json" in table.stdout
    written = sorted((tmp_path / "tables").iterdir())
    assert [path.name for path in written] == [
        "trend-changes.csv", "trend-findings.csv", "trend-traces.csv"
    ]  # fmt: skip
    assert len(written[2].read_text().splitlines()) == 1 + len(TPOTS)
    plain = tracekit("trend", "t.csv", "--json", "--no-cause", cwd=tmp_path)
    (one,) = json.loads(plain.stdout)["trend"]["series"]
    assert {m["name"] for m in one["measures"] if m["changes"]} >= {"TPOT", "one decode"}


def test_what_is_wrong_is_one_line(
    analysed: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    store.write(analysed, tmp_path / "t.csv")
    requests.write(tmp_path / "run-05.json", (800.0,))
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    for words, code, says in (
        (("index", "run-05.json", "-o", "t.xlsx"), 2, "end it in .parquet"),
        (("index", "run-05.json", "-o", "run-05.json"), 2, "end it in .parquet"),
        (("index", "run-05.json", "-o", "mine.csv"), 1, "nothing that this command has written"),
        (("trend", "mine.csv"), 1, "is no index of traces"),
        (("trend", "none.csv"), 1, "is not there"),
        (("trend", "t.csv", "--by", "moon"), 2, "no such choice"),
        (("trend", "t.csv", "--by", "label"), 1, "no trace with a label"),
        (("trend", "t.csv", "-o", "t.csv"), 1, "which would be lost"),
    ):
        assert process.run(partial(app, words, standalone_mode=False)) == code, words
        error = capsys.readouterr().err
        assert error.count("\n") == 1, words
        assert says in error


def test_parquet_that_is_not_installed_is_one_line(tmp_path: Path) -> None:
    fleet(tmp_path, 1)
    ended = tracekit("index", ".", "-o", "t.parquet", cwd=tmp_path, absent=("pyarrow",))
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "pip install 'tracekit[parquet]'" in ended.stderr


def test_the_docs_have_every_column() -> None:
    text = DOCS.read_text("utf-8")
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.type} | {column.says} |" in text
