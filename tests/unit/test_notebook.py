"""What a notebook shows of a trace."""

from __future__ import annotations

import pydoc
import subprocess
import sys
import types
from html import escape
from pathlib import Path

import pytest

import tracekit
from tests.integration.test_report import EVIL, kineto
from tracekit.errors import MissingEventsError, UsageError
from tracekit.report.html import notebook_figures


def test_each_analysis_is_a_method_that_returns_what_the_engine_says(tmp_path: Path) -> None:
    trace = tracekit.load(kineto(tmp_path / "a.json.gz"))
    answer = trace.stages()
    assert [row["stage"] for row in answer.to_json()["rows"]] == ["prefill", "decode"]
    assert list(answer.to_pandas()["wall_ns"]) == [100_000, 100_000]
    assert "stages" in dir(trace)
    assert trace.stages().result is answer.result  # computed once


def test_a_call_takes_lists_and_says_what_it_does_not_take(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")
    trace = tracekit.load(path)
    for given in (["gemm=0.5"], "gemm=0.5"):
        assert trace.whatif(scale=given).result is trace.whatif(scale=("gemm=0.5",)).result
    with pytest.raises(UsageError, match="one trace, and was given a list; load each"):
        tracekit.load([path, path])  # type: ignore[arg-type]


def test_a_prompt_shows_an_answer_as_tables(tmp_path: Path) -> None:
    paths = [kineto(tmp_path / name, name="ker\x1bnel") for name in ("a.json.gz", "b.json.gz")]
    shown = repr(tracekit.load(paths[0]).kernels())
    assert shown.startswith("Kernels\n")
    assert "total" in shown
    assert "Kernel(name=" not in shown
    assert "\x1b" not in shown
    assert "a → b" in repr(tracekit.compare(*paths))


def test_an_answer_shows_as_tables_and_figures(tmp_path: Path) -> None:
    trace = tracekit.load(kineto(tmp_path / "a.json.gz"))
    answer = trace.timeline()
    shown = answer._repr_html_()
    assert "<table>" in shown
    assert "stream 7" in shown
    assert [figure.layout.title.text for figure in answer.figures] == ["Timeline"]


def test_a_figure_leaves_the_bars_the_room_that_they_have_in_the_page(tmp_path: Path) -> None:
    answer = tracekit.load(kineto(tmp_path / "a.json.gz")).stages()
    for chart, figure in zip(answer.charts, answer.figures, strict=True):
        margin = figure.layout.margin
        plot = figure.layout.height - margin.t - margin.b
        assert plot == chart.layout["height"] - 10 - 44  # the theme's margins
        assert margin.t >= 48  # the title stands above, and the key of several colours
        assert figure.layout.legend.orientation == "h"


def test_a_signature_is_short_in_a_notebook_and_whole_on_hover(tmp_path: Path) -> None:
    name = f"void at::native::elementwise_kernel<128, MulFunctor<{'float, ' * 20}int>>(int)"
    shown = tracekit.load(kineto(tmp_path / "a.json.gz", name=name)).kernels()._repr_html_()
    assert ">elementwise_kernel: MulFunctor</td>" in shown
    assert f'title="{escape(name)}"' in shown


def test_names_from_a_trace_stay_text_in_a_notebook(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz", name=EVIL, tracekit={"model": EVIL})
    trace = tracekit.load(path)
    shown = trace._repr_html_() + trace.kernels()._repr_html_() + trace.timeline()._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown


def test_what_a_trace_cannot_answer_is_an_error_with_its_reason(tmp_path: Path) -> None:
    trace = tracekit.load(kineto(tmp_path / "a.json.gz", gpu=False))
    with pytest.raises(MissingEventsError, match="no kernel events"):
        trace.devices()
    with pytest.raises(AttributeError, match="no analysis 'nonsense'"):
        trace.nonsense()


def test_a_trace_in_memory_makes_the_same_report_page(tmp_path: Path) -> None:
    trace = tracekit.load(kineto(tmp_path / "a.json.gz"))
    written = trace.report(tmp_path / "page.html")
    assert 'id="tk-stages"' in written.read_text()


def test_a_cell_without_plotly_shows_the_tables_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    display = types.ModuleType("IPython.display")
    vars(display).update(HTML=str, display=shown.append)
    shell = types.ModuleType("IPython")
    vars(shell)["display"] = display
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setitem(sys.modules, "plotly", None)
    tracekit.load(kineto(tmp_path / "a.json.gz")).stages()._ipython_display_()
    tables, missing = shown
    assert "<table" in tables
    assert "needs plotly" in missing
    assert "tracekit[notebook]" in missing


def test_help_of_an_analysis_says_its_question_its_measures_and_its_parameters(
    tmp_path: Path,
) -> None:
    trace = tracekit.load(kineto(tmp_path / "a.json.gz"))
    said = pydoc.plain(pydoc.render_doc(trace.kernels))
    assert "kernels(*, stages:" in said
    assert "Which kernels ran in each phase" in said
    assert "share: Part of the durations of all kernels of the phase." in said


def test_two_traces_are_compared_in_a_cell(tmp_path: Path) -> None:
    paths = [kineto(tmp_path / name) for name in ("a.json.gz", "b.json.gz")]
    found = tracekit.compare(paths[0], tracekit.load(paths[1]))
    assert found.result.same_work
    assert {grid.key for grid in found.tables} >= {"stages", "kernels"}
    assert "<table>" in found._repr_html_()
    assert 'id="tk-' in found.report(tmp_path / "page.html").read_text()


def test_a_figure_in_a_cell_is_markup_too_and_the_first_brings_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tracekit.load(kineto(tmp_path / "a.json.gz", name=EVIL)).stages().figures
    assert len(figures) > 1
    first, second, *_ = notebook_figures.bundles(figures)
    for bundle in (first, second):
        assert bundle[notebook_figures.MIME]["data"]
        assert EVIL not in bundle["text/html"]
        assert "Plotly.newPlot" in bundle["text/html"]
    assert len(first["text/html"]) > 300_000
    assert len(second["text/html"]) < 50_000
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    figures[1]._ipython_display_()  # alone, as the last value of a cell
    assert len(shown[0]["text/html"]) > 300_000
    assert shown[0][notebook_figures.MIME] == second[notebook_figures.MIME]


def test_importing_tracekit_loads_no_numpy() -> None:
    code = "import sys, tracekit; sys.exit('numpy' in sys.modules or 'plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
