"""The answer of `modules`, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.results.result import Result


@dataclass(frozen=True, slots=True)
class ModuleTime:
    """All calls of one module, or of all modules of a class, in one phase. Sums of durations."""

    module: str  # LlamaMLP_3, or the class
    kind: str  # LlamaMLP
    number: int | None  # 3; None for a class
    role: str  # what the class's name says it is; empty where it does not
    phase: str
    calls: int
    host_ns: int  # inside its calls
    host_self_ns: int  # and in no module called from there
    gpu_ns: int | None  # of work launched inside its calls; None on a trace without GPU work
    gpu_self_ns: int | None
    work_count: int | None  # pieces of work launched inside its calls
    share: float | None  # of the GPU time of its phase; of host time of all calls without a GPU


@dataclass(frozen=True, slots=True)
class Rest:
    """GPU time of a phase, and the part that no module launched."""

    phase: str
    gpu_ns: int
    outside_ns: int


@dataclass(frozen=True, slots=True)
class Modules(Result):
    analysis = "modules"

    rows: tuple[ModuleTime, ...]  # each module, the longest first
    kinds: tuple[ModuleTime, ...]  # each class, the longest first
    rest: tuple[Rest, ...]
