"""Comparisons of other work say so, and call nothing faster that is only less."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.test_compare import AFTER, BEFORE, answered
from tracekit.answers.audit import Audit, Effect
from tracekit.answers.audit import Finding as Odd
from tracekit.answers.findings import Finding, Findings
from tracekit.answers.roofline import Op, Roofline
from tracekit.answers.stages import Instance, Stages, Total
from tracekit.attribution.roofline.utilization import rates
from tracekit.comparison import comparability, compare, fields, tables
from tracekit.comparison.fields import FieldChange
from tracekit.comparison.runs import Run
from tracekit.records import replace
from tracekit.report.diff import page, wording
from tracekit.results.result import Result
from tracekit.results.trust import Verdict
from tracekit.taxonomy import Category, FindingKind, Whole
from tracekit.trace.run_facts import RunFacts

ONE = RunFacts(
    model="onellm", device="H100", dtype="bfloat16", batch_size=1, prefill_tokens=81
)  # fmt: skip


def both(**after: Any) -> tuple[Run, Run]:
    return (
        replace(answered(BEFORE), facts=ONE),
        replace(answered(AFTER), facts=replace(ONE, **after)),
    )


def run(*results: Result, **facts: Any) -> Run:
    return Run(
        "x", facts=RunFacts(**facts), answers={result.analysis: result for result in results}
    )


def with_answer(one: Run, result: Result) -> Run:
    return replace(one, answers={**one.answers, result.analysis: result})


def words(result: compare.Comparison) -> str:
    view = page.overview(result)
    tiles = " ".join(f"{t.label} {t.value} {t.sub}" for t in view.tiles if t.label == "Difference")
    return tiles + " ".join(chart.title for chart in view.charts)


def test_the_same_work_is_faster_or_slower() -> None:
    result = compare.compare(*both())
    assert result.same_work
    assert "10.0% less time" in words(result)
    assert list(wording.notes(result)) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model", "llasa", "model onellm → llasa"),
        ("prefill_tokens", 512, "tokens of the prompt and the sensors 81 → 512"),
        ("batch_size", 8, "batch size 1 → 8"),
    ],
)
def test_other_work_is_named_above_the_numbers_and_called_neither(
    key: str, value: Any, said: str
) -> None:
    result = compare.compare(*both(**{key: value}))
    assert not result.same_work
    note = next(iter(wording.notes(result)))
    assert note.startswith("Not the same work:")
    assert said in note
    assert "10.0% less; not the same work" in words(result)
    assert not {"faster", "slower", "time"} & set(
        words(result).replace(",", " ").replace(";", " ").split()
    )
    drawn = page.overview(result).charts
    assert all({name for name, *_ in c.layout["meta"]["legend"]} <= {"less", "more"} for c in drawn)


def test_a_setting_that_changed_is_said_and_leaves_the_totals_comparable() -> None:
    result = compare.compare(*both(attention="eager"))
    assert result.same_work  # one side alone says it: nothing is known to differ
    before, after = both(attention="eager")
    result = compare.compare(replace(before, facts=replace(ONE, attention="sdpa")), after)
    assert result.same_work
    assert list(wording.notes(result)) == ["What was changed: attention sdpa → eager."]
    assert "less time" in words(result)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("device", "MI300X", "device H100 → MI300X"), ("dtype", "float32", "bfloat16 → float32")],
)
def test_the_same_work_on_another_device_or_in_another_dtype_is_compared(
    key: str, value: str, said: str
) -> None:
    result = compare.compare(*both(**{key: value}))
    assert result.same_work
    assert said in next(iter(wording.notes(result)))
    assert "10.0% less time" in words(result)


def total(family: str, count: int, ns: int) -> Total:
    return Total(
        family, count, ns, ns / count, None, None, None, None, None, None, None, None, None, None,
        None,
    )  # fmt: skip


def instance(family: str, ns: int) -> Instance:
    return Instance(
        family, family, 0, ns, None, None, None, None, None, None, family, nested=False,
        repeated=False, sample=None, rank=None, file_start_ns=0,
    )  # fmt: skip


def stages(*families: tuple[str, int, int], whole: int | None = None) -> Stages:
    """Instances of each family, their number and wall time together; no two overlap."""
    return Stages(
        chosen="drawn",
        rows=tuple(instance(name, ns // n) for name, n, ns in families for _ in range(n)),
        totals=(
            *(total(*family) for family in families),
            total(Whole.STAGES, 1, sum(f[2] for f in families) if whole is None else whole),
        ),
        unattributed=None,
        devices=0,
    )


def test_prefill_against_decode_is_not_compared() -> None:
    result = compare.compare(run(stages(("prefill", 1, 900))), run(stages(("decode", 1, 500))))
    assert not result.same_work
    assert [str(d) for d in result.differences] == [
        "prefill only before (1 ×)", "decode only after (1 ×)",
    ]  # fmt: skip
    assert "less; not the same work" in words(result)
    head = result.splits[0]
    assert (head.by, head.before_ns, head.after_ns) == ("stage", 900, 500)
    assert [(p.name, p.difference_ns) for p in head.parts] == [("prefill", -900), ("decode", 500)]


def test_another_number_of_steps_leaves_the_time_of_each_comparable() -> None:
    one = run(stages(("prefill", 1, 100), ("decode", 4, 400)))
    two = run(stages(("prefill", 1, 90), ("decode", 8, 720)))
    result = compare.compare(one, two)
    assert "decode 4 × → 8 ×" in next(iter(wording.notes(result)))
    rates = {rate.what: rate for rate in result.rates}
    assert (rates["one decode"].before_ns, rates["one decode"].after_ns) == (100, 90)
    assert rates["one decode"].judged
    assert rates["one decode"].clear  # each of eight is shorter than each of four
    assert rates["one prefill"].clear is None  # one of each: no spread to compare with


def odd(what: str, effect: Effect = "degraded") -> Odd:
    return Odd("x", what[:4], effect, what, 1, None, None, ())


def audit(verdict: Verdict, *rows: Odd) -> Audit:
    return Audit(verdict, 9, (*rows, odd("Captured without stacks.", "note")))


def audited(verdict: Verdict, *what: str) -> Run:
    effect: Effect = "refused" if verdict == "refused" else "degraded"
    return run(audit(verdict, *(odd(text, effect) for text in what)))


def test_a_change_of_the_verdict_is_said_in_words_with_its_reason() -> None:
    result = compare.compare(audited("trusted"), audited("degraded", "Half is lost: no wonder."))
    (verdict,) = page.overview(result).verdicts
    assert verdict.text == (
        "The audit trusts the trace before, and degrades the one after, because half is lost."
    )
    assert verdict.level == "warn"
    assert [(c.side, c.what) for c in result.audits.cautions] == [
        ("after", "Half is lost: no wonder.")
    ]
    same = compare.compare(audited("refused", "Bad."), audited("refused", "Bad."))
    text = page.overview(same).verdicts[0].text
    assert text == "The audit refuses both traces, because bad."
    fine = compare.compare(audited("trusted"), audited("trusted"))
    assert page.overview(fine).verdicts[0].word == "Trusted"


def change(field: str, before: float | None, after: float | None, **more: str) -> FieldChange:
    difference_ = after - before if before is not None and after is not None else None
    return FieldChange(
        more.get("analysis", "idle"), more.get("row", "r"), field, before, after, difference_,
        fields.relative(before, after),
    )  # fmt: skip


def test_numbers_that_matter_come_first_and_noise_does_not_come() -> None:
    changes = [
        change("rows.small_ns", 100, 150),
        change("rows.large_ns", 1_000, 9_000),
        change("rows.mean_ns", 10_000, 90_000),  # its sum is there
        change("rows.one_sided_ns", None, 5_000),
        change("rows.tiny_ns", 1_000_000, 1_000_200),  # under 1 %
        change("longest.ns", 10, 99_000),  # a single gap
        change("rows.count", 3, 12),
        change("rows.share", 0.1, 0.9),
        change("rows.flops_per_s", 10, 90),
        change("stages.causes.queued", 200, 220),
        change("rows.busy_ns", 5, 50_000, analysis="timeline"),
        change("rows.again_ns", 1_000, 9_000, row="z"),  # the same change again
    ]
    assert [c.field for c in fields.times(changes, 1)] == [
        "rows.large_ns", "rows.small_ns", "stages.causes.queued",
    ]  # fmt: skip
    assert "rows.large_ns" not in [c.field for c in fields.times(changes, 1, [(1_000, 9_000)])]
    assert [c.field for c in fields.others(changes)] == ["rows.count"]


def test_rows_of_two_files_are_matched_though_each_names_its_own() -> None:
    one = {"rows": [{"trace": "a.json", "name": "x", "total_ns": 5}]}
    two = {"rows": [{"trace": "b.json", "name": "x", "total_ns": 7}]}
    (found,) = fields.fields("modules", one, two)
    assert (found.row, found.before, found.after) == ("x", 5, 7)


def test_findings_are_matched_by_what_to_do() -> None:
    def found(saves: int, what: str) -> Run:
        row = Finding("x", FindingKind.LAUNCH_BOUND, "decode", 0, what, 0.5, "share", saves, None,
                      "Use graphs.", (), "trusted", (), {})  # fmt: skip
        return run(Findings((row,), ()))

    result = compare.compare(found(900, "waits 90 %"), found(100, "waits 10 %"))
    (both,) = result.findings
    assert (both.before_saves_ns, both.after_saves_ns) == (900, 100)
    assert (both.before, both.after) == ("waits 90 %", "waits 10 %")


def test_no_table_of_a_comparison_repeats_another() -> None:
    result = compare.compare(*both())
    kept = [(s.before_ns, s.after_ns, s.parts) for s in result.splits if s.by != "category"]
    assert len(kept) == len(set(kept))
    keys = [grid.key for grid in tables.tables(result)]
    assert len(keys) == len(set(keys))


def test_a_dtype_that_the_run_does_not_say_is_that_of_most_of_its_work() -> None:
    def side(*rows: tuple[str, int]) -> Run:
        ops = tuple(
            Op("aten::mm", "1×1×1", name, Category.GEMM, "all", "k", 1, 1, ns, 1, 1,
               rates(1, 1, ns, None, name))
            for name, ns in rows
        )  # fmt: skip
        return run(Roofline(ops, (), (), None, None, None, {}, None, None))

    found = comparability.differences(
        side(("bfloat16", 9), ("float32", 1)), side(("bfloat16", 1), ("float32", 9))
    )
    assert [str(d) for d in found] == ["dtype bfloat16 → float32"]


def test_what_one_side_does_not_say_is_not_known_to_differ() -> None:
    before, after = both()
    result = compare.compare(replace(before, facts=replace(ONE, device=None)), after)
    assert result.same_work
    assert [str(d) for d in result.differences] == ["device not said → H100"]


def test_stages_that_overlap_still_add_up_to_the_whole() -> None:
    one = run(stages(("a", 1, 60), ("b", 1, 60), whole=100))  # 20 of both at once
    two = run(stages(("a", 1, 50), ("b", 1, 50)))
    head = compare.compare(one, two).splits[0]
    assert [(p.name, p.before_ns, p.after_ns) for p in head.parts] == [
        ("a", 60, 50), ("b", 60, 50), ("overlap, counted once", -20, 0),
    ]  # fmt: skip


def test_a_refusal_gives_its_own_reason_first() -> None:
    one = audited("degraded", "Shared.")
    two = run(audit("refused", odd("Shared."), odd("No kernels: none.", "refused")))
    text = page.overview(compare.compare(one, two)).verdicts[0].text
    assert "refuses the one after, because no kernels (and 1 more, in the audit's table)." in text


def test_stacks_on_one_side_alone_end_the_judgement() -> None:
    before, after = both(with_stack=True)
    result = compare.compare(replace(before, facts=replace(ONE, with_stack=False)), after)
    assert not result.same_work
    (note,) = wording.notes(result)
    assert note.startswith("Not recorded alike: Python stacks recorded no → yes.")
    assert "10.0% less; not recorded alike" in words(result)
    assert not any(rate.judged for rate in result.rates)


def test_fewer_samples_are_said_once_and_not_stage_by_stage() -> None:
    one = run(stages(("load", 3, 90), ("decode", 3, 90)), samples=3)
    two = run(stages(("load", 2, 60)), samples=2)
    (note,) = wording.notes(compare.compare(one, two))
    assert note.startswith("Not the same work: number of samples 3 → 2; decode only before (3 ×).")


def test_work_that_is_lost_on_one_side_is_not_called_faster() -> None:
    before, after = both()
    after = with_answer(after, audit("degraded", odd("Half of the kernels are lost.")))
    result = compare.compare(with_answer(before, audit("trusted")), after)
    assert result.same_work
    assert "10.0% less; not as trusted on both sides" in words(result)
    alike = with_answer(before, audit("degraded", replace(odd("Half."), what="All are lost.")))
    assert "10.0% less time" in words(compare.compare(alike, after))
