"""The answer of `roofline`, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.attribution.roofline.stage_bounds import StageBound
from tracekit.attribution.roofline.utilization import Rates
from tracekit.results.result import Result
from tracekit.taxonomy import Category


@dataclass(frozen=True, slots=True)
class Op:
    """All calls of one op with one shape, in one phase."""

    op: str
    shape: str  # m×n×k of a GEMM, B×H×Sq×Sk×D of attention
    dtype: str
    category: Category
    phase: str
    kernel: str  # the longest of those it launched
    calls: int
    kernels: int
    total_ns: int  # durations of its GEMM and attention kernels
    flops: int
    bytes: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the GPU time has formulas; nothing is extrapolated from it."""

    phase: str
    kernel_ns: int  # durations of all kernels
    dense_ns: int  # of GEMM and attention kernels
    covered_ns: int  # of those with a formula


@dataclass(frozen=True, slots=True)
class Roofline(Result):
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
