"""Every analysis over traces that nobody would write on purpose: an answer, or a clear refusal."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests import real
from tests.examples import examples
from tests.real import EVERY
from tracekit.errors import TracekitError
from tracekit.results import catalog, engine

CATS = [
    "cpu_op", "cuda_runtime", "cuda_driver", "kernel", "gpu_memcpy", "gpu_memset",
    "user_annotation", "gpu_user_annotation", "python_function", "cuda_sync", "overhead", "Kernel",
    "mtia_ccp_events", None, 7,
]  # fmt: skip
NAMES = [
    "aten::mm", "aten::copy_", "cudaLaunchKernel", "cudaGraphLaunch", "cudaStreamSynchronize",
    "hipLaunchKernel", "ampere_bf16_gemm", "ncclDevKernel_AllReduce", "flash_fwd_kernel",
    "Memcpy HtoD (Pageable -> Device)", "Memset (Device)", "tracekit::sample#0",
    "tracekit::prefill", "tracekit::decode", "tracekit::decode_step#1", "tracekit::decode_step#2",
    "tracekit::decode_step#x", "ProfilerStep#3", "step[DECODE bs=2]",
    "execute_context_1(3)_generation_2(2)", "capture_8_FULL", "nn.Module: LlamaMLP_3", "", "<b>&",
    "[memory]",
]  # fmt: skip
small = st.integers(0, 60)
times = st.one_of(small, st.floats(0, 60).map(lambda t: round(t, 3)))
odd = st.sampled_from([None, -1, "7", "0x1", [], {}, 2**63, 1.5, True, "x"])
dims = st.lists(st.lists(st.integers(-1, 40), max_size=3), max_size=3)
args = st.fixed_dictionaries(
    {},
    optional={
        "correlation": st.integers(0, 6) | odd,
        "device": st.integers(0, 2) | odd,
        "stream": st.integers(0, 3) | odd,
        "External id": st.integers(0, 4) | odd,
        "bytes": st.integers(0, 10_000) | odd,
        "grid": st.just([2, 1, 1]) | odd,
        "block": st.just([64, 1, 1]) | odd,
        "Input Dims": dims | odd,
        "Input type": st.lists(st.sampled_from(["c10::BFloat16", "float", ""])) | odd,
        "Python id": st.integers(0, 9) | odd,
        "Python parent id": st.integers(0, 9) | odd,
        "Bytes": st.integers(-100, 100) | odd,
        "Total Allocated": st.integers(0, 100) | odd,
        "Device Type": st.integers(0, 1) | odd,
        "labels": odd,
        "name": odd,
    },
)
event = st.fixed_dictionaries(
    {
        "ph": st.sampled_from(["X", "X", "X", "X", "X", "i", "C", "s", "f", "M", "B", "E"]),
        "cat": st.sampled_from(CATS),
        "name": st.sampled_from(NAMES),
        "pid": st.sampled_from([0, 1, 2, -1, "Spans"]),
        "tid": st.sampled_from([1, 2, 7, "stream 7", -3, 2**40]),
        "ts": times,
    },
    optional={"dur": times | st.sampled_from([0, -1, None]), "args": args, "id": st.integers(0, 3)},
)
ours = st.fixed_dictionaries(
    {},
    optional={
        "dims": odd | st.fixed_dictionaries({}, optional={"llm": odd, "encode": odd}),
        "tokens": odd,
        "unprofiled": odd,
        "dtype": odd,
        "device": odd,
    },
)


def sound(cat: str, name: str, ts: int, dur: int, **more: Any) -> dict[str, Any]:
    on_gpu = cat in ("kernel", "gpu_memcpy")
    return {
        "ph": "X", "cat": cat, "name": name, "pid": 0 if on_gpu else 9, "tid": 7 if on_gpu else 9,
        "ts": ts, "dur": dur, "args": more,
    }  # fmt: skip


# a request as it should be, of which any part may be missing
REQUEST = [
    sound("user_annotation", "tracekit::sample#0", 0, 58),
    sound("user_annotation", "tracekit::load", 0, 2),
    sound("user_annotation", "tracekit::preprocess", 2, 5),
    sound("user_annotation", "tracekit::encode", 7, 8),
    sound("user_annotation", "tracekit::prefill", 15, 15),
    sound("user_annotation", "tracekit::decode", 30, 28),
    *(sound("user_annotation", f"tracekit::decode_step#{n}", 24 + 6 * n, 6) for n in (1, 2, 3, 4)),
    sound("python_function", "nn.Module: LlamaMLP_0", 16, 8),
    *(sound("cpu_op", "aten::mm", t, 4, **{"Input Dims": [[2, 3], [3, 4]]}) for t in (16, 31, 37)),
    *(sound("cuda_runtime", "cudaLaunchKernel", t, 2, correlation=t) for t in (8, 17, 32, 38)),
    *(
        sound("kernel", "gemm", t + 3, 3, correlation=t, device=0, stream=7)
        for t in (8, 17, 32, 38)
    ),
    sound("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 4, 1, device=0, stream=7, bytes=64),
]
documents = st.fixed_dictionaries(
    {
        "traceEvents": st.tuples(
            st.lists(st.sampled_from(REQUEST), max_size=30), st.lists(event, max_size=25)
        ).map(lambda parts: [*parts[0], *parts[1]])
    },
    optional={"tracekit": ours | odd, "deviceProperties": odd, "distributedInfo": odd},
)


@examples(120, suppress_health_check=list(HealthCheck), derandomize=True)
@given(documents)
def test_any_trace_ends_in_answers_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "trace.json"
    path.write_text(json.dumps(document))
    try:
        one = engine.answers(path)
    except TracekitError:
        return
    plain = json.loads(json.dumps(engine.to_json([one]), allow_nan=False))
    answers = plain["traces"][0]["answers"]
    check_identities(answers)
    for name, result in one.answers.items():
        entry = catalog.analysis(name)
        for grid in entry.tables(result):
            for row in grid.rows:
                shown = [c.show(v) for c, v in zip(grid.columns, row, strict=True)]
                assert len(shown) == len(grid.columns)
        for chart in entry.charts(result):
            json.dumps({"data": chart.data, "layout": chart.layout}, allow_nan=False)
        result.to_pandas()
        if name != "audit":
            entry.merge(result, result)


def check_identities(answers: dict[str, Any]) -> None:
    """What must sum to the nanosecond, wherever it was answered."""
    for row in answers.get("devices", {}).get("rows", []):
        parts = (row["kernel_ns"], row["memcpy_ns"], row["memset_ns"], row["idle_ns"])
        assert sum(parts) == row["window_ns"]
    for row in answers.get("stages", {}).get("rows", []):
        if row["clock"] is None:
            host = row["host"]
            assert host["op_ns"] + host["copy_ns"] + host["other_ns"] == row["wall_ns"]
            continue
        clock, work = row["clock"], row["launched"]
        four = ("kernel_ns", "memcpy_ns", "memset_ns", "idle_ns")
        assert sum(clock[part] for part in four) == row["wall_ns"]
        if work is not None:
            assert sum(work[part] for part in (*four, "other_ns")) == work["window_ns"]


@pytest.mark.parametrize("name", EVERY or ["none"])
def test_the_identities_hold_on_real_traces(name: str) -> None:
    one = real.answers(name)
    answers = json.loads(json.dumps(engine.to_json([one]), allow_nan=False))["traces"][0]["answers"]
    assert "audit" in answers
    check_identities(answers)
