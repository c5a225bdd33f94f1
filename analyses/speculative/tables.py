"""The rounds and the law as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tracekit.answers.speculative import (
    ACCEPTED,
    ALPHA,
    BREAK_EVEN,
    LAW,
    SPEEDUP,
    TOKENS_A_ROUND,
    Law,
    Parts,
    Row,
    Speculative,
)
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural

MOST = 200
RANDOM = "Weights are random: acceptance means nothing; costs, curves and break-even are real."
DEFINITIONS = {
    "accepted": ACCEPTED,
    "α": ALPHA,
    "tokens a round": TOKENS_A_ROUND,
    "speed-up": SPEEDUP,
    "break-even": BREAK_EVEN,
    "law": LAW,
    "round": "From its mark's start to its end, or until the work that it launched is complete; "
    "draft, translate, verify, accept, roll back and host rest add up to it.",
    "draft": "Draft steps, each from the later of its start and the completion of what went before "
    "to the completion of its own work.",
    "verify": "The target's pass over the draft tokens and one more, in the same way.",
    "translate": "Tokens of the draft through text to those of the target, of two tokenizers.",
    "accept": "Deciding how many draft tokens stay: comparison, or rejection sampling.",
    "roll back": "Taking what was refused out of the caches.",
    "host rest": "Of the round, in none of the other parts.",
    "device busy": "Time in which a device ran work that the part launched.",
    "c": "Draft step over target step.",
    "other": "All of a round but draft and verify, and what lies between rounds.",
    "target step": "One decode step of the target alone.",
}


def tables(result: Speculative) -> list[Grid]:
    grids = [_requests(result), _parts(result), _ahead(result)]
    several = len(result.laws) > 1
    for place, law in enumerate(result.laws):
        of = f": {law.draft} for {law.target}" if several else ""
        grids += _law(law, of, f"-{place + 1}" if several else "")
    return [grid for grid in (*grids, _ledger(result)) if grid.rows]


def _requests(result: Speculative) -> Grid:
    columns = (
        Column("request"), Column("rounds", "count"), Column("drafted", "count"),
        Column("accepted", "count"), Column("accepted, share", "share", ACCEPTED),
        Column("same as the target", "text", "Token by token, against the target alone."),
        Column("tokens", "count", "Generated, the first included."),
        Column("decode", "ns", "From the start of decode to the completion of the last round."),
        Column("TPOT", "ns", "Decode over the tokens after the first."),
        Column("speed-up of decode", "number", SPEEDUP),
        Column("of the request", "number", f"{SPEEDUP} From load to the last token."),
    )  # fmt: skip
    rows = [
        (name(r), r.rounds, r.drafted, r.accepted,
         r.accepted / r.drafted if r.accepted is not None and r.drafted else None,
         None if r.same_as_target is None else "yes" if r.same_as_target else "no", r.tokens,
         r.decode_ns, r.tpot_ns, r.decode_speedup, r.speedup)
        for r in result.rows[:MOST]
    ]  # fmt: skip
    notes = [RANDOM] if any(r.random_weights for r in result.rows) else []
    beyond = len(result.rows) - len(rows)
    return Grid("requests", "Requests", columns, rows, " ".join(notes), beyond=beyond)


def name(row: Row) -> str:
    """What a row is called: a request by its number, the steps of an engine as they are."""
    return "steps" if row.request is None else str(row.request)


def total(result: Speculative) -> Parts:
    """All rounds together."""
    return _added([row.spent for row in result.rows])


def _added(parts: list[Parts]) -> Parts:
    return Parts(*(sum(getattr(one, name) for one in parts) for name in Parts.__struct_fields__))


def _parts(result: Speculative) -> Grid:
    every = total(result)
    rounds = sum(row.rounds for row in result.rows)
    known = [row.device for row in result.rows if row.device is not None]
    device = _added(known).named if known else {}
    columns = (
        Column("part"), Column("time", "ns", "All rounds together."),
        Column("share", "share", "Of the time of rounds."),
        Column("a round", "ns", "Mean."), Column("device busy", "ns", DEFINITIONS["device busy"]),
    )  # fmt: skip
    whole = every.total_ns
    rows = [
        (part, ns, ns / whole if whole else None, ns / rounds, device.get(part))
        for part, ns in every.named.items()
        if ns or part != "translate"
    ]
    note = "" if known else "The trace has no work of a device."
    return Grid(
        "round-parts", "Where the time of rounds went", columns, rows,
        f"{result.basis[:1].upper()}{result.basis[1:]}. {note}".strip(),
        ("all rounds", whole, 1.0 if whole else None, whole / rounds, None),
    )  # fmt: skip


def _ahead(result: Speculative) -> Grid:
    """Stages before decode of both models, means over requests."""
    rows = [row for row in result.rows if row.draft_stages]
    names = list(dict.fromkeys(n for row in rows for n in (*row.target_stages, *row.draft_stages)))
    columns = (
        Column("stage"), Column("target", "ns", "Mean; less what of the draft lies in it."),
        Column("draft", "ns", "Mean."), Column("draft over target", "number"),
    )  # fmt: skip

    means = [_mean([r.target_stages for r in rows]), _mean([r.draft_stages for r in rows])]

    def cells(stage: str | None) -> tuple[object, ...]:
        target, draft = (sum(part.values()) if stage is None else part.get(stage) for part in means)
        ratio = draft / target if draft is not None and target else None
        return (stage or "all of them", target, draft, ratio)

    total = cells(None) if rows else None
    return Grid("ahead", "Before the first round", columns, [cells(n) for n in names], total=total)


def _mean(each: Sequence[Mapping[str, int]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in each for name in one)
    return {name: sum(one.get(name, 0) for one in each) / len(each) for name in names}


def _law(law: Law, of: str, key: str) -> Iterator[Grid]:
    """The costs of a pair, and the law for each draft length."""
    costs = (
        Column("what"), Column("time", "ns", "Median."),
        Column("target steps", "number", "Over the target step."), Column("measured on"),
    )  # fmt: skip
    rows: list[tuple[object, ...]] = [
        ("target step", law.target_step_ns, 1.0, law.target_step_of),
        ("draft step (c)", law.draft_step_ns, law.c, "rounds"),
        *((f"verify, {plural(v.length, 'position')}", v.median_ns, v.steps,
           plural(v.rounds, "round")) for v in law.verify),
        ("other, a round", law.other_ns, law.other, "rounds"),
    ]  # fmt: skip
    yield Grid(f"costs{key}", f"Costs{of}", costs, rows)
    columns = (
        Column("γ", "count", "Draft tokens of a round."),
        Column("round", "number", "Its cost in target steps: γ·c + verify + other."),
        Column("verify", "number", "In target steps."),
        Column("verify is", "text", "Measured, or on the line through measured lengths."),
        Column("break-even α", "text", f"{BREAK_EVEN} None: no acceptance pays."),
        Column("without other", "text", "Break-even, were only draft and verify to cost."),
        Column("all accepted", "number", "Speed-up at α = 1: the most that this γ can give."),
        Column("at this α", "number", "Speed-up that the law expects at the α of this run."),
    )
    cells = [
        (c.gamma, c.cost, c.verify, "measured" if c.measured else "from a line",
         least(c.break_even), least(c.break_even_alone), c.all_accepted, c.at_alpha)
        for c in law.curves
    ]  # fmt: skip
    note = f"{LAW} {RANDOM}" if law.random_weights else LAW
    yield Grid(f"law{key}", f"Expected speed-up by draft length{of}", columns, cells, note)


def least(alpha: float | None) -> str:
    """A break-even as text."""
    return "none" if alpha is None else f"{alpha:.2f}"


def _ledger(result: Speculative) -> Grid:
    every = [(row, one) for row in result.rows for one in row.ledger]
    parts = [part for part, ns in total(result).named.items() if ns or part != "translate"]
    columns = (
        Column("request"), Column("round", "text", DEFINITIONS["round"]),
        Column("drafted", "count"), Column("accepted", "count"),
        Column("time", "ns", "The columns to the right add up to it."),
        *(Column(part, "ns", DEFINITIONS[part]) for part in parts),
    )  # fmt: skip
    rows = [
        (name(row), str(one.number), one.drafted, one.accepted, one.wall_ns,
         *(one.spent.named[part] for part in parts))
        for row, one in every[:MOST]
    ]  # fmt: skip
    return Grid("rounds", "Every round", columns, rows, beyond=len(every) - len(rows))
