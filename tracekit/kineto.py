"""A Kineto file, .json or .json.gz, into a Trace."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tracekit.errors import NotATraceError, TracekitError
from tracekit.trace import TABLES, Cat, Loss, Source, Table, Trace

CATS: Mapping[str, Cat] = {
    "cpu_op": Cat.CPU_OP,
    "Operator": Cat.CPU_OP,
    "cuda_runtime": Cat.RUNTIME,
    "cuda_driver": Cat.RUNTIME,
    "Runtime": Cat.RUNTIME,
    "kernel": Cat.KERNEL,
    "Kernel": Cat.KERNEL,
    "gpu_memcpy": Cat.MEMCPY,
    "Memcpy": Cat.MEMCPY,
    "gpu_memset": Cat.MEMSET,
    "Memset": Cat.MEMSET,
    "user_annotation": Cat.ANNOTATION,
    "gpu_user_annotation": Cat.GPU_ANNOTATION,
    "python_function": Cat.PYTHON,
    "overhead": Cat.OVERHEAD,
    "cuda_sync": Cat.SYNC,
}
GPU = {Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET}
_LABEL = -(1 << 40)  # pids and tids that are text count down from here


def load(path: str | Path, *, tables: frozenset[str] = frozenset(), strict: bool = False) -> Trace:
    """The trace in a file; `tables` names side tables to read in the same pass.

    Raises: NotATraceError, DamagedTraceError (with strict), TracekitError for a missing file.
    """
    text, size = _text(path)
    try:
        document = msgspec.json.Decoder(float_hook=Decimal).decode(text)
    except msgspec.DecodeError as fault:
        raise NotATraceError(
            f"not JSON ({fault})", where=path, hint="give a torch.profiler .json or .json.gz"
        ) from None
    events, meta = _events(document, path)
    return _columns(events, meta, str(path), size, len(text))


def _text(path: str | Path) -> tuple[bytes, int]:
    try:
        stored = Path(path).read_bytes()
    except OSError as fault:
        raise TracekitError(
            f"cannot be read ({fault.strerror})", where=path, hint="check the path"
        ) from None
    if stored[:2] == b"\x1f\x8b":
        return gzip.decompress(stored), len(stored)
    return stored, len(stored)


def _events(document: Any, path: str | Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    if isinstance(document, list):
        return document, {}
    if isinstance(document, dict) and isinstance(document.get("traceEvents"), list):
        return document["traceEvents"], {k: v for k, v in document.items() if k != "traceEvents"}
    raise NotATraceError("JSON without traceEvents", where=path, hint="give a torch.profiler trace")


def _ns(value: Any) -> int:
    """Exact ns from decimal µs, to nearest beyond three decimals."""
    return int((Decimal(str(value)) * 1000).to_integral_value())


class _Rows:
    """Columns under construction."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.labels: dict[str, int] = {}

    def name(self, text: Any) -> int:
        return self.names.setdefault(str(text), len(self.names))

    def number(self, value: Any) -> int:
        """A pid or tid; text that is no number gets a number of its own."""
        try:
            number = int(value)
        except (TypeError, ValueError):
            return self.labels.setdefault(str(value), _LABEL - len(self.labels))
        return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _int(value: Any, missing: int = -1) -> int:
    try:
        number = int(str(value), 0)
    except (TypeError, ValueError):
        return missing
    return number if -(1 << 63) <= number < 1 << 63 else missing


def _columns(
    events: list[dict[str, Any]], meta: dict[str, Any], path: str, size: int, text_bytes: int
) -> Trace:
    rows = _Rows()
    slices: list[tuple[int, ...]] = []
    kept: list[dict[str, Any]] = []
    processes: dict[int, str] = {}
    threads: dict[tuple[int, int], str] = {}
    phases: Counter[str] = Counter()
    lost = 0
    for event in events:
        phase = event.get("ph", "")
        phases[phase] += 1
        args = event.get("args") or {}
        pid, tid = rows.number(event.get("pid", -1)), rows.number(event.get("tid", -1))
        if phase == "M" and event.get("name") == "process_name":
            processes[pid] = str(args.get("name", ""))
        elif phase == "M" and event.get("name") == "thread_name":
            threads[pid, tid] = str(args.get("name", ""))
        if phase != "X":
            continue
        if event.get("ts") is None or event.get("dur") is None:
            lost += 1
            continue
        cat = CATS.get(event.get("cat", ""), Cat.OTHER)
        gpu = cat in GPU
        slices.append((
            _ns(event["ts"]), _ns(event["dur"]), rows.name(event.get("name", "")), cat, pid, tid,
            _int(args.get("device"), pid) if gpu else -1,
            _int(args.get("stream")) if gpu else -1,
            _int(args.get("correlation")),
        ))  # fmt: skip
        kept.append(args)
    data = np.array(slices, np.int64).reshape(-1, 9)
    order = np.lexsort((-data[:, 1], data[:, 0]))
    data = data[order]
    origin = int(data[0, 0]) if len(data) else 0
    plain_meta = json.loads(json.dumps(meta, default=float))
    losses = (Loss("slices without ts or dur", events_lost=lost),) if lost else ()
    source = Source(
        path, size, text_bytes, plain_meta, processes, threads,
        {code: text for text, code in rows.labels.items()}, dict(phases), losses,
    )  # fmt: skip
    return Trace(
        source=source,
        strings=tuple(rows.names),
        origin_ns=origin,
        ts=data[:, 0] - origin,
        dur=data[:, 1],
        name=data[:, 2].astype(np.int32),
        cat=data[:, 3].astype(np.uint8),
        pid=data[:, 4],
        tid=data[:, 5],
        device=data[:, 6].astype(np.int32),
        stream=data[:, 7],
        correlation=data[:, 8],
        id=np.arange(len(data), dtype=np.int32),
        tables=_tables([kept[i] for i in order], [e for e in events if e.get("ph") != "X"]),
    )


def _tables(args: list[dict[str, Any]], _rest: list[dict[str, Any]]) -> dict[str, Table]:
    copies = [(i, _int(a["bytes"])) for i, a in enumerate(args) if "bytes" in a]
    pairs = np.array(copies, np.int64).reshape(-1, 2)
    found = {"copies": Table(pairs[:, 0].astype(np.int32), {"bytes": pairs[:, 1]})}
    for name, columns in TABLES.items():
        if name not in found:
            none = {c.rstrip("*"): np.empty(0, np.int64) for c in columns}
            found[name] = Table(np.empty(0, np.int32), none)
    return found
