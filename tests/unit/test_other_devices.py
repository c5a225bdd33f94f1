"""Work of devices that are no GPU is work, and what is not known is named: never CPU time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.real import loaded
from tracekit.attribution import links
from tracekit.cli.app import app
from tracekit.results import engine
from tracekit.results.unknown_work import device_kind, other_device, unknown
from tracekit.trace import kineto, parquet
from tracekit.trace.categories import category
from tracekit.trace.spans.intervals import spans, total, union
from tracekit.trace.trace import Cat, Trace

HOST, DEVICE, THREAD = 50, 3, 51


def x(name: str, cat: str | None, ts: float, dur: float, pid: int = HOST, tid: int = THREAD,
      **args: Any) -> dict[str, Any]:  # fmt: skip
    """A slice; a category of None is none."""
    event: dict[str, Any] = {"ph": "X", "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur}
    return event | ({} if cat is None else {"cat": cat}) | ({"args": args} if args else {})


def process(pid: int, name: str, labels: str | None = None) -> list[dict[str, Any]]:
    found = [{"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}]
    if labels:
        found.append({"ph": "M", "name": "process_labels", "pid": pid, "args": {"labels": labels}})
    return found


def load(folder: Path, events: list[dict[str, Any]], **meta: Any) -> Trace:
    path = folder / "t.json"
    path.write_text(json.dumps({**meta, "traceEvents": events}))
    return kineto.load(path)


def says(folder: Path, events: list[dict[str, Any]]) -> str:
    """What the terminal says of a trace, on one line."""
    load(folder, events)
    done = CliRunner().invoke(
        app, ["analyze", str(folder / "t.json"), "-o", str(folder / "p.html")]
    )
    assert done.exit_code == 0, done.output
    page = (folder / "p.html").read_text()
    assert "CPU events only" not in page
    assert "every time here is CPU time" not in page
    return " ".join(done.output.split())


def test_the_words_of_a_device_that_is_no_gpu(tmp_path: Path) -> None:
    """Names of the file keep theirs; our labels, sentences, tables and the page say device."""
    events = [
        x("aten::mm", "cpu_op", 0, 3_000),
        *[x("urEnqueueKernelLaunch", "xpu_runtime", 300 * n, 5, correlation=n) for n in range(9)],
        *[x("GPU gemm_kernel", "kernel", 300 * n + 20, 40, pid=DEVICE, tid=0, device=0, stream=0,
            correlation=n) for n in range(9)],
    ]  # fmt: skip
    said = says(tmp_path, events)
    assert "The device is idle for" in said
    page = (tmp_path / "p.html").read_text()
    words = re.sub(r"<(script|style).*?</\1>|<[^>]*>|GPU gemm_kernel", " ", page, flags=re.S)
    assert not re.findall(r"[^.]{0,40}\bGPUs?\b", f"{said.replace('GPU gemm_kernel', '')} {words}")


OP = x("aten::mm", "cpu_op", 0, 50)


@pytest.mark.parametrize(
    ("text", "cat"),
    [
        ("xpu_runtime", Cat.RUNTIME), ("xpu_driver", Cat.RUNTIME), ("musa_driver", Cat.RUNTIME),
        ("mtia_ccp_events", Cat.KERNEL), ("gcu_memcpy", Cat.MEMCPY), ("hpu_memset", Cat.MEMSET),
        ("xpu_user_annotation", Cat.GPU_ANNOTATION), ("xpu_sync", Cat.SYNC),
        ("foo, gpu_memcpy", Cat.MEMCPY), ("privateuse1_kernel", Cat.KERNEL),
        ("my_kernel", Cat.OTHER), ("hpu_op", Cat.OTHER), ("npu_op", Cat.OTHER),
        ("Trace", Cat.OTHER), ("", Cat.OTHER),
    ],
)  # fmt: skip
def test_the_categories_of_each_backend_are_known(text: str, cat: Cat) -> None:
    assert category(text) == cat


def test_work_of_gaudi_is_apart_from_the_hosts_threads(tmp_path: Path) -> None:
    trace = load(tmp_path, [
        OP,
        x("synLaunch", "hpu_op", 10, 5),  # on the thread of the op: a call of the host
        x("MME_gemm", "hpu_op", 20, 30, pid=DEVICE, tid=1),
        x("TPC_add", "hpu_op", 50, 10, pid=DEVICE, tid=2),
    ])  # fmt: skip
    work = links.work(trace)
    assert [(work.text(i), int(work.dur[i])) for i in range(2)] == [
        ("MME_gemm", 30_000), ("TPC_add", 10_000),
    ]  # fmt: skip
    assert trace.devices == (DEVICE,)
    assert [links.calls(trace).text(0)] == ["synLaunch"]
    rows = engine.answers(tmp_path / "t.json").to_json()["answers"]["devices"]["rows"]
    assert [(row["device"], row["kind"]) for row in rows] == [(DEVICE, "HPU (Gaudi)")]


def test_a_privateuse1_device_without_categories_of_its_own_is_known_by_its_process(
    tmp_path: Path,
) -> None:
    device = x("nc_matmul", "privateuse1_driver", 20, 30, pid=DEVICE, tid=1)
    call = x("nrtExecute", "privateuse1_runtime", 5, 5)
    trace = load(tmp_path, [OP, call, device])
    assert links.work(trace).text(0) == "nc_matmul"
    assert links.calls(trace).text(0) == "nrtExecute"
    # with kernels of its own, what it files as driver calls are calls
    trace = load(tmp_path, [OP, call, device, x("k", "kernel", 60, 5, pid=DEVICE, tid=1)])
    assert [links.work(trace).text(i) for i in range(len(links.work(trace)))] == ["k"]
    assert len(links.calls(trace)) == 2


ASCEND = [
    *process(HOST, "Python"), *process(60, "CANN", "CPU"), *process(70, "Ascend Hardware", "NPU"),
    *process(80, "Overlap Analysis"), *process(90, "HCCL"),
    x("tracekit::encode", "user_annotation", 0, 100),
    OP,
    x("Enqueue@aclnnMatmul", "enqueue", 5, 1),
    x("Node@launch", None, 10, 5, pid=60, connection_id=8),
    x("MatMulV3", None, 20, 30, pid=70, tid=2, connection_id=8),
    x("EVENT_WAIT", None, 50, 400, pid=70, tid=2),
    x("MEMCPY_ASYNC", None, 450, 10, pid=70, tid=2),
    x("Computing", None, 20, 30, pid=80, tid=0),
    x("hcom_allReduce_", None, 20, 30, pid=90, tid=0),
]  # fmt: skip


def test_work_of_ascend_is_that_of_its_hardware_process(tmp_path: Path) -> None:
    trace = load(tmp_path, ASCEND)
    work = links.work(trace)
    assert [(work.text(i), Cat(work.cat[i])) for i in range(2)] == [
        ("MatMulV3", Cat.KERNEL), ("MEMCPY_ASYNC", Cat.MEMCPY),
    ]  # fmt: skip
    assert len(work) == 2  # the wait, and what is drawn again, are none
    assert trace.source.unknown == ()
    # the launch is drawn in a process of its own, and yet of the thread that made it
    op, mark = links.op_row(trace)[0], links.annotation_row(trace)[0]
    assert links.ops(trace).text(op) == "aten::mm"
    assert links.marks(trace).text(mark) == "tracekit::encode"
    assert device_kind(trace.source) == "NPU (Ascend)"
    assert "NPU (Ascend)" in says(tmp_path, ASCEND)


LAST = (1 << 32) - 2  # where unitrace begins to count down processes and threads of devices


def arrow(phase: str, number: int, ts: float, pid: int, tid: int, way: str) -> dict[str, Any]:
    return {"ph": phase, "name": "dep", "cat": f"Flow_{way}_{number}_0", "id": number, "ts": ts,
            "pid": pid, "tid": tid}  # fmt: skip


UNITRACE = [
    *process(LAST, "DEVICE<n1>[Intel(R) Data Center GPU Max 1550] 0:18:0:0"),
    *process(LAST - 1, "DEVICE<n1>[Intel(R) Data Center GPU Max 1550] 0:29:0:0"),
    x("aten::mm", "cpu_op", 0, 60),
    x("zeCommandListAppendLaunchKernel", "cpu_op", 10, 5),
    x("zeCommandListAppendMemoryCopy", "cpu_op", 20, 5),
    x("zeCommandListAppendLaunchKernel", "cpu_op", 30, 5),
    x("zeEventHostSynchronize", "cpu_op", 70, 90),
    # ids of commands, in no order; arrows back to the call that waits have the same ids
    x("gemm_kernel[SIMD32 {16; 1; 1} {256; 1; 1}]", "gpu_op", 40, 50.5, LAST, LAST, id="9"),
    x("zeCommandListAppendMemoryCopy(M2D)[4096]", "gpu_op", 95, 20, LAST, LAST, id="3"),
    x("zeCommandListAppendMemoryFill[64]", "gpu_op", 120, 5, LAST - 1, LAST - 2, id="4"),
    x("zeCommandListAppendBarrier", "gpu_op", 130, 20, LAST, LAST - 1, id="5"),
    *[arrow("s", n, ts, HOST, THREAD, "H2D") for n, ts in ((9, 10), (3, 20), (4, 30))],
    *[arrow("t", n, ts, LAST, LAST, "H2D") for n, ts in ((9, 40), (3, 95))],
    arrow("t", 4, 120, LAST - 1, LAST - 2, "H2D"),
    arrow("s", 9, 40, LAST, LAST, "D2H"), arrow("t", 9, 70, HOST, THREAD, "D2H"),
]  # fmt: skip


def test_commands_that_unitrace_draws_are_work_and_their_arrows_are_launches(
    tmp_path: Path,
) -> None:
    trace = load(tmp_path, UNITRACE)
    work, calls = links.work(trace), links.calls(trace)
    assert [Cat(cat) for cat in work.cat] == [Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET]
    assert (work.device.tolist(), work.stream.tolist()) == ([0, 0, 1], [0, 0, 2])
    assert trace.of(Cat.SYNC).text(0) == "zeCommandListAppendBarrier"
    launch = links.launch_row(trace)
    assert [int(calls.ts[row]) for row in launch] == [10_000, 20_000, 30_000]
    assert [links.ops(trace).text(i) for i in range(len(links.ops(trace)))] == ["aten::mm"]
    answers = engine.answers(tmp_path / "t.json").to_json()["answers"]
    assert answers["audit"]["verdict"] == "trusted"
    assert [(row["device"], row["busy_ns"]) for row in answers["devices"]["rows"]] == [
        (0, 70_500), (1, 5_000),
    ]  # fmt: skip
    assert {(row["direction"], row["count"]) for row in answers["transfers"]["rows"]} == {
        ("HtoD", 1), ("fill", 1),
    }  # fmt: skip
    assert trace.source.unknown == ()


def thread(pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


TPU = [
    *process(3, "/device:TPU:0"), thread(3, 1, "Steps"), thread(3, 2, "XLA Modules"),
    thread(3, 3, "XLA Ops"), thread(3, 4, "Async XLA Ops"),
    x("aten::mm", "cpu_op", 0, 60),
    x("1", "kernel", 10, 200, pid=3, tid=1, device=3),
    x("jit_step", "kernel", 10, 180, pid=3, tid=2, device=3),
    x("fusion.1", "kernel", 20, 40, pid=3, tid=3, device=3),
    x("all-reduce.2", "kernel", 70, 30, pid=3, tid=3, device=3),
    x("copy-start.1", "kernel", 15, 170, pid=3, tid=4, device=3),
]  # fmt: skip


def test_of_the_lines_of_a_tpu_the_ops_are_its_work(tmp_path: Path) -> None:
    """torch_tpu files steps, modules and scopes of the device under `kernel` too."""
    trace = load(tmp_path, TPU)
    work = links.work(trace)
    assert [work.text(i) for i in range(len(work))] == ["fusion.1", "all-reduce.2"]
    assert len(trace.of(Cat.GPU_ANNOTATION)) == 3
    said = says(tmp_path, TPU)
    assert "The device of this file is a TPU" in said
    (row,) = engine.answers(tmp_path / "t.json").to_json()["answers"]["devices"]["rows"]
    assert (row["kind"], row["busy_ns"], row["window_ns"]) == ("TPU", 70_000, 80_000)


def test_collections_of_garbage_are_no_work_of_an_npu(tmp_path: Path) -> None:
    events = [*ASCEND, *process(95, "Python GC"), x("GC", "GC", 300, 40, pid=95, tid=THREAD)]
    (row,) = load(tmp_path, events).source.unknown
    assert (row.process, row.on_host) == ("Python GC", True)
    assert "GC` in 'Python GC' (40.0 µs" in says(tmp_path, events)


STRANGE = [
    OP,
    *process(DEVICE, "python3", "FOO 0"),
    x("warp", "foo_events", 10, 30, pid=DEVICE, tid=1),
    x("warp", "foo_events", 20, 30, pid=DEVICE, tid=1),  # 10 of it on the same track
    x("weft", "foo_events", 20, 30, pid=DEVICE, tid=2),
]


def test_what_is_not_known_is_named_with_count_and_time(tmp_path: Path) -> None:
    trace = load(tmp_path, STRANGE)
    (row,) = trace.source.unknown
    assert (row.category, row.process, row.count, row.ns) == (
        "foo_events", "python3 FOO 0", 3, 70_000,
    )  # fmt: skip
    assert not row.on_host
    assert trace.devices == ()
    said = says(tmp_path, STRANGE)
    assert "3 slices of category `foo_events` in 'python3 FOO 0' (70.0 µs" in said
    assert said.count("foo_events") == 1
    answers = engine.answers(tmp_path / "t.json").to_json()["answers"]
    assert answers["audit"]["verdict"] == "degraded"
    (found,) = [r for r in answers["audit"]["rows"] if r["check"] == "unknown_work"]
    assert (found["count"], found["ns"]) == (3, 70_000)
    assert "devices" in found["touches"]


def test_functions_that_a_graph_calls_on_the_host_are_named_and_no_work(tmp_path: Path) -> None:
    """torch's cupti_monitor draws them, and records of events, on the stream that waits."""
    on_stream: dict[str, Any] = {"pid": 0, "tid": 7, "device": 0, "stream": 7, "correlation": 1}
    events = [
        OP,
        x("cudaGraphLaunch", "cuda_runtime", 0, 5, correlation=1),
        x("k", "kernel", 10, 10, **on_stream),
        x("EventRecord", "graph_event_node", 20, 0, **on_stream),
        x("HostNode: sample", "graph_host_node", 22, 50, **on_stream),
        x("k", "kernel", 80, 10, **on_stream),
    ]
    (row,) = load(tmp_path, events).source.unknown
    assert (row.category, row.count, row.on_host) == ("graph_host_node", 1, True)
    answers = engine.answers(tmp_path / "t.json").to_json()["answers"]
    assert answers["audit"]["verdict"] == "trusted"
    assert [row["busy_ns"] for row in answers["devices"]["rows"]] == [20_000]


def test_unknown_slices_on_host_threads_degrade_nothing(tmp_path: Path) -> None:
    events = [OP, x("mine", "my_category", 10, 5)]
    trace = load(tmp_path, events)
    assert trace.source.unknown[0].on_host
    assert "threads of the host" in (unknown(trace.source) or "")
    answers = engine.answers(tmp_path / "t.json").to_json()["answers"]
    assert answers["audit"]["verdict"] == "trusted"
    assert "my_category" in says(tmp_path, events)


@pytest.mark.parametrize(("dur", "effect"), [(10, "note"), (11, "degraded")])
def test_unknown_time_degrades_from_a_hundredth_of_the_known_on(
    dur: int, effect: str, tmp_path: Path
) -> None:
    load(tmp_path, [
        OP, x("k", "kernel", 0, 990, pid=0, tid=7), x("u", "odd", 0, dur, pid=9, tid=1),
    ])  # fmt: skip
    rows = engine.answers(tmp_path / "t.json").to_json()["answers"]["audit"]["rows"]
    assert [r["effect"] for r in rows if r["check"] == "unknown_work"] == [effect]


def test_a_gpu_trace_says_nothing_of_other_devices(tmp_path: Path) -> None:
    span = x("PyTorch Profiler (0)", "Trace", 0, 100, pid=9)
    trace = load(tmp_path, [OP, x("k", "kernel", 0, 9, pid=0, tid=7), span])
    assert trace.source.unknown == ()
    assert other_device(trace.source) is None


def test_rows_of_rocprof_are_named_for_what_they_are(tmp_path: Path) -> None:
    events = [*process(2, "1 CPU HIP API"), *process(6, "6 GPU0"),
              x("vecAdd(int*)", None, 10, 30, pid=6, tid=0, BeginNs="1", EndNs="2")]  # fmt: skip
    said = says(tmp_path, events)
    assert "export of rocprof" in said
    assert "1 slice without a category in '6 GPU0' (30.0 µs" in said


def test_unknown_slices_stay_known_in_parquet(tmp_path: Path) -> None:
    trace = load(tmp_path, STRANGE)
    parquet.write(trace, tmp_path / "t.parquet")
    assert parquet.read(tmp_path / "t.parquet").source.unknown == trace.source.unknown


def test_work_of_mtia_is_work() -> None:
    """1,313 slices, 424.23 ms together: counted apart from the reader."""
    trace = loaded("hta_mtia_inference")
    work = links.work(trace)
    assert len(work) == 1313
    assert total(union(spans(work.ts, work.dur))) == 424_229_939
    assert "an MTIA: 1,313 slices of `mtia_ccp_events`" in (other_device(trace.source) or "")
