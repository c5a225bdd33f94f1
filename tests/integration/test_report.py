"""The page as text: whole, self-contained, and nothing from a trace in it is markup."""

from __future__ import annotations

import csv
import gzip
import hashlib
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests import real
from tracekit.cli.app import app
from tracekit.report import facts, text, traces
from tracekit.report.html import embedded, tables
from tracekit.results import engine
from tracekit.results.result import Column, Grid

EVIL = '</script><script>alert("%{x}")</script><img src=x onerror=alert(1)> & `|`'


def kineto(path: Path, *, gpu: bool = True, name: str = "void kernel(int)", **meta: Any) -> Path:
    """A small trace: two stages, an op, its launch and, with `gpu`, the kernel it launched."""

    def slice_(cat: str, name: str, ts: float, dur: float, **args: Any) -> dict[str, Any]:
        on_gpu = cat in ("kernel", "gpu_memcpy")
        return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "tid": 7, "args": args,
                "pid": 0 if on_gpu else 7}  # fmt: skip

    events = [
        slice_("user_annotation", "tracekit::prefill", 0, 100),
        slice_("user_annotation", "tracekit::decode", 100, 100),
        slice_("cpu_op", "aten::mm", 10, 50),
        slice_("cpu_op", name, 110, 60),
    ]
    for at, what in ((20, "sm90_gemm"), (120, name)):
        if gpu:
            number = at
            events.append(slice_("cuda_runtime", "cudaLaunchKernel", at, 5, correlation=number))
            events.append(
                slice_("kernel", what, at + 10, 20, correlation=number, stream=7, device=0)
            )
    path.write_bytes(gzip.compress(json.dumps({**meta, "traceEvents": events}).encode()))
    return path


class Page(html.parser.HTMLParser):
    """The tags of a page with their attributes, its text outside scripts, its JSON by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.json: dict[str, Any] = {}
        self.text = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag in ("script", "style"):
            is_json = given.get("type") == "application/json"
            self._inside = given.get("id") if is_json else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.text += data
        elif self._inside:
            self.json[self._inside] = json.loads(data)


def rendered(*paths: Path) -> Page:
    return Page(traces.render([engine.answers(p) for p in paths], command="tracekit analyze x"))


def test_names_from_a_trace_stay_text_everywhere(tmp_path: Path) -> None:
    run = {"tracekit": {"model": EVIL, "text": [[EVIL]], "prompt": EVIL}}
    found = rendered(kineto(tmp_path / "evil.json.gz", name=EVIL, **run))
    assert "alert" not in "".join(f"{tag}{attrs}" for tag, attrs in found.tags if tag == "img")
    assert not [attrs for tag, attrs in found.tags if tag == "img"]
    scripts = [attrs for tag, attrs in found.tags if tag == "script"]
    assert all("type" in attrs for attrs in scripts[:-1])
    assert scripts[-1] == {}  # ours, and the last: nothing in the page opened another
    assert EVIL in found.text


def test_every_answer_and_every_chart_is_in_the_page_as_json(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")
    found = rendered(path)
    answers = engine.answers(path).to_json()["answers"]
    for name in answers:
        assert f"tk-{name}" in found.json
    rows = found.json["tk-stages"]["rows"]
    assert [row["stage"] for row in rows] == ["prefill", "decode"]
    charts = [attrs["data-chart"] for _, attrs in found.tags if attrs.get("data-chart")]
    assert charts
    assert all(found.json[str(chart)]["data"] for chart in charts)
    labels = [attrs for _, attrs in found.tags if attrs.get("data-chart")]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in labels)


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    found = rendered(kineto(tmp_path / "a.json.gz"))
    addresses = [
        address for _, attrs in found.tags for key in ("src", "href")
        if (address := attrs.get(key)) and not address.startswith("#")
    ]  # fmt: skip
    assert addresses == []


def test_ids_are_unique_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    found = rendered(kineto(tmp_path / "a.json.gz"))
    ids = [attrs["id"] for _, attrs in found.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    links = [str(attrs["href"])[1:] for tag, attrs in found.tags if tag == "a"]
    assert set(links) <= set(ids)


def test_the_page_names_the_trace_its_digest_the_version_and_the_command(tmp_path: Path) -> None:
    path = kineto(tmp_path / "named.json.gz")
    text = rendered(path).text
    assert "named.json.gz" in text
    assert str(facts.sha256(path)) in text
    assert "tracekit analyze x" in text


def test_a_very_large_trace_is_told_by_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"abcdefgh")
    monkeypatch.setattr(facts, "_WHOLE", 8)
    assert facts.digest(path) == ("sha256", hashlib.sha256(b"abcdefgh").hexdigest())
    monkeypatch.setattr(facts, "_WHOLE", 7)
    monkeypatch.setattr(facts, "_END", 2)
    found = facts.digest(path)
    assert found is not None
    assert found[0].startswith("sha256 of the first and the last")
    assert found[1] == hashlib.sha256(b"abgh").hexdigest()
    assert facts.digest(tmp_path / "none.json") is None


def test_a_trace_without_a_gpu_has_no_gpu_words_in_its_sections(tmp_path: Path) -> None:
    path = kineto(tmp_path / "cpu.json.gz", gpu=False)
    whole = traces.render([engine.answers(path)], command="")
    body = whole[whole.index('<section id="overview"') : whole.index('id="source"')]
    body = body.split('<section id="unanswered"')[0]
    body = re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    body = re.sub(r'<div class="verdict.*?</div>', "", body, flags=re.DOTALL)
    body = re.sub(r'<section id="audit".*?</section>', "", body, flags=re.DOTALL)  # says: no GPU
    words = re.sub(r"<[^>]+>", " ", body).replace("void kernel(int)", "")  # an op of this trace
    assert "CPU events only" in words
    assert not re.search(r"\b(GPU|memcpy|memset|kernel|kernels|stream)\b", words)


def test_a_question_without_data_says_why_and_how_to_have_it(tmp_path: Path) -> None:
    found = rendered(kineto(tmp_path / "cpu.json.gz", gpu=False))
    assert re.search(r"no kernel events\. To have (it|them): capture with a GPU", found.text)


def test_a_page_over_several_traces_has_them_side_by_side(tmp_path: Path) -> None:
    found = rendered(kineto(tmp_path / "one.json.gz"), kineto(tmp_path / "two.json.gz"))
    assert "2 traces side by side" in found.text
    assert [row["trace"] for row in found.json["tk-traces"]] == ["one", "two"]
    stages = found.json["tk-stages"]["by_trace"]
    assert {name: len(answer["rows"]) for name, answer in stages.items()} == {"one": 2, "two": 2}


def test_the_same_answers_make_the_same_page(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")
    one, two = (traces.render([engine.answers(path)], command="c") for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    "name", ["tl_h100_qwen15_05b", "hta_cpu_only_full", "tl_sglang_prefilldecode"]
)
def test_the_page_of_a_real_trace_stays_light(name: str) -> None:
    whole = traces.render([real.answers(name)], command="tracekit analyze x")
    assert len(whole.encode()) <= 1_900_000
    found = Page(whole)
    assert sum(tag not in ("script", "template") for tag, _ in found.tags) < 12_000
    data = sum(len(json.dumps(v, ensure_ascii=False)) for k, v in found.json.items())
    assert data <= 500_000


# ---------------------------------------------------------------- tables


def grid(rows: list[tuple[Any, ...]]) -> Grid:
    columns = (Column("kernel"), Column("total", "ns", "Sum."), Column("empty", "count"))
    return Grid("kernels", "Kernels", columns, rows)


def test_rows_beyond_the_first_wait_in_the_file() -> None:
    table = tables.html_table("k", grid([(f"k{i}", i * 10**6, None) for i in range(60)]), 10, 50)
    assert table.first.count("<tr>") == table.shown == 10
    assert table.rest.count("<tr>") == 40
    assert "Not in this page, but in --csv: 10 rows." in table.note
    assert "Not measured: 'empty'" in table.note
    assert [head.label for head in table.heads] == ["kernel", "total"]
    nameless = Grid("n", "N", (Column(""), Column("size", "bytes")), [("a", 16)])
    assert [head.label for head in tables.html_table("k", nameless, 10).heads] == ["what", "size"]


def test_a_column_has_one_unit_and_unknown_is_not_zero() -> None:
    table = tables.html_table("k", grid([("a", 2_500_000, 1), ("b", 4, None)]), 10)
    assert table.heads[1].unit == "ms"
    assert "<td class=n>2.500</td>" in table.first
    assert "<td class=n>0.000004</td>" in table.first
    assert "<td class=n>–</td>" in table.first


def test_a_column_takes_the_unit_in_which_most_of_its_values_can_be_read() -> None:
    one_large = [("a", 1_169_000, 1), ("b", 5_100, 1), ("c", 3_200, 1), ("d", 700, 1)]
    assert tables.html_table("k", grid(one_large), 10).heads[1].unit == "µs"
    too_large = [("a", 2_000_000_000, 1), *one_large[1:]]
    assert tables.html_table("k", grid(too_large), 10).heads[1].unit == "ms"


def test_a_few_bytes_are_whole_bytes() -> None:
    few = Grid("b", "B", (Column("what"), Column("size", "bytes")), [("a", 16), ("b", 964)])
    table = tables.html_table("k", few, 10)
    assert table.heads[1].unit == "B"
    assert "<td class=n>964</td>" in table.first


def test_kernels_with_long_names_keep_their_rows_in_the_file() -> None:
    found = Page(traces.render([real.answers("tl_mi300_resnet_act_checkpoint")], command="c"))
    assert not re.search(r"more rows are not in this page", found.text)


def test_a_table_of_nothing_but_zeros_is_named_instead_of_shown(tmp_path: Path) -> None:
    empty = Grid("e", "E", grid([]).columns, [("a", 0, None), ("b", 0, None)])
    assert tables.says_nothing(empty)
    assert not tables.says_nothing(Grid("e", "E", empty.columns, [("a", 0, 1)]))
    text = traces.render([real.answers("hta_large_integer")])  # one kernel, no gap
    assert "Zero or not measured in every row: Idle time by length of the gap." in text
    assert "data-chart=" not in text  # each would have one mark


def test_the_fitted_growth_is_drawn_over_the_tokens_of_each_request() -> None:
    trace = Path(__file__).parents[2] / "traces" / "sample-onellm-tiny-cpu.pt.trace.json.gz"
    found = rendered(trace)
    fits = [t for t in found.json["tk-tokens-tokens"]["data"] if t["type"] == "scatter"]
    assert len(fits) == 3  # a line a request
    slope = found.json["tk-tokens"]["growth"][0]["b_ns"] / 1e6
    first = [y for y in fits[0]["y"] if y is not None]
    assert first[1] - first[0] == pytest.approx(slope, rel=0.01)
    assert f"fitted: +{slope * 1e3:.1f} µs a position" in found.text


def test_a_name_in_a_table_is_escaped_and_a_long_one_folded() -> None:
    table = tables.html_table("k", grid([(EVIL * 3, 1, 1), ("<b>", 1, 1)]), 10)
    assert "<script" not in table.first
    assert "<img" not in table.first
    assert "<details class=long>" in table.first
    assert "&lt;b&gt;" in table.first
    claim = "Most is aten::mm in `run.py:8 <lambda>`: 244 ms of 300 ms, at 34.9% of the peak."
    said = tables.html_table("k", grid([(claim, 1, 1), (f"{'k' * 60}<1>", 1, 1),
                                        (f"{'k' * 60}<2>", 1, 1)]), 10)  # fmt: skip
    prose = "aten::mm in <code>run.py:8 &lt;lambda&gt;</code>: 244 ms of 300 ms, at 34.9% of the"
    assert f"<span class=prose>Most is {prose} peak.</span>" in said.first
    shown = re.findall("<summary>(.*?)</summary>", said.first)
    assert len(set(shown)) == 2  # two names are never cut to one text


def test_control_characters_of_a_name_are_visible_in_the_page_and_kept_in_its_data(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.json"
    name = "nul\0esc\x1b[31m"
    mark = {"ph": "X", "cat": "user_annotation", "pid": 1, "tid": 1, "ts": 1, "dur": 5}
    path.write_text(json.dumps({"traceEvents": [{**mark, "name": name, "args": {}}]}))
    whole = traces.render([engine.answers(path)], command="c")
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", whole)
    assert "nul\u2400esc\u241b[31m" in whole
    (row,) = Page(whole).json["tk-stages"]["rows"]
    assert row["name"] == name


def test_a_name_of_spaces_is_no_empty_header() -> None:
    grid = Grid("k", "T", (Column("name", "text"), Column("n", "count")), [("  \u2028", 1)])
    assert "<th scope=row>(blank)</th>" in tables.html_table("s", grid, 5, 5).first


def test_embedded_json_cannot_end_its_script() -> None:
    out = embedded.embedded({"name": "</script><!--", "line": "\u2028"})
    assert "<" not in out
    assert json.loads(out) == {"name": "</script><!--", "line": "\u2028"}


def test_embedded_answers_stay_within_their_budget_the_largest_cut_first() -> None:
    whole = {"long": {"rows": [{"name": "x" * 50}] * 900}, "short": {"rows": [1, 2, 3]}}
    texts = embedded.within(whole, 5_000)
    assert sum(map(len, texts.values())) <= 5_000
    out = {name: json.loads(text) for name, text in texts.items()}
    assert out["short"] == whole["short"]
    assert len(out["long"]["rows"]) + out["long"]["left_out"]["rows"] == 900


def test_what_is_cut_from_embedded_answers_is_counted() -> None:
    assert embedded.cut({"rows": list("abcde"), "x": 1}, 3) == {
        "rows": ["a", "b", "c"], "x": 1, "left_out": {"rows": 2},
    }  # fmt: skip


def test_series_of_numbers_stay_whole_however_many_rows_are_cut() -> None:
    rows = [{"busy_ns": [*range(200), None]}] * 9
    out = embedded.cut({"rows": rows}, 2)
    assert out == {"rows": rows[:2], "left_out": {"rows": 7}}
    many = embedded.cut({"rows": list(range(embedded.SERIES + 5))}, 2)
    assert (len(many["rows"]), many["left_out"]) == (embedded.SERIES, {"rows": 5})


@pytest.mark.parametrize("name", ["hta_nccl_ddp_a100", "hta_sampled_rank0", "tl_mi300_nsfw"])
def test_the_embedded_bins_of_the_timeline_add_up_to_the_busy_time_of_each_stream(
    name: str,
) -> None:
    found = Page(traces.render([real.answers(name)], command="tracekit analyze x"))
    (one,) = found.json["tk-timeline"]["rows"]
    assert one["strips"]
    for strip in one["strips"]:
        assert sum(sum(part["busy_ns"]) for part in strip["parts"]) == strip["busy_ns"]


# ---------------------------------------------------------------- the command


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["analyze", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_analyze_prints_the_stages_and_says_where_the_page_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kineto(tmp_path / "a.pt.trace.json.gz")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(path)
    assert code == 0
    assert "prefill" in out
    assert "report: reports/a.html" in err
    assert (tmp_path / "reports" / "a.html").stat().st_size > 10_000
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["a.html"]


def test_json_is_all_that_stdout_has_and_no_page_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kineto(tmp_path / "a.json.gz")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(path, "--json")
    assert code == 0
    assert json.loads(out)["schema"] == "tracekit/1"
    assert not (tmp_path / "reports").exists()


def test_no_html_writes_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kineto(tmp_path / "a.json.gz")
    monkeypatch.chdir(tmp_path)
    assert run(path, "--no-html")[0] == 0
    assert not (tmp_path / "reports").exists()


def test_csv_holds_every_row_and_no_formula(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz", name="=cmd()")
    code, _, err = run(path, "--csv", tmp_path / "csv", "-o", tmp_path / "p.html")
    assert code == 0
    assert "tables:" in err
    written = {p.name: p.read_text() for p in (tmp_path / "csv").iterdir()}
    assert "clock.kernel_ns" in written["stages.csv"].splitlines()[0]
    assert len(written["stages.csv"].splitlines()) == 3
    assert not [t for t in written.values() if re.search(r"(^|,)=", t, re.MULTILINE)]
    starts = [*"=+-@|%\uff1d\t\r", *(f"{unseen}=" for unseen in " \xa0\u200b\xad\u2066")]
    rows = [(f"{start}cmd|' /C calc'!A0", -1) for start in starts]
    sheet = text.Sheet(tmp_path / "f.csv", ["a", "=b"], rows)
    (path,) = text.write_sheets([sheet])
    with open(path, newline="", encoding="utf-8") as kept:
        heads, *said = csv.reader(kept)
    assert heads == ["a", "'=b"]
    assert all(row[0].startswith("'") and row[1] == "-1" for row in said)


def test_markdown_is_a_table_in_which_names_stay_text(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz", name=EVIL, tracekit={"model": EVIL})
    code, out, _ = run(path, "--markdown")
    assert code == 0
    assert "| stage |" in out
    assert "<script>" not in out
    assert "<img" not in out


def test_markdown_shortens_signatures_and_leaves_columns_of_zeros_out(tmp_path: Path) -> None:
    name = f"void at::native::elementwise_kernel<128, MulFunctor<{'float, ' * 20}int>>(int)"
    code, out, _ = run(kineto(tmp_path / "a.json.gz", name=name), "--markdown", "--full")
    assert code == 0
    assert "| elementwise\\_kernel: MulFunctor |" in out
    assert "float, float" not in out
    assert "Zero in every row: memcpy, memset" in out
    assert "| 0 ns |" not in out.split("<details>")[0]


def test_a_share_that_is_not_zero_is_never_shown_as_zero() -> None:
    column = Column("share", "share")
    assert tables.cell(0.0002, column, 0.01) == "&lt;0.1"
    assert tables.cell(0, column, 0.01) == "0"
    assert tables.cell(0.979, column, 0.01) == "97.9"


def test_a_page_given_as_a_trace_is_told_where_a_page_is_named(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")
    done = CliRunner().invoke(app, ["analyze", str(path), "--html", str(tmp_path / "out.html")])
    assert done.exit_code == 1
    assert "name the page with -o" in str(done.exception or done.stderr)


def test_what_to_run_next_names_no_trace_that_could_not_be_read(tmp_path: Path) -> None:
    good, bad = kineto(tmp_path / "good.json.gz"), tmp_path / "bad.json"
    bad.write_text("not a trace")
    _, _, err = run(good, bad, "-o", tmp_path / "p.html")
    assert "bad.json" not in err.split("next:")[1]


def test_one_bad_trace_among_several_is_named_and_the_others_answered(tmp_path: Path) -> None:
    good, bad = kineto(tmp_path / "good.json.gz"), tmp_path / "bad.json"
    bad.write_text("not a trace")
    code, out, err = run(good, bad, "-o", tmp_path / "p.html")
    assert code == 1
    assert "bad.json" in err
    assert "prefill" in out
    assert (tmp_path / "p.html").exists()


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")
    (tmp_path / "file").write_text("x")
    code, _, _ = run(path, "-o", tmp_path / "file" / "page.html")
    assert code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json.gz", "file"]


def test_a_command_line_shows_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    said = facts.command(["analyze", "/home/someone/traces/a b.json"])
    assert said == "tracekit analyze ~'/traces/a b.json'"
    assert "someone" not in said


def test_a_line_break_in_a_name_does_not_break_a_markdown_table() -> None:
    assert "\n" not in text.plain("a\nb|c")
    assert text.plain("a|b") == "a\\|b"


# ---------------------------------------------------------------- a comparison


def test_a_comparison_writes_a_page_whose_bars_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = kineto(tmp_path / "one.json.gz"), kineto(tmp_path / "two.json.gz", name=EVIL)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["compare", str(one), str(two)])
    assert done.exit_code == 0
    assert "report: reports/one-to-two.html" in done.stderr
    found = Page((tmp_path / "reports" / "one-to-two.html").read_text(encoding="utf-8"))
    assert "one → two" in found.text
    assert not [attrs for tag, attrs in found.tags if tag == "img"]
    assert found.json["tk-comparison"]["kernels"]
    bars = found.json["tk-overview-headline"]["data"][0]
    assert bars["base"][0] == bars["base"][-1] == 0
    gone = [k["name"] for k in found.json["tk-comparison"]["kernels"] if k["state"] == "gone"]
    assert gone == ["void kernel(int)"]


def test_json_of_a_comparison_writes_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kineto(tmp_path / "one.json.gz")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["compare", str(path), str(path), "--json"])
    kernels = json.loads(done.stdout)["comparison"]["kernels"]
    assert [kernel["difference_ns"] for kernel in kernels] == [0, 0]
    assert not (tmp_path / "reports").exists()


def test_every_form_of_a_comparison_has_the_same_facts(tmp_path: Path) -> None:
    run = {"model": "m", "title": "M", "batch_size": 1}
    one = kineto(tmp_path / "one.json.gz", tracekit=run)
    two = kineto(tmp_path / "two.json.gz", name="other", tracekit={**run, "batch_size": 8})

    def compared(*options: object) -> str:
        done = CliRunner().invoke(app, ["compare", str(one), str(two), *map(str, options)])
        assert done.exit_code == 0
        return done.stdout

    out = compared("-o", tmp_path / "p.html", "--csv", tmp_path / "csv")
    full = compared("-o", tmp_path / "p.html", "--full")
    markdown = compared("--markdown")
    document = json.loads(compared("--json"))["comparison"]
    html = Page((tmp_path / "p.html").read_text(encoding="utf-8")).text
    assert document["same_work"] is False
    assert document["differences"][0]["what"] == "batch size"
    said = "Not the same work: batch size 1 → 8."
    assert all(said in " ".join(form.split()) for form in (out, full, markdown, html))
    gone = [k["name"] for k in document["kernels"] if k["state"] == "gone"]
    assert gone == ["void kernel(int)"]
    kernels = (tmp_path / "csv" / "compare-kernels.csv").read_text(encoding="utf-8")
    assert "void kernel(int)" in kernels
    assert all("1 new, 1 gone" in " ".join(form.split()) for form in (out, markdown, html))
    assert not (tmp_path / "csv" / "p.html").exists()


def test_a_comparison_of_a_trace_with_itself_says_that_nothing_changed(tmp_path: Path) -> None:
    path = kineto(tmp_path / "one.json.gz")
    done = CliRunner().invoke(app, ["compare", str(path), str(path), "-o", str(tmp_path / "p")])
    assert "Difference 0 ns (the same)" in done.stdout
    assert "Other times that changed" not in done.stdout
    found = Page((tmp_path / "p").read_text(encoding="utf-8"))
    bars = found.json["tk-overview-headline"]["data"][0]
    assert len(bars["x"]) == 2  # before and after, and no step between
