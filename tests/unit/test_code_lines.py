"""Lines of code: which launched the work, and which held the host, by hand and on real traces."""

from typing import Any

import pytest
from tracekit.analyses.lines import ANALYSIS, lines, merge

from tests.drawing import Slice, build
from tests.real import loaded
from tracekit.answers.idle import IdleTime
from tracekit.answers.kernels import Kernels
from tracekit.answers.lines import CodeLines
from tracekit.attribution.program_code import is_library
from tracekit.attribution.reasons.names import HOST_REASONS
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.trace.trace import Cat, Trace

MODEL = "/home/u/lab/model.py(40): forward"
LINEAR = "/usr/lib/python3.12/site-packages/torch/nn/modules/linear.py(125): forward"
RESIZE = "/home/u/lab/images.py(9): resize"


def us(ts: float, dur: float, name: str, cat: Cat, **more: Any) -> Slice:
    return Slice(int(ts * 1000), int(dur * 1000), name, cat, **more)


def launched(at: float, number: int, name: str, start: float, dur: float) -> list[Slice]:
    return [
        us(at, 2, "cudaLaunchKernel", Cat.RUNTIME, correlation=number),
        us(start, dur, name, Cat.KERNEL, pid=0, device=0, stream=7, correlation=number),
    ]


def drawn() -> Trace:
    """Kernels of model.py, after a long resize one of images.py, one of a library, one of none."""
    return build([
        us(0, 40, MODEL, Cat.PYTHON),
        us(5, 20, LINEAR, Cat.PYTHON),
        *launched(10, 1, "gemm", 15, 20),
        *launched(30, 2, "add", 36, 4),
        us(60, 900, RESIZE, Cat.PYTHON),
        *launched(950, 3, "resize", 960, 10),
        us(970, 10, LINEAR, Cat.PYTHON),
        *launched(972, 4, "gemm", 980, 6),
        *launched(985, 5, "add", 990, 3),
    ])  # fmt: skip


def test_the_innermost_line_of_the_program_has_the_work() -> None:
    result = lines(drawn())
    got = [(r.line, r.own, r.count, r.total_ns, r.kernel, r.kernel_ns) for r in result.rows]
    assert got == [
        ("lab/model.py:40 forward", True, 2, 24_000, "gemm", 20_000),
        ("lab/images.py:9 resize", True, 1, 10_000, "resize", 10_000),
        ("modules/linear.py:125 forward", False, 1, 6_000, "gemm", 6_000),
        (None, False, 1, 3_000, "add", 3_000),
    ]
    assert sum(r.share or 0 for r in result.rows) == pytest.approx(1)


def test_the_function_that_held_the_host_is_named_with_its_time() -> None:
    held = lines(drawn()).held
    assert held[0].line == "lab/images.py:9 resize"
    assert (held[0].reason, held[0].ns) == ("host_work", 912_000)  # to the end of the launch


def test_kernel_rows_name_the_line_of_most_of_their_time() -> None:
    rows = {r.name: r.line for r in catalog.ask(drawn(), Kernels).rows}
    assert rows == {"gemm": "lab/model.py:40 forward", "add": "lab/model.py:40 forward",
                    "resize": "lab/images.py:9 resize"}  # fmt: skip


def test_without_stacks_the_reason_is_said() -> None:
    with pytest.raises(MissingEventsError, match="without Python stacks"):
        lines(build(launched(0, 1, "gemm", 5, 5)))
    with pytest.raises(MissingEventsError, match="no kernel events"):
        lines(build([us(0, 5, MODEL, Cat.PYTHON)]))


def test_two_traces_add_up_by_line() -> None:
    one = lines(drawn())
    both = merge(one, one)
    assert [r.total_ns for r in both.rows] == [2 * r.total_ns for r in one.rows]
    assert [h.ns for h in both.held] == [2 * h.ns for h in one.held]
    assert [r.share for r in both.rows] == [r.share for r in one.rows]
    assert [grid.key for grid in ANALYSIS.tables(both)] == ["lines", "held"]


@pytest.mark.parametrize("name", ["tl_h100_qwen15_05b", "tl_sglang_prefilldecode", "tl_h100_nsfw"])
def test_lines_add_up_to_the_work_and_held_to_the_idle_time(name: str) -> None:
    trace = loaded(name)
    result, work = catalog.ask(trace, CodeLines), trace.is_(Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET)
    assert sum(r.total_ns for r in result.rows) == int(trace.dur[work].sum())
    assert sum(r.count for r in result.rows) == int(work.sum())
    idle = catalog.ask(trace, IdleTime)
    host = sum(r.ns for r in idle.reasons if r.reason in {one.value for one in HOST_REASONS})
    # stretches whose launching thread is not known are in no line
    assert 0 < sum(h.ns for h in result.held) + result.idle_others_ns <= host


def test_kernel_libraries_are_no_code_of_the_program() -> None:
    assert is_library("aiter/tuned_gemm.py")
    assert is_library("/usr/lib/python3.12/site-packages/flashinfer/decode.py")
    assert is_library("/usr/lib/python3.12/json/decoder.py")
    assert not is_library("/sgl-workspace/sglang/python/sglang/srt/models/qwen3.py")
    assert not is_library("/usr/lib/python3.12/site-packages/vllm/engine.py")
