"""A training job of several ranks, drawn: who is late is known, and so is why.

Each step of a rank: data is loaded, LAYERS kernels run one after another, then an all-reduce in
which each rank waits until the last has come; it takes TRANSFER from then on. Times are µs.

    rank 0   dd lll lll rrrrrrrr
    rank 1   dd llll llll rrrrrr     late by two: rank 0 waits for it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

LAYERS, TRANSFER, DATA, LAYER = 6, 200.0, 300.0, 150.0
LOADER = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"
LAUNCH, HOST = 4.0, 10.0  # of a call, and what the host does before it
Event = dict[str, object]
Of = Callable[[int, int], float]  # rank, step


class Late(TypedDict, total=False):
    """What makes a rank late: see `draw`."""

    layer: Of
    data: Of
    host: Of
    more: Callable[[int, int], Mapping[str, float]]


def _event(cat: str, name: str, ts: float, dur: float, tid: int, **args: object) -> Event:
    gpu = cat == "kernel"
    pid = 0 if gpu else 900
    if gpu:
        args |= {"device": 0, "stream": tid}
    return {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid,
            "ts": round(ts, 3), "dur": round(dur, 3), "args": args}  # fmt: skip


class _Rank:
    """The events of one rank, and when its host and its device are free."""

    def __init__(self, number: int, offset: float) -> None:
        self.number, self.offset = number, offset
        self.events: list[Event] = []
        self.host = self.device = 0.0
        self._link = 0

    def add(self, cat: str, name: str, ts: float, dur: float, tid: int, **args: object) -> None:
        self.events.append(_event(cat, name, ts + self.offset, dur, tid, **args))

    def launch(self, kernel: str, us: float, *, stream: int = 7, host: float = HOST,
               **args: object) -> float:  # fmt: skip
        """Launches work; when it begins. A length of 0 is given later."""
        self._link += 1
        op = self.host
        self.host += host
        self.add("cuda_runtime", "cudaLaunchKernel", self.host, LAUNCH, 900, correlation=self._link)
        begin = max(self.host + 6.0, self.device)
        self.host += LAUNCH
        self.add("cpu_op", "aten::mm", op, self.host - op, 900)
        self.add("kernel", kernel, begin, us, stream, correlation=self._link, **args)
        self.device = begin + us
        return begin


def draw(
    folder: Path,
    ranks: int,
    *,
    steps: int = 5,
    layer: Of = lambda _rank, _step: LAYER,
    data: Of = lambda _rank, _step: DATA,
    host: Of = lambda _rank, _step: HOST,
    offset: Callable[[int], float] = lambda _rank: 0.0,
    more: Callable[[int, int], Mapping[str, float]] = lambda _rank, _step: {},
    base_ns: int = 0,
) -> list[Path]:
    """A file a rank: its length of a layer, of loading, of the host before each launch.

    `more` are further kernels of a step by name. `offset` is what the rank's clock is ahead.
    """
    every = [_Rank(number, offset(number)) for number in range(ranks)]
    for step in range(steps):
        begun = []
        for rank in every:
            # the optimizer waits for the step before
            start = rank.host = max(rank.host, rank.device) + 5.0
            load = data(rank.number, step)
            rank.add("user_annotation", LOADER,
                     start, load, 900)  # fmt: skip
            rank.host += load
            for number in range(LAYERS):
                rank.launch(f"gemm_{number % 2}", layer(rank.number, step),
                            host=host(rank.number, step))  # fmt: skip
            for name, us in more(rank.number, step).items():
                rank.launch(name, us)
            begun.append((start, rank.launch("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)", 0.0,
                                             **_collective(ranks, step))))  # fmt: skip
        end = max(begin for _, begin in begun) + TRANSFER
        for rank, (start, begin) in zip(every, begun, strict=True):
            rank.events[-1]["dur"] = round(end - begin, 3)
            rank.device = end
            rank.host = end
            rank.add("user_annotation", f"ProfilerStep#{step + 3}", start, end - start, 900)
    folder.mkdir(parents=True, exist_ok=True)
    return [_written(folder, rank, ranks, base_ns) for rank in every]


def _collective(ranks: int, step: int) -> dict[str, object]:
    return {
        "Collective name": "allreduce", "dtype": "BFloat16", "In msg nelems": 1_000_000,
        "Out msg nelems": 1_000_000, "Group size": ranks, "Process Group Name": "0",
        "Process Group Description": "default_pg", "Seq": step,
        "Process Group Ranks": json.dumps(list(range(ranks))),
    }  # fmt: skip


def _written(folder: Path, rank: _Rank, ranks: int, base_ns: int) -> Path:
    path = folder / f"rank{rank.number}.json"
    path.write_text(json.dumps({
        "schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}],
        "distributedInfo": {"backend": "nccl", "rank": rank.number, "world_size": ranks},
        "record_shapes": 0, "with_stack": 0, "baseTimeNanoseconds": base_ns,
        "traceEvents": rank.events,
    }))  # fmt: skip
    return path
