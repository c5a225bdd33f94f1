"""What is no Kineto trace is refused by what it is, with what to do next, in one line."""

import gzip
import io
import json
import pickle
import sqlite3
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tracekit.cli import process
from tracekit.cli.app import app
from tracekit.errors import NotATraceError
from tracekit.trace import kineto


def xla(device: str, host: str) -> bytes:
    """Trace-event JSON as TensorBoard's profile plugin keeps it."""
    names = [{"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}
             for pid, name in ((1, device), (701, host))]  # fmt: skip
    slices = [{"ph": "X", "pid": 1, "tid": 3, "ts": 5.5 * n, "dur": 4.0, "name": f"fusion.{n}"}
              for n in range(9)]  # fmt: skip
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": [*names, *slices, {}]}).encode()


def zipped(*members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in members:
            archive.writestr(name, b"[1, 2, 3]")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for rank in range(2):
            info = tarfile.TarInfo(f"rank{rank}.json")
            info.size = 2
            archive.addfile(info, io.BytesIO(b"[]"))
    return out.getvalue()


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.arange(3))
    return out.getvalue()


def message(field: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    return bytes([field << 3 | 2, len(content)]) + content


WEIGHTS = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
PLANE = b"\x08\x01" + message(2, b"/device:TPU:0")
PACKET = b"\x40\x80\xa2\xea\xc4\x07" + message(6, b"\x08\x01")
SNAPSHOT = {"segments": [{"address": 1, "total_size": 2}], "device_traces": [[]]}

REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty file"),
    "white space": (b" \n\n", "nothing but white space"),
    "more white space": (b" " * 70_000, "nothing but white space"),
    "white space without end": (gzip.compress(b" " * (65 << 20), 1), "first 67,108,864 .* white"),
    "a brace and white space": (b"{" + b" " * (65 << 20), "first 67,108,864 .* no event"),
    "one letter, packed": (gzip.compress(b"a" * (65 << 20), 1), "in which no event ends, left out"),
    "no events": (b'{"traceEvents": []}', "no events"),
    "an empty list": (b"[]", "no events"),
    "a page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
    "a zip of ranks": (zipped("rank0.json", "rank1.json"), "zip archive of 2 traces.*!/rank0.json"),
    "a zip of other files": (zipped("a.txt", ".x/r.json"), "zip archive without a trace among its"),
    "a zip that leads out": (zipped("../r.json"), r"without a trace.*lead out of it \(../r.json\)"),
    "a zip that is cut": (zipped("rank0.json")[:60], "cut off or damaged.*directory.*missing"),
    "a tar that is cut": (tarred()[:1600], "a tar archive that is cut off or damaged"),
    "a checkpoint": (zipped("model/data.pkl"), "PyTorch checkpoint"),
    "arrays": (arrays(), "NumPy arrays"),
    "a tar of ranks": (tarred(), "tar archive"),
    "a gzipped tar": (gzip.compress(tarred()), "tar archive of 2 traces"),
    "zstd": (b"\x28\xb5\x2f\xfd....", "zstd"),
    "lz4": (b"\x04\x22\x4d\x18....", "lz4"),
    "a database": (b"SQLite format 3\0....", "SQLite.*Nsight"),
    "an Nsight Compute report": (b"NVR\0....", "Nsight Compute"),
    "weights": (struct.pack("<Q", len(WEIGHTS)) + WEIGHTS + b"\0" * 4, "safetensors"),
    "a memory snapshot": (pickle.dumps(SNAPSHOT), "snapshot"),
    "a memory snapshot as JSON": (json.dumps(SNAPSHOT).encode(), "memory snapshot"),
    "Perfetto's": (message(1, PACKET), "Perfetto protobuf"),
    "XPlane": (message(1, PLANE), "XPlane profile of JAX"),
    "JAX": (xla("/device:GPU:0", "/host:CPU"), "profile of JAX"),
    "JAX, gzipped": (gzip.compress(xla("/device:TPU:0", "/host:CPU")), "profile of JAX"),
    "TensorFlow": (xla("/job:localhost/replica:0/task:0/device:GPU:0 Compute", "x"), "TensorFlow"),
    "JAX without processes": (
        b'{"traceEvents": [{"ph": "X", "pid": 1, "ts": 1, "dur": 1, "name": "fusion", "args": '
        b'{"hlo_op": "fusion", "hlo_module": "jit_step"}}]}', "profile of JAX",
    ),
    "ONNX Runtime": (
        b'[{"cat":"Node","ph":"X","ts":1,"dur":2,"name":"MatMul_kernel_time"},'
        b'{"cat":"Kernel","ph":"X","ts":2,"dur":1,"name":"sgemm"}]', "ONNX Runtime",
    ),
    "DevTools": (
        b'{"traceEvents": [{"cat": "v8,devtools.timeline", "ph": "X", "ts": 1, "dur": 2, "name": '
        b'"RunTask"}]}', "DevTools",
    ),
    "VizTracer": (
        b'{"traceEvents": [{"cat": "FEE", "ph": "X", "ts": 1, "dur": 2, "name": "f (a.py:1)"}]}',
        "VizTracer",
    ),
    "Proton": (
        b'{"traceEvents": [{"args": {"call_stack": ["ROOT", "f"]}, "cat": "kernel", "dur": 5.0, '
        b'"name": "mm", "ph": "X", "pid": "stream 7", "tid": "kernels", "ts": 0.0}]}\n'
        b'{"traceEvents": []}\n', "Triton's Proton",
    ),
    "Ray": (
        b'[{"cat": "task::step", "name": "step", "pid": "10.0.0.1", "tid": "worker:ab", "ts": 1.0, '
        b'"dur": 2.0, "ph": "X", "cname": "generic_work", "args": {"task_id": "ab"}}]', "of Ray",
    ),
    "SGLang's requests": (
        b'[{"ph": "X", "name": "prefill_forward", "cat": "sglang", "ts": 1.0, "dur": 2.0, '
        b'"pid": 7, "tid": 1, "args": {"rid": "ab"}}]', "SGLang's requests",
    ),
    "torch before Kineto": (
        b'[{"name": "mm", "ph": "X", "ts": 1, "dur": 2, "tid": 0, "pid": "CUDA functions"}]',
        "before Kineto",
    ),
    "rocprof's table": (
        b'"Name","Calls","TotalDurationNs","AverageNs"\n"k",1,2,2\n', "rocprof CSV",
    ),
    "rocprofv3's table": (
        b'"Kind","Agent_Id","Queue_Id","Kernel_Id","Kernel_Name"\n"KERNEL_DISPATCH",1,1,1,"k"\n',
        "rocprof CSV",
    ),
    "rocprofv3's JSON": (b'{"rocprofiler-sdk-tool": [{"metadata": {}}]}', "rocprofv3 JSON"),
    "Nsight's table": (b"Time (%),Total Time (ns),Instances,Name\n9.0,1,1,k\n", "Nsight.*CSV"),
    "Nsight's JSON": (
        b'{"Type":80,"CudaEvent":{"startNs":"1","endNs":"2"}}\n{"Type":80,"CudaEvent":{}}\n',
        "Nsight Systems JSON",
    ),
    "stacks": (b"main;forward;aten::mm 1200\nmain;forward;aten::add 300\n", "export_stacks"),
    "a printed table": (
        b"-----------  ------------\n       Name    Self CPU %\n-----------  ------------\n",
        "key_averages",
    ),
    "a table": (b"time,x,y\n1,2,3\n", "CSV table"),
    "prose": (b"hello there", "text, not JSON"),
    "other JSON": (b'{"cells": [], "x": 1}', "without `traceEvents`"),
    "events that are no list": (b'{"traceEvents": 7}', "no list"),
    "a memory timeline": (b"[[-1, 1, 37888, 7], [5, 2, 512, 7]]", "memory timeline"),
    "an execution trace": (b'{"schema": "1.0.1", "nodes": [{"id": 2}]}', "execution trace"),
    "numbers": (b"[1, 2, 3]", "not of events"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    "gzip of nothing": (gzip.compress(b""), "empty file"),
    "cut before the events": (b'{"schemaVersion": 1, "devi', "before the first event"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_trace_is_named(kind: str, tmp_path: Path) -> None:
    content, words = REFUSED[kind]
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(NotATraceError, match=words) as caught:
        kineto.load(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.nsys-rep", "Nsight Systems report"), ("a.xplane.pb", "XPlane"), ("a.pftrace", "Perfetto")],
)
def test_binary_files_that_say_nothing_are_known_by_their_name(
    name: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"\x12\x00\x01\x02" * 9)
    with pytest.raises(NotATraceError, match=words):
        kineto.load(tmp_path / name)


def test_columns_are_not_rewritten_and_the_way_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "columns.parquet"
    path.write_bytes(b"PAR1" + bytes(99))
    assert process.run(lambda: app(["export", str(path), str(tmp_path / "out.json")])) == 1
    said = capfd.readouterr().err
    assert "a Parquet file: columns, and no events to rewrite; give the trace" in said


def test_a_database_that_sqlite_wrote_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("create table CUPTI_ACTIVITY_KIND_KERNEL (start int)")
    with pytest.raises(NotATraceError, match="SQLite"):
        kineto.load(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_trace_after_much_white_space_is_read(packed: bool, tmp_path: Path) -> None:
    text = b" " * 300_000 + b'[{"ph":"X","cat":"cpu_op","name":"a","pid":1,"tid":1,"ts":1,"dur":1}]'
    path = tmp_path / "t.json"
    path.write_bytes(gzip.compress(text) if packed else text)
    assert kineto.load(path).strings == ("a",)


def test_a_trace_of_kineto_that_names_xla_is_read(tmp_path: Path) -> None:
    events = json.loads(xla("/device:GPU:0", "/host:CPU"))["traceEvents"]
    events += [{"ph": "X", "cat": "cpu_op", "name": "a", "pid": 1, "tid": 1, "ts": 1, "dur": 1}]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(events))
    assert len(kineto.load(path)) == 10
