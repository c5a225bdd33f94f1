"""A thirteenth analysis is one new file: the one that docs/architecture.md shows whole."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracekit.analyses
from tests.drawing import draw
from tests.typecheck import errors
from tracekit.answers.findings import Findings
from tracekit.comparison import compare, runs
from tracekit.errors import TracekitError
from tracekit.report import text, traces
from tracekit.report.one.overview import overview
from tracekit.results import catalog, engine
from tracekit.results.answers import Answers

ROOT = Path(__file__).resolve().parents[2]
SYNCING = """
    mark     pppppppp
    host     a.sssss.
    stream 7 .AAAA...
"""
NAMES = {"s": "cudaDeviceSynchronize", "p": "tracekit::prefill"}


def shown(file: str) -> str:
    """The code of a file that the docs show."""
    docs = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = re.search(rf"```python\n(# {re.escape(file)}\n.*?)```", docs, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """The answers of a trace while there is one more analysis, in a folder of its own."""
    (tmp_path / "syncs.py").write_text(shown("analyses/syncs.py"), encoding="utf-8")
    monkeypatch.setattr(tracekit.analyses, "__path__", [*tracekit.analyses.__path__, str(tmp_path)])
    yield engine.of_trace(draw(SYNCING, NAMES), path=str(tmp_path / "trace.json"))
    monkeypatch.delitem(__import__("sys").modules, "tracekit.analyses.syncs", raising=False)


def test_it_is_found_and_answers(one: Answers) -> None:
    assert "syncs" in catalog.analyses()
    assert one.to_json()["answers"]["syncs"] == {
        "calls": 1, "sync_ns": 5_000, "other_ns": 1_000,
        "trust": {"verdict": "trusted", "why": []},
    }  # fmt: skip


def test_it_speaks_on_the_first_screen(one: Answers) -> None:
    view = overview(one)
    assert ("Synchronising", "5.00 µs", "1 call") in [(t.label, t.value, t.sub) for t in view.tiles]
    assert view.limits[-1] == "Synchronisation: 1 call took 5.00 µs."
    assert [t.label for t in view.tiles][-1] == "Synchronising"  # by its order number


def test_its_finding_is_ranked_among_the_others_and_rests_on_its_answer(one: Answers) -> None:
    found = one.get(Findings)
    assert found is not None
    (own,) = [row for row in found.rows if "synchronising" in row.what]
    assert own.rests_on == ("syncs", "stages")
    assert (own.saves_ns, own.saves_share) == (5_000, 5_000 / 8_000)
    saves = [row.saves_ns or 0 for row in found.rows]
    assert saves == sorted(saves, reverse=True)


def test_it_has_a_section_of_the_page_with_table_and_chart(one: Answers) -> None:
    page = traces.render([one])
    assert '<section id="syncs"' in page
    assert 'id="tk-syncs-syncs-table"' in page
    assert 'id="tk-syncs-syncs-chart"' in page
    assert "Synchronisation: 1 call took 5.00 µs." in page


def test_it_is_in_markdown_csv_and_the_comparison(one: Answers, tmp_path: Path) -> None:
    assert "Waiting for the device" in text.markdown(one)
    files = [path.name for path in text.write_csv([one], tmp_path / "csv")]
    assert "syncs-syncs.csv" in files
    merged = engine.merged([one, one])["syncs"].to_json()
    assert merged["sync_ns"] == 10_000
    assert compare.compare(runs.of(one), runs.of(one)).same_work


def test_the_types_of_the_shown_file_hold(tmp_path: Path) -> None:
    file = tmp_path / "shown.py"
    file.write_text(shown("analyses/syncs.py"), encoding="utf-8")
    assert errors("--strict", file, cwd=ROOT, cache=tmp_path / "cache") == []


def test_its_own_test_passes(one: Answers, tmp_path: Path) -> None:
    own: dict[str, object] = {}
    exec(compile(shown("tests/unit/test_syncs.py"), "shown", "exec"), own)  # our own docs
    test = own["test_only_calls_that_synchronise_count"]
    assert callable(test)
    test(tmp_path)


def of_kind(kind: str, declared: str, path: Path) -> Answers:
    """With the finding of the shown analysis of another kind."""
    code = shown("analyses/syncs.py").replace(
        "kind=FindingKind.HOST_SYNC", f"kind=OwnKind({kind!r})"
    )
    code = code.replace("import FindingKind", "import OwnKind")
    code = code.replace("    findings=findings,", f"    findings=findings,\n    kinds={declared},")
    (path / "syncs.py").write_text(code, encoding="utf-8")
    return engine.of_trace(draw(SYNCING, NAMES), path=str(path / "trace.json"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tracekit.analyses, "__path__", [*tracekit.analyses.__path__, str(tmp_path)])
    sys.modules.pop("tracekit.analyses.syncs", None)
    yield tmp_path
    sys.modules.pop("tracekit.analyses.syncs", None)


def test_its_finding_may_have_a_kind_of_its_own(folder: Path) -> None:
    one = of_kind("lab_waiting", "{'lab_waiting': 'The host waits for the lab.'}", folder)
    told = one.to_json()["answers"]["findings"]["rows"]
    assert [row["kind"] for row in told if "synchronising" in row["what"]] == ["lab_waiting"]
    assert "synchronising" in text.markdown(one)


@pytest.mark.parametrize(
    ("kind", "declared", "why"),
    [("lab_waiting", "{}", "not declared"), ("copy", "{'copy': 'Copies.'}", "tracekit's own")],
)
def test_a_kind_that_nothing_explains_is_an_error(
    kind: str, declared: str, why: str, folder: Path
) -> None:
    with pytest.raises(TracekitError, match=why):
        of_kind(kind, declared, folder)
