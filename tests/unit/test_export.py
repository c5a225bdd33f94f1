"""Traces rewritten: mended, cut, scrubbed, with tracks of ours."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import shared
from tests.real import EVERY, loaded, trace_file
from tracekit.cli import process
from tracekit.cli.app import app
from tracekit.errors import TracekitError
from tracekit.report.tracks import asked
from tracekit.trace import kineto
from tracekit.trace.columns import documents
from tracekit.trace.perfetto import reading
from tracekit.trace.perfetto.export import Wanted, export
from tracekit.trace.trace import GPU_WORK


def x(cat: str, name: str, ts: float, dur: float, tid: int = 1, **args: Any) -> dict[str, Any]:
    pid = 0 if cat == "kernel" else 10
    return {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur,
            "args": args}  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two stages, each launching one kernel that runs after the marker has ended."""
    events = [
        x("user_annotation", "tracekit::prefill", 0, 100),
        x("cpu_op", "aten::mm", 5, 20),
        x("cuda_runtime", "cudaLaunchKernel", 10, 5, correlation=1),
        x("kernel", "gemm", 200, 50, 7, correlation=1, device=0, stream=7),
        x("user_annotation", "tracekit::decode", 150, 100),
        x("cuda_runtime", "cudaLaunchKernel", 160, 5, correlation=2),
        x("kernel", "gemv", 260, 10, 7, correlation=2, device=0, stream=7),
        x("python_function", "/home/anna/x.py(1): f", 0, 300, 2),
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 1, "pid": 10, "tid": 1, "ts": 10},
        {
            "ph": "f",
            "cat": "ac2g",
            "name": "ac2g",
            "id": 1,
            "pid": 0,
            "tid": 7,
            "ts": 200,
            "bp": "e",
        },
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 2, "pid": 10, "tid": 1, "ts": 160},
        {
            "ph": "f",
            "cat": "ac2g",
            "name": "ac2g",
            "id": 2,
            "pid": 0,
            "tid": 7,
            "ts": 260,
            "bp": "e",
        },
    ]
    path = tmp_path / "small.json"
    path.write_text(json.dumps({"traceEvents": events, "metadata": {"env": {"A": "b"}}}))
    return path


def names(path: Path) -> list[str]:
    events = json.loads(path.read_bytes())["traceEvents"]
    return sorted(e["name"] for e in events if e["ph"] == "X")


def test_a_stage_keeps_what_ran_in_it_and_the_work_it_launched(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = export(small, out, asked(small, Wanted(drop=("python_function",)), "decode"))
    assert names(out) == ["cudaLaunchKernel", "gemv", "tracekit::decode"]
    document = json.loads(out.read_bytes())
    assert {e["id"] for e in document["traceEvents"] if e["ph"] in "sf"} == {2}
    assert document["tracekit_cut"]["slices_before"] == done.slices_in == 8


def test_a_span_of_time_keeps_what_overlaps_it_and_the_work_launched_in_it(
    small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    export(small, out, Wanted(from_ns=0, to_ns=20_000))
    assert names(out) == [
        "/home/anna/x.py(1): f", "aten::mm", "cudaLaunchKernel", "gemm", "tracekit::prefill",
    ]  # fmt: skip


def test_scrubbing_removes_environment_and_user_names(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json.gz"
    done = export(small, out, Wanted(scrub=True))
    text = gzip.decompress(out.read_bytes()).decode()
    assert "anna" not in text
    assert "env" not in json.loads(text)["metadata"]
    assert done.scrubbed == {"environment variables": 1, "home folder": 1}


def test_times_too_late_for_exact_sums_start_at_zero(tmp_path: Path) -> None:
    late = 4_458_676_423_281_720  # ns
    host = {"ph": "X", "cat": "cpu_op", "pid": 1, "tid": 1}
    made = [
        {**host, "name": f"op {i}", "ts": f"@{(late + 7 * i) // 1000}.{(late + 7 * i) % 1000:03d}@",
         "dur": 0.007}
        for i in range(200)
    ]  # fmt: skip
    text = json.dumps({"traceEvents": made}).replace('"@', "").replace('@"', "")
    (tmp_path / "late.json").write_text(text)
    export(tmp_path / "late.json", tmp_path / "out.json")
    events = json.loads((tmp_path / "out.json").read_bytes())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert [round(e["ts"] * 1000) for e in slices] == [7 * i for i in range(200)]
    assert {(e["pid"], e["tid"]) for e in slices} == {(1, 1)}


def test_a_track_that_a_trace_cannot_answer_is_left_out_and_named(tmp_path: Path) -> None:
    host = {"ph": "X", "cat": "user_annotation", "pid": 1, "tid": 1, "ts": 1, "dur": 5}
    cpu = tmp_path / "cpu.json"
    cpu.write_text(json.dumps({"traceEvents": [{**host, "name": "step"}]}))
    done = export(cpu, tmp_path / "out.json", asked(cpu, Wanted(), tracks=("stages", "idle")))
    assert done.cures[-1] == "no track 'idle': no kernel events"
    with pytest.raises(TracekitError, match="cannot draw it"):
        asked(cpu, Wanted(), tracks=("idle",))


def test_our_tracks_are_added_on_request(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = export(small, out, asked(small, Wanted(), tracks=("stages", "idle", "queue")))
    events = json.loads(out.read_bytes())["traceEvents"]
    # what is added is no part of what came in
    assert (done.slices_out, done.slices_in, done.slices_added) == (done.slices_in,) * 2 + (3,)
    ribbons = [(e["name"], e["ts"], e["dur"]) for e in events if e.get("cat") == "tracekit"]
    assert ribbons[:2] == [("prefill", 0.0, 100.0), ("decode", 150.0, 100.0)]
    # the one gap between the two kernels: launched at 160, so it only had to begin
    assert ribbons[2:] == [("launched, not begun", 250.0, 10.0)]
    depth = [(e["ts"], e["args"]["launched"]) for e in events if e["ph"] == "C"]
    assert depth == [(10.0, 1), (160.0, 2), (200.0, 1), (260.0, 0)]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (lambda path: asked(path, Wanted(), "encode"), "no stage named 'encode'.*decode, prefill"),
        (lambda _path: Wanted(from_ns=10**12), "nothing is left"),
        (lambda path: asked(path, Wanted(), tracks=("sound",)), "no such track"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_clear_line(
    small: Path, tmp_path: Path, wanted: Callable[[Path], Wanted], message: str
) -> None:
    out = tmp_path / "out.json"
    with pytest.raises(TracekitError, match=message):
        export(small, out, wanted(small))
    assert not out.exists()


@pytest.mark.parametrize("name", EVERY or ["none"])
def test_an_export_says_the_same_as_the_original(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    export(trace_file(name), out)
    before, after = loaded(name), kineto.load(out)
    assert len(after) == len(before)
    gpu, again = before.of(*GPU_WORK), after.of(*GPU_WORK)
    for column in ("ts", "dur", "device", "correlation"):
        assert sorted(getattr(gpu, column).tolist()) == sorted(getattr(again, column).tolist())
    # every lane nests: sorted by start, no slice ends after one that is open
    ends: list[int] = []
    lane = None
    order = np.lexsort((-after.dur, after.ts, after.tid, after.pid))
    columns = (after.pid, after.tid, after.ts, after.end)
    for pid, tid, start, end in zip(*(c[order].tolist() for c in columns), strict=True):
        if (pid, tid) != lane:
            lane, ends = (pid, tid), []
        while ends and ends[-1] <= start:
            ends.pop()
        assert not ends or end <= ends[-1]
        ends.append(end)


@pytest.mark.slow
# in µs and in ns; that every slice of every trace nests, the test above shows
@pytest.mark.parametrize("name", ["hta_sampled_rank0", "tl_h100_qwen15_05b"])
def test_the_real_perfetto_keeps_every_slice_of_an_export(name: str, tmp_path: Path) -> None:
    check = shared("tools", "perfetto-check")
    if shutil.which("node") is None:
        pytest.skip("no node to run Perfetto's trace processor")
    out = tmp_path / "out.json.gz"
    source = shared("traces", f"{name}.json.gz")
    export(source, out, asked(source, Wanted(), tracks=("stages", "idle", "queue")))
    ran = subprocess.run(
        [check, "--engine", "node", "--category", "kernel", out], capture_output=True, text=True
    )
    if ran.returncode == 2:
        pytest.skip(f"the check could not run: {ran.stderr.strip()[:200]}")
    assert ran.returncode == 0, ran.stdout


def test_a_damaged_trace_is_exported_up_to_the_damage_and_says_so(
    small: Path, tmp_path: Path
) -> None:
    text = small.read_bytes()
    cut = tmp_path / "cut.json"
    cut.write_bytes(text[: text.index(b'"gemv"')])
    out = tmp_path / "out.json"
    done = export(cut, out)
    assert names(out) == [
        "aten::mm", "cudaLaunchKernel", "cudaLaunchKernel", "gemm", "tracekit::decode",
        "tracekit::prefill",
    ]  # fmt: skip
    assert any("middle of an event" in words for words in done.cures)


# counters, metadata between events, escapes, secrets, times as text, an odd id, no length
ODD = r"""{"traceEvents": [
 {"ph": "M", "name": "process_name", "pid": 9, "tid": 0, "args": {"name": "python", "labels": "é"}},
 {"ph": "X", "cat": "cpu_op", "name": "a\tb", "pid": 9, "tid": 8589934593, "ts": 1.000, "dur": 3.5,
  "args": {"correlation": 7, "path": "\/home\/anna\/x", "token": "t1"}},
 {"ph": "X", "cat": "cpu_op", "name": "/home/anna/n", "pid": 9, "tid": 8589934593, "ts": 2,
  "dur": 9.000},
 {"ph": "M", "name": "thread_name", "pid": 9, "tid": 8589934593, "ts": 3.25,
  "args": {"name": "main"}},
 {"ph": "C", "name": "load", "pid": 9, "ts": 3.125,
  "args": {"load": 1e3, "host": "h", "env": [1]}},
 {"ph": "i", "name": null, "pid": "p@x.org", "tid": null, "ts": 3.500, "s": "g",
  "cname": "x@y.org"},
 {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 5, "pid": 9, "tid": 8589934593, "ts": 2.000},
 {"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 5, "pid": 9, "tid": 8589934593, "ts": 2.000,
  "bp": "e"},
 {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 5, "pid": 9, "tid": 8589934593, "ts": 4.000},
 {"ph": "X", "cat": "kernel", "name": "k", "pid": -1, "tid": 7, "ts": 5.000, "dur": "0.500",
  "args": {"correlation": 7, "user1": "/home/anna2"}},
 {"ph": "X", "cat": "kernel", "name": "k", "pid": -1, "tid": 7, "ts": 6.000, "dur": 0.500,
  "args": {"correlation": 7, "user3": "/home/anna4"}}
]}"""


def events_of(path: Path) -> list[Any]:
    return list(json.loads(path.read_bytes(), parse_float=Decimal)["traceEvents"])


@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(scrub=True), Wanted(drop=("kernel",), to_ns=6_000, scrub=True)]
)
@pytest.mark.parametrize("name", ["odd", "hta_call_stack_backward", "hta_alexnet_a100"])
def test_what_is_copied_is_what_events_one_by_one_would_be(
    name: str, wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "odd.json"
    source.write_text(ODD)
    source = source if name == "odd" else trace_file(name)
    quick, slow = tmp_path / "quick.json", tmp_path / "slow.json"
    taken: list[bool] = []
    known = reading.Reader.at_once

    def noted(self: reading.Reader, part: documents.Part) -> Any:
        taken.append((rows := known(self, part)) is not None)
        return rows

    monkeypatch.setattr(reading.Reader, "at_once", noted)
    done = export(source, quick, wanted)
    assert all(taken)
    monkeypatch.setattr(reading.Reader, "at_once", lambda *_: None)
    again = export(source, slow, wanted)
    assert events_of(quick) == events_of(slow)
    assert sorted(done.cures) == sorted(again.cures)
    assert done.scrubbed == again.scrubbed
    text = quick.read_text()
    assert not wanted.scrub or not any(secret in text for secret in ("anna", "x.org", '"t1"'))


def test_scrubbing_that_finds_nothing_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    event = {"ph": "X", "cat": "cpu_op", "name": "a", "pid": 1, "tid": 1, "ts": 1, "dur": 1}
    (tmp_path / "t.json").write_text(json.dumps([event]))
    words = ["export", "--scrub", str(tmp_path / "t.json"), str(tmp_path / "out.json")]
    assert process.run(lambda: app(words)) == 0
    assert "nothing to take out: no environment, host or user name, token" in capfd.readouterr().out
