"""The law as curves with the run upon them, and the rounds as columns."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.answers.speculative import Law, Round, Row, Speculative
from tracekit.results import figures
from tracekit.results.figures import Chart, Here

from .tables import least, name

COLUMNS = 120  # of a chart: more rounds share columns
DRAWN = (1, 2, 4, 8)  # draft lengths whose curves are drawn, beside the run's and the best


def charts(result: Speculative) -> list[Chart]:
    several = len(result.laws) > 1
    found = [
        law_chart(law, f"law-{place + 1}" if several else "law")
        for place, law in enumerate(result.laws)
    ]
    every = [(row, one) for row in result.rows for one in row.ledger]
    return [*found, _rounds(every)] if every else found


def law_chart(law: Law, key: str) -> Chart:
    """Speed-up over α, a curve a draft length; where it crosses 1, and where this run lies."""
    own = law.own
    wanted = {*DRAWN, law.gamma, law.best_gamma}
    curves = [curve for curve in law.curves if curve.gamma in wanted]
    points = []
    if own is not None and own.break_even is not None:
        points.append(Here("break-even", f"γ {own.gamma}", own.break_even, 1.0, "circle-open"))
    if law.alpha is not None and law.measured is not None:
        points.append(Here("this run", "measured", law.alpha, law.measured))
    if law.alpha is not None and law.predicted is not None:
        points.append(Here("expected", "the law", law.alpha, law.predicted, "x-thin-open"))
    reaches = f" At γ {own.gamma} it reaches 1 at α {least(own.break_even)}." if own else ""
    return figures.law(
        key, _title(law), law.alphas, {f"γ {c.gamma}": c.speedups for c in curves}, points,
        summary="Expected speed-up of decode over the acceptance rate, one curve a draft length."
        + reaches,
        table=key,
    )  # fmt: skip


def _title(law: Law) -> str:
    own = law.own
    if own is None:
        return "Expected speed-up of decode over acceptance"
    if own.break_even is None:
        return (
            f"At γ {own.gamma} no acceptance pays: all drafts accepted give {own.all_accepted:.2f}×"
        )
    return f"At γ {own.gamma} drafting pays from α {own.break_even:.2f} on"


def _rounds(every: Sequence[tuple[Row, Round]]) -> Chart:
    """A column a round; of many rounds, the middle one of so many one after another."""
    many = -(-len(every) // COLUMNS)
    shown = []
    for at in range(0, len(every), many):
        some = sorted(every[at : at + many], key=lambda pair: pair[1].wall_ns)
        shown.append(some[len(some) // 2])
    names = list(shown[0][1].spent.named)
    title = "What each round spent its time on"
    if many > 1:
        title = f"What rounds spent their time on, the middle one of {many} at a time"
    return figures.columns(
        "rounds", title, [f"{name(row)} · {one.number}" for row, one in shown],
        {part: [one.spent.named[part] for _, one in shown] for part in names},
        of="time", x_title="request · round", table="rounds",
        summary="Time of each round, cut into draft, verify, accept, roll back and the rest.",
    )  # fmt: skip
