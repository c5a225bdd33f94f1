"""Every form in which a sound trace comes, each read as the same slices."""

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tracekit.attribution import links
from tracekit.errors import TracekitError
from tracekit.trace import kineto
from tracekit.trace.trace import TABLES, Cat, Trace

KERNEL = {
    "ph": "X", "cat": "kernel", "name": "gemm<a>", "pid": 0, "tid": 7, "ts": 20.25, "dur": 5.5,
    "args": {"device": 0, "stream": 7, "correlation": 9, "grid": [2, 1, 1], "block": [64, 1, 1],
             "shared memory": 16, "registers per thread": 32, "warps per SM": 0.5,
             "est. achieved occupancy %": 12},
}  # fmt: skip
CALL = {
    "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 6,
    "ts": 10.125, "dur": 3.001, "args": {"correlation": 9},
}  # fmt: skip
OP = {
    "ph": "X", "cat": "cpu_op", "name": "aten::mm µ", "pid": 5, "tid": 6, "ts": 8, "dur": 9.25,
    "args": {"External id": 3, "Input Dims": [[2, 3], [3, 4]], "Sequence number": 4},
}  # fmt: skip
EVENTS = [KERNEL, CALL, OP]
WANT = [("aten::mm µ", 0, 9250), ("cudaLaunchKernel", 2125, 3001), ("gemm<a>", 12250, 5500)]


def rows(trace: Trace) -> list[tuple[str, int, int]]:
    return [(trace.text(i), int(trace.ts[i]), int(trace.dur[i])) for i in range(len(trace))]


def write(folder: Path, text: str | bytes, name: str = "t.json") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def whole(**more: Any) -> dict[str, Any]:
    return {"schemaVersion": 1, "traceEvents": EVENTS, **more}


FORMS: dict[str, bytes] = {
    "compact": json.dumps(whole(), separators=(",", ":")).encode(),
    "indented": json.dumps(whole(), indent=2).encode(),
    "unescaped text": json.dumps(whole(), ensure_ascii=False).encode(),
    "a bare list": json.dumps(EVENTS).encode(),
    "a bare list with white space around": b"\n\t " + json.dumps(EVENTS).encode() + b" \r\n ",
    "events last": json.dumps({"a": {"traceEvents": []}, "traceEvents": EVENTS}).encode(),
    "events first": json.dumps({"traceEvents": EVENTS, "z": [{"ph": 1}, {"ph": 2}]}).encode(),
    "an empty list before": b'{"traceEvents":[ ], "a": 1, ' + json.dumps(whole())[1:].encode(),
    "an empty list after": json.dumps(whole())[:-1].encode() + b', "traceEvents": []}',
    "carriage returns": json.dumps(whole(), indent=1).replace("\n", "\r\n").encode(),
    "a byte-order mark": b"\xef\xbb\xbf" + json.dumps(whole()).encode(),
    "a comma too many": json.dumps({"traceEvents": EVENTS})[:-2].encode() + b",\n]}",
    "nothing but events": json.dumps({"traceEvents": EVENTS}, separators=(",", ":")).encode(),
    "args first": json.dumps({"traceEvents": [dict(reversed(e.items())) for e in EVENTS]}).encode(),
    "times as text": json.dumps(
        [{**e, "ts": str(e["ts"]), "dur": str(e["dur"])} for e in EVENTS]
    ).encode(),
    "ids as text": json.dumps(
        [{**e, "pid": str(e["pid"]), "tid": str(e["tid"])} for e in EVENTS]
    ).encode(),
    "an id above 2^63": json.dumps(
        [*EVENTS, {"ph": "i", "ts": 1, "args": {"Comms Id": 10159970886766084423}}]
    ).encode(),
    "six decimals": json.dumps(
        [{**e, "ts": f"{e['ts']:.6f}", "dur": float(e["dur"]) + 0.0004} for e in EVENTS]
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_trace(form: str, tmp_path: Path) -> None:
    trace = kineto.load(write(tmp_path, FORMS[form]), strict=True)
    assert rows(trace) == WANT
    assert links.launch_row(trace).tolist() == [0]
    assert (trace.device.max(), trace.stream.max()) == (0, 7)
    assert trace.origin_ns == 8000


def test_a_second_list_of_events_is_said_to_be_unread(tmp_path: Path) -> None:
    more = json.dumps([KERNEL])
    twice = json.dumps(whole())[:-1] + f', "z": 1, "traceEvents": {more}}}'
    trace = kineto.load(write(tmp_path, twice))
    assert rows(trace) == WANT
    assert trace.source.meta == {"schemaVersion": 1, "z": 1}
    [lost] = trace.source.losses
    assert lost.what == (
        f"another list of events, of {len(more)} bytes, follows the first and is not read"
    )


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", ["t.json.gz", "t.json", "t"])
def test_gzip_is_known_by_its_content(name: str, members: int, tmp_path: Path) -> None:
    text = FORMS["indented"]
    cut = -(-len(text) // members)
    parts = [gzip.compress(text[at : at + cut]) for at in range(0, len(text), cut)]
    assert rows(kineto.load(write(tmp_path, b"".join(parts), name), strict=True)) == WANT


def test_plain_text_called_gz_is_read(tmp_path: Path) -> None:
    assert rows(kineto.load(write(tmp_path, FORMS["compact"], "t.json.gz"), strict=True)) == WANT


def test_zeros_after_gzip_are_padding(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(FORMS["compact"]) + b"\0" * 512)
    assert rows(kineto.load(path, strict=True)) == WANT


def test_standard_input_is_read_and_its_tables_later(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(buffer=io.BytesIO(gzip.compress(FORMS["compact"])))
    monkeypatch.setattr(sys, "stdin", stream)
    trace = kineto.load("-")
    assert trace.path == "standard input"
    assert rows(trace) == WANT
    assert trace.table("grids").take(trace.id, "grid", 0).tolist()[-1] == [2, 1, 1]


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_addresses_are_read(scheme: str, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    path = write(tmp_path, FORMS["compact"])
    address = path.as_uri()
    if scheme == "memory":
        address = "memory://t.json"
        with fsspec.open(address, "wb") as stream:
            stream.write(FORMS["compact"])
    assert rows(kineto.load(address)) == WANT


def test_an_address_that_holds_nothing_is_one_clear_error() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(TracekitError, match="cannot be fetched"):
        kineto.load("memory://nothing/here.json")


def test_keys_around_the_events_are_the_metadata(tmp_path: Path) -> None:
    text = '{"a": 1, "traceEvents": [{"ph": "X", "ts": 1, "dur": 1}], "b": {"c": [1, null]}}'
    trace = kineto.load(write(tmp_path, text), strict=True)
    assert trace.source.meta == {"a": 1, "b": {"c": [1, None]}}


def test_epoch_times_are_exact(tmp_path: Path) -> None:
    text = (
        '[{"ph": "X", "ts": 1712195495406752.797, "dur": 0.001},'
        ' {"ph": "X", "ts": 1712195495406752.798, "dur": 10}]'
    )
    trace = kineto.load(write(tmp_path, text))
    assert trace.origin_ns == 1712195495406752797
    assert (trace.ts.tolist(), trace.dur.tolist()) == ([0, 1], [1, 10000])


def test_begin_and_end_make_a_slice_also_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, 64))
    events: list[dict[str, Any]] = []
    for n in range(20):
        events += [
            {"ph": "B", "cat": "cpu_op", "name": f"outer {n}", "pid": 1, "tid": 1, "ts": n * 10,
             "args": {"External id": n}},
            {"ph": "B", "cat": "cpu_op", "name": f"inner {n}", "pid": 1, "tid": 1,
             "ts": n * 10 + 2},
            {"ph": "E", "pid": 1, "tid": 1, "ts": n * 10 + 3},
            {"ph": "E", "pid": 1, "tid": 1, "ts": n * 10 + 8},
        ]  # fmt: skip
    trace = kineto.load(write(tmp_path, json.dumps(events)), strict=True)
    want = [
        row for n in range(20)
        for row in ((f"outer {n}", n * 10_000, 8000), (f"inner {n}", n * 10_000 + 2000, 1000))
    ]  # fmt: skip
    assert rows(trace) == want
    assert trace.table("ops").take(trace.id, "external", -1)[::2].tolist() == list(range(20))


def test_text_and_missing_ids_are_told_apart(tmp_path: Path) -> None:
    events = [
        {"ph": "X", "name": "a", "pid": "Spans", "tid": "PyTorch Profiler", "ts": 1, "dur": 1},
        {"ph": "X", "name": "b", "pid": "Traces", "tid": 1, "ts": 2, "dur": 1},
        {"ph": "X", "name": "c", "ts": 3, "dur": 1},
        {"ph": "X", "name": "d", "cat": "Kernel", "pid": 3, "tid": "stream 12", "ts": 4, "dur": 1},
        {"ph": "M", "name": "process_name", "pid": "Spans", "args": {"name": "spans"}},
    ]
    trace = kineto.load(write(tmp_path, json.dumps(events)), strict=True)
    labels = trace.source.labels
    assert [labels.get(int(p), int(p)) for p in trace.pid] == ["Spans", "Traces", -1, 3]
    assert [labels.get(int(t), int(t)) for t in trace.tid] == [
        "PyTorch Profiler", 1, -1, "stream 12",
    ]  # fmt: skip
    assert {labels[k]: v for k, v in trace.source.processes.items()} == {"Spans": "spans"}
    assert (trace.device[3], trace.stream[3]) == (3, 12)


def test_a_device_known_by_text_alone_is_a_device(tmp_path: Path) -> None:
    events = [{"ph": "X", "cat": "kernel", "pid": p, "ts": 1, "dur": 2} for p in ("GPU a", "GPU b")]
    trace = kineto.load(write(tmp_path, json.dumps(events)))
    assert len(trace.devices) == 2
    assert all(device < -1 for device in trace.devices)


def test_side_tables_hold_what_the_arguments_say(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [
        *EVENTS,
        {"ph": "X", "cat": "gpu_memcpy", "name": "Memcpy HtoD", "pid": 0, "tid": 7, "ts": 40,
         "dur": 1, "args": {"bytes": 4096, "stream": 7, "device": 0}},
        {"ph": "X", "cat": "python_function", "name": "f", "pid": 5, "tid": 6, "ts": 7, "dur": 30,
         "args": {"Python id": 2, "Python parent id": 1}},
        {"ph": "i", "name": "[memory]", "pid": 5, "tid": 6, "ts": 9, "s": "t",
         "args": {"Bytes": -512, "Device Type": 1, "Device Id": 0, "Addr": 99,
                  "Total Allocated": 1024, "Total Reserved": 2048}},
        {"ph": "s", "id": 9, "cat": "ac2g", "name": "ac2g", "pid": 5, "tid": 6, "ts": 10.125},
        {"ph": "f", "id": 9, "cat": "ac2g", "name": "ac2g", "pid": 0, "tid": 7, "ts": 20.25,
         "bp": "e"},
        {"ph": "C", "name": "power", "pid": 0, "ts": 11, "args": {"watts": 250.5, "note": "x"}},
        {"ph": "X", "cat": "cuda_sync", "name": "Event Sync", "pid": 0, "tid": 7, "ts": 50,
         "dur": 1, "args": {"wait_on_stream": 7, "wait_on_cuda_event_record_corr_id": 3}},
        {"ph": "X", "cat": "kernel", "name": "ncclKernel", "pid": 0, "tid": 8, "ts": 60, "dur": 1,
         "args": {"Collective name": "allreduce", "dtype": "Float", "In msg nelems": 10,
                  "Out msg nelems": 10, "Group size": 2}},
    ]  # fmt: skip
    path = write(tmp_path, json.dumps({"traceEvents": events}))
    at_once, later = kineto.load(path, tables=frozenset(TABLES)), kineto.load(path)
    for trace in (at_once, later):
        copy = trace.of(Cat.MEMCPY)
        assert trace.table("copies").take(copy.id, "bytes", -1).tolist() == [4096]
        grids = trace.table("grids")
        assert grids.columns["grid"].tolist() == [[2, 1, 1]]
        assert [grids.columns[c][0] for c in ("shared", "registers", "warps_per_sm")] == [
            16,
            32,
            0.5,
        ]
        shapes = trace.table("shapes")
        assert shapes.strings[shapes.columns["dims"][0]] == "[[2, 3], [3, 4]]"
        assert shapes.columns["types"].tolist() == [-1]
        assert trace.table("ops").columns["external"].tolist() == [3]
        python = trace.table("python").columns
        assert (python["python_id"][0], python["parent_id"][0], python["module_id"][0]) == (
            2,
            1,
            -1,
        )
        memory = {k: v.tolist() for k, v in trace.table("memory").columns.items()}
        assert memory == {
            "ts": [2000], "bytes": [-512], "allocated": [1024], "reserved": [2048],
            "device_type": [1], "device": [0], "address": [99], "pid": [5],
            "tid": [6],
        }  # fmt: skip
        flows = trace.table("flows")
        assert flows.columns["phase"].tolist() == [0, 2]
        assert flows.columns["ts"].tolist() == [3125, 13250]
        counters = trace.table("counters")
        assert counters.columns["value"].tolist() == [250.5]
        assert counters.strings == ("power",)
        assert trace.table("syncs").columns["wait_event_correlation"].tolist() == [3]
        nccl = trace.table("collectives")
        assert nccl.strings[nccl.columns["collective"][0]] == "allreduce"
        assert nccl.columns["group_size"].tolist() == [2]


def test_names_of_modules_are_read_where_they_are_text_on_gpu_work(tmp_path: Path) -> None:
    named: list[Any] = ["layers.0.mlp", "", None, 7, ["a.b"], " norm "]
    events: list[dict[str, Any]] = [
        {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": at, "dur": 1,
         "args": {"graph node id": at, "module_fqn": name}}
        for at, name in enumerate(named)
    ]  # fmt: skip
    events.append({**events[0], "cat": "gpu_memset", "ts": 50})
    events.append({**events[0], "cat": "cpu_op", "ts": 60})
    path = write(tmp_path, json.dumps({"traceEvents": events}))
    for trace in (kineto.load(path, tables=frozenset(TABLES)), kineto.load(path)):
        table = trace.table("kernel_modules")
        texts = [table.strings[at] for at in table.columns["path"]]
        assert texts == ["layers.0.mlp", "norm", "layers.0.mlp"]
        assert trace.ts[table.id].tolist() == [0, 5000, 50_000]


def test_tables_are_not_read_from_a_file_that_has_changed(tmp_path: Path) -> None:
    path = write(tmp_path, FORMS["compact"])
    trace = kineto.load(path)
    write(tmp_path, FORMS["indented"])
    with pytest.raises(TracekitError, match="has changed"):
        trace.table("grids")


def test_a_folder_and_a_missing_file_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match="is a folder"):
        kineto.load(tmp_path)
    with pytest.raises(TracekitError, match="cannot be read"):
        kineto.load(tmp_path / "none.json")
