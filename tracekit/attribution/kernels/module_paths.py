"""The nn.Module that torch names on the work of a replayed CUDA graph, and on ops of TorchScript.

A graph captured with `torch.cuda.graph(..., enable_annotations=True)` can have its nodes marked by
`torch.cuda.graph_annotations.mark_kernels({"module_fqn": "layers.0.attention.wq"})`: torchtitan's
graph trainer does so at the borders of modules. torch writes the marks into the arguments of each
kernel, copy and fill of a replay, every value as text, beside `graph node id`. The name is that of
`Module.named_modules`; backward work has the name of the module whose forward it belongs to.
Source: torch/cuda/_graph_annotations.py, torch/profiler/_chrome_trace_export.py.

`with_modules=True` names modules on the ops of TorchScript models alone; the work that such an op
launched is its module's. Source: torch/profiler/profiler.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tracekit.attribution import links
from tracekit.records import Record
from tracekit.trace.trace import I64, Trace

FUSED = " + "  # between the modules of a fused kernel


class Path(Record, frozen=True):
    """A module by its fully qualified name."""

    name: str  # layers.0.mlp.w1, as torch wrote it
    around: tuple[str, ...]  # layers, layers.0, layers.0.mlp: the modules that hold it
    kind: str  # layers.*.mlp.w1: the same module of every layer
    number: int | None  # 0, the only index in it; None for none, or for several


@lru_cache(maxsize=65536)
def of_name(name: str) -> Path:
    """The path in a name. A fused kernel's modules are together inside what holds all of them."""
    every = [one.split(".") for one in name.split(FUSED)]
    around = _shared([parts[:-1] for parts in every])
    indices = {tuple(int(part) for part in parts if is_index(part)) for parts in every}
    (only, *others) = indices
    return Path(
        name,
        tuple(".".join(around[:n]) for n in range(1, len(around) + 1)),
        FUSED.join(dict.fromkeys(
            ".".join("*" if is_index(part) else part for part in parts) for parts in every
        )),
        only[0] if not others and len(only) == 1 else None,
    )  # fmt: skip


def is_index(part: str) -> bool:
    """Whether a part of a name is the place in a list of modules."""
    return re.fullmatch(r"[0-9]{1,9}", part) is not None


def _shared(every: Sequence[Sequence[str]]) -> list[str]:
    """The parts that all begin with."""
    out: list[str] = []
    for level in zip(*every, strict=False):
        if len(set(level)) > 1:
            break
        out.append(level[0])
    return out


def written(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[G] the name on each row of `links.work`, as an index into the second; -1 for none.

    That on the work itself; else that on the op that launched it.
    """

    def make() -> tuple[I64, tuple[str, ...]]:
        table = trace.table("kernel_modules")
        own = table.take(links.work(trace).id, "path", -1).astype(np.int64)
        code, names = on_ops(trace)
        if not (code >= 0).any():
            return own, table.strings
        after = np.where(code >= 0, code + len(table.strings), -1)
        return np.where(own >= 0, own, after), (*table.strings, *names)

    return trace.once("module_paths", make)


def on_ops(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[G] the name on the op that launched each row of `links.work`; as `written`."""
    table = trace.table("op_modules")
    row = links.op_row(trace)
    out = np.full(len(row), -1, np.int64)
    if len(table):
        named = table.take(links.ops(trace).id, "path", -1).astype(np.int64)
        out[row >= 0] = named[row[row >= 0]]
    return out, table.strings
