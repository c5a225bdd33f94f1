"""What a side table is, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.tables.packed import Columns, Ints

I32 = npt.NDArray[np.int32]

# Side tables and their columns. `*` marks an int32 column that indexes `Table.strings`.
TABLES: Mapping[str, tuple[str, ...]] = {
    "copies": ("bytes", "kind*", "source*", "target*"),  # int64, then the kinds that args say
    "grids": ("grid", "block", "shared", "registers", "warps_per_sm", "occupancy"),
    #          [K,3]   [K,3]   bytes     per thread    float           percent, estimated
    "shapes": ("dims*", "types*", "concrete*", "strides*"),  # cpu_op; each the JSON text
    "ops": ("external",),  # int64, -1 where absent
    "python": ("python_id", "parent_id", "module_id"),  # int64, -1 where absent
    "memory": (
        "ts",
        "bytes",
        "allocated",
        "reserved",
        "device_type",
        "device",
        "address",
        "pid",
        "tid",
    ),
    "counters": ("ts", "name*", "value", "pid", "ranged"),  # 1: of a CUPTI range, a slice
    "flows": ("ts", "flow", "phase", "pid", "tid", "cat*"),  # phase 0 's', 1 't', 2 'f'
    "syncs": ("wait_stream", "wait_event_correlation"),
    "collectives": (
        "collective*",
        "dtype*",
        "in_elements",
        "out_elements",
        "group_size",
        "group*",  # the process group: its name and what its maker called it
        "members*",  # "[0, 1]"
        "sequence",  # number of the call in its group, the same in each rank
    ),
    "kernel_modules": ("path*",),  # layers.0.attention.wq
    "op_modules": ("path*",),  # of ops of TorchScript modules: TOP.layers.0.attention
    "graph_nodes": ("node",),  # of work that a graph launch issued: its node, in order of capture
    "launched": ("kernel*", "grid", "block"),  # what a launch says of its kernel, under ROCm
}

_SPARSE = 16  # ids: a table of so many is no quicker than a search for one


class Table(Record, frozen=True, eq=False):
    """A side table: rarer fields, sorted by the `id` of the slice that they belong to.

    Names: see `TABLES`. Tables whose rows are no slices (memory, counters, flows) have id -1. The
    columns are given as they are, and held packed.
    """

    id: I32  # [K]
    columns: Mapping[str, npt.NDArray[Any]]  # each [K] or [K, n]; becomes a `Columns`
    strings: tuple[str, ...] = ()  # what text columns (int32) index; -1 is none

    def __post_init__(self) -> None:
        if not isinstance(self.columns, Columns):
            msgspec.structs.force_setattr(self, "columns", Columns(self.columns))
        if len(self.id) and self.id[0] == self.id[-1] == -1 and (self.id == -1).all():
            alike = np.broadcast_to(np.int32(-1), len(self.id))
            msgspec.structs.force_setattr(self, "id", alike)

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, ids: I32) -> I32:
        """[N] the row of each of these slice ids, -1 where a slice has none."""
        if not len(self.id) or not len(ids):
            return np.full(len(ids), -1, np.int32)
        low, high = int(self.id[0]), int(self.id[-1])
        if high - low > _SPARSE * len(ids):
            found = np.minimum(np.searchsorted(self.id, ids), len(self.id) - 1)
            return np.where(self.id[found] == ids, found, -1).astype(np.int32)
        row = np.full(high - low + 2, -1, np.int32)  # the last is that of all others
        # what is written last stays: the first
        row[self.id[::-1] - low] = np.arange(len(self.id) - 1, -1, -1, dtype=np.int32)
        return np.take(row, np.clip(ids, low - 1, high + 1) - low)

    @property
    def held(self) -> Columns:
        """The columns as they are held."""
        assert isinstance(self.columns, Columns)
        return self.columns

    @property
    def nbytes(self) -> int:
        """Bytes in memory, without the strings."""
        return self.held.nbytes + (self.id.nbytes if any(self.id.strides) else 0)

    def at(self, rows: Ints, column: str, missing: object) -> npt.NDArray[Any]:
        """[N] or [N, n] the column at rows of the table; `missing` at row -1."""
        values = self.held.packed[column]
        if not len(values):
            return np.full((len(rows), *values.codes.shape[1:]), missing, values.dtype)
        out = values.at(rows).values()
        out[rows < 0] = missing
        return out

    def take(self, ids: I32, column: str, missing: object) -> npt.NDArray[Any]:
        """[N] or [N, n] the column at these slice ids; `missing` where a slice has no row."""
        return self.at(self.rows(ids), column, missing)

    def where(self, rows: npt.NDArray[np.bool_]) -> Table:
        """The rows that a mask keeps."""
        kept = np.flatnonzero(rows)
        return Table(self.id[kept], self.held.at(kept), self.strings)
