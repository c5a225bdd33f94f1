"""Findings in the forms that a CI server shows: GitHub annotations, JUnit XML.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions;
https://github.com/testmoapp/junitxml.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tracekit import plain
from tracekit.files import writing
from tracekit.records import Record
from tracekit.report.one.overview import Overview


class Case(Record, frozen=True):
    """One thing that was looked at. `failed` says what was found; empty: nothing."""

    group: str  # the trace, the comparison
    name: str
    failed: str = ""
    bad: bool = False  # no number of it may be trusted, or it is slower than allowed


def of_view(group: str, view: Overview) -> list[Case]:
    """The verdicts and the findings of a first screen."""
    verdicts = [
        Case(
            group, "may it be trusted?", f"{v.word}: {v.whole}" if v.level else "", v.level == "bad"
        )
        for v in view.verdicts
    ]
    findings = [
        Case(group, f"finding {place}", " ".join(filter(None, (f.claim, f.saves, f.todo))))
        for place, f in enumerate(view.findings, 1)
    ]
    return [*verdicts, *(findings or [Case(group, "findings")])]


def workflow_commands(cases: Iterable[Case]) -> list[str]:
    """A workflow command for each case that failed."""
    return [
        f"::{'error' if case.bad else 'warning'} "
        f"title={_property(f'tracekit {case.group}')}::{_data(case.failed)}"
        for case in cases
        if case.failed
    ]


def _data(text: str) -> str:
    flat = plain.line(" ".join(text.split()))
    return flat.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(cases: Sequence[Case]) -> str:
    """A suite for each group, a test for each case, a failure where something was found."""
    from xml.etree import ElementTree  # few ask for it

    root = ElementTree.Element("testsuites", {"name": "tracekit", **_counts(cases)})
    for group in dict.fromkeys(case.group for case in cases):
        own = [case for case in cases if case.group == group]
        suite = ElementTree.SubElement(
            root, "testsuite", {"name": plain.line(group), **_counts(own)}
        )
        for case in own:
            test = ElementTree.SubElement(
                suite, "testcase", classname=plain.line(group), name=plain.line(case.name)
            )
            if case.failed:
                kind = "error" if case.bad else "finding"
                failure = ElementTree.SubElement(
                    test, "failure", type=kind, message=plain.line(case.failed)
                )
                failure.text = plain.lines(case.failed)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    return {"tests": str(len(cases)), "failures": str(sum(bool(c.failed) for c in cases))}


def is_junit(path: Path) -> bool:
    """Whether a file is one that this module wrote."""
    from tracekit.files import starts

    return b'<testsuites name="tracekit"' in starts(path, 256)


def write(cases: Sequence[Case], path: Path) -> Path:
    """Writes the JUnit file. Raises: TracekitError where it cannot be written."""
    with writing(path) as temporary:
        temporary.write_text(junit(cases), encoding="utf-8")
    return path
