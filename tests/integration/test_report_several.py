"""Pages over several traces: side by side, nothing silently missing, no sum of unlike things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tests.integration.test_report import EVIL, Page, kineto, rendered
from tracekit.answers.findings import Findings
from tracekit.cli.app import app
from tracekit.records import replace
from tracekit.report import text
from tracekit.report.many import overview, runs, sections
from tracekit.results import catalog, engine
from tracekit.taxonomy import FindingKind


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"tracekit": {"model": name, "title": f"{name.title()}: at length", "size": "tiny",
                         "dtype": "float32", **more}}  # fmt: skip


def traces(folder: Path, *names: str) -> list[Path]:
    return [kineto(folder / f"{name}.json.gz", **model(name)) for name in names]


def charts(found: Page) -> list[str]:
    return [str(attrs["data-chart"]) for _, attrs in found.tags if attrs.get("data-chart")]


def table(found: Page, start: str) -> bool:
    return any(attrs.get("id") == start for _, attrs in found.tags)


def pictures(found: Page) -> list[str]:
    drawn = [attrs for tag, attrs in found.tags if tag == "figure"]
    return [str(attrs["id"]) for attrs in drawn if attrs.get("class") == "picture"]


def test_every_trace_has_its_own_labelled_picture(tmp_path: Path) -> None:
    found = rendered(*traces(tmp_path, "one", "two", "three"))
    assert pictures(found) == [f"tk-tree-picture-{n}" for n in (1, 2, 3)]
    for name in ("One tiny", "Two tiny", "Three tiny"):
        assert f"{name}: GPU time from stage to kernel" in found.text


def test_what_is_not_drawn_of_many_traces_is_said(tmp_path: Path) -> None:
    names = ["one", "two", "three", "four", "five", "six"]
    found = rendered(*traces(tmp_path, *names))
    assert len(pictures(found)) == 4
    assert "Drawn are the first 4 of 6 traces; to see Five tiny, Six tiny, analyze them" in (
        found.text
    )
    rows = found.json["tk-timeline"]["by_trace"]
    assert list(rows) == [f"{name.title()} tiny" for name in names]


def test_unlike_runs_are_not_added_up(tmp_path: Path) -> None:
    found = rendered(*traces(tmp_path, "one", "two"))
    assert "These are different runs: nothing on this page is added up over them." in found.text
    assert "Added up" not in found.text
    kernels = found.json["tk-kernels"]["by_trace"]
    assert [len(answer["rows"]) for answer in kernels.values()] == [2, 2]
    assert "The traces differ in model: one (One tiny); two (Two tiny)." in found.text


def test_repeats_of_one_run_are_added_up_and_it_is_said(tmp_path: Path) -> None:
    paths = [kineto(tmp_path / f"{n}.json.gz", **model("one")) for n in ("monday", "tuesday")]
    found = rendered(*paths)
    assert "Added up over all 2 traces." in found.text
    assert len(found.json["tk-stages"]["rows"]) == 4
    assert [row["count"] for row in found.json["tk-kernels"]["rows"]] == [2, 2]
    # a timeline cannot be added up
    assert set(found.json["tk-timeline"]["by_trace"]) == {"monday", "tuesday"}


def test_ranks_of_one_job_show_how_even_they_are() -> None:
    paths = [shared("traces", f"hta_sampled_rank{n}.json.gz") for n in (0, 1)]
    found = rendered(*paths)
    assert "2 ranks of 128 of one job" in found.text
    assert "Added up over all 2 traces." in found.text
    assert "Compute is uneven: rank 1 has 272 ms, 13% above the mean of 241 ms" in found.text
    bars = {part["name"]: part["x"] for part in found.json["tk-overview-ranks"]["data"]}
    window = [sum(values[i] for values in bars.values()) for i in (0, 1)]
    assert window == pytest.approx([924.325, 968.789])  # 298.522 and 262.397 are suspect
    assert bars["exposed communication"] == [336.983, 303.523]


def test_the_findings_of_each_trace_are_on_the_page(tmp_path: Path) -> None:
    many = [engine.answers(path) for path in traces(tmp_path, "one", "two")]
    view = overview.overview(runs.read(many))
    every = next(grid for grid in view.grids if grid.key == "findings")
    said = [len(one.to_json()["answers"]["findings"]["rows"]) for one in many]
    assert len(every.rows) == sum(said) > 0
    assert {row[0] for row in every.rows} == {"One tiny", "Two tiny"}
    claims = " ".join(finding.claim for finding in view.findings)
    assert "One tiny: " in claims
    assert "The same advice holds for Two tiny" in claims
    two = many[1].answers["findings"]
    assert isinstance(two, Findings)
    other = replace(two, rows=tuple(replace(row, kind=FindingKind.OPTIMIZER) for row in two.rows))
    apart = [many[0], replace(many[1], answers={**many[1].answers, "findings": other})]
    told = overview.overview(runs.read(apart)).findings
    assert not any("The same advice" in finding.claim for finding in told)  # of other kinds of work
    assert len({finding.todo for finding in view.findings}) == len(view.findings) <= 3


def test_an_answer_of_one_trace_alone_is_shown_as_that(tmp_path: Path) -> None:
    on_gpu = kineto(tmp_path / "gpu.json.gz", **model("one"))
    on_host = kineto(tmp_path / "cpu.json.gz", gpu=False, **model("two"))
    found = rendered(on_gpu, on_host)
    assert "Of One tiny alone: the others cannot answer it." in found.text
    assert "(Two tiny): no kernel events" in found.text.replace("\n", " ")


def test_tables_of_traces_meet_by_column_and_say_of_which_they_are(tmp_path: Path) -> None:
    many = runs.read([engine.answers(p) for p in traces(tmp_path, "one", "two")])
    grids = sections.by_trace("stages", many, gpu=True).grids
    for grid in grids:
        assert grid.columns[0].label == "trace"
        assert all(len(row) == len(grid.columns) for row in grid.rows)
    first = grids[0]
    assert [row[:2] for row in first.rows[:4]] == [
        ("One tiny", "prefill"), ("Two tiny", "prefill"),
        ("One tiny", "decode"), ("Two tiny", "decode"),
    ]  # fmt: skip
    assert [row[1] for row in first.rows[4:]] == ["all stages", "all stages"]  # the sums are last


def test_names_from_several_traces_stay_text(tmp_path: Path) -> None:
    paths = [
        kineto(tmp_path / f"{n}.json.gz", name=EVIL, **model(EVIL + n, title=EVIL + n))
        for n in "ab"
    ]
    found = rendered(*paths)
    assert not [attrs for tag, attrs in found.tags if tag == "img"]
    assert EVIL in found.text


def test_a_file_named_twice_is_refused_in_one_line(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")
    link = tmp_path / "b.json.gz"
    link.symlink_to(path)
    for twice in ([path, path], [path, link], ["-", "-"]):
        done = CliRunner().invoke(app, ["analyze", *map(str, twice), "-o", str(tmp_path / "p")])
        assert done.exit_code == 1
        assert "is named twice" in str(done.exception) + done.output
        assert not (tmp_path / "p").exists()


def test_copies_of_a_file_are_kept_apart(tmp_path: Path) -> None:
    one, two = kineto(tmp_path / "a.json.gz"), kineto(tmp_path / "b.json.gz")
    found = rendered(one, two)
    requests = found.json["tk-tokens"]["by_trace"]
    assert {name: len(answer["requests"]) for name, answer in requests.items()} == {"a": 1, "b": 1}
    assert json.dumps(requests["a"]["latency"]) == json.dumps(requests["b"]["latency"])


def test_timelines_that_were_joined_draw_each_of_the_first_traces(tmp_path: Path) -> None:
    paths = traces(tmp_path, "one", "two", "three", "four", "five")
    both = engine.merged([engine.answers(path, ["timeline"]) for path in paths])["timeline"]
    entry = catalog.analysis("timeline")
    drawn = entry.charts(both)
    assert [chart.title for chart in drawn] == [f"Timeline of {p.name}" for p in paths[:4]]
    assert len({chart.key for chart in drawn}) == 4
    note = entry.tables(both)[0].note
    assert note.startswith("Of 5 traces the first 4 are drawn.")
    assert "four.json.gz: Drawn in bins" in note


# ---------------------------------------------------------------- other forms


def run(*arguments: object) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["analyze", *map(str, arguments)])
    assert done.exit_code == 0
    return done.stdout, done.stderr


def test_every_form_has_the_same_facts_side_by_side(tmp_path: Path) -> None:
    paths = traces(tmp_path, "one", "two")
    page = tmp_path / "p.html"
    out, err = run(*paths, "-o", page, "--csv", tmp_path / "csv")
    markdown, _ = run(*paths, "--markdown")
    document = json.loads(run(*paths, "--json")[0])
    html = Page(page.read_text(encoding="utf-8")).text
    together = document["together"]
    assert together["names"] == ["One tiny", "Two tiny"]
    assert (together["one_job"], together["adds_up"]) == (False, False)
    for note in together["notes"]:
        assert note in html
        assert note in " ".join(out.split())
        assert text.plain(note) in markdown
    means = together["tables"]["stage-means"]
    assert [row[0] for row in means["rows"]] == ["prefill", "decode"]
    assert means["rows"][0][1:] == [100_000, 100_000]
    assert "| prefill | 100 µs | 100 µs |" in markdown
    csv = (tmp_path / "csv" / "together-stage-means.csv").read_text(encoding="utf-8")
    assert csv.splitlines()[:2] == [
        "stage,One tiny (ns),Two tiny (ns)",
        "prefill,100000.0,100000.0",
    ]
    assert (tmp_path / "csv" / "two" / "stages.csv").exists()
    assert "compare" in err  # what to run next


def test_the_terminal_shows_traces_side_by_side_and_each_only_when_asked(tmp_path: Path) -> None:
    paths = traces(tmp_path, "one", "two")
    short, _ = run(*paths, "-o", tmp_path / "p.html")
    full, _ = run(*paths, "-o", tmp_path / "p.html", "--full")
    assert short.count("Stages as numbers") == 0
    assert full.count("Stages as numbers") == 2
    assert short.count("Mean wall time of each stage") == 1


def test_chosen_analyses_of_several_traces_make_a_page(tmp_path: Path) -> None:
    paths = traces(tmp_path, "one", "two")
    out, _ = run(*paths, "--only", "kernels", "-o", tmp_path / "p.html")
    assert "one.json.gz" in out
    found = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert table(found, "tk-kernels-kernels-table")
    assert not table(found, "tk-stages-stages-table")


def test_prefill_and_decode_in_files_of_their_own_are_aligned_layer_by_layer() -> None:
    found = rendered(
        shared("traces", "tl_sglang_prefilldecode.json.gz"),
        shared("traces", "tl_sglang_decode.json.gz"),
    )
    assert "are read as one run" in found.text
    assert table(found, "tk-roles-pairs-table")
    pairs = {pair["role"]: pair for pair in found.json["tk-roles"]["pairs"]}
    assert pairs["MLP down projection"]["weights"] == "12288 → 4096"
    assert min(pairs["MLP down projection"][f"{p}_ns"] for p in ("prefill", "decode")) > 0


def test_what_many_traces_say_alike_is_said_once(tmp_path: Path) -> None:
    def rank(number: int) -> Path:
        meta = {"distributedInfo": {"rank": number, "world_size": 6}}
        return kineto(tmp_path / f"r{number}.json.gz", **meta)

    found = runs.read([engine.answers(rank(number)) for number in range(6)])
    view = overview.overview(found)
    assert overview.title(found) == "6 ranks of one job"
    assert len(view.verdicts) <= 2
    claims = [finding.claim for finding in view.findings]
    assert claims
    assert all("So on 6 of 6; this is the largest." in claim for claim in claims)
    rows = next(grid for grid in view.grids if grid.key == "findings").rows
    assert {row[0] for row in rows} == {f"rank {number}" for number in range(6)}
