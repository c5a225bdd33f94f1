"""Comparisons of other work say so, and call nothing faster that is only less."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.test_compare import AFTER, BEFORE, plain
from tracekit.compare import comparability, compare, fields, tables
from tracekit.compare.fields import FieldChange
from tracekit.report.diff import page, wording

ONE = {"model": "onellm", "device": "H100", "dtype": "bfloat16", "batch_size": 1,
       "prefill_tokens": 81}  # fmt: skip


def sides(**after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {**plain(BEFORE), "run": ONE}, {**plain(AFTER), "run": {**ONE, **after}}


def words(result: compare.Comparison) -> str:
    view = page.overview(result)
    tiles = " ".join(f"{t.label} {t.value} {t.sub}" for t in view.tiles if t.label == "Difference")
    return tiles + " ".join(chart.title for chart in view.charts)


def test_the_same_work_is_faster_or_slower() -> None:
    result = compare.compare(*sides())
    assert result.same_work
    assert "10.0% faster" in words(result)
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
    result = compare.compare(*sides(**{key: value}))
    assert not result.same_work
    note = next(iter(wording.notes(result)))
    assert note.startswith("Not the same work:")
    assert said in note
    assert "10.0% less; not the same work" in words(result)
    assert not {"faster", "slower"} & set(words(result).replace(",", " ").replace(";", " ").split())
    drawn = page.overview(result).charts
    assert all({name for name, *_ in c.layout["meta"]["legend"]} <= {"less", "more"} for c in drawn)


def test_a_setting_that_changed_is_said_and_leaves_the_totals_comparable() -> None:
    result = compare.compare(*sides(attention="eager"))
    assert result.same_work  # one side alone says it: nothing is known to differ
    before, after = sides(attention="eager")
    before["run"] = {**ONE, "attention": "sdpa"}
    result = compare.compare(before, after)
    assert result.same_work
    assert list(wording.notes(result)) == ["What was changed: attention sdpa → eager."]
    assert "faster" in words(result)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("device", "MI300X", "device H100 → MI300X"), ("dtype", "float32", "bfloat16 → float32")],
)
def test_the_same_work_on_another_device_or_in_another_dtype_is_compared(
    key: str, value: str, said: str
) -> None:
    result = compare.compare(*sides(**{key: value}))
    assert result.same_work
    assert said in next(iter(wording.notes(result)))
    assert "10.0% faster" in words(result)


def with_stages(*families: tuple[str, int, int]) -> dict[str, Any]:
    totals = [
        {"family": name, "instances": n, "wall_ns": ns, "mean_ns": ns / n, "clock": None,
         "launched": None, "host": None}
        for name, n, ns in (*families, ("all stages", 1, sum(f[2] for f in families)))
    ]  # fmt: skip
    rows = [
        {"family": name, "wall_ns": ns // n, "nested": False, "repeated": False}
        for name, n, ns in families for _ in range(n)
    ]  # fmt: skip
    return {"path": "x", "answers": {"stages": {"totals": totals, "rows": rows}}, "unanswered": {}}


def test_prefill_against_decode_is_not_compared() -> None:
    result = compare.compare(with_stages(("prefill", 1, 900)), with_stages(("decode", 1, 500)))
    assert not result.same_work
    assert [str(d) for d in result.differences] == [
        "prefill only before (1 ×)", "decode only after (1 ×)",
    ]  # fmt: skip
    assert "less; not the same work" in words(result)
    head = result.splits[0]
    assert (head.by, head.before_ns, head.after_ns) == ("stage", 900, 500)
    assert [(p.name, p.difference_ns) for p in head.parts] == [("prefill", -900), ("decode", 500)]


def test_another_number_of_steps_leaves_the_time_of_each_comparable() -> None:
    one = with_stages(("prefill", 1, 100), ("decode", 4, 400))
    two = with_stages(("prefill", 1, 90), ("decode", 8, 720))
    result = compare.compare(one, two)
    assert "decode 4 × → 8 ×" in next(iter(wording.notes(result)))
    rates = {rate.what: rate for rate in result.rates}
    assert (rates["one decode"].before_ns, rates["one decode"].after_ns) == (100, 90)
    assert rates["one decode"].judged
    assert rates["one decode"].clear  # each of eight is shorter than each of four
    assert rates["one prefill"].clear is None  # one of each: no spread to compare with


def audited(verdict: str, *what: str) -> dict[str, Any]:
    rows = [{"check": text[:4], "what": text, "effect": verdict} for text in what]
    rows.append({"check": "options", "what": "Captured without stacks.", "effect": "note"})
    answers = {"audit": {"verdict": verdict, "checks": 9, "rows": rows}}
    return {"path": "x", "answers": answers, "unanswered": {}}


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
    def found(saves: int, what: str) -> dict[str, Any]:
        row = {"stage": "decode", "do": "Use graphs.", "what": what, "saves_ns": saves}
        return {"path": "x", "answers": {"findings": {"rows": [row]}}, "unanswered": {}}

    result = compare.compare(found(900, "waits 90 %"), found(100, "waits 10 %"))
    (both,) = result.findings
    assert (both.before_saves_ns, both.after_saves_ns) == (900, 100)
    assert (both.before, both.after) == ("waits 90 %", "waits 10 %")


def test_no_table_of_a_comparison_repeats_another() -> None:
    result = compare.compare(*sides())
    kept = [(s.before_ns, s.after_ns, s.parts) for s in result.splits if s.by != "category"]
    assert len(kept) == len(set(kept))
    keys = [grid.key for grid in tables.tables(result)]
    assert len(keys) == len(set(keys))


def test_a_dtype_that_the_run_does_not_say_is_that_of_most_of_its_work() -> None:
    def side(*rows: tuple[str, int]) -> dict[str, Any]:
        ops = [{"dtype": name, "total_ns": ns} for name, ns in rows]
        return {"path": "x", "answers": {"roofline": {"rows": ops}}, "unanswered": {}}

    found = comparability.differences(
        side(("bfloat16", 9), ("float32", 1)), side(("bfloat16", 1), ("float32", 9))
    )
    assert [str(d) for d in found] == ["dtype bfloat16 → float32"]


def test_what_one_side_does_not_say_is_not_known_to_differ() -> None:
    before, after = sides()
    before["run"] = {key: value for key, value in ONE.items() if key != "device"}
    result = compare.compare(before, after)
    assert result.same_work
    assert [str(d) for d in result.differences] == ["device not said → H100"]


def test_stages_that_overlap_still_add_up_to_the_whole() -> None:
    one, two = with_stages(("a", 1, 60), ("b", 1, 60)), with_stages(("a", 1, 50), ("b", 1, 50))
    one["answers"]["stages"]["totals"][-1]["wall_ns"] = 100  # 20 of both at once
    head = compare.compare(one, two).splits[0]
    assert [(p.name, p.before_ns, p.after_ns) for p in head.parts] == [
        ("a", 60, 50), ("b", 60, 50), ("overlap, counted once", -20, 0),
    ]  # fmt: skip


def test_a_refusal_gives_its_own_reason_first() -> None:
    one, two = audited("degraded", "Shared."), audited("refused", "No kernels: none.")
    two["answers"]["audit"]["rows"].insert(
        0, {"check": "Shar", "what": "Shared.", "effect": "degraded"}
    )
    text = page.overview(compare.compare(one, two)).verdicts[0].text
    assert "refuses the one after, because no kernels (and 1 more)." in text


def test_stacks_on_one_side_alone_end_the_race() -> None:
    before, after = sides(with_stack=True)
    before["run"] = {**ONE, "with_stack": False}
    result = compare.compare(before, after)
    assert not result.same_work
    (note,) = wording.notes(result)
    assert note.startswith("Not recorded alike: Python stacks recorded no → yes.")
    assert "10.0% less; not recorded alike" in words(result)
    assert not any(rate.judged for rate in result.rates)


def test_fewer_samples_are_said_once_and_not_stage_by_stage() -> None:
    one, two = with_stages(("load", 3, 90), ("decode", 3, 90)), with_stages(("load", 2, 60))
    one["run"], two["run"] = {"samples": 3}, {"samples": 2}
    (note,) = wording.notes(compare.compare(one, two))
    assert note.startswith("Not the same work: number of samples 3 → 2; decode only before (3 ×).")


def test_work_that_is_lost_on_one_side_is_not_called_faster() -> None:
    before, after = sides()
    lost = {"check": "lost_work", "effect": "degraded", "what": "Half of the kernels are lost."}
    before["answers"]["audit"] = {"verdict": "trusted", "checks": 1, "rows": []}
    after["answers"]["audit"] = {"verdict": "degraded", "checks": 1, "rows": [lost]}
    result = compare.compare(before, after)
    assert result.same_work
    assert "10.0% less; not as trusted on both sides" in words(result)
    both = {"verdict": "degraded", "checks": 1, "rows": [{**lost, "what": "All are lost."}]}
    before["answers"]["audit"] = both
    assert "10.0% faster" in words(compare.compare(before, after))
