"""Nothing is lost and nothing counted twice, whatever a file mixes."""

from __future__ import annotations

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.drawing import Slice, build
from tests.examples import examples
from tracekit.answers.devices import Devices
from tracekit.answers.idle import IdleTime
from tracekit.results import catalog
from tracekit.trace import impossible, ranks
from tracekit.trace.trace import GPU_WORK, Cat, Source, Trace

LABEL = -(1 << 40)
KINDS = (Cat.KERNEL, Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET)


@st.composite
def merged(draw: st.DrawFn) -> Trace:
    """One to three ranks of one or two devices, with graph launches and damaged records."""
    count = draw(st.integers(1, 3))
    labels: dict[int, str] = {}
    slices: list[Slice] = []
    for rank in range(count):
        host, gpu = LABEL - 2 * rank, LABEL - 2 * rank - 1
        labels |= {host: f"[TP{rank}] 42", gpu: f"[TP{rank}] 0"}
        slices.append(Slice(0, 500, "ProfilerStep#1", Cat.ANNOTATION, 1, host))
        for link in range(1, draw(st.integers(1, 6)) + 1):
            at, nodes = draw(st.integers(0, 400)), draw(st.integers(1, 3))
            name = "cudaGraphLaunch" if nodes > 1 else "cudaLaunchKernel"
            slices.append(Slice(at, 4, name, Cat.RUNTIME, 1, host, correlation=link))
            for _ in range(nodes):
                start = at + draw(st.integers(-3, 60))
                start -= draw(st.sampled_from([0, 0, 0, 0, 10**14]))  # stamped a day before
                length = draw(st.integers(-2, 40) | st.sampled_from([10**14, 1 << 32]))
                slices.append(
                    Slice(start, length, "gemm", draw(st.sampled_from(KINDS)), 7, gpu,
                          draw(st.integers(0, 1)), draw(st.integers(7, 8)), link)
                )  # fmt: skip
    return build(slices, source=Source("drawing", labels=labels))


@examples(150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(merged())
def test_every_window_is_its_parts_and_every_record_is_in_one_place(trace: Trace) -> None:
    parts = [impossible.without(part) for part in ranks.split(trace)]
    aside = [a.rows for part in parts for a in part.aside if not a.cut]
    assert sum(map(len, parts)) + sum(map(len, aside)) == len(trace)
    whole = int(trace.is_(*GPU_WORK).sum())
    gone = sum(int(rows.is_(*GPU_WORK).sum()) for rows in aside)
    if whole == gone:
        return
    found = catalog.ask(trace, Devices)
    idle = catalog.ask(trace, IdleTime)
    for row in found.rows:
        assert row.window_ns == row.kernel_ns + row.memcpy_ns + row.memset_ns + row.idle_ns
        assert min(row.kernel_ns, row.memcpy_ns, row.memset_ns, row.idle_ns, row.window_ns) >= 0
    assert sum(r.kernel_count + r.memcpy_count + r.memset_count for r in found.rows) == whole - gone
    assert sum(s.count for s in found.streams) == whole - gone
    assert sum(r.unlaunched_count for r in found.rows) == 0
    assert [r.idle_ns for r in found.rows] == [r.idle_ns for r in idle.rows]
