"""The columns of an index of traces: their names stay, and further ones may be added."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from tracekit.records import Record
from tracekit.taxonomy import Category

SCHEMA = "tracekit-index/1"
Type = Literal["text", "integer", "number", "time", "list"]
Value = str | int | float | list[str] | None
Row = dict[str, Value]  # by column; a time is µs since 1970, UTC

TRACE, STAGE = "trace", "stage"  # of `scope`

_NO_KERNELS = (Category.MEMCPY, Category.MEMSET)


def of_category(category: str) -> str:
    """The column of a category's kernel time: 'softmax/sampling' is softmax_sampling_ns."""
    return f"{re.sub(r'[^a-z0-9]+', '_', category.lower()).strip('_')}_ns"


CATEGORIES = {one.value: of_category(one.value) for one in Category if one not in _NO_KERNELS}


class Column(Record, frozen=True):
    name: str
    type: Type
    says: str


COLUMNS: tuple[Column, ...] = (
    Column("trace", "text", "the file, from the index's folder; absolute where it lies elsewhere"),
    Column("rank", "text", "of a job's trace, or of a file of several ranks"),
    Column("scope", "text", "`trace`: the row of the whole trace; `stage`: of one stage of it"),
    Column("stage", "text", "the stage; null in the row of the trace"),
    Column("label", "text", "what `--label` or `--label-from` gave when it was indexed"),
    Column("captured", "time", "when the trace begins, UTC; null where the file does not say"),
    Column("file_changed", "time", "when the file was last changed, UTC"),
    Column("file_mtime_ns", "integer", "the same, exactly: with the size it tells a changed file"),
    Column("file_bytes", "integer", "size as stored"),
    Column("file_sha256", "text", "digest of the file"),
    Column("tracekit", "text", "the version that read it"),
    Column("error", "text", "why the file could not be read; then the row has the file alone"),
    Column("verdict", "text", "of the audit: `trusted`, `degraded`, `refused`"),
    Column("model", "text", "as the trace says it, as the next seven"),
    Column("size", "text", "of the model"),
    Column("dtype", "text", "of the weights"),
    Column("device", "text", "by name"),
    Column("batch_size", "integer", "rows of a request"),
    Column("world_size", "integer", "ranks of the job"),
    Column("attention", "text", "how it was computed"),
    Column("torch", "text", "version"),
    Column("instances", "integer", "of the stage"),
    Column("wall_ns", "integer", "of all instances; in the row of the trace of all stages"),
    Column("mean_ns", "number", "wall time of one instance"),
    Column("requests", "integer", "row of the trace only, as the next two"),
    Column("ttft_ns", "number", "time to first token, mean"),
    Column("tpot_ns", "number", "time per output token after it, mean"),
    Column(
        "window_ns", "integer",
        "of the trace: each device from its first work to its last, added up; of a stage: of the "
        "work it launched; unaccounted time left out",
    ),
    Column("busy_ns", "integer", "of the window: some work ran"),
    Column("idle_ns", "integer", "of the window: none did"),
    Column("exposed_communication_ns", "integer", "of the busy time: only communication ran"),
    Column(
        "kernel_ns", "integer",
        "durations of kernels added up; of a stage, where kernels are told apart by it",
    ),
    *(Column(name, "integer", f"of kernel_ns: {value}") for value, name in CATEGORIES.items()),
    Column(
        "findings", "list", "kinds of findings, the largest saving first; of a stage those about it"
    ),
    Column("saves_ns", "integer", "what the first of them would save"),
)  # fmt: skip
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}
