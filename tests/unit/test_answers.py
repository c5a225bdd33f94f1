"""Answers by their type."""

import gc
import importlib
import pkgutil
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.drawing import draw
from tracekit import answers
from tracekit.answers.idle import IdleTime
from tracekit.answers.ops import Op, Ops
from tracekit.answers.stages import Split, Stages, spent
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.report import text, text_tables
from tracekit.report.html import notebook_tables
from tracekit.report.html import tables as html_tables
from tracekit.results import catalog, engine
from tracekit.results.result import Column, Grid, Result
from tracekit.results.trust import Trust
from tracekit.taxonomy import Category
from tracekit.trace import kineto

STAGE = "mark pppp\nhost a...\nstream 7 .AA."


def test_an_answer_is_got_by_the_type_of_its_result() -> None:
    one = engine.of_trace(draw(STAGE))
    found = one.get(Stages)
    assert found is not None
    assert found is one.answers["stages"]
    assert [t.family for t in found.totals] == ["p", "all stages"]


def test_what_a_trace_did_not_answer_is_none() -> None:
    assert engine.of_trace(draw("op aaa")).get(IdleTime) is None


def test_asking_a_trace_computes_an_answer_once() -> None:
    trace = draw(STAGE)
    assert catalog.ask(trace, Stages) is catalog.ask(trace, Stages)


def test_asking_for_what_a_trace_cannot_answer_says_why() -> None:
    with pytest.raises(MissingEventsError):
        catalog.ask(draw("op aaa"), IdleTime)


def test_each_answer_has_the_audits_verdict() -> None:
    one = engine.of_trace(draw(STAGE))
    assert set(one.trust) == set(one.answers) - {"audit"}
    assert all(isinstance(trust, Trust) for trust in one.trust.values())


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(answers.__path__)])
def test_the_types_of_answers_are_named_as_the_analyses_are(name: str) -> None:
    module = importlib.import_module(f"tracekit.answers.{name}")
    found = [
        kind for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Result) and hasattr(kind, "analysis")
    ]  # fmt: skip
    assert [kind.analysis for kind in found] == [name]
    assert name in catalog.analyses()


def test_an_annotation_that_is_called_all_stages_is_not_taken_for_the_sum() -> None:
    trace = draw("mark pppp\nhost a...\nstream 7 .AA.", names={"p": "all stages"})
    found = catalog.ask(trace, Stages)
    assert [(t.family, t.is_all) for t in found.totals] == [
        ("all stages", False), ("all stages", True),
    ]  # fmt: skip
    assert [t.is_all for t in found.stages] == [False]
    assert found.whole is found.totals[-1]
    both = catalog.analysis("stages").merge(found, found)
    assert [t.is_all for t in both.totals] == [False, True]
    idle = catalog.ask(trace, IdleTime)
    assert [s.is_all for s in idle.stages] == [False, True]


@pytest.mark.parametrize("split", [Split.CLOCK, Split.LAUNCHED])
def test_the_parts_of_a_stage_add_up_to_its_whole(split: Split) -> None:
    for total in catalog.ask(draw(STAGE), Stages).totals:
        assert total.launched is not None
        whole = total.wall_ns if split is Split.CLOCK else total.launched.window_ns
        assert sum(total.parts(split).values()) == whole
        (shown,) = spent([total], split)
        assert sum(shown.values()) == whole - total.suspect_ns(split)
    assert total.parts(Split.HOST) == {}


def test_a_large_trace_is_gone_when_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.json"
    work = '{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "dur": 5, "ts": %d}'
    path.write_text('{"traceEvents": [' + ", ".join(work % k for k in (0, 10, 20)) + "]}")
    read: list[weakref.ref[Any]] = []
    load = kineto.load

    def kept(*given: Any, **named: Any) -> Any:
        trace = load(*given, **named)
        read.append(weakref.ref(trace.ts))
        return trace

    monkeypatch.setattr(kineto, "load", kept)
    gc.disable()
    try:
        monkeypatch.setattr(engine, "_LARGE", 1)
        assert engine.answers(path).answers
        assert [one() is None for one in read] == [True]
    finally:
        gc.enable()


def test_what_a_table_leaves_out_is_counted_once_wherever_it_is_shown() -> None:
    grid = Grid("k", "T", (Column("a"),), [("x",)] * 30, beyond=70)
    shown = text_tables.as_text("a:key:b", [grid])
    assert shown.startswith("a:key:b\n")  # no picture of a key
    assert "… and 80 more rows" in shown
    assert "80 more rows in .to_pandas()." in notebook_tables.table(grid)
    assert any("and 88 more rows in" in line for line in text.titled(grid))
    assert "Not in this page, but in --json: 70 rows." in html_tables.html_table("s", grid, 10).note
    one = Op("a", Category.GEMM, "decode", 1, 2, 2, 2.0, None, None, None)
    rows = tuple(replace(one, name=f"op {n}") for n in range(1_250))
    (ops, *_) = catalog.analysis("ops").tables(Ops(rows, ()))
    assert (len(ops.rows), ops.beyond, ops.note) == (200, 1_050, "")


def test_one_answer_asks_the_audit_only_what_can_touch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answer = catalog.answer

    def counted(trace: Any, name: str, **given: Any) -> Any:
        asked.append(name)
        return answer(trace, name, **given)

    monkeypatch.setattr(catalog, "answer", counted)
    found = engine.of_trace(draw(STAGE), ["devices"])
    assert set(found.answers) == {"devices"}
    assert found.trust["devices"].verdict == "trusted"
    assert "roofline" not in asked
    engine.of_trace(draw(STAGE), ["audit"])
    assert "roofline" in asked
