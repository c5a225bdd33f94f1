"""Slices whose category does not say what they are: decided by their process, or named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.categories import ASIDE, OPS, XLA_DEVICE
from tracekit.trace.spans import segments
from tracekit.trace.trace import GPU_WORK, Cat, Unknown

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# torch_npu's processes. Source: the layers that msprof's timeline has, Ascend docs, "trace_view".
ASCEND_DEVICE = "Ascend Hardware"
ASCEND_HOST = "CANN"
# drawn once more from the rows of the hardware: never work
_AGAIN = "again"
_ASCEND_AGAIN = ("Overlap Analysis", "HCCL", "Communication")
_ASCEND_QUEUE = ("enqueue", "dequeue")  # of torch_npu's task queue, on host threads
# tasks in which a stream waits or marks, by their type
_ASCEND_WAITS = later(
    r"(?i)^(?:EVENT_(?:WAIT|RECORD)|NOTIFY_(?:WAIT|RECORD)|MEM_WAIT_VALUE|"
    r"CAPTURE_(?:WAIT|RECORD)|PROFILER_TRACE|PLACE_HOLDER)"
)
_ASCEND_COPIES = later(r"(?i)^(?:MEMCPY|SDMA|PCIE_DMA)")
# unitrace files what Level Zero and OpenCL ran under one category, and their calls as ops.
# Source: intel/pti-gpu, tools/unitrace/src/chromelogger.h and levelzero/ze_collector.h
_UNITRACE = "gpu_op"
_LEVEL_ZERO_CALL = later(r"^(?:ze|cl)[A-Z]")
_OF_COMMANDS = (
    (later(r"(?:AppendMemoryCopy|AppendImageCopy|clEnqueue\w*(?:Read|Write|Copy|Memcpy))"),
     Cat.MEMCPY),
    (later(r"(?:AppendMemoryFill|clEnqueue\w*(?:Fill|Memset))"), Cat.MEMSET),
    (later(r"(?:Append\w*Barrier|AppendSignalEvent|AppendWaitOn|AppendEventReset"
                r"|clEnqueue(?:Barrier|Marker))"), Cat.SYNC),
)  # fmt: skip
_XLA_WORK = "XLA Ops"  # the line of a device that holds what it ran
_HOST_NODE = "graph_host_node"  # torch's cupti_monitor: a function that a graph calls on the host
_PYTHON_GC = "Python GC"  # torch_npu: collections of garbage on threads of the host


class Odd(Record, frozen=True):
    """The slices of a file whose category does not say what they are, K of them."""

    rows: I64  # [K] rows of the columns
    kind: I64  # [K] index into `kinds`
    kinds: Sequence[str]  # the file's own categories; "" where it gives none

    def of(self, *kinds: str) -> Mask:
        """[K] whether a slice's category is one of these."""
        wanted = np.array([kind in kinds for kind in self.kinds], bool)
        return np.asarray(wanted[self.kind])


class Words(Record, frozen=True):
    """The texts that rows stand for."""

    names: Sequence[str]  # by index
    processes: Mapping[int, str]  # by pid
    marks: Mapping[int, str]  # process_labels by pid: "CPU", "GPU 0", "NPU"
    threads: Mapping[tuple[int, int], str]  # by (pid, tid)


def decide(columns: dict[str, Any], kinds: Sequence[str], words: Words) -> tuple[Unknown, ...]:
    """Gives slices of category OTHER what their process says that they are; the rest, named.

    `columns` are joined, in any order, and changed in place; `kind` is an index into `kinds`, -1
    for a slice whose category is known. Slices that are no work lose their device and stream.
    """
    _xla(columns, words)
    rows = np.flatnonzero(columns["cat"] == Cat.OTHER)
    if not len(rows):
        return ()
    aside = np.array([any(w.strip() in ASIDE for w in kind.split(",")) for kind in kinds], bool)
    kind = columns["kind"][rows].astype(np.int64)
    left = ~aside[kind]
    odd = Odd(rows[left], kind[left], kinds)
    if len(odd.rows):
        _vendors(columns, odd)
        _unitrace(columns, odd, words)
        _ascend(columns, odd, words)
    idle = rows[~np.isin(columns["cat"][rows], GPU_WORK)]
    for name in ("device", "stream"):
        columns[name][idle] = -1
    return _named(columns, odd, words)


def _hosts(columns: Mapping[str, Any]) -> Mask:
    """[N] ops, annotations and Python frames: what only a host thread has."""
    return np.isin(columns["cat"], (Cat.CPU_OP, Cat.ANNOTATION, Cat.PYTHON))


def _shares(columns: Mapping[str, object], rows: I64, host: Mask, *names: str) -> Mask:
    """[K] whether some host slice has the same process, or the same process and thread."""
    both = np.concatenate([rows, np.flatnonzero(host)])
    if len(both) == len(rows):
        return np.zeros(len(rows), bool)
    key = np.stack([np.asarray(columns[name])[both].astype(np.int64) for name in names], axis=1)
    group = segments.distinct(key)[1]
    return np.isin(group[: len(rows)], group[len(rows) :])


def _vendors(columns: dict[str, Any], odd: Odd) -> None:
    """Rows of Gaudi and of PrivateUse1 backends.

    Kineto files all of Gaudi's under `hpu_op` (others may follow it), and backends of PyTorch's
    PrivateUse1 (Trainium) their device's under a runtime category: work is what is drawn apart from
    the host's threads.
    """
    cat, host = columns["cat"], _hosts(columns)
    both = odd.rows[odd.of(*OPS)]
    on_host = _shares(columns, both, host, "pid", "tid")
    cat[both] = np.where(on_host, Cat.RUNTIME, Cat.KERNEL)
    own = odd.rows[odd.of("privateuse1_runtime", "privateuse1_driver")]
    apart = ~_shares(columns, own, host, "pid") & bool(host.any())
    if np.isin(cat, GPU_WORK).any():
        apart[:] = False  # the work has categories of its own
    cat[own] = np.where(apart, Cat.KERNEL, Cat.RUNTIME)


def _unitrace(columns: dict[str, Any], odd: Odd, words: Words) -> None:
    """Rows of Intel's unitrace: the commands of a device, each track of a process of its own."""
    cat, name = columns["cat"], columns["name"]
    rows = odd.rows[odd.of(_UNITRACE)]
    if not len(rows):
        return
    cat[rows] = _by_name(name[rows], words.names, _command)
    # processes and threads of devices are numbered down from 2 ** 32 - 2, by first use
    columns["device"] = columns["device"].astype(np.int64)
    columns["stream"] = columns["stream"].astype(np.int64)
    for column, drawn in (("device", "pid"), ("stream", "tid")):
        columns[column][rows] = _counted_down(columns[drawn][rows])
    ops = np.flatnonzero(cat == Cat.CPU_OP)
    cat[ops] = _by_name(
        name[ops], words.names,
        lambda text: Cat.RUNTIME if _LEVEL_ZERO_CALL.match(text) else Cat.CPU_OP,
    )  # fmt: skip


def _xla(columns: dict[str, Any], words: Words) -> None:
    """Rows of torch_tpu: of the lines of a device that its XPlane has, one is the work.

    The others draw it again, by step, module or scope, or are copies from start to arrival. All of
    them are `kernel`.
    """
    devices = {pid for pid, name in words.processes.items() if XLA_DEVICE.match(name)}
    known = {track: name for track, name in words.threads.items() if track[0] in devices}
    devices = {pid for (pid, _), name in known.items() if name == _XLA_WORK}
    if not devices:
        return
    rows = np.flatnonzero(np.isin(columns["pid"], list(devices)))
    tracks, place = segments.distinct(
        np.stack([columns[name][rows].astype(np.int64) for name in ("pid", "tid")], axis=1)
    )
    again = [known.get((pid, tid), _XLA_WORK) != _XLA_WORK for pid, tid in tracks.tolist()]
    drawn = rows[np.array(again, bool)[place]]
    columns["cat"][drawn] = Cat.GPU_ANNOTATION
    for name in ("device", "stream"):
        columns[name][drawn] = -1


def _counted_down(numbers: npt.NDArray[np.generic]) -> I64:
    """[K] the place of each number among all of them, the largest first."""
    distinct, place = np.unique(numbers, return_inverse=True)
    return np.asarray(len(distinct) - 1 - place, np.int64)


def _command(name: str) -> Cat:
    """What a command of Level Zero or OpenCL is, by its name; a kernel has one of its own."""
    return next((cat for pattern, cat in _OF_COMMANDS if pattern.search(name)), Cat.KERNEL)


def _ascend(columns: dict[str, Any], odd: Odd, words: Words) -> None:
    """Rows of torch_npu: the work, the calls that issued it, and what is drawn a second time."""
    cat, pid = columns["cat"], columns["pid"]
    said = {code: _ascend_process(name) for code, name in words.processes.items()}
    if ASCEND_DEVICE not in said.values():
        return
    bare = odd.rows[odd.of("")]
    part = np.array([said.get(int(code), "") for code in pid[bare]], object)
    work = bare[part == ASCEND_DEVICE]
    cat[work] = _by_name(columns["name"][work], words.names, _task)
    cat[bare[part == _AGAIN]] = Cat.GPU_ANNOTATION
    cat[odd.rows[odd.of(*_ASCEND_QUEUE)]] = Cat.RUNTIME
    calls = bare[part == ASCEND_HOST]
    cat[calls] = Cat.RUNTIME
    _home(columns, calls)


def _ascend_process(name: str) -> str:
    """Which of torch_npu's processes one is, by its name; '' for none."""
    for part in (ASCEND_DEVICE, ASCEND_HOST):
        if name.startswith(part):
            return part
    return _AGAIN if name.startswith(_ASCEND_AGAIN) else ""


def _task(name: str) -> Cat:
    """What a task of Ascend's hardware is, by its name."""
    if _ASCEND_WAITS.match(name):
        return Cat.SYNC
    return Cat.MEMCPY if _ASCEND_COPIES.match(name) else Cat.KERNEL


def _by_name(
    name: npt.NDArray[np.generic], names: Sequence[str], decide: Callable[[str], Cat]
) -> npt.NDArray[np.uint8]:
    """[K] Cat of rows by their names; each distinct name is decided once."""
    distinct, inverse = np.unique(name, return_inverse=True)
    found = [decide(names[code]) for code in distinct.tolist()]
    return np.array(found, np.uint8)[inverse]


def _home(columns: dict[str, Any], calls: I64) -> None:
    """Moves calls to the process whose thread made them.

    torch_npu draws them in a process of their own, under the number of the thread: without this
    no op and no stage would be around a launch.
    """
    host = np.flatnonzero(_hosts(columns))
    pairs = segments.distinct(
        np.stack([columns[name][host].astype(np.int64) for name in ("tid", "pid")], axis=1)
    )[0]
    threads, first, count = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    home = {int(tid): int(pairs[at, 1])
            for tid, at, n in zip(threads, first, count, strict=True) if n == 1}  # fmt: skip
    old = columns["pid"]
    moved = np.array(
        [home.get(int(t), int(p)) for t, p in zip(columns["tid"][calls], old[calls], strict=True)],
        np.int64,
    )
    columns["pid"] = old.astype(np.int64)
    columns["pid"][calls] = moved


def _named(columns: Mapping[str, Any], odd: Odd, words: Words) -> tuple[Unknown, ...]:
    """What is left, by category and process, the longest first."""
    left = columns["cat"][odd.rows] == Cat.OTHER
    rows, kind = odd.rows[left], odd.kind[left]
    if not len(rows):
        return ()
    pid, tid = (columns[name][rows].astype(np.int64) for name in ("pid", "tid"))
    where, group = segments.distinct(np.stack([kind, pid], axis=1))
    track_of, track = segments.distinct(np.stack([group, tid], axis=1))
    start = columns["ts"][rows]
    flat = segments.union_ns(track, start, start + columns["dur"][rows], len(track_of))
    ns = segments.sums(track_of[:, 0], flat, len(where))
    on_host = _shares(columns, rows, _hosts(columns), "pid", "tid")
    collecting = [code for code, name in words.processes.items() if name == _PYTHON_GC]
    on_host |= np.isin(pid, collecting) | odd.of(_HOST_NODE)[left]
    inside = segments.sums(group, on_host.astype(np.int64), len(where))
    count = np.bincount(group, minlength=len(where))
    found = [
        Unknown(odd.kinds[int(k)], _process(int(p), words), int(n), int(t), bool(i == n))
        for (k, p), n, t, i in zip(where, count, ns, inside, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.ns, one.category, one.process)))


def _process(pid: int, words: Words) -> str:
    """A process as a reader knows it: its name, its label, else its number."""
    said = [text for text in (words.processes.get(pid), words.marks.get(pid)) if text]
    return " ".join(dict.fromkeys(said)) or (f"process {pid}" if pid >= 0 else "no process")
