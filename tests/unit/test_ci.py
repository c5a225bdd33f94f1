"""What a CI server is told: short Markdown, GitHub annotations, JUnit XML."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tests import fresh
from tests.unit.test_hta import write_trace
from tracekit.cli.app import app
from tracekit.report import ci
from tracekit.report.ci import Case
from tracekit.report.one.overview import Finding, Overview
from tracekit.taxonomy import FindingKind

FOUND = [
    Case("a: b, c", "finding 1", "100% slow\nindeed <&> \x1b[31m"),
    Case("a: b, c", "findings"),
    Case("d", "may it be trusted?", "Untrusted: no", "error"),
]


def test_an_annotation_is_one_line_that_github_reads_whole() -> None:
    one, two = ci.workflow_commands(FOUND)
    assert one == "::warning title=tracekit a%3A b%2C c::100%25 slow indeed <&> \\x1b[31m"
    assert two == "::error title=tracekit d::Untrusted: no"


def test_junit_is_xml_whose_failures_are_what_was_found(tmp_path: Path) -> None:
    path = ci.write(FOUND, tmp_path / "j.xml")
    root = ElementTree.parse(path).getroot()
    assert root.attrib == {"name": "tracekit", "tests": "3", "failures": "2", "skipped": "0"}
    first, second = root
    assert (first.get("name"), first.get("tests"), first.get("failures")) == ("a: b, c", "2", "1")
    assert [len(test) for test in first] == [1, 0]
    failure = second[0][0]
    assert (failure.get("type"), failure.get("message")) == ("error", "Untrusted: no")
    assert ci.is_junit(path)


def test_what_claims_no_loss_is_a_notice_and_what_cannot_be_told_fails_nothing(
    tmp_path: Path,
) -> None:
    """Each kind of finding: which is a failure is a decision, so the others are named here."""
    kinds = {*FindingKind, "own_kind_of_a_package"}
    cases = {
        kind: ci.of_view("t", Overview(findings=(Finding("Said.", kind=kind),)))[0]
        for kind in kinds
    }
    no_loss = {"saturated", "largest_stage", "one_kernel"}
    said = {kind: ci.workflow_commands([case])[0].split()[0] for kind, case in cases.items()}
    assert {kind for kind, word in said.items() if word == "::notice"} == no_loss
    assert {kind for kind, word in said.items() if word == "::warning"} == kinds - no_loss
    path = ci.write([cases["saturated"], cases["record_more"], cases["copy"]], tmp_path / "j.xml")
    root = ElementTree.parse(path).getroot()
    assert root.attrib == {"name": "tracekit", "tests": "3", "failures": "1", "skipped": "1"}
    assert [test[0].tag for test in root[0]] == ["system-out", "skipped", "failure"]


def test_the_workflow_of_the_docs_is_yaml_of_commands_and_options_that_there_are() -> None:
    yaml = pytest.importorskip("yaml")
    page = (Path(__file__).resolve().parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    lines = [
        step["run"] for step in yaml.safe_load(block)["jobs"]["latency"]["steps"] if "run" in step
    ]
    ran = [line.split() for text in lines for line in text.splitlines() if "tracekit bench" in line]
    assert len(ran) == 3
    every = get_command(app)
    assert isinstance(every, TyperGroup)
    bench = every.commands["bench"]
    assert isinstance(bench, TyperGroup)
    for _, _, *words in ran:
        command = bench.commands.get(words[0], bench.commands["run"])
        known = {flag for one in command.params for flag in one.opts}
        assert {word for word in words if word.startswith("-")} <= known


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "t.json", annotated=True)


def test_a_comment_is_short_and_full_on_request(trace: Path) -> None:
    short = fresh.tracekit("analyze", trace, "--markdown", cwd=trace.parent).stdout
    full = fresh.tracekit("analyze", trace, "--markdown", "--full", cwd=trace.parent).stdout
    assert "Stages as numbers" in short
    assert "<details>" not in short
    assert "<details>" in full
    assert len(short) < len(full) / 2
    assert full.startswith(short[:200])


def test_the_commands_say_findings_where_a_server_looks(trace: Path) -> None:
    words = ("--annotations", "--junit", "j.xml", "--no-html")
    plain = fresh.tracekit("analyze", trace, "--no-html", cwd=trace.parent)
    ran = fresh.tracekit("analyze", trace, *words, cwd=trace.parent)
    assert ran.stdout == plain.stdout
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stderr.splitlines() if line.startswith("::")]
    (suite,) = ElementTree.parse(trace.parent / "j.xml").getroot()
    told = [case for case in suite if len(case)]
    assert len(said) == len(told) > 0
    # a trace of whole microseconds is degraded, and no run is worse for it
    assert said[0].startswith("::warning title=tracekit t.json::Degraded")
    assert told[0][0].tag == "system-out"
    mine = trace.parent / "mine.xml"
    mine.write_text("<mine/>")
    refused = fresh.tracekit("analyze", trace, "--junit", "mine.xml", cwd=trace.parent)
    assert refused.returncode == 1
    assert mine.read_text() == "<mine/>"
