"""The kinds of kernels of a phase in a headline, with how near to the device's limits they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tracekit.answers.findings import Findings
from tracekit.answers.kernels import Kernel, Kernels
from tracekit.answers.roles import Roles
from tracekit.answers.roofline import SIZED, Roofline
from tracekit.attribution.roofline.formulas.work import Family
from tracekit.results.answers import Answers
from tracekit.results.kernel_labels import readable
from tracekit.results.units import share
from tracekit.taxonomy import Category, FindingKind, Stage

MOST = 2  # kinds that a headline names
WORTH = 0.1  # of the kernel time
LONG = 40  # characters of a kernel's name

WORDS = {
    Category.GEMM: "GEMMs", Category.ATTENTION: "attention",
    Category.ELEMENTWISE: "elementwise kernels", Category.COPY: "copy and layout kernels",
    Category.NORM: "normalisation", Category.REDUCTION: "reductions",
    Category.SAMPLING: "softmax and sampling", Category.SORT: "sorting",
    Category.SSM: "state-space scans", Category.ROTARY: "rotary embedding",
    Category.OPTIMIZER: "the optimiser", Category.EMBEDDING: "embedding look-ups",
    Category.COMMUNICATION: "communication",
}  # fmt: skip
CONVOLUTIONS, EXPERTS = "convolutions", "expert GEMMs"


class _Kind(NamedTuple):
    word: str
    ns: int
    category: Category | None


def kinds(one: Answers, kernels: Kernels, phase: str | None, *, talk: bool = True) -> str:
    """`weight GEMMs 59% at 50% of memory bandwidth, attention 22%`. `phase` None: all of them.

    Without `talk` communication is left out, and the shares are of the other kernels.
    """
    rows = [
        row for row in kernels.rows
        if phase in (None, row.phase) and (talk or row.category is not Category.COMMUNICATION)
    ]  # fmt: skip
    whole = sum(row.total_ns for row in rows)
    if not whole:
        return ""
    found = _fusable(one, phase, rows) or _by_kind(rows)
    experts = any(row.expert_gemm for row in rows)
    said = []
    for kind in found[:MOST]:
        part = kind.ns / whole
        if part >= WORTH:
            near = _near(one, kind, phase, rows)
            if kind.category is Category.GEMM and kind.word == WORDS[Category.GEMM]:
                weights = "bandwidth" in near
                said.append("other " if experts else "weight " if weights else "")
            else:
                said.append("")
            said[-1] += f"{kind.word} {share(part, 0)}{near}"
    return ", ".join(said)


def _by_kind(rows: Sequence[Kernel]) -> list[_Kind]:
    """The most first: categories, GEMMs of experts apart; what no rule names by kernel."""
    sums: Counter[tuple[str, Category | None]] = Counter()
    for row in rows:
        sums[_word(row), row.category if not row.expert_gemm else None] += row.total_ns
    return [_Kind(word, ns, category) for (word, category), ns in sums.most_common()]


def _word(row: Kernel) -> str:
    if row.expert_gemm:
        return EXPERTS
    if row.convolution:
        return CONVOLUTIONS
    if row.category in WORDS:
        return WORDS[row.category]
    return short(row)


def short(row: Kernel) -> str:
    """The readable name of a kernel, of a length that fits a sentence."""
    name = readable(row.name)
    cut = name if len(name) <= LONG else f"{name[: LONG - 1].rstrip()}…"
    return f"`{cut}`"


def _fusable(one: Answers, phase: str | None, rows: Sequence[Kernel]) -> list[_Kind]:
    """Kernels that only move data as one kind, where that is the largest and a finding says so."""
    found = one.get(Findings)
    told = [
        f for f in (found.rows if found is not None else ())
        if f.kind == FindingKind.UNFUSED_ELEMENTWISE and f.stage in (None, phase)
    ]  # fmt: skip
    mine = sum(row.total_ns for row in rows if row.fusable)
    rest = _by_kind([row for row in rows if not row.fusable])
    if not told or not rest or mine <= rest[0].ns:
        return []
    return [_Kind("unfused elementwise and copy kernels", mine, None), *rest]


def _near(one: Answers, kind: _Kind, phase: str | None, rows: Sequence[Kernel]) -> str:
    """How near to what bounds it a kind came; empty where nobody can say."""
    roles, roofline = one.get(Roles), one.get(Roofline)
    if kind.word == EXPERTS and roofline is not None:
        own = {row.name for row in rows if row.expert_gemm}
        near = roofline.near(own, phase, kind.ns)
        more = " or more" if near is not None and near.or_more else ""
        return "" if near is None else f" at {share(near.share, 0)}{more} of roofline"
    if kind.category is Category.GEMM and roles is not None and roles.on_gpu and phase:
        row = roles.phase(phase)
        if row is not None and phase == Stage.DECODE and row.gemm_bytes_share is not None:
            return f" at {share(row.gemm_bytes_share, 0)} of memory bandwidth"
        if row is not None and phase != Stage.DECODE and row.gemm_flops_share is not None:
            return f" at {share(row.gemm_flops_share, 0)} of peak FLOP/s"
    if kind.category not in (Category.GEMM, Category.ATTENTION) or roofline is None:
        return ""
    convolved = kind.word == CONVOLUTIONS
    mine = [
        r for r in roofline.products
        if r.category is kind.category and r.rates.floor_ns and phase in (None, r.phase)
        and (r.family is Family.CONVOLUTION) == convolved
    ]  # fmt: skip
    took = sum(r.total_ns for r in mine)
    floor = sum(r.rates.floor_ns or 0.0 for r in mine)
    if not took or took < SIZED * kind.ns:
        return ""
    return f" at {share(floor / took, 0)} of roofline"
