"""A program run on a drawn machine: a host thread that launches, and streams that work in order.

Where a picture of `drawing` would be too wide, a few lines say what the program does, and the
machine says when each kernel runs: at the end of what its stream did before, and no sooner than
LATENCY after its launch began. Times are µs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.drawing import PID, THREAD, Slice, build
from tracekit.trace.trace import Cat, Table, Trace

LATENCY = 6.0


class Program:
    """What one process does; `trace` is what its profiler writes."""

    def __init__(self, pid: int = PID, first_correlation: int = 1) -> None:
        self.pid, self.tid, self.now = pid, THREAD, 0.0
        self.slices: list[Slice] = []
        self._free: dict[tuple[int, int], float] = {}  # when a stream is done
        self._next = first_correlation

    def trace(
        self, meta: Mapping[str, object] | None = None, tables: Mapping[str, Table] | None = None
    ) -> Trace:
        return build(self.slices, meta, tables)

    def document(
        self, shapes: Mapping[str, list[list[int]]], dtype: str = "c10::BFloat16",
        device: str = "NVIDIA H100 80GB HBM3",
    ) -> dict[str, object]:  # fmt: skip
        """What the profiler writes as JSON, with the shapes that ops of a name were given."""
        return {
            "deviceProperties": [{"id": 0, "name": device}],
            "traceEvents": [_event(s, shapes.get(s.name), dtype) for s in self.slices],
        }

    def busy(self, us: float) -> None:
        """The host computes something that nothing records."""
        self.now += us

    @contextmanager
    def slice(self, name: str, cat: Cat = Cat.CPU_OP) -> Iterator[None]:
        """A slice of the host around what is done inside."""
        start = self.now
        yield
        self._host(name, cat, start)

    def op(self, name: str, us: float) -> None:
        with self.slice(name):
            self.busy(us)

    def mark(self, name: str) -> object:
        return self.slice(name, Cat.ANNOTATION)

    def python(self, name: str) -> object:
        return self.slice(name, Cat.PYTHON)

    def call(self, name: str, us: float) -> None:
        """A runtime call that launches nothing."""
        with self.slice(name, Cat.RUNTIME):
            self.busy(us)

    def launch(
        self, kernel: str, us: float, *, op: str | None = None, op_us: float = 0.0,
        call: str = "cudaLaunchKernel", call_us: float = 4.0, stream: int = 7, device: int = 0,
        cat: Cat = Cat.KERNEL,
    ) -> None:  # fmt: skip
        """One op (`op_us` before the call) that launches one piece of work."""
        start = self.now
        self.busy(op_us)
        self._work([(kernel, us)], call, call_us, stream, device, cat)
        if op is not None:
            self._host(op, Cat.CPU_OP, start)

    def graph(
        self, kernels: list[tuple[str, float]], *, call: str = "cudaGraphLaunch",
        call_us: float = 20.0, stream: int = 7, device: int = 0,
    ) -> None:  # fmt: skip
        self._work(kernels, call, call_us, stream, device, Cat.KERNEL)

    def wait(self, call: str = "cudaStreamSynchronize", stream: int = 7, device: int = 0) -> None:
        """A call that returns when the stream is done."""
        with self.slice(call, Cat.RUNTIME):
            self.now = max(self.now, self._free.get((device, stream), 0.0)) + 4.0

    def item(self, stream: int = 7) -> None:
        """`.item()`: a copy of 4 bytes, and the wait for it."""
        with self.slice("aten::item"), self.slice("aten::_local_scalar_dense"):
            self.launch("Memcpy DtoH (Device -> Pageable)", 1.0, call="cudaMemcpyAsync",
                        stream=stream, cat=Cat.MEMCPY)  # fmt: skip
            self.wait(stream=stream)

    def after(self, stream: int, other: int, device: int = 0) -> None:
        """A stream waits for what another one has been given."""
        self.call("cudaEventRecord", 1.0)
        self.call("cudaStreamWaitEvent", 1.0)
        done = max(self._free.get((device, s), 0.0) for s in (stream, other))
        self._free[device, stream] = done

    def _work(
        self, kernels: list[tuple[str, float]], call: str, call_us: float, stream: int, device: int,
        cat: Cat,
    ) -> None:  # fmt: skip
        asked, link = self.now, self._next
        self._next += 1
        with self.slice(call, Cat.RUNTIME):
            self.busy(call_us)
        last = self.slices[-1]
        self.slices[-1] = Slice(last.ts, last.dur, call, Cat.RUNTIME, self.tid, self.pid,
                                correlation=link)  # fmt: skip
        for name, us in kernels:
            begin = max(asked + LATENCY, self._free.get((device, stream), 0.0))
            self._free[device, stream] = begin + us
            self.slices.append(
                Slice(round(begin * 1000), round(us * 1000), name, cat, stream, device, device,
                      stream, link)
            )  # fmt: skip

    def _host(self, name: str, cat: Cat, start: float) -> None:
        ts = round(start * 1000)
        self.slices.append(Slice(ts, round(self.now * 1000) - ts, name, cat, self.tid, self.pid))


def _event(own: Slice, shape: list[list[int]] | None, dtype: str) -> dict[str, object]:
    said: dict[str, object] = {}
    if own.correlation >= 0:
        said["correlation"] = own.correlation
    if own.stream >= 0:
        said |= {"device": own.device, "stream": own.stream}
    if shape is not None and own.cat is Cat.CPU_OP:
        said |= {"Input Dims": shape, "Input type": [dtype] * len(shape)}
    return {"ph": "X", "cat": _CATEGORIES[own.cat], "name": own.name, "pid": own.pid,
            "tid": own.tid, "ts": own.ts / 1000, "dur": own.dur / 1000, "args": said}  # fmt: skip


_CATEGORIES = {
    Cat.RUNTIME: "cuda_runtime", Cat.KERNEL: "kernel", Cat.MEMCPY: "gpu_memcpy",
    Cat.CPU_OP: "cpu_op", Cat.ANNOTATION: "user_annotation", Cat.PYTHON: "python_function",
}  # fmt: skip
