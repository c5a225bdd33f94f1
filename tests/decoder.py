"""Traces of a made-up decoder: what its prefill and its decode launch is known call by call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.drawing import Slice, build
from tracekit.trace.trace import Cat, Table, Trace

MATRICES = {  # k → n, by the name of a layer's GEMM
    "q": (64, 64), "k": (64, 32), "v": (64, 32), "o": (64, 64),
    "gate": (64, 192), "up": (64, 192), "down": (192, 64), "head": (64, 1000),
}  # fmt: skip
LAYER = ("norm", "q", "k", "v", "rotary", "attention", "o", "norm", "gate", "up", "act", "down")
H100 = {"deviceProperties": [{"name": "NVIDIA H100 80GB HBM3"}]}


@dataclass
class Decoder:
    """Writes passes of `layers` layers; each GEMM takes `gemm_ns` and all else 1 µs."""

    layers: int = 3
    shapes: bool = True
    gpu: bool = True
    gemm_ns: int = 5_000
    at: int = 1_000
    slices: list[Slice] = field(default_factory=list)
    dims: list[tuple[str, int, str]] = field(default_factory=list)  # op, ts, JSON
    link: int = 0
    matrices: dict[str, tuple[int, int]] = field(default_factory=lambda: dict(MATRICES))
    layer: Sequence[str] = LAYER

    def stage(self, name: str, passes: Sequence[int], replay: bool = False) -> None:
        """One stage, or an engine's step, that runs a pass over each of these numbers of rows."""
        begin = self.at
        for rows in passes:
            self._pass(rows, replay)
        named = name if name.startswith(("execute_", "step[")) else f"tracekit::{name}"
        mark = Slice(begin - 1, self.at - begin + 2, named, Cat.ANNOTATION)
        self.slices.append(mark)
        self.at += 1_000

    def _pass(self, rows: int, replay: bool) -> None:
        parts = [*tuple(self.layer) * self.layers, "norm", "head", "argmax"]
        if replay:
            self.link += 1
            self.slices.append(
                Slice(self.at, 10, "cudaGraphLaunch", Cat.RUNTIME, correlation=self.link)
            )
        for part in parts:
            for op, kernel, ns in self._work(part, rows):
                if not replay:
                    self._launch(op, part, rows, ns)
                if self.gpu:
                    self.slices.append(
                        Slice(self.at + 20, ns, kernel, Cat.KERNEL, 7, 0, 0, 7, self.link)
                    )
                self.at += ns + 100

    def _work(self, part: str, rows: int) -> Iterator[tuple[str, str, int]]:
        """(op, kernel, ns) of each kernel."""
        if part.startswith("experts"):
            yield "vllm::moe_forward", "fused_moe_kernel", self.gemm_ns
            return
        if part in self.matrices:
            yield "aten::linear", "gemv2T_kernel" if rows == 1 else "ampere_gemm", self.gemm_ns
            if part == "down" and rows > 1:  # a split-K GEMM has two kernels
                yield "aten::linear", "splitKreduce_kernel", 500
            return
        yield {
            "attention": ("aten::scaled_dot_product_attention", "flash_fwd_kernel", 1_000),
            "norm": ("aten::rms_norm", "rms_norm_kernel", 1_000),
            "rotary": ("vllm::rotary_embedding", "rotary_kernel", 1_000),
            "cache": ("sgl_kernel::store", "store_kvcache", 1_000),
            "routing": ("vllm::topk_softmax", "topk_softmax_kernel", 1_000),
            "act": ("aten::silu", "silu_kernel", 1_000),
            "argmax": ("aten::argmax", "argmax_kernel", 1_000),
        }[part]  # fmt: skip

    def _launch(self, op: str, part: str, rows: int, ns: int) -> None:
        second = ns == 500
        if not second:  # the second kernel of a split-K GEMM comes from the same op
            length = ns + (700 if part == "down" else 50)
            self.slices.append(Slice(self.at, length, op, Cat.CPU_OP))
            if part in self.matrices:
                k, n = self.matrices[part]
                self.dims.append((op, self.at, json.dumps([[1, rows, k], [n, k]])))
        self.link += 1
        self.slices.append(
            Slice(self.at + 5, 10, "cudaLaunchKernel", Cat.RUNTIME, correlation=self.link)
        )

    def trace(self, **meta: object) -> Trace:
        """What was written, as a trace."""
        made = build(self.slices, meta)
        if not self.shapes:
            return made
        at = {(made.text(row), int(made.ts[row])): row for row in range(len(made))}
        begin = min(s.ts for s in self.slices)
        rows = sorted((at[op, ts - begin], text) for op, ts, text in self.dims)
        texts = [text for _, text in rows]
        types = json.dumps(["c10::BFloat16", "c10::BFloat16"])
        strings = tuple(dict.fromkeys([*texts, types, "[]"]))
        number = {text: i for i, text in enumerate(strings)}

        def column(values: Sequence[str]) -> np.ndarray:  # type: ignore[type-arg]
            return np.array([number[v] for v in values], np.int32)

        none = ["[]"] * len(rows)
        table = Table(
            np.array([row for row, _ in rows], np.int32),
            {"dims": column(texts), "types": column([types] * len(rows)),
             "concrete": column(none), "strides": column(none)},
            strings,
        )  # fmt: skip
        made.tables["shapes"] = table
        return made
