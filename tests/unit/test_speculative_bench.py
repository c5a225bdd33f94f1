"""Benchmarks of pairs, and what a pair at full size would cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracekit.bench import file, statistics
from tracekit.bench.speculative import costs, page, run
from tracekit.capture import plan as planning
from tracekit.models.onellm import model as onellm
from tracekit.models.speculative import full_size
from tracekit.models.speculative.entry import Built
from tracekit.report import benchmark
from tracekit.report.benchmark import About
from tracekit.results import units


def test_a_benchmark_holds_pairs_against_the_target_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "TIMES", 3)
    plan = {"size": "tiny", "samples": 3, "warmup": 0, "max_new_tokens": 5}
    wanted = run.Wanted(
        target="onellm", drafts=["ngram", "llasa"], gammas=[1, 3], plan=plan,
        output=tmp_path / "pairs.json",
    )  # fmt: skip
    done = run.run(wanted)
    said = file.load(done.files["JSON"])["speculative"]
    assert not done.failed
    assert "acceptance, and all that rests on it, means nothing" in said["note"]
    assert [(r["draft"], r["gamma"]) for r in said["rows"]] == [
        ("ngram", 1), ("ngram", 3), ("llasa", 1), ("llasa", 3),
    ]  # fmt: skip
    for row in said["rows"]:
        assert row["same_as_target"] is True
        assert row["accepted"] <= row["judged"] <= row["drafted"]
        assert row["rounds"] * row["tokens_per_round"] == pytest.approx(4)  # but the first token
        assert row["tpot_speedup"] == pytest.approx(said["alone"]["tpot_ns"] / row["tpot_ns"])
        assert row["tokens_per_s"] == pytest.approx(1e9 / row["tpot_ns"])
        assert row["verify_over_step"] == row["verify_ns"] / row["target_step_ns"]
        drafts = row["draft"] == "llasa"
        assert (row["c"] is not None) == drafts
        assert set(row["memory"]) == ({"target", "draft"} if drafts else {"target"})
        assert all(one["weights"] > one["cache"] > 0 for one in row["memory"].values())
        assert (row["draft_ahead_ns"] > 0) == drafts
    shown = done.grids[0]
    assert [row[0] for row in shown.rows] == ["target alone", "ngram", "ngram", "llasa", "llasa"]
    assert [row[1] for row in done.grids[1].rows] == [1, 3, 1, 3]
    for row in said["rows"]:
        cost, at = row["round_cost"]["median"], row["break_even"]
        if at:  # tokens of a round at that acceptance are as many as the steps that it costs
            assert sum(at**n for n in range(row["gamma"] + 1)) == pytest.approx(cost)
        else:
            assert cost > row["gamma"] + 1 if at is None else cost <= 1
    screen = page.about(done.content)
    assert screen.title == "ngram, llasa drafting for onellm"
    assert "decode steps of onellm" in screen.headline  # random weights: no word of a gain
    assert screen.notes[0].startswith("Random weights: acceptance")
    labels = [tile.label for tile in screen.tiles]
    assert {"Best speed-up", "Break-even α", "TTFT", "TPOT"} <= set(labels)
    drawn = {chart.key: chart for chart in done.charts}
    assert list(drawn) == ["law-1", "law-2", "over-gamma", "ttft", "tpot"]
    curve, point = drawn["law-2"].data[0], drawn["law-2"].data[3]
    first = said["rows"][2]
    assert curve["y"][-1] == pytest.approx(2 / first["round_cost"]["median"], abs=1e-3)  # α = 1
    assert (point["x"], point["name"]) == ([round(first["alpha"], 4)], "γ 1 (as it ran)")
    out = benchmark.write(tmp_path / "p.html", screen, done.grids, done.charts, page.definitions())
    text = out.read_text(encoding="utf-8")
    assert json.loads(text.partition('id="tk-bench">')[2].partition("</script>")[0])["speculative"]
    assert len(text) < 1_000_000


def row(draft: str, **more: object) -> dict[str, object]:
    sure = {"median": 1.5, "low": 1.4, "high": 1.6, "n": 20}
    made = {"draft": draft, "gamma": 4, "error": None, "alpha": 0.7, "alpha_interval": [0.6, 0.8],
            "break_even": 0.4, "decode_speedup": sure, "ttft_ratio": {**sure, "median": 2.1},
            "tokens_per_round": 3.0, "rounds": 5.0, "same_as_target": True,
            "round_cost": {**sure, "median": 2.0}, "ttft_ns": 2e6, "tpot_ns": 1e6}  # fmt: skip
    return made | more


def about(*rows: dict[str, object], random: bool = False) -> About:
    told = {"target": "t", "random_weights": random, "note": None, "rows": list(rows),
            "alone": {"ttft_ns": 1e6, "tpot_ns": 1.5e6}}  # fmt: skip
    content = {
        "speculative": told, "configurations": [], "title": "t", "finished": "f", "command": "c",
        "environment": {"device": {"name": "d"}, "versions": {}, "driver": None, "commit": None,
                        "clocks": {}, "load_average": None}, "model": "t",
    }  # fmt: skip
    return page.about(content)


def headline(*rows: dict[str, object], random: bool = False) -> str:
    return about(*rows, random=random).headline


def test_the_first_sentence_of_a_pair_says_a_gain_only_beyond_chance() -> None:
    slow = {"median": 0.8, "low": 0.7, "high": 0.9, "n": 20}
    assert headline(row("small"), row("large", decode_speedup=slow)) == (
        "small at γ 4 decodes 1.50 times as fast as t alone (95 %: 1.40 to 1.60): 70.0% of judged "
        "drafts stay, it pays from 40.0% on; the first token takes 2.10 times as long."
    )
    assert headline(row("large", decode_speedup=slow, break_even=None)) == (
        "No draft pays: the best, large at γ 4, decodes 0.80 times as fast as t alone (95 %: 0.70 "
        "to 0.90): 70.0% of judged drafts stay, it pays at no acceptance."
    )
    unsure = headline(row("small", decode_speedup=slow | {"median": 1.1, "high": 1.3}))
    assert unsure.startswith("Whether a draft pays is within the noise: small at γ 4")
    assert "Weights are random" in headline(row("small"), random=True)
    assert headline(row("small", break_even=None), random=True).startswith("No acceptance would")
    faster = row("small", gamma=8, break_even=0.5, decode_speedup=slow | {"median": 1.9})
    drawn = about(row("small"), faster, random=True)
    assert drawn.headline.startswith("small at γ 4 would pay from 40.0%")
    tiles = {tile.label: (tile.value, tile.sub) for tile in drawn.tiles}
    assert tiles["Break-even α"] == ("0.40", "small at γ 4; a round costs 2.00 steps")
    assert tiles["Best speed-up"][1].startswith("small at γ 8")


def test_the_interval_of_a_ratio_is_that_of_its_pairs() -> None:
    found = statistics.ratio_interval([2, 4, 3, 5], [8, 8, 8, 8])
    assert found is not None
    # of equal wholes it is Student's of the single ratios: mean 0.4375, s 0.1614, n 4, t 3.182
    assert found == pytest.approx((0.4375 - 0.2568, 0.4375 + 0.2568), abs=1e-4)
    assert statistics.ratio_interval([1, 2], [2, 4]) is None
    assert statistics.ratio_interval([1, 2, 3], [2, 4, 6]) is None  # all alike: nothing varies


@pytest.mark.parametrize(("free_gib", "size"), [(40, "tiny"), (70, "full")])
def test_all_of_a_benchmark_is_of_the_size_at_which_target_and_drafts_fit_together(
    free_gib: int, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OneLLM alone takes 33 GiB of float32 with room to work, with EventGPT 65; look-up none."""
    monkeypatch.setattr(planning, "free_bytes", lambda _device: free_gib << 30)
    wanted = run.Wanted(target="onellm", drafts=["eventgpt", "ngram"], gammas=[1, 2],
                        plan={"device": "cpu", "dtype": "float32"})  # fmt: skip
    found = run.configured(wanted, wanted.asked(), Built())
    assert [one.plan.options.size for one in found] == [size] * 5
    assert f"size {size}, because" in found[0].plan.why
    weights = [
        planning.weight_bytes(one.plan.model, one.plan.options.size, "float32") for one in found
    ]
    assert weights[0] > 0 == sum(weights[1:])  # each is in memory once


def test_a_pair_at_full_size_costs_what_its_shapes_say() -> None:
    found = full_size.full_size("tinyllama", "onellm", new=100, gammas=(1, 4))
    own = sum(onellm.COUNTS["full"].values())
    assert (found.target.parameters, found.draft.parameters) == (own, 1_100_048_384)
    assert found.target.weight_bytes == 2 * own
    position = 2 * 32 * 4096 * 2  # keys and values of 32 layers in two bytes
    assert found.target.cache_bytes == position * (found.target.prompt + 100)
    read = 2 * (6_738_415_616 - 32_000 * 4096)  # of the embedding table a pass reads a row
    for one, bandwidth in zip(found.devices, (3350e9, 2039e9, 864e9), strict=True):
        moved = read + position * (found.target.prompt + 50 + 1)
        assert one.target_step_ns == pytest.approx(1e9 * moved / bandwidth)
        assert one.verify[5] == pytest.approx((moved + 4 * position) / moved)
        assert one.c == pytest.approx(one.draft_step_ns / one.target_step_ns)
        at = one.break_even[4]
        assert at is not None
        rounds = sum(at**n for n in range(5))  # tokens of a round cost as many steps
        assert rounds == pytest.approx(4 * one.c + one.verify[5], abs=1e-6)
    assert [row[0] for row in full_size.memory_grid(found).rows] == [
        "target: onellm", "draft: tinyllama",
    ]  # fmt: skip
    assert len(full_size.grid(found).rows) == 6
    assert len(full_size.ahead_grid(found).rows) == 3


def test_the_docs_say_what_is_predicted() -> None:
    said = (Path(__file__).parents[2] / "docs" / "speculative.md").read_text(encoding="utf-8")
    for draft in ("eventgpt", "tinyllama"):
        found = full_size.full_size(draft)
        assert units.bytes_(found.bytes) in said
        for one in found.devices:
            for ns in (one.target_step_ns, one.draft_step_ns, one.target_ahead_ns):
                assert f"{ns / 1e6:.3g} ms" in said or f"{ns / 1e6:.2f} ms" in said
            known = [a for a in one.break_even.values() if a is not None]
            assert ", ".join(f"{a:.2f}" for a in known) in said
            assert (not known) == (draft == "eventgpt")


def test_two_models_of_one_size_pay_at_no_acceptance() -> None:
    found = full_size.full_size("llasa", "llasa", gammas=(4,), devices=("H100 SXM",))
    assert found.devices[0].c == 1
    assert found.devices[0].break_even == {4: None}
    assert full_size.grid(found).rows[0][6] == "none"
