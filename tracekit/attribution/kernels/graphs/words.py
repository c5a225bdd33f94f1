"""Nodes of a replay and launches of a capture in one vocabulary, so that they can be aligned.

A word is the kernel's name; all copies are one word, all memsets another. ROCm writes the name and
the grid on the launch call itself, CUDA does not: there a captured launch has no name.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field

from tracekit.attribution import links
from tracekit.patterns import later
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Trace

UNNAMED = -1
_COPY, _FILL = "copy", "fill"
# what ROCm files copies and memsets as, where they run as kernels
_COPY_KERNEL = later(r"__amd_rocclr_copyBuffer|^MEMORY_COPY")
_COMPILED = later(r"^triton_(poi|red|per|tem|mm|for)_")
_FILL_KERNEL = later(r"__amd_rocclr_fillBuffer")


class Words(Struct):
    """Words by number."""

    number: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> int:
        """The number of a kernel's name."""
        if _COPY_KERNEL.search(name):
            name = _COPY
        elif _FILL_KERNEL.search(name):
            name = _FILL
        return self.number.setdefault(name, len(self.number))

    def of_work(self, trace: Trace) -> I64:
        """[G] of each row of `links.work`."""
        gpu = links.work(trace)
        distinct, inverse = segments.codes(gpu.name)
        table = np.array([self.of(trace.strings[int(n)]) for n in distinct], np.int64)
        out = table[inverse.reshape(-1)] if len(table) else np.empty(0, np.int64)
        out[gpu.is_(Cat.MEMCPY)] = self.of(_COPY)
        out[gpu.is_(Cat.MEMSET)] = self.of(_FILL)
        return out

    def of_calls(self, trace: Trace) -> I64:
        """[R] of each row of `links.calls`: as the call says, or the work that it launched."""
        calls, table = links.calls(trace), trace.table("launched")
        out = np.full(len(calls), UNNAMED, np.int64)
        launch = links.launch_row(trace)
        known = np.flatnonzero(launch >= 0)[::-1]  # of several the first is written last
        out[launch[known]] = self.of_work(trace)[known]
        said = table.take(calls.id, "kernel", -1)
        names = np.array([*(self.of(text) for text in table.strings), UNNAMED], np.int64)
        out = np.where(said >= 0, names[said], out)
        out = np.where(out == UNNAMED, self._of_compiled(trace), out)
        bare = out == UNNAMED
        out[bare & calls.named("(?i)memcpy")] = self.of(_COPY)
        out[bare & calls.named("(?i)memset")] = self.of(_FILL)
        return out

    def _of_compiled(self, trace: Trace) -> I64:
        """[R] of calls inside an op that torch.compile calls by the name of its Triton kernel."""
        ops, row = links.ops(trace), links.call_op_row(trace)
        code = np.array(
            [self.of(t) if _COMPILED.match(t) else UNNAMED for t in trace.strings], np.int64
        )
        out = np.full(len(row), UNNAMED, np.int64)
        out[row >= 0] = code[ops.name[row[row >= 0]]]
        return out


def grids_of_work(trace: Trace) -> I64:
    """[G, 3] blocks of each row of `links.work`; 0 or below where not known."""
    ids = links.work(trace).id
    table = trace.table("grids")
    if not len(table):
        return np.full((len(ids), 3), -1, np.int64)
    return np.asarray(table.take(ids, "grid", -1), np.int64)


def grids_of_calls(trace: Trace) -> tuple[I64, I64]:
    """[R, 3] blocks, and threads a block, of each row of `links.calls`; -1 where not known.

    By the call, else by the work that it launched. hipExtModuleLaunchKernel counts threads where
    the others count blocks.
    """
    calls, table = links.calls(trace), trace.table("launched")
    ran, works = links.launch_row(trace), trace.table("grids")
    if not len(table):
        out = [np.full((len(calls), 3), -1, np.int64) for _ in range(2)]
        mine = np.flatnonzero((ran >= 0) & ~links.replayed(trace))[::-1]
        for part, name in zip(out, ("grid", "block"), strict=True):
            if len(works):
                part[ran[mine]] = works.take(links.work(trace).id[mine], name, -1)
        return out[0], out[1]
    grid, block = (np.asarray(table.take(calls.id, c, -1), np.int64) for c in ("grid", "block"))
    known = (grid > 0).all(axis=1) & (block > 0).all(axis=1)
    threads = known & calls.named("hipExtModuleLaunchKernel")
    whole = np.where(threads[:, None], grid // np.maximum(block, 1), grid)
    exact = ~threads | ((grid % np.maximum(block, 1)) == 0).all(axis=1)
    good = (known & exact)[:, None]
    return np.where(good, whole, -1), np.where(good, block, -1)
