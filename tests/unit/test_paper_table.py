"""The table of a paper: what it holds, in three forms, and how it is rounded."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tracekit.bench import paper
from tracekit.bench.paper import Figure
from tracekit.cli.app import app


def benchmark(title: str, *, size: str = "tiny", random: bool = True, n: int = 3) -> dict[str, Any]:
    """A file of n requests: load 1, 2, 3 … ms, decode 10 ms for 5 tokens."""
    return {
        "schema": "tracekit-bench/1",
        "model": "m",
        "title": title,
        "stages": ["load", "decode"],
        "absent_stages": [],
        "environment": {"device": {"name": "H_100 & co"}, "versions": {}},
        "configurations": [
            {
                "axes": {},
                "options": {"size": size, "dtype": "bfloat16", "batch_size": 1},
                "facts": {"size": size, "random_weights": random, "attention": "sdpa"},
                "checkpoint": None if random else "OneLLM-7B",
                "tokens": {"generated": 5},
                "samples": [
                    {"load": (i + 1) * 1_000_000, "decode": 10_000_000, "tokens": [5]}
                    for i in range(n)
                ],
            }
        ],
    }


ONE = benchmark("OneLLM 7B")
TWO = benchmark("EventGPT 7B: an event camera", size="full", random=False, n=1)


def test_markdown_has_a_model_a_column_and_all_that_a_reader_must_know() -> None:
    text = paper.markdown(paper.columns([ONE, TWO]))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    table = {row[0]: row[1:] for row in rows}
    assert table["measure"] == ["OneLLM 7B", "EventGPT 7B"]
    assert table["weights"] == ["tiny, random weights", "full, OneLLM-7B"]
    assert table["device"] == ["H\\_100 &amp; co"] * 2
    assert table["dtype"] == ["bfloat16"] * 2
    assert table["n"] == ["3", "1"]
    assert table["load (ms)"] == ["2.0 ± 1.0", "1.00"]
    assert table["decode (ms)"] == ["10.0 ± 0.0", "10.0"]
    assert table["TPOT (ms)"] == ["2.50 ± 0.00", "2.50"]
    assert table["decode rate (tokens/s)"] == ["400 ± 0", "400"]
    assert "prefill (ms)" not in table
    assert "n - 1" in text


def test_latex_uses_booktabs_and_escapes_what_latex_obeys() -> None:
    text = paper.latex(paper.columns([ONE, benchmark(r"a_b\input{x}$ 50% #1 ^ ~", n=2)]))
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrr}", "booktabs"):
        assert word in text
    assert "tiny, random weights" in text
    assert r"$2.0 \pm 1.0$" in text
    assert r"H\_100 \& co" in text
    assert r"a\_b\textbackslash{}input\{x\}\$ 50\% \#1 \textasciicircum{} \textasciitilde{}" in text
    body = text.splitlines()
    rows = [line for line in body if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {2}
    assert text.isascii()


def test_csv_has_unrounded_numbers_and_runs_nothing() -> None:
    text = paper.comma_separated(paper.columns([ONE, benchmark("=cmd()", n=2)]))
    head, *rows = csv.reader(io.StringIO(text))
    assert head == ["measure", "unit", "OneLLM 7B mean", "OneLLM 7B std", "'=cmd() mean",
                    "'=cmd() std"]  # fmt: skip
    table = {row[0]: row[1:] for row in rows}
    assert table["weights"] == ["", "tiny, random weights", "", "tiny, random weights", ""]
    assert table["n"] == ["requests", "3", "", "2", ""]
    assert [float(v) for v in table["load"][1:]] == pytest.approx([2.0, 1.0, 1.5, 0.5**0.5])


@pytest.mark.parametrize(
    ("mean", "std", "shown"),
    [
        (10.526, 0.3417, ("10.53", "0.34")),
        (1234.5, 56.2, ("1234", "56")),
        (0.5271, 0.0123, ("0.527", "0.012")),
        (98765.4, 1234.0, ("98765", "1234")),
        (2.0, 0.0, ("2.00", "0.00")),
        (0.000123, None, ("0.000123", "")),
        (0.0, 0.0, ("0", "0")),
    ],
)
def test_figures_are_rounded_to_two_digits_of_the_deviation(
    mean: float, std: float | None, shown: tuple[str, str]
) -> None:
    assert paper.rounded(Figure(mean, std)) == shown


def test_sweeps_are_columns_that_say_their_place_and_a_failed_one_is_empty() -> None:
    swept = benchmark("OneLLM 7B")
    row = swept["configurations"][0]
    failed = {**row, "axes": {"batch_size": 64}, "samples": [], "facts": None, "error": "memory"}
    swept["configurations"] = [{**row, "axes": {"batch_size": 1}}, failed]
    one, two = paper.columns([swept])
    assert (one.title, two.title) == ("OneLLM 7B (batch size 1)", "OneLLM 7B (batch size 64)")
    assert (two.n, two.figures) == (0, {})
    assert "| load (ms) | 2.0 ± 1.0 | – |" in paper.markdown([one, two])


def test_the_command_joins_files_and_writes_the_form_that_the_name_says(tmp_path: Path) -> None:
    paths = []
    for name, content in (("a", ONE), ("b", TWO)):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(content))
    words = ["bench", "table", *map(str, paths)]
    assert "| measure | OneLLM 7B | EventGPT 7B |" in CliRunner().invoke(app, words).stdout
    assert r"\toprule" in CliRunner().invoke(app, [*words, "--table", "latex"]).stdout
    for name, begins in (("t.tex", "%"), ("t.md", "| measure |"), ("t.csv", "measure,unit,")):
        target = tmp_path / name
        for _ in range(2):  # a table of ours is replaced
            assert CliRunner().invoke(app, [*words, "-o", str(target)]).exit_code == 0
        assert target.read_text().startswith(begins)
    notes = tmp_path / "notes.md"
    notes.write_text("mine")
    assert CliRunner().invoke(app, [*words, "-o", str(notes)]).exit_code != 0
    assert notes.read_text() == "mine"
    assert CliRunner().invoke(app, [*words, "-o", str(tmp_path / "t.xlsx")]).exit_code != 0
