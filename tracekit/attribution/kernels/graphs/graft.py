"""A trace in which captured launches issued the work of their replays.

The host side is that of the captures, the work that of the replays: so whatever is asked of the
work of any trace, what op, module or line issued it, is asked of this one in the same words. Its
times say nothing of host and device together: the work comes after all captures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracekit.attribution import links
from tracekit.records import Record, replace
from tracekit.trace.trace import HOST, I64, Table, Trace

_TABLES = ("shapes", "ops", "python")
_TEXTS = {"shapes": ("dims", "types", "concrete", "strides")}
_COLUMNS = ("ts", "dur", "name", "cat", "pid", "tid", "device", "stream", "correlation", "id")


class Part(Record, frozen=True, eq=False):
    """Work of the replays, and the launches of one trace that it was captured from."""

    host: Trace
    work: I64  # [K] rows of `links.work` of the replays' trace
    call: I64  # [K] rows of `links.calls` of `host`


def grafted(trace: Trace, parts: Sequence[Part]) -> Trace:
    """The work of `parts`, in the order of `links.work(trace)`, below the hosts that issued it."""
    strings = {text: at for at, text in enumerate(trace.strings)}
    blocks: list[dict[str, np.ndarray[Any, Any]]] = []
    tables: dict[str, list[Table]] = {name: [] for name in _TABLES}
    rows = correlations = process = 0
    link = np.full(len(links.work(trace)), -1, np.int64)
    for part in parts:
        host = part.host.where(part.host.is_(*HOST))
        names = np.array([strings.setdefault(t, len(strings)) for t in part.host.strings], np.int32)
        number = np.full(len(host), -1, np.int64)
        calls = np.flatnonzero(np.isin(host.id, links.calls(part.host).id))
        number[calls] = correlations + 1 + np.arange(len(calls))
        link[part.work] = correlations + 1 + part.call
        distinct, pid = np.unique(host.pid, return_inverse=True)
        block = {name: getattr(host, name) for name in _COLUMNS}
        block |= {"name": names[host.name], "correlation": number,
                  "pid": process + np.asarray(pid, np.int64).reshape(-1),
                  "id": np.arange(rows, rows + len(host), dtype=np.int32)}  # fmt: skip
        blocks.append(block)
        for name in _TABLES:
            tables[name].append(_renumbered(part.host.table(name), host.id, rows))
        rows, correlations = rows + len(host), correlations + len(calls)
        process += len(distinct)
    mine = np.flatnonzero(link >= 0)
    gpu = links.work(trace).where(mine)
    after = max((int((b["ts"] + b["dur"]).max(initial=0)) for b in blocks), default=0) + 1
    blocks.append({
        **{name: getattr(gpu, name) for name in _COLUMNS},
        "ts": gpu.ts - gpu.ts.min(initial=after) + after,
        "correlation": link[mine],
        "pid": np.full(len(gpu), process, np.int64),
        "id": np.arange(rows, rows + len(gpu), dtype=np.int32),
    })  # fmt: skip
    joined = {name: np.concatenate([block[name] for block in blocks]) for name in _COLUMNS}
    order = np.lexsort((joined["id"], -joined["dur"], joined["ts"]))
    columns: dict[str, Any] = {name: column[order] for name, column in joined.items()}
    return Trace(
        source=replace(trace.source, captures=(), reread=None),
        strings=tuple(strings),
        origin_ns=trace.origin_ns,
        tables={name: _joined(name, some) for name, some in tables.items()},
        **columns,
    )


def _renumbered(table: Table, ids: np.ndarray[Any, Any], first: int) -> Table:
    """The rows of these slices, which are now numbered from `first` on."""
    at = np.searchsorted(ids, table.id) if len(ids) else np.zeros(len(table), np.int64)
    kept = np.zeros(len(table), bool)
    inside = at < len(ids)
    kept[inside] = ids[at[inside]] == table.id[inside]
    return replace(table.where(kept), id=(first + at[kept]).astype(np.int32))


def _joined(name: str, some: Sequence[Table]) -> Table:
    if len(some) == 1:
        return some[0]
    strings: dict[str, int] = {}
    columns: dict[str, list[np.ndarray[Any, Any]]] = {}
    for table in some:
        codes = [*(strings.setdefault(text, len(strings)) for text in table.strings), -1]
        for column, values in table.columns.items():
            text = column in _TEXTS.get(name, ())
            columns.setdefault(column, []).append(np.array(codes)[values] if text else values)
    ids = np.concatenate([table.id for table in some])
    joined = {column: np.concatenate(values) for column, values in columns.items()}
    return Table(ids.astype(np.int32), joined, tuple(strings))
