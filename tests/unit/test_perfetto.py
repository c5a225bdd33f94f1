"""What Perfetto needs of a trace, held to its own rule: slices of one row nest."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED
from tracekit.errors import NotATraceError, TracekitError
from tracekit.trace.perfetto import layout, microseconds

MARK = "user_annotation"
FRAME = "python_function"


def slice_(
    name: str, start: int, end: int, *, tid: int = 1, cat: str = "cpu_op", **args: Any
) -> dict[str, Any]:
    return {
        "ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid,
        "ts": microseconds.us(start), "dur": microseconds.us(end - start), "args": args,
    }  # fmt: skip


def span(event: dict[str, Any]) -> tuple[int, int]:
    start = microseconds.ns(event["ts"])
    return start, start + microseconds.ns(event["dur"])


def overlapping(events: list[dict[str, Any]]) -> int:
    """Pairs of slices on one row that partly overlap, found the slow way."""
    rows = defaultdict(list)
    for event in events:
        if event.get("ph") == "X":
            rows[event["pid"], event["tid"]].append(span(event))
    return sum(a < c < b < d for row in rows.values() for a, b in row for c, d in row)


@st.composite
def slices(draw: st.DrawFn) -> dict[str, Any]:
    start = draw(st.integers(0, 60))
    return slice_(
        draw(st.sampled_from(["a", "user.py(1): f", "contextlib.py(1): __enter__"])),
        start,
        start + draw(st.integers(0, 30)),
        tid=draw(st.sampled_from([1, 2, -7, 1 + (1 << 32)])),
        cat=draw(st.sampled_from([MARK, FRAME, "kernel"])),
    )


@given(st.lists(slices(), max_size=25))
def test_every_row_nests_and_no_slice_is_lost(events: list[dict[str, Any]]) -> None:
    before = Counter(e["name"] for e in events)
    kept = Counter(
        (e["name"], *span(e))
        for e in events
        if not (e["cat"] == FRAME and e["name"].startswith("contextlib"))
    )
    layout.settle(events)
    after = [e for e in events if e["ph"] == "X"]
    assert overlapping(after) == 0
    assert Counter(e["name"] for e in after) == before
    assert all(0 <= e["tid"] < 1 << 31 for e in after)
    assert not kept - Counter((e["name"], *span(e)) for e in after)


def test_bookkeeping_frames_are_cut_at_the_marker_and_the_marker_keeps_its_times() -> None:
    #   enter  aaaa
    #   marker   mmmmmmmm
    #   exit            bbbb
    mark = slice_("tracekit::load", 20, 100, cat=MARK)
    enter = slice_("torch/_ops.py(3): __call__", 0, 40, cat=FRAME)
    exit_ = slice_("<built-in method x of pybind11_builtins.r object>", 90, 130, cat=FRAME)
    events = [mark, enter, exit_]
    assert layout.settle(events) == layout.Settled(trimmed=2, moved=0)
    assert (span(mark), span(enter), span(exit_)) == ((20, 100), (0, 20), (100, 130))
    assert {e["tid"] for e in events} == {1}


def test_a_users_frame_across_a_marker_moves_to_a_named_row_with_its_times() -> None:
    mark = slice_("step", 20, 100, cat=MARK)
    frame = slice_("train.py(3): begin", 0, 40, cat=FRAME)
    events = [mark, frame]
    assert layout.settle(events) == layout.Settled(trimmed=0, moved=1)
    assert mark["tid"] == 1
    assert span(frame) == (0, 40)
    assert frame["tid"] != 1
    assert events[-1]["args"]["name"] == "1 (overlap 1)"
    assert events[-1]["tid"] == frame["tid"]


def test_arrows_follow_a_kernel_that_moves() -> None:
    first = slice_("a", 0, 50, cat="kernel", correlation=1)
    second = slice_("b", 30, 80, cat="kernel", correlation=2)
    arrows = [
        {"ph": "f", "id": n, "pid": 1, "tid": 1, "ts": microseconds.us(t), "bp": "e", "cat": "ac2g"}
        for n, t in ((1, 0), (2, 30))
    ]
    layout.settle([first, second, *arrows])
    assert arrows[0]["tid"] == first["tid"] == 1
    assert arrows[1]["tid"] == second["tid"] != 1


def test_times_become_relative_and_exact_to_the_ns(tmp_path: Path) -> None:
    raw = (
        '{"baseTimeNanoseconds": 5, "traceEvents": ['
        '{"ph": "X", "name": "漢 <b>", "pid": 1, "tid": 1, "ts": 1700000000000000.001, "dur": 2.5},'
        '{"ph": "X", "name": "q", "pid": 1, "tid": 1, "ts": 1700000000000001.002, "dur": 0.001}]}'
    )
    source = tmp_path / "in.json"
    source.write_text(raw)
    document = layout.read(source)
    layout.rebase(document)
    layout.write(document, tmp_path / "out.json.gz")
    text = gzip.decompress((tmp_path / "out.json.gz").read_bytes()).decode()
    assert "漢 <b>" in text
    back = json.loads(text, parse_float=Decimal)
    assert back["baseTimeNanoseconds"] == 1_700_000_000_000_000_001 + 5
    assert [str(e["ts"]) for e in back["traceEvents"]] == ["0.000", "1.001"]
    assert [str(e["dur"]) for e in back["traceEvents"]] == ["2.500", "0.001"]


def test_nan_is_read_as_null_and_never_written(tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    source.write_text('{"traceEvents": [{"ph": "i", "args": {"x": NaN, "y": -Infinity}}]}')
    layout.write(layout.read(source), tmp_path / "out.json")
    events = json.loads((tmp_path / "out.json").read_text())["traceEvents"]
    assert events[0]["args"] == {"x": None, "y": None}


def test_a_gpu_process_is_named_after_its_label() -> None:
    events = [
        {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "python"}},
        {"ph": "M", "name": "process_labels", "pid": 0, "args": {"labels": "GPU 0"}},
    ]
    layout.settle(events)
    assert events[0]["args"] == {"name": "GPU 0 (python)"}


@pytest.mark.parametrize("text", ["", "<html>", "{}", "[1,", '{"traceEvents": 3}'])
def test_what_is_no_trace_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(NotATraceError):
        layout.read(tmp_path / "x.json")
    with pytest.raises(TracekitError):
        layout.read(tmp_path / "absent.json")


TRACES = sorted((SHARED / "traces").glob("*.json*"), key=lambda p: p.stat().st_size)[:24]


@pytest.mark.parametrize("path", TRACES or [None], ids=lambda p: p.name if p else "none")
def test_real_traces_nest_and_keep_every_slice(path: Path | None) -> None:
    if path is None:
        pytest.skip("reference material not present: shared/traces")
    document = layout.read(path)
    before = Counter(e.get("name") for e in document["traceEvents"] if e.get("ph") == "X")
    layout.rebase(document)
    layout.settle(document["traceEvents"])
    events = document["traceEvents"]
    assert Counter(e.get("name") for e in events if e.get("ph") == "X") == before
    assert layout.settle(events) == layout.Settled(0, 0)
