"""Findings in the forms that a CI server shows: GitHub annotations, JUnit XML.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions;
https://github.com/testmoapp/junitxml.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracekit import plain
from tracekit.files import writing
from tracekit.records import Record
from tracekit.report.one.overview import Overview, overview
from tracekit.results.answers import Answers
from tracekit.taxonomy import FindingKind

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


Level = Literal["notice", "caution", "unjudged", "finding", "error"]

# they say where time is and claim no loss of it: nothing to fail for (docs/findings.md)
_NO_LOSS = frozenset(
    {FindingKind.SATURATED, FindingKind.LARGEST_STAGE, FindingKind.ONE_KERNEL}
)  # fmt: skip
_COMMANDS: dict[Level, str] = {
    "notice": "notice", "caution": "warning", "unjudged": "warning", "finding": "warning",
    "error": "error",
}  # fmt: skip


class Case(Record, frozen=True):
    """One thing that was looked at. `said` is what was found; empty: nothing.

    Level: `notice` is no problem, `caution` how far the numbers hold, `unjudged` what the trace
    cannot tell, `finding` what could be better, `error` what must be: no number may be trusted, or
    it is slower than allowed.
    """

    group: str  # the trace, the comparison
    name: str
    said: str = ""
    level: Level = "finding"

    @property
    def failed(self) -> bool:
        """Whether a server is to show it as a failure."""
        return bool(self.said) and self.level in ("finding", "error")


def of_answers(group: str, one: Answers) -> list[Case]:
    """The verdicts on a trace and all of its findings."""
    return of_view(group, overview(one, most=None))


def of_view(group: str, view: Overview) -> list[Case]:
    """The verdicts and the findings of a first screen."""
    verdicts = [
        Case(
            group, "may it be trusted?", f"{v.word}: {v.whole}" if v.level else "",
            "error" if v.level == "bad" else "caution",
        )
        for v in view.verdicts
    ]  # fmt: skip
    findings = [
        Case(
            group, f"finding {place}", " ".join(filter(None, (f.claim, f.saves, f.todo))),
            _level(f.kind),
        )
        for place, f in enumerate(view.findings, 1)
    ]  # fmt: skip
    return [*verdicts, *(findings or [Case(group, "findings")])]


def _level(kind: str) -> Level:
    if kind in _NO_LOSS:
        return "notice"
    return "unjudged" if kind == FindingKind.RECORD_MORE else "finding"


def workflow_commands(cases: Iterable[Case]) -> list[str]:
    """A workflow command for each case of which something is said."""
    return [
        f"::{_COMMANDS[case.level]} title={_property(f'tracekit {case.group}')}::{_data(case.said)}"
        for case in cases
        if case.said
    ]


def _data(text: str) -> str:
    flat = plain.line(" ".join(text.split()))
    return flat.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(cases: Sequence[Case]) -> str:
    """A suite for each group and a test for each case: failed where something was found, skipped
    where the trace cannot tell, passed otherwise, with what there is to say.
    """
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
            _said(test, case)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _said(test: Element, case: Case) -> None:
    """What is said of a case, in the element that a server takes for its outcome."""
    from xml.etree import ElementTree

    if not case.said:
        return
    message, text = plain.line(case.said), plain.lines(case.said)
    if case.level in ("notice", "caution"):
        ElementTree.SubElement(test, "system-out").text = text
    elif case.level == "unjudged":
        ElementTree.SubElement(test, "skipped", message=message)
    else:
        ElementTree.SubElement(test, "failure", type=case.level, message=message).text = text


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    skipped = sum(bool(case.said) and case.level == "unjudged" for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.failed for case in cases)),
        "skipped": str(skipped),
    }


def is_junit(path: Path) -> bool:
    """Whether a file is one that this module wrote."""
    from tracekit.files import starts

    return b'<testsuites name="tracekit"' in starts(path, 256)


def write(cases: Sequence[Case], path: Path) -> Path:
    """Writes the JUnit file. Raises: TracekitError where it cannot be written."""
    with writing(path) as temporary:
        temporary.write_text(junit(cases), encoding="utf-8")
    return path
