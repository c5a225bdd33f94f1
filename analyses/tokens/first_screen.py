"""The latencies of requests on the first screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.tokens import TPOT, TTFT, Tokens
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, KeyNumber
from tracekit.results.units import duration, tokens


def key_numbers(result: Tokens, _one: Answers) -> Iterator[KeyNumber]:
    """TTFT, TPOT and the rate of decode, over all requests, as far as they are known."""
    known = result.latency
    if known is None:
        return
    if known.ttft_ns is not None:
        bare = known.ttft_without_load_ns
        sub = "" if bare is None else f"{duration(bare)} without load"
        yield KeyNumber("TTFT", duration(known.ttft_ns), sub, TTFT)
    if known.tpot_ns is not None:
        late = known.itl_p99_ns
        sub = "" if late is None else f"99% within {duration(late)}"
        yield KeyNumber("TPOT", duration(known.tpot_ns), sub, TPOT)
        if known.tokens_per_s is not None:
            yield KeyNumber("Decode", tokens(known.tokens_per_s), "tokens/s of one sequence",
                            "Tokens a second after the first: 1 / TPOT.")  # fmt: skip


def words(result: Tokens) -> Mapping[str, str]:
    return {} if result.latency is None else {"TTFT": TTFT, "TPOT": TPOT}


FIRST_SCREEN = FirstScreen(order=10, key_numbers=key_numbers, words=words)
