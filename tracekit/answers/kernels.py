"""The answer of `kernels`, as data."""

from __future__ import annotations

from tracekit.attribution.kernels import inductor_names, kernel_rules
from tracekit.attribution.kernels.graphs.origin import Match
from tracekit.attribution.stages import work_phases
from tracekit.attribution.unfused import Unfused
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.taxonomy import Category

Shape = tuple[int, int, int]  # of a grid or a block: x, y, z


class Origin(Record, frozen=True):
    """What launched a part of a row's kernels. None where the trace does not say."""

    op: str | None
    module: (
        str | None
    )  # class of the innermost nn.Module, or layers.*.mlp as named on a graph's work
    rule: str  # that decided the category
    count: int
    total_ns: int


class Kernel(Record, frozen=True):
    """All kernels of one name, category and phase. Durations are added up, overlaps and all."""

    name: str
    category: Category
    phase: str
    count: int
    total_ns: int
    mean_ns: float
    median_ns: float | None  # of one trace; None where several were added up, as p95
    p95_ns: float | None
    min_ns: int
    max_ns: int
    share: float | None  # of the kernel time of its phase
    per_token_ns: float | None
    only_here: bool | None  # in no other phase; None where the trace has one phase
    replayed_count: int  # issued by a graph launch
    grid: Shape | None  # of the most frequent launch
    block: Shape | None
    grid_count: int  # launches of that shape
    op: str | None  # of most of its time, as the next two
    module: str | None
    rule: str
    origins: tuple[Origin, ...]  # all of them, the longest first
    alone_ns: int = 0  # of total_ns: nothing else ran on the device
    line: str | None = None  # of code, of most of its time: see lines

    @property
    def cost_ns(self) -> int:
        """What it costs: kernels by their durations, as ops by their self time."""
        return self.total_ns

    @property
    def expert_gemm(self) -> bool:
        """Whether it multiplies the rows that each expert of a mixture was given."""
        return self.category is Category.GEMM and bool(kernel_rules.EXPERTS.search(self.name))

    @property
    def convolution(self) -> bool:
        """Whether its products are those of a convolution."""
        known = kernel_rules.CONVOLUTION.search(f"{self.op or ''} {self.name}")
        return self.category is Category.GEMM and bool(known)

    @property
    def already_fused(self) -> bool:
        """Whether the kernel is a fusion: of torch.compile, or one function of a library."""
        return inductor_names.already_fused(self.name)

    @property
    def fusable(self) -> bool:
        """Whether it only moves or touches data and fusing it with a neighbour would save it."""
        return inductor_names.fusable(self.name, self.category)


class PhaseTotal(Record, frozen=True):
    phase: str
    count: int
    total_ns: int  # sum of the durations of its kernels
    other_ns: int  # of kernels that no rule names
    by_op_ns: int  # of kernels whose category an op decided
    tokens: int | None  # that prefill read, or that decode generated


class Share(Record, frozen=True):
    phase: str
    category: Category
    count: int
    total_ns: int
    share: float | None  # of the kernel time of the phase
    per_token_ns: float | None
    alone_ns: int = 0  # of total_ns: nothing else ran on the device


class Kernels(Result, Record, frozen=True):
    analysis = "kernels"

    rows: tuple[Kernel, ...]  # the longest first
    phases: tuple[PhaseTotal, ...]
    categories: tuple[Share, ...]
    other_share: float | None  # of all kernel time
    unfused: tuple[Unfused, ...] = ()  # kernels that could be one, by phase and pattern
    graphs: tuple[Match, ...] = ()  # traces in which graphs replayed here were captured
    device: str | None = None  # as its datasheet is named; None where none is known, or several

    @property
    def main_phases(self) -> tuple[str, ...]:
        """The phases to set side by side: see work_phases.side_by_side."""
        return work_phases.side_by_side([p.phase for p in self.phases], self.rows[0].phase)
