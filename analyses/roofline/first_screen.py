"""The floors of stages on the first screen."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.roofline import Roofline
from tracekit.answers.stages import Stages
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, KeyNumber, Remark
from tracekit.results.units import duration, plural, share


def key_numbers(result: Roofline, one: Answers) -> Iterator[KeyNumber]:
    """Floor against measured, for each stage that has one."""
    for row in result.floors if one.gpu else ():
        if row.took_ns and row.floor_ns:
            yield KeyNumber(
                f"Floor of {row.stage}", share(row.floor_ns / row.took_ns, 0),
                f"{duration(row.floor_ns)} of {duration(row.took_ns)}",
                "The least time the stage could take on this device (weights and cache over the "
                "bandwidth, FLOPs over the peak, whichever is longer), over what it took.",
            )  # fmt: skip


def remarks(result: Roofline, one: Answers) -> Iterator[Remark]:
    """How far each of the main stages is above its floor; what became of the user's word."""
    fit, whole = result.model, sum(c.kernel_ns for c in result.coverage)
    if fit is not None and not fit.used:
        yield Remark("Sizes", f"{fit.called} is not used: {fit.why}")
    elif fit is not None and whole:
        part = sum(row.total_ns for row in result.stated) / whole
        said = [
            f"{plural(many, 'token')} in {phase}" if many is not None
            else f"tokens in {phase} not known: a bound"
            for phase, many in fit.tokens.items()
        ]  # fmt: skip
        what = f"{share(part)} of the kernel time has those of {fit.called}, as you say"
        yield Remark("Sizes", f"{what} ({', '.join(said)})")
    stages = one.get(Stages)
    floors = {row.stage: row for row in result.floors}
    for stage in stages.main if stages is not None else ():
        row = floors.get(stage.family)
        if row is not None and row.took_ns and row.floor_ns:
            part = row.floor_ns / row.took_ns
            yield Remark(stage.title, f"its floor is {part:.0%} of what it took")


FIRST_SCREEN = FirstScreen(order=60, key_numbers=key_numbers, remarks=remarks)
