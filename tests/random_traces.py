"""Hypothesis strategies for small traces with everything that makes attribution hard."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.drawing import PID, Slice, build
from tracekit.trace.trace import Cat, Trace

MARKS = (
    "tracekit::prefill", "tracekit::decode", "tracekit::decode_step#1", "ProfilerStep#3",
    "step[DECODE bs=2]", "execute_context_1(5)_generation_2(2)", "mine", "nccl:all_reduce",
)  # fmt: skip
KERNELS = ("gemm", "ncclDevKernel_AllReduce", "void elementwise<float>")
CALLS = ("cudaLaunchKernel", "cudaStreamSynchronize", "cudaMemcpyAsync", "cudaGraphLaunch")
OPS = ("aten::mm", "aten::copy_", "aten::item", "aten::to")


@st.composite
def traces(draw: st.DrawFn, gpu: bool | None = None) -> Trace:
    """Up to 40 slices within 60 ns: overlapping, nested, crossing, empty, and badly linked."""
    when, length = st.integers(0, 60), st.integers(0, 20)
    slices: list[Slice] = []

    def add(cat: Cat, names: tuple[str, ...], most: int, **place: int) -> None:
        slices.extend(
            Slice(draw(when), draw(length), draw(st.sampled_from(names)), cat, **place)
            for _ in range(draw(st.integers(0, most)))
        )

    for tid in (1, 2):
        add(Cat.ANNOTATION, MARKS, 4, tid=tid)
        add(Cat.CPU_OP, OPS, 4, tid=tid)
        slices.extend(
            Slice(
                draw(when), draw(length), draw(st.sampled_from(CALLS)), Cat.RUNTIME,
                tid=tid, pid=draw(st.sampled_from([PID, PID + 1])),
                correlation=draw(st.integers(-1, 8)),
            )
            for _ in range(draw(st.integers(0, 4)))
        )  # fmt: skip
    if gpu is False or (gpu is None and draw(st.booleans())):
        return build(slices)
    for _ in range(draw(st.integers(1, 10))):
        device = draw(st.integers(0, 1))
        kind = draw(st.sampled_from([Cat.KERNEL, Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET]))
        stream, link = draw(st.integers(0, 2)), draw(st.integers(-1, 10))
        name = draw(st.sampled_from(KERNELS))
        slices.append(Slice(draw(when), draw(length), name, kind, -1, device, device, stream, link))
    return build(slices)
