"""The answer of `roofline`, as data."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

from tracekit.answers.roles import ModelFit
from tracekit.attribution.roofline.formulas.work import MATRIX, Family, Known
from tracekit.attribution.roofline.stage_bounds import StageBound
from tracekit.attribution.roofline.utilization import Rates
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.taxonomy import Category

Limit = Literal["compute", "memory", "latency", "communication"]
SIZED = 0.8  # of a time: with sizes, so that its share of the limit is that of it all


class Op(Record, frozen=True):
    """All calls of one op with one shape, in one phase."""

    op: str
    shape: str  # m×n×k of a GEMM, B×H×Sq×Sk×D of attention, else sizes of the largest argument
    dtype: str
    category: Category
    phase: str
    kernel: str  # the longest of those it launched
    calls: int
    kernels: int
    total_ns: int  # durations of its kernels, those of helpers left out
    flops: int
    bytes: int
    rates: Rates
    family: Family = Family.GEMM
    known: Known = Known.EXACT  # how far the recorded arguments say FLOPs and bytes
    limit: Limit | None = None  # what bounds it: `rates.bound`, or latency, or other devices
    helper_ns: int = 0  # durations of kernels beside its own: layout changes of a convolution
    module: str | None = None  # class of the innermost nn.Module around most of its time


class Coverage(Record, frozen=True):
    """How much of the GPU time has formulas; nothing is extrapolated from it."""

    phase: str
    kernel_ns: int  # durations of all kernels
    dense_ns: int  # of GEMM and attention kernels
    covered_ns: int  # of those whose op has a formula
    alike_ns: int = 0  # of covered_ns: launched before the recording, known by kernels alike
    communication_ns: int = 0  # of kernel_ns: collectives, covered where their size is known
    unsized_ns: int = 0  # of kernel_ns: neither an op's arguments nor anything else says the sizes


class Uncovered(Record, frozen=True):
    """Kernels that no formula describes, by their op, and why."""

    what: str  # the op, else the kernel
    why: str
    count: int
    total_ns: int


class Near(Record, frozen=True):
    """How near kernels came to what bounds them."""

    took_ns: int
    floor_ns: float
    or_more: bool  # what the sizes leave out can only bring them nearer
    memory: bool  # memory bandwidth is most of the floor, else arithmetic

    @property
    def share(self) -> float:
        """The floor, of the time taken."""
        return self.floor_ns / self.took_ns


class Roofline(Result, Record, frozen=True):
    analysis = "roofline"

    rows: tuple[Op, ...]  # the longest first
    floors: tuple[StageBound, ...]
    coverage: tuple[Coverage, ...]
    covered_share: float | None  # of all kernel time
    device: str | None
    source: str | None  # of the peaks
    peaks: dict[str, float]  # FLOP/s by dtype
    memory_bytes_per_s: float | None
    unshaped: str | None  # why there are no rows, where there are none
    uncovered: tuple[Uncovered, ...] = ()  # the longest first
    alike: tuple[Op, ...] = ()  # launched before the recording, described by kernels alike
    sized_share: float | None = None  # of the kernel time of which the trace holds sizes
    # no op: by their role and the model's dimensions, in our metadata or as the user names them
    stated: tuple[Op, ...] = ()
    model: ModelFit | None = None  # the configuration that the user named

    def near(self, kernels: Set[str], phase: str | None, total_ns: int) -> Near | None:
        """How near kernels of these names came, in one phase or in all; their time is `total_ns`.

        None where less than `SIZED` of it has sizes, or one of them is known from above only.
        """
        mine = [
            r for r in (*self.rows, *self.stated)
            if r.kernel in kernels and r.rates.floor_ns and phase in (None, r.phase)
        ]  # fmt: skip
        took, floor = sum(r.total_ns for r in mine), sum(r.rates.floor_ns or 0.0 for r in mine)
        if not took or took < SIZED * total_ns or any(r.known is Known.MOST for r in mine):
            return None
        memory = sum(r.rates.floor_ns or 0.0 for r in mine if r.rates.bound == "memory")
        return Near(took, floor, any(r.known is Known.LEAST for r in mine), memory > floor / 2)

    @property
    def products(self) -> tuple[Op, ...]:
        """The rows of GEMMs, convolutions and attention whose floor is near enough to judge by."""
        dense = (Category.GEMM, Category.ATTENTION)
        return tuple(
            r for r in self.rows
            if r.category in dense and r.family in MATRIX and r.known is not Known.MOST
            and not (r.known is Known.LEAST and r.family is Family.CONVOLUTION)
        )  # fmt: skip
