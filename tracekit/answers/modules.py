"""The answer of `modules`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class ModuleTime(Record, frozen=True):
    """All calls of one module, or of all modules of a class, in one phase. Sums of durations."""

    module: str  # LlamaMLP_3, or the class; by names on the kernels layers.3.mlp, or layers.*.mlp
    kind: str  # LlamaMLP, or layers.*.mlp
    number: int | None  # 3; None for a class, and where the name has no index or several
    role: str  # what the class's or the module's name says it is; empty where it does not
    phase: str
    calls: int | None  # None by names on the kernels, as the next two: a replay calls no module
    host_ns: int | None  # inside its calls
    host_self_ns: int | None  # and in no module called from there
    gpu_ns: int | None  # of work launched inside its calls or named so; None without GPU work
    gpu_self_ns: int | None
    work_count: int | None  # pieces of that work
    share: float | None  # of the GPU time of its phase; of host time of all calls without a GPU


class Rest(Record, frozen=True):
    """GPU work of a phase, and the part that is outside every module."""

    phase: str
    gpu_ns: int
    outside_ns: int
    work_count: int
    outside_count: int


class Modules(Result, Record, frozen=True):
    analysis = "modules"

    rows: tuple[ModuleTime, ...]  # each module, the longest first
    kinds: tuple[ModuleTime, ...]  # each class, the longest first
    rest: tuple[Rest, ...]
    sources: tuple[str, ...]  # on what it rests: frames around the launch, names on the kernels
