"""Speculative decoding on the first screen: what it gained, and where it would pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.speculative import (
    ACCEPTED,
    ALPHA,
    BREAK_EVEN,
    LAW,
    SPEEDUP,
    TOKENS_A_ROUND,
    Speculative,
)
from tracekit.results.answers import Answers
from tracekit.results.first_screen import Drawn, FirstScreen, KeyNumber, Remark
from tracekit.results.units import duration, plural, ranked, share

from .charts import law_chart
from .tables import least, total


def key_numbers(result: Speculative, _one: Answers) -> Iterator[KeyNumber]:
    """Speed-up, acceptance and break-even, as far as they are measured."""
    random = any(row.random_weights for row in result.rows)
    if result.decode_speedup is not None:
        sub = "of decode, against the target alone"
        yield KeyNumber("Speed-up", f"{result.decode_speedup:.2f}×", sub, SPEEDUP)
    if result.acceptance is not None and result.tokens_per_round is not None:
        made = f"{result.tokens_per_round:.2f} tokens a round"
        sub = "random weights: means nothing" if random else made
        yield KeyNumber("Accepted", share(result.acceptance), sub, f"{ACCEPTED} {TOKENS_A_ROUND}",
                        "warn" if random else "")  # fmt: skip
    if len(result.laws) == 1 and (own := result.laws[0].own) is not None:
        most = f"γ {own.gamma}: {own.all_accepted:.2f}× at most"
        yield KeyNumber("Break-even α", least(own.break_even), most, BREAK_EVEN)


def remarks(result: Speculative, _one: Answers) -> Iterator[Remark]:
    """What the rounds spend their time on, and whether the output is the target's own."""
    every, rounds = total(result), sum(row.rounds for row in result.rows)
    if every.total_ns:
        parts = [(part, ns / every.total_ns) for part, ns in every.named.items()]
        mean = duration(every.total_ns / rounds)
        yield Remark(
            "Rounds", f"{plural(rounds, 'round')} of {mean} on average: {ranked(parts, 5)}"
        )
    checked = [row.same_as_target for row in result.rows if row.same_as_target is not None]
    if checked:
        same = f"{sum(checked)} of {plural(len(checked), 'request')}"
        yield Remark("Rounds", f"the output is the target's own in {same}")


def charts(result: Speculative, _one: Answers) -> Iterator[Drawn]:
    """The law of the pair that ran."""
    if len(result.laws) == 1:
        yield Drawn(law_chart(result.laws[0], "law"), instead_of="law")


def words(result: Speculative) -> Mapping[str, str]:
    if not result.laws:
        return {}
    return {"α": ALPHA, "break-even": BREAK_EVEN, "expected speed-up": LAW}


FIRST_SCREEN = FirstScreen(
    order=15, key_numbers=key_numbers, remarks=remarks, charts=charts, words=words
)
