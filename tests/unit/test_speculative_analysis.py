"""Rounds of speculative decoding: a ledger that adds up, and a law that a hand can check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import draw
from tracekit.answers.findings import Findings
from tracekit.answers.speculative import Parts, Speculative
from tracekit.answers.tokens import Tokens
from tracekit.attribution.roofline.speculative_law import (
    Costs,
    best_gamma,
    break_even,
    speedup,
    tokens_per_round,
)
from tracekit.errors import MissingEventsError
from tracekit.report import text, traces
from tracekit.report.one.headline import headline
from tracekit.report.one.overview import overview
from tracekit.results import catalog, engine
from tracekit.trace.trace import Trace

NAMES = {
    "s": "tracekit::sample#0", "e": "tracekit::encode", "E": "tracekit::draft_encode",
    "p": "tracekit::prefill", "P": "tracekit::draft_prefill", "d": "tracekit::decode",
    "0": "tracekit::round#0", "1": "tracekit::round#1", "i": "tracekit::draft_step#0",
    "j": "tracekit::draft_step#1", "v": "tracekit::verify", "c": "tracekit::accept",
    "r": "tracekit::roll_back",
}  # fmt: skip
HOST = """
    mark  sssssssssssssssssssssssssssssssssssssssss
    mark  eeeeee...................................
    mark  .EEEE....................................
    mark  ......pppppp.............................
    mark  ........PPP..............................
    mark  ............ddddddddddddddddddddddddddddd
    mark  .............0000000000000.111111111111..
    mark  .............iijj..........iijj..........
    mark  .................vvvv..........vvvv......
    mark  .....................cc............cc....
    mark  .......................rr............r...
"""
# without the profiler the pair takes half of what the picture shows (1 µs a column), 41 and 29 of
# decode; the target alone takes 1.5 a token then, which is 3 in the picture
PLAIN = {"encode": 3_000, "prefill": 3_000, "decode": 14_500}
ALONE = {"encode": 2_000, "prefill": 2_500, "decode": 4_500, "tokens": 4}


def meta(rounds: list[tuple[int, int]], **more: Any) -> dict[str, Any]:
    request = {
        "sample": "walk", "same_as_target": True, "alone": ALONE,
        "rounds": [{"drafted": d, "accepted": a} for d, a in rounds],
    }  # fmt: skip
    pair = {"draft": "eventgpt", "target": "onellm", "gamma": 2, "sampling": {"temperature": 0.0}}
    return {
        "tracekit": {
            "model": "onellm", "random_weights": False,
            "speculative": {**pair, "requests": [request]}, "tokens": {"generated": [4]},
            "unprofiled": {"samples": [PLAIN]}, **more,
        }
    }  # fmt: skip


def answer(trace: Trace) -> Speculative:
    return catalog.ask(trace, Speculative)


def test_a_round_adds_up_and_the_request_has_what_the_issue_of_rows_is() -> None:
    found = answer(draw(HOST, NAMES, meta=meta([(2, 1), (2, 0)])))
    (row,) = found.rows
    assert (row.request, row.rounds, row.drafted, row.accepted) == (0, 2, 4, 1)
    assert row.same_as_target is True
    assert row.judged == 2 + 1  # the second of the first round was refused, the first of the second
    first, second = row.ledger
    assert first.spent == Parts(4_000, 0, 4_000, 2_000, 2_000, 1_000)
    assert first.wall_ns == first.spent.total_ns == 13_000
    assert second.spent == Parts(4_000, 0, 4_000, 2_000, 1_000, 1_000)
    assert row.outside_ns == row.decode_ns - first.wall_ns - second.wall_ns == 29_000 - 25_000
    assert row.device is None
    assert row.target_stages == {"encode": 2_000, "prefill": 3_000}
    assert row.draft_stages == {"encode": 4_000, "prefill": 3_000}
    assert row.wall_ns == 41_000
    assert row.decode_speedup == pytest.approx(4_500 / 14_500)
    assert row.speedup == pytest.approx(9_000 / 20_500)
    assert (found.acceptance, found.alpha, found.tokens_per_round) == (1 / 4, 1 / 3, 3 / 2)


def test_costs_and_the_law_are_what_a_hand_gets() -> None:
    (law,) = answer(draw(HOST, NAMES, meta=meta([(2, 1), (2, 0)]))).laws
    # draft step 2 of 3, verify of three positions 4 of 3; beside: (5 + 4) / 2 and 4 / 2 a round
    assert (law.c, law.verify[0].length, law.verify[0].steps) == (2 / 3, 3, 4 / 3)
    assert law.other_ns == 4_500 + 2_000
    own = law.own
    assert own is not None
    assert own.cost == pytest.approx(2 * 2 / 3 + 4 / 3 + 6.5 / 3)
    # 4.83 steps for 3 tokens at most: no acceptance pays, though were the rest free 2.67 would
    assert own.break_even is None
    assert own.all_accepted == pytest.approx(3 / own.cost)
    assert own.break_even_alone is not None
    assert 1 + own.break_even_alone + own.break_even_alone**2 == pytest.approx(8 / 3, abs=1e-6)
    assert law.predicted == pytest.approx((1 + 1 / 3 + 1 / 9) / own.cost)
    assert law.measured == pytest.approx(9 / 29)
    assert law.best_gamma == 0


DEVICE = """
    mark     dddddddddddddddddddddd
    mark     000000000000..........
    mark     ii....................
    mark     ..jj..................
    mark     ....vv................
    mark     ......cccc............
    mark     ..........rr..........
    host     a.b.w.m..x............
    stream 7 .AAABBBBBWWWWMM.......
    stream 9 ..............X.......
"""


def test_on_a_device_a_part_lasts_until_its_work_is_complete() -> None:
    names = {**NAMES, "d": "tracekit::decode"}
    (row,) = answer(draw(DEVICE, names)).rows
    (one,) = row.ledger
    # drafts end with B at 9, verify with W at 13, accept with X at 15, roll back had ended before
    assert one.spent == Parts(9_000, 0, 4_000, 2_000, 0, 0)
    assert one.wall_ns == 15_000
    assert one.device == Parts(3_000 + 5_000, 0, 4_000, 2_000, 0, 0)  # both streams at once
    assert row.outside_ns == 22_000 - 15_000


def test_what_the_trace_does_not_say_is_not_known() -> None:
    found = answer(draw(HOST, NAMES))
    (row,) = found.rows
    assert (row.drafted, row.accepted, row.same_as_target, row.alone) == (None,) * 4
    assert row.plain is None
    assert (row.speedup, row.decode_speedup, found.acceptance, found.alpha) == (None,) * 4
    assert found.laws == ()
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["rows"][0]["tokens"] is None


def test_a_trace_without_rounds_is_not_answered() -> None:
    with pytest.raises(MissingEventsError, match="no rounds"):
        answer(draw("mark ppdd", {"p": "tracekit::prefill", "d": "tracekit::decode"}))


def test_random_weights_are_said_and_the_break_even_still_shown() -> None:
    run = meta([(2, 1), (2, 0)], random_weights=True, size="tiny", title="OneLLM 7B")
    one = engine.of_trace(draw(HOST, NAMES, meta=run), path="a.json")
    view = overview(one)
    assert view.headlines == (
        "Drafting cannot pay here: at γ 2 a round costs 4.83 target steps (2.17 to accept, roll "
        "back and on the host) and makes 3 tokens at most; decode ran at 0.31 times the speed of "
        "the target alone (whole requests 0.44), 25% of the draft tokens accepted (random weights: "
        "means nothing).",
    )
    numbers = {number.label: number for number in view.tiles}
    assert numbers["Speed-up"].value == "0.31×"
    assert (numbers["Accepted"].value, numbers["Accepted"].level) == ("25.0%", "warn")
    assert "means nothing" in numbers["Accepted"].sub
    assert (numbers["Break-even α"].value, numbers["Break-even α"].sub) == (
        "none", "γ 2: 0.62× at most",
    )  # fmt: skip
    found = one.get(Findings)
    assert found is not None
    (cost,) = [row for row in found.rows if row.kind == "draft_cost"]
    assert "No acceptance pays at γ 2: a round costs 4.83 decode steps" in cost.what
    assert cost.saves_ns == 29_000 - 9_000
    page = traces.render([one])
    assert '<section id="speculative"' in page
    assert "acceptance means nothing" in page
    assert "Break-even α **none**" in text.markdown(one)
    tokens = one.get(Tokens)
    assert tokens is not None
    # a round makes nobody knows how many tokens, so that none is said to be the last
    assert [r.part for r in tokens.rows][-3:] == ["decode", "decode", "rest of decode"]
    assert (tokens.requests[0].tokens, tokens.requests[0].tpot_ns) == (None, None)


CHEAP = """
    mark  eeeeeeeeee..............................
    mark  .EEEEEEEE...............................
    mark  ..........pppppppppppppp................
    mark  ...........PPPPPPPPPPPP.................
    mark  ........................dddddddddddddddd
    mark  ........................0000000.1111111.
    mark  ........................ij......ij......
    mark  ..........................vvvv....vvvv..
    mark  ..............................c.......c.
"""


def test_a_draft_whose_prefill_eats_the_gain_is_one_sentence() -> None:
    said = meta([(2, 2), (2, 2)])
    said["tracekit"] |= {
        "tokens": {"generated": [7]}, "unprofiled": {"samples": [{**PLAIN, "decode": 16_000}]},
    }  # fmt: skip
    request = said["tracekit"]["speculative"]["requests"][0]
    request["alone"] = {**ALONE, "decode": 24_000, "tokens": 7}
    one = engine.of_trace(draw(CHEAP, NAMES, meta=said), path="a.json")
    found = one.get(Findings)
    assert found is not None
    (own,) = [row for row in found.rows if row.kind == "draft_prefill"]
    # a round of 8 makes 3 tokens: 24 alone against 16; the draft's stages take 20 before
    assert "The draft takes 20.0 µs before the first token, 5.0 times" in own.what
    assert own.numbers["saved_ns"] == 24_000 - 16_000
    assert own.saves_ns == 20_000
    assert headline(one) == (
        "Drafting pays here: at γ 2 a round costs 2.00 target steps (a verify pass of 1.00) and "
        "pays from an acceptance α of 0.62 on; decode ran at 1.50 times the speed of the target "
        "alone (whole requests 1.30), 100% of the draft tokens accepted."
    )


def test_an_output_that_is_not_the_targets_is_a_finding() -> None:
    said = meta([(2, 1), (2, 0)])
    said["tracekit"]["speculative"]["requests"][0]["same_as_target"] = False
    found = engine.of_trace(draw(HOST, NAMES, meta=said), path="a.json").get(Findings)
    assert found is not None
    assert [row.what for row in found.rows if row.kind == "not_the_targets_output"] == [
        "The output of 1 of 1 request is not what the target alone generates."
    ]


VLLM = """
    mark xxxxxxxxxxxxxyyyyyyyyyyyyyzzzzzz
    mark ffff.ss.dddd.ffff.ss.dddd.ffff..
"""
VLLM_NAMES = {
    "x": "execute_context_1(8)_generation_0(0)", "y": "execute_context_0(0)_generation_2(10)",
    "z": "execute_context_0(0)_generation_2(2)", "f": "gpu_model_runner: forward",
    "s": "gpu_model_runner: sample", "d": "gpu_model_runner: draft",
}  # fmt: skip


def test_steps_of_vllm_are_rounds_where_they_generate_more_tokens_than_requests() -> None:
    found = answer(draw(VLLM, VLLM_NAMES))
    (row,) = found.rows
    assert (row.request, row.rounds, row.drafted, row.accepted) == (None, 1, 8, None)
    assert row.spent == Parts(4_000, 0, 4_000, 2_000, 0, 2_000)
    assert "vLLM" in found.basis
    assert found.laws == ()


def test_steps_of_sglang_are_rounds_from_verify_to_verify() -> None:
    names = {"v": "step[TARGET_VERIFY bs=4 toks=16]", "d": "draft", "x": "draft_extend",
             "n": "step[DECODE bs=4]", "p": "step[EXTEND bs=1 toks=9]"}  # fmt: skip
    picture = """
        mark dd.vvvv.xx.ddd.vvvv.xx.pppp.ddd
        mark .n..........n..................
    """
    found = answer(draw(picture, names))
    (row,) = found.rows
    assert row.rounds == 2
    assert [r.spent.draft_ns for r in row.ledger] == [5_000, 2_000]  # none after the prefill
    assert row.drafted is None
    assert "SGLang" in found.basis


def test_drafts_that_an_engine_does_not_mark_are_a_part_of_the_rest() -> None:
    names = {"v": "step[NGRAM_VERIFY bs=2 toks=10]"}  # n-grams, looked up on the host
    (row,) = answer(draw("mark vvvv...vvvv...vvvv", names)).rows
    assert (row.rounds, row.drafted, row.accepted) == (3, None, None)
    assert [(r.spent.draft_ns, r.spent.verify_ns) for r in row.ledger] == [(0, 4_000)] * 3
    assert row.outside_ns == 6_000


# ---------------------------------------------------------------- the law


def test_expected_tokens_are_those_of_the_paper() -> None:
    assert tokens_per_round(0.0, 4) == 1
    assert tokens_per_round(1.0, 4) == 5
    assert tokens_per_round(0.8, 5) == pytest.approx(3.68928)  # 1 + 0.8 + … + 0.8^5


def test_the_speed_up_of_the_paper_where_verifying_costs_a_step() -> None:
    free = Costs(draft=0.0)
    assert speedup(0.8, 5, free) == pytest.approx(3.68928)
    # Leviathan et al., theorem 3.8: (1 - α^(γ+1)) / ((1 - α) (γ c + 1))
    assert speedup(0.6, 3, Costs(draft=0.1)) == pytest.approx(2.176 / 1.3)


def test_two_models_of_one_size_gain_nothing_at_any_acceptance() -> None:
    alike = Costs(draft=1.0)
    assert all(break_even(gamma, alike) in (None, 1.0) for gamma in range(1, 9))
    assert best_gamma(0.99, alike, range(1, 9)) == 0


def test_verify_is_on_the_line_between_what_was_measured() -> None:
    costs = Costs(draft=0.1, verify={5: 1.4}, other=0.0)
    assert costs.verifying(1) == 1.0
    assert costs.verifying(3) == pytest.approx(1.2)
    assert costs.verifying(9) == pytest.approx(1.8)
    assert Costs(0.1, {3: 1.3, 5: 1.2}).verifying(4) == pytest.approx(1.25)
    assert Costs(0.1, {3: 1.3, 5: 1.3}).verifying(9) == pytest.approx(1.6)


@given(
    st.integers(1, 12), st.floats(0, 2), st.floats(0.5, 3), st.floats(0, 2), st.floats(0.01, 0.99)
)
def test_the_break_even_is_where_the_speed_up_is_one(
    gamma: int, c: float, verify: float, other: float, alpha: float
) -> None:
    costs = Costs(c, {gamma + 1: verify}, other)
    least = break_even(gamma, costs)
    if least is None:
        assert speedup(1.0, gamma, costs) < 1
    elif least > 0:
        assert speedup(least, gamma, costs) == pytest.approx(1, abs=1e-6)
    assert (speedup(alpha, gamma, costs) >= 1) is (least is not None and alpha >= least - 1e-7)
