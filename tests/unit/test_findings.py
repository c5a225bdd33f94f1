"""Findings: only what the trace supports, ranked, with the audit's verdict on each."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from tracekit.analyses.findings import analysis as findings

from tests.drawing import draw
from tests.random_traces import traces
from tests.real import loaded
from tracekit.answers.audit import Audit
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import catalog
from tracekit.results.findings import Ask, Draft
from tracekit.results.result import Result, to_plain
from tracekit.results.trust import Trust
from tracekit.taxonomy import FindingKind
from tracekit.trace.trace import Trace

LAST = (FindingKind.SATURATED, FindingKind.LARGEST_STAGE, FindingKind.RECORD_MORE)


LAUNCH_BOUND = """
    mark      ddddddddddddddddddddddddddddddddddddddddd
    op        mm...mm...mm...mm...mm...mm...mm...mm....
    host      a....b....c....e....f....g....h....i.....
    stream 7  .A....B....C....E....F....G....H....I....
"""


def test_a_stage_that_waits_for_the_host_is_launch_bound_and_says_what_graphs_save() -> None:
    trace = draw(LAUNCH_BOUND, names={"d": "step[DECODE bs=2]", "m": "aten::mul"})
    (first, *_) = findings.findings(trace).rows
    assert (first.stage, first.kind) == ("decode", FindingKind.LAUNCH_BOUND)
    assert first.saves_ns == 28_000  # seven gaps of 4 in a window of 36
    assert first.saves_share == pytest.approx(28 / 36)
    assert "77.8%" in first.what
    assert "14.0 µs per token" in first.what
    assert "CUDA graphs" in first.do


def test_a_busy_device_has_no_finding_of_waiting() -> None:
    trace = draw(
        "mark dddddddd\nhost ab......\nstream 7 .AAABBBB", names={"d": "step[DECODE bs=2]"}
    )
    assert not [f for f in findings.findings(trace).rows if "idle" in f.what]


def test_idle_time_of_another_steps_work_is_not_claimed_to_be_waiting() -> None:
    rows = findings.findings(loaded("tl_sglang_decode")).rows
    assert not [f for f in rows if (f.saves_ns or 0) > 10_000_000]


def test_memory_bound_kernels_of_an_eager_model_are_found_with_the_audits_reason() -> None:
    rows = findings.findings(loaded("tl_h100_qwen15_05b")).rows
    (fuse,) = [f for f in rows if "only move data or compute element by element" in f.what]
    assert fuse.number == pytest.approx(0.609, abs=0.001)
    assert fuse.trust == "degraded"
    assert any("no launch" in why for why in fuse.why)
    assert fuse.saves_ns is not None
    assert fuse.saves_share is not None
    assert fuse.saves_share < 1


@pytest.mark.parametrize(
    "name", ["tl_h100_nsfw", "tl_sglang_prefilldecode", "hta_nccl_ddp_a100", "hta_cpu_only_full"]
)
def test_findings_are_ranked_and_never_save_more_than_there_is(name: str) -> None:
    result = findings.findings(loaded(name))
    saves = [f.saves_ns or 0 for f in result.rows if f.kind not in LAST]
    assert saves == sorted(saves, reverse=True)
    assert result.rows
    for finding in result.rows:
        assert finding.what.endswith(".")
        assert finding.do.endswith(".")
        assert finding.saves_share is None or 0 <= finding.saves_share <= 1
        assert finding.rests_on
    grid = findings.tables(result)[0]
    assert len(grid.rows) == len(result.rows)


def test_a_cpu_trace_gets_findings_of_host_time_and_none_of_kernels() -> None:
    rows = findings.findings(loaded("hta_cpu_only_full")).rows
    assert rows
    assert not [f for f in rows if "GPU" in f.what or "kernel" in f.what]


def test_an_answer_that_the_audit_refuses_supports_no_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refusing(_audit: Audit, name: str) -> Trust:
        return Trust("refused", ("Kernels were lost.",)) if name == "idle" else Trust("trusted")

    monkeypatch.setattr(Audit, "trust", refusing)
    result = findings.findings(
        draw(LAUNCH_BOUND, names={"d": "step[DECODE bs=2]", "m": "aten::mul"})
    )
    assert not [f for f in result.rows if "idle" in f.rests_on]
    (withheld,) = result.withheld
    assert (withheld.analysis, withheld.count, withheld.why) == (
        "idle", 1, ("Kernels were lost.",),
    )  # fmt: skip
    assert "withheld" in findings.tables(result)[0].note
    (share,) = [share for share in result.largest if share.time == "idle"]
    assert "refused" in (share.none_because or "")


def test_what_would_save_next_to_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(_result: Result, _ask: Ask) -> Iterator[Draft]:
        for ns in (10, 5000):
            yield Draft(FindingKind.HOST_WORK, None, f"Saves {ns}.", 1, "ns", ns, 10_000, "Do it.")

    entries = {name: replace(entry, findings=None) for name, entry in catalog.entries().items()}
    entries["stages"] = replace(entries["stages"], findings=rule)
    monkeypatch.setattr(catalog, "entries", lambda: entries)
    trace = draw("mark pppppppppp\nhost a\nstream 7 .AAAAAAAAAA")  # a window of 10 µs
    assert [f.saves_ns for f in findings.findings(trace).rows] == [5000]


@given(traces())
def test_any_trace_gives_findings_or_a_reason(trace: Trace) -> None:
    try:
        result = findings.findings(trace)
    except MissingEventsError:
        return
    assert to_plain(findings.merge(result, result))
    for finding in result.rows:
        assert finding.saves_ns is None or finding.saves_ns >= 0
        assert finding.saves_share is None or finding.saves_share <= 1


def test_merging_ranks_the_findings_of_all_traces_together() -> None:
    one, two = (findings.findings(loaded(n)) for n in ("tl_h100_nsfw", "tl_sglang_prefilldecode"))
    left = findings.merge(findings.merge(one, two), one)
    right = findings.merge(one, findings.merge(two, one))
    assert to_plain(left) == to_plain(right)
    assert len(left.rows) == 2 * len(one.rows) + len(two.rows)
    saves = [f.saves_ns or 0 for f in left.rows if f.kind not in LAST]
    assert saves == sorted(saves, reverse=True)


def test_a_trace_of_nothing_has_no_findings_and_says_why() -> None:
    with pytest.raises(MissingEventsError, match="no events"):
        findings.findings(draw("overhead aaa"))
