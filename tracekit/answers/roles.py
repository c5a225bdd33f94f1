"""The answer of `roles`, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from tracekit.attribution.roofline.formulas.work import Family, Known
from tracekit.attribution.roofline.utilization import Rates
from tracekit.records import Record, replace
from tracekit.results.findings import LEAST
from tracekit.results.result import Result
from tracekit.taxonomy import Category, Stage

Bound = Literal["memory", "compute"]


class Role(Record, frozen=True):
    """All work of one place of a layer in one phase, over all layers and passes."""

    role: str
    phase: str
    category: str  # of other work: of most of its time
    place: float  # sorts roles in the order of a layer
    calls: int | None  # of the GEMM or the attention; None for other work
    count: int  # kernels, or ops
    total_ns: int  # durations of kernels, or self time of ops
    share: float | None  # of the kernel time (op time) of the phase
    call_ns: float | None  # a call
    token_ns: float | None  # a generated token
    form: str | None  # GEMM or GEMV; None for other work
    rows: int | None  # that the calls multiply with the weights, added up
    row_ns: float | None
    weights: str | None  # k → n; None where not recorded, or several
    weight_bytes: int | None  # read by all calls, as recorded in this phase or in another
    dtype: str | None
    flops: int | None
    bytes: int | None  # least
    rates: Rates
    weight_share: float | None  # of the memory bandwidth, by the weights alone
    kernel: str  # that took most of the time, or op
    by_metadata: bool = False  # rows, weights, FLOPs and bytes are by the dimensions of our capture
    by_config: bool = False  # they are by the configuration that the user named


@dataclass(frozen=True, slots=True)
class Part:
    """Kernels of one name at one place of a layer in one phase whose sizes no op says: by the
    dimensions of our capture, or of the configuration that the user named.
    """

    role: str
    phase: str
    category: Category
    family: Family
    kernel: str  # that took most of the time
    shape: str  # for a reader: rows of all passes × values of a row, m×n×k of a GEMM
    dtype: str
    calls: int
    count: int  # kernels
    total_ns: int  # their durations
    flops: int
    bytes: int  # least
    known: Known
    # of its kernels: what each is called and why no formula describes it, count, ns
    names: tuple[tuple[str, str, int, int], ...] = field(default=(), metadata={"json": False})


class ModelFit(Record, frozen=True):
    """What became of the configuration that the user named."""

    name: str  # as named
    used: bool
    why: str | None  # it is not used: one line without a full stop
    tp: int | None  # ranks that share the weights; None: not known
    tokens: dict[str, int | None]  # that went through the passes of each phase; None: not known

    @property
    def called(self) -> str:
        """Its name in a sentence: of a path the end, with its folder where all are called alike."""
        path = PurePath(self.name)
        return "/".join(path.parts[-2:]) if path.name == "config.json" else path.name or self.name


def both_fits(one: ModelFit | None, two: ModelFit | None) -> ModelFit | None:
    """Of two traces: of one in which it is not used, why; tokens added up."""
    if one is None or two is None or one.used is not two.used:
        return next((fit for fit in (one, two) if fit is not None and not fit.used), one or two)
    tokens = dict(one.tokens)
    for phase, many in two.tokens.items():
        old = tokens.get(phase, 0)
        tokens[phase] = None if old is None or many is None else old + many
    return replace(one, tokens=tokens, tp=one.tp if one.tp == two.tp else None)


class Pair(Record, frozen=True):
    """One role in both phases."""

    role: str
    words: str  # what became of it
    weights: str | None
    prefill_ns: int
    decode_ns: int
    call_ratio: float | None  # a call in decode over one in prefill
    row_ratio: float | None  # a row of a call in decode over one in prefill


class Aligned(Record, frozen=True):
    """How a phase was read."""

    phase: str
    by: str  # order, weights, or nothing
    passes: int  # parts of the sequence that were told apart
    layers: int | None  # attentions with a place, over all passes
    before: int | None  # GEMMs of a layer before attention
    after: int | None
    total_ns: int
    aligned_ns: int
    tokens: int | None  # generated
    gemm_ns: int = 0  # of its GEMMs with a place
    gemm_floor_ns: float | None = None  # the least that the device needs for them
    gemm_flops_share: float | None = None  # of the peak, all of them together
    gemm_bytes_share: float | None = None  # of the memory bandwidth
    gemm_weight_bytes: int | None = None  # that they read, over all passes
    gemm_bound: Bound | None = None  # what bounds most of their time; None: not known
    step_rows: int | None = None  # most rows of one decode step, as its annotation says

    @property
    def gemm_share(self) -> float | None:
        """Part of the phase's time that is in its GEMMs."""
        return self.gemm_ns / self.total_ns if self.total_ns else None

    @property
    def gemm_waste_ns(self) -> int | None:
        """What these GEMMs take beyond the least; None where that is not known."""
        return None if self.gemm_floor_ns is None else int(self.gemm_ns - self.gemm_floor_ns)


class Roles(Result, Record, frozen=True):
    analysis = "roles"

    rows: tuple[Role, ...]  # in the order of a layer
    pairs: tuple[Pair, ...]  # in the order of a layer
    phases: tuple[Aligned, ...]
    on_gpu: bool
    device: str | None
    source: str | None  # of the peaks
    # where rows and weights are from: recorded, metadata, or config; None: not known
    shapes: str | None
    parts: tuple[Part, ...] = ()  # every kernel that the model's dimensions describe
    model: ModelFit | None = None  # the configuration that the user named

    def phase(self, name: str) -> Aligned | None:
        """How this phase was read; None where the trace lacks it."""
        return next((phase for phase in self.phases if phase.phase == name), None)

    @property
    def slow_decode(self) -> Aligned | None:
        """Decode, where its GEMMs take much of its time and use little of the memory bandwidth."""
        decode = self.phase(Stage.DECODE)
        if decode is None or not decode.total_ns or decode.gemm_bytes_share is None:
            return None
        part, waste = decode.gemm_ns / decode.total_ns, decode.gemm_waste_ns
        if waste is None or part < 0.25 or waste / decode.total_ns < LEAST:
            return None
        if decode.gemm_bytes_share >= 0.7:
            return None
        if (decode.gemm_flops_share or 0) > decode.gemm_bytes_share:
            return None  # so many rows that arithmetic bounds them: more rows would not help
        return decode
