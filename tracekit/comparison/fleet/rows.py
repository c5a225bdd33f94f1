"""The answers of one trace as rows of an index: one of the trace, one of each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tracekit.answers.audit import Audit
from tracekit.answers.devices import Devices
from tracekit.answers.findings import Finding, Findings
from tracekit.answers.kernels import Kernels
from tracekit.answers.stages import Split, Stages, Total
from tracekit.answers.tokens import Tokens
from tracekit.comparison.fleet.columns import CATEGORIES, COLUMNS, STAGE, TRACE, Row, Value
from tracekit.records import Record
from tracekit.results.answers import Answers
from tracekit.trace import run_facts
from tracekit.version import __version__

ASKED = tuple(kind.analysis for kind in (Stages, Tokens, Devices, Kernels, Findings, Audit))
# no trace was captured before 2015 or after 2100: such a time counts from elsewhere
_EARLIEST_US, _LATEST_US = 1_420_070_400_000_000, 4_102_444_800_000_000


class File(Record, frozen=True):
    """What is known of a trace file without reading it as one."""

    trace: str  # as the index names it
    mtime_ns: int | None
    bytes: int | None
    sha256: str | None
    label: str | None = None

    @property
    def row(self) -> Row:
        """Its columns."""
        return {
            "trace": self.trace, "file_mtime_ns": self.mtime_ns, "file_bytes": self.bytes,
            "file_changed": None if self.mtime_ns is None else self.mtime_ns // 1000,
            "file_sha256": self.sha256, "label": self.label, "tracekit": __version__,
        }  # fmt: skip


def of_fault(file: File, fault: str) -> list[Row]:
    """The row of a file that could not be read."""
    return [_whole({**file.row, "scope": TRACE, "error": fault})]


def of(file: File, one: Answers) -> list[Row]:
    """The rows of a trace; of a file of several ranks, those of each."""
    return [row for part in one.ranks or (one,) for row in _of_rank(file, part)]


def _whole(some: Mapping[str, Value]) -> Row:
    """With every column, in order; what is not known is None."""
    return {column.name: some.get(column.name) for column in COLUMNS}


def _of_rank(file: File, one: Answers) -> Iterator[Row]:
    shared: Row = {**file.row, **_run(one)}
    findings = one.get(Findings)
    kernels = one.get(Kernels)
    yield _whole({
        **shared, "scope": TRACE, **_tokens(one.get(Tokens)), **_devices(one.get(Devices)),
        **_kernels(kernels, None), **_findings(findings.rows if findings else None),
        "wall_ns": _wall(one.get(Stages)),
    })  # fmt: skip
    stages = one.get(Stages)
    for total in stages.stages if stages is not None else ():
        about = None if findings is None else [r for r in findings.rows if r.stage == total.family]
        yield _whole({
            **shared, "scope": STAGE, "stage": str(total.family), "instances": total.instances,
            "wall_ns": total.wall_ns, "mean_ns": total.mean_ns, **_window(total),
            **_of_stage(kernels, total), **_findings(about),
        })  # fmt: skip


def _run(one: Answers) -> Row:
    facts = run_facts.about(one.source)
    number = run_facts.rank(one.source)
    audit = one.get(Audit)
    return {
        "rank": one.source.rank or (None if number is None else str(number)),
        "captured": _captured(one), "verdict": audit.verdict if audit else None,
        **{key: getattr(facts, key) for key in (
            "model", "size", "dtype", "device", "batch_size", "world_size", "attention", "torch")},
    }  # fmt: skip


def _captured(one: Answers) -> int | None:
    """When the trace begins, in µs since 1970; None where its times count from elsewhere."""
    stages, base = one.get(Stages), one.source.meta.get("baseTimeNanoseconds")
    if stages is None or not stages.rows:
        return None
    row = stages.rows[0]
    began = row.file_start_ns - row.start_ns + (base if isinstance(base, int) else 0)
    return began // 1000 if _EARLIEST_US <= began // 1000 <= _LATEST_US else None


def _wall(stages: Stages | None) -> int | None:
    return None if stages is None or stages.whole is None else stages.whole.wall_ns


def _tokens(tokens: Tokens | None) -> Row:
    if tokens is None or tokens.latency is None:
        return {}
    own = tokens.latency
    return {"requests": own.requests, "ttft_ns": own.ttft_ns, "tpot_ns": own.tpot_ns}


def _devices(devices: Devices | None) -> Row:
    if devices is None or not devices.rows:
        return {}
    return {
        "window_ns": sum(row.seen_window_ns for row in devices.rows),
        "busy_ns": sum(row.busy_ns for row in devices.rows),
        "idle_ns": sum(row.seen_idle_ns for row in devices.rows),
        "exposed_communication_ns": sum(r.exposed_communication_ns for r in devices.rows),
    }


def _window(total: Total) -> Row:
    own, split = total.launched, Split.LAUNCHED
    if own is None:
        return {}
    window, idle = total.whole_ns(split) or 0, total.parts(split).get("idle", 0)
    exposed = total.exposed_ns(split)
    return {"window_ns": window, "busy_ns": window - idle, "idle_ns": idle,
            "exposed_communication_ns": exposed}  # fmt: skip


def _of_stage(kernels: Kernels | None, total: Total) -> Row:
    if kernels is not None and total.launched is not None and not total.launched.count:
        return {"kernel_ns": 0, **dict.fromkeys(CATEGORIES.values(), 0)}
    return _kernels(kernels, total.family)


def _kernels(kernels: Kernels | None, stage: str | None) -> Row:
    """Of all kernels, or of those of a stage; nothing where they are not told apart by it."""
    if kernels is None:
        return {}
    if stage is not None and stage not in {phase.phase for phase in kernels.phases}:
        return {}
    rows = [row for row in kernels.rows if stage is None or row.phase == stage]
    sums = dict.fromkeys(CATEGORIES.values(), 0)
    for row in rows:
        if row.category.value in CATEGORIES:
            sums[CATEGORIES[row.category.value]] += row.total_ns
    return {"kernel_ns": sum(row.total_ns for row in rows), **sums}


def _findings(rows: Sequence[Finding] | None) -> Row:
    if rows is None:
        return {}
    kinds = list(dict.fromkeys(str(row.kind) for row in rows))
    return {"findings": kinds, "saves_ns": rows[0].saves_ns if rows else None}
