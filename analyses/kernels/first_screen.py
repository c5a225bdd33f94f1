"""The kernels on the first screen: the largest category, and those that cost most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tracekit.answers.kernels import Kernels
from tracekit.answers.stages import Stages, Total
from tracekit.attribution.stages import prefill_vs_decode
from tracekit.results.answers import Answers
from tracekit.results.figures import shorten
from tracekit.results.findings import LEAST
from tracekit.results.first_screen import FirstScreen, KeyNumber, Listed, Remark
from tracekit.results.units import ranked, share
from tracekit.taxonomy import Category

from . import graphs

CONVOLVED = "with convolutions"
NEARLY = 0.9  # of the kernel time that a stage launched


def key_numbers(result: Kernels, _one: Answers) -> Iterator[KeyNumber]:
    """The category with the largest sum of durations."""
    sums: Counter[str] = Counter()
    for row in result.rows:
        sums[row.category.value] += row.total_ns
    whole = sum(sums.values())
    if whole:
        name, most = max(sums.items(), key=lambda item: item[1])
        if name == Category.OTHER:  # says nothing
            yield _largest_kernel(result, whole)
            return
        convolved = sum(row.total_ns for row in result.rows if row.convolution)
        mostly = ""
        if name == Category.GEMM and convolved:
            mostly = f", {'mostly convolutions' if 2 * convolved > most else CONVOLVED}"
        yield KeyNumber("Largest category", name,
                        f"{share(most / whole, 0)} of kernel time summed{mostly}",
                        "The kernel category with the largest sum of durations.")  # fmt: skip


def _largest_kernel(result: Kernels, whole: int) -> KeyNumber:
    """Where no rule names most of the kernels: the one with most time."""
    sums: Counter[str] = Counter()
    for row in result.rows:
        sums[row.name] += row.total_ns
    name, most = sums.most_common(1)[0]
    return KeyNumber("Largest kernel", shorten(name, 22),
                     f"{share(most / whole, 0)} of kernel time summed",
                     "The kernel with the largest sum of durations.")  # fmt: skip


def remarks(result: Kernels, one: Answers) -> Iterator[Remark]:
    """What the kernel time of each of the main stages is made of."""
    yield from graphs.remarks(result)
    stages = one.get(Stages)
    for stage in stages.main if stages is not None else ():
        if not _most_of(stage, result):
            continue
        kinds = [
            (_named(c.category, c.phase, result), c.share) for c in result.categories
            if c.phase == stage.family and c.share
        ]  # fmt: skip
        if kinds:
            yield Remark(stage.title, f"of its kernel time, {ranked(kinds)}")


def _named(category: Category, phase: str, result: Kernels) -> str:
    """The category; convolutions count as GEMMs, which a first sentence may name apart."""
    mine = {row.convolution for row in result.rows
            if row.phase == phase and row.category is Category.GEMM}  # fmt: skip
    if category is not Category.GEMM or True not in mine:
        return category.value
    return f"{category.value} {CONVOLVED}" if False in mine else "convolutions"


def _most_of(stage: Total, result: Kernels) -> bool:
    """Whether the kernels of its phase are nearly all that it launched, and not few of all.

    A phase is the innermost stage's: what stages inside this one launched is theirs.
    """
    mine = sum(p.total_ns for p in result.phases if p.phase == stage.family)
    whole = sum(p.total_ns for p in result.phases)
    launched = stage.launched.kernel_ns if stage.launched is not None else 0
    return mine >= NEARLY * launched and mine >= LEAST * whole


def grids(result: Kernels, one: Answers) -> Iterator[Listed]:
    """Those that cost most in prefill, beside those that cost most in decode."""
    stages, phases = one.get(Stages), result.main_phases
    wholes = {p.phase: p.total_ns for p in result.phases}
    depths = stages.depths if stages is not None else {}
    yield Listed(
        prefill_vs_decode.dearest(
            result.rows, phases, "kernel", "Durations added up.",
            prefill_vs_decode.inside(phases, wholes, depths, "kernel"),
        ),
        folded=False,
    )  # fmt: skip


FIRST_SCREEN = FirstScreen(order=40, key_numbers=key_numbers, remarks=remarks, grids=grids)
