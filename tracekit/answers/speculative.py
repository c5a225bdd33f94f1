"""The answer of `speculative`, as data."""

from __future__ import annotations

from collections.abc import Mapping

from tracekit.records import Record
from tracekit.results.result import Result

ACCEPTED = "Draft tokens that the target kept, over draft tokens that were made."
ALPHA = (
    "α, the chance that a draft token is kept where all before it in its round were: accepted over "
    "tokens judged, since none is judged after the first that is refused."
)
TOKENS_A_ROUND = "Accepted draft tokens and the target's own token, mean over rounds."
SPEEDUP = (
    "Time of the target alone over that of speculative decoding, the same samples in turns, "
    "without the profiler; above 1 it pays."
)
BREAK_EVEN = "The least α at which a round costs no more than the target's steps that it saves."
LAW = (
    "Expected speed-up of decode, (1 - α^(γ+1)) / (1 - α) over γ·c + verify(γ+1) + other, costs in "
    "steps of the target alone (Leviathan et al. 2023, where verify is 1 and other is 0)."
)


class Parts(Record, frozen=True):
    """A span of rounds by what it was spent on, in ns."""

    draft_ns: int
    translate_ns: int  # between the tokens of two tokenizers
    verify_ns: int
    accept_ns: int
    roll_back_ns: int
    rest_ns: int  # in none of them: the host between; on a device, work that was launched there

    @property
    def total_ns(self) -> int:
        return sum(self.named.values())

    @property
    def named(self) -> dict[str, int]:
        """By the names that tables and charts use."""
        return {
            "draft": self.draft_ns, "translate": self.translate_ns, "verify": self.verify_ns,
            "accept": self.accept_ns, "roll back": self.roll_back_ns, "host rest": self.rest_ns,
        }  # fmt: skip


class Round(Record, frozen=True):
    """One round. `wall_ns` = the parts of `spent`."""

    number: int
    start_ns: int  # from the first slice of the trace
    wall_ns: int
    draft_steps: int
    drafted: int | None  # over all rows of the batch; None: the trace does not say
    accepted: int | None
    judged: int | None  # draft tokens up to and with the first that was refused
    sequences: int | None  # rows of the batch that were not done
    spent: Parts
    device: Parts | None  # busy with the work that each part launched; None without a device


class Plain(Record, frozen=True):
    """A request without the profiler. In ns; None where it is not known."""

    ttft_ns: int
    tpot_ns: float | None
    wall_ns: int  # from load to the last token
    tokens: int | None


class Row(Record, frozen=True):
    """One request; of a serving engine, which marks steps, all steps of a thread."""

    trace: str
    request: int | None  # None: steps of an engine
    draft: str | None
    target: str | None
    gamma: int | None  # tokens that a round drafts at most, as asked for
    random_weights: bool | None
    rounds: int
    drafted: int | None
    accepted: int | None
    judged: int | None  # draft tokens up to and with the first that was refused
    same_as_target: bool | None  # token by token; None: not checked
    tokens: int | None  # that one row of the batch generated, the first (of prefill) included
    tpot_ns: float | None  # decode over the tokens after the first
    tokens_per_round: float | None  # of one row of the batch
    wall_ns: int  # from the first stage to the end of the last round
    decode_ns: int  # of it, from the start of decode
    outside_ns: int  # of decode_ns, in no round
    spent: Parts  # of all rounds; with outside_ns, decode_ns
    device: Parts | None
    target_stages: Mapping[str, int]  # stages before decode, less what of the draft lies in them
    draft_stages: Mapping[str, int]
    plain: Plain | None  # the same sample without the profiler
    alone: Plain | None  # and by the target alone, in turns with it
    speedup: float | None  # of the whole request, the same number of tokens
    decode_speedup: float | None
    ledger: tuple[Round, ...]
    rank: str | None = None  # of a file of several; None where it holds one process

    @property
    def draft_ahead_ns(self) -> int:
        """What the draft takes before the first round."""
        return sum(self.draft_stages.values())


class Verify(Record, frozen=True):
    """A pass of the target over so many positions, against its single step."""

    length: int
    median_ns: float
    rounds: int
    steps: float  # over the target's step


class Curve(Record, frozen=True):
    """The law for one draft length."""

    gamma: int
    cost: float  # of a round, in steps of the target alone
    verify: float  # of it
    measured: bool  # the verify pass of this length was measured; else on a line through others
    break_even: float | None  # α; None where no acceptance reaches 1, the last point included
    break_even_alone: float | None  # were accepting, rolling back and the host's rest free
    all_accepted: float  # speed-up at α = 1
    at_alpha: float | None  # speed-up at the α of this run
    speedups: tuple[float, ...]  # at `Law.alphas`


class Law(Record, frozen=True):
    """What was measured of one pair, and what it makes of every acceptance."""

    draft: str | None
    target: str | None
    gamma: int | None  # of this run: asked for, or the most that a round drafted
    random_weights: bool | None
    draft_step_ns: float  # median, as all that follow
    target_step_ns: float  # as it would be under the profiler
    target_step_of: str  # where the target's step was measured, in words
    other_ns: float  # accept, roll back and host rest of a round
    c: float  # draft step over target step
    other: float  # other_ns over target step
    verify: tuple[Verify, ...]
    alpha: float | None  # of this run
    predicted: float | None  # speed-up at this α and γ
    measured: float | None  # speed-up of decode, median over requests
    best_gamma: int | None  # at this α: the largest speed-up; 0: drafting gains nothing
    alphas: tuple[float, ...]
    curves: tuple[Curve, ...]

    @property
    def own(self) -> Curve | None:
        """The curve of the draft length that ran."""
        return next((curve for curve in self.curves if curve.gamma == self.gamma), None)


class Speculative(Result, Record, frozen=True):
    analysis = "speculative"

    basis: str  # whose marks, and what the times are, in words
    rows: tuple[Row, ...]
    laws: tuple[Law, ...]  # of each pair whose costs are measured
    drafted: int | None
    accepted: int | None
    acceptance: float | None  # accepted over drafted
    alpha: float | None  # accepted over judged
    tokens_per_round: float | None
    speedup: float | None  # of whole requests, median
    decode_speedup: float | None
