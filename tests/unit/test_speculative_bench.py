"""Benchmarks of pairs, and what a pair at full size would cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracekit.bench import file, speculative
from tracekit.models.onellm import model as onellm
from tracekit.models.speculative import full_size
from tracekit.results import units


def test_a_benchmark_holds_pairs_against_the_target_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speculative, "TIMES", 3)
    plan = {"size": "tiny", "samples": 2, "warmup": 0, "max_new_tokens": 5}
    wanted = speculative.Wanted(
        target="onellm", drafts=["ngram", "llasa"], gammas=[1, 3], plan=plan,
        output=tmp_path / "pairs.json",
    )  # fmt: skip
    done = speculative.run(wanted)
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
