"""Every integer of the reference, from our columns, to the nanosecond."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import SHARED, gpus_only, shared
from tests.real import loaded
from tracekit.attribution import links
from tracekit.trace import kineto
from tracekit.trace.spans.intervals import clip, gaps, spans, total, union
from tracekit.trace.trace import TABLES, Cat, Trace

NAMES = sorted(
    path.stem
    for path in (SHARED / "traces" / "expected").glob("*.json")
    if path.stem != "hta_sampled_multirank"
) or ["reference"]
KIND = {Cat.KERNEL: "kernel", Cat.MEMCPY: "memcpy", Cat.MEMSET: "memset"}


def reference(name: str) -> tuple[Path, dict[str, Any]]:
    expected = shared("traces", "expected", f"{name}.json")
    path = next(shared("traces").glob(f"{name}.json*"))
    return path, json.loads(expected.read_text())["brute_force"]


def split(work: Trace) -> dict[str, int]:
    """The parts that the reference names, of some GPU work."""

    def covered(*cats: Cat) -> int:
        some = work.where(work.is_(*cats))
        return total(union(spans(some.ts, some.dur)))

    kernel, copied = covered(Cat.KERNEL), covered(Cat.KERNEL, Cat.MEMCPY)
    busy = covered(*KIND)
    window = int(work.end.max() - work.ts.min())
    return {
        "window_ns": window,
        "busy_ns": busy,
        "idle_ns": window - busy,
        "kernel_union_ns": kernel,
        "memcpy_union_ns": covered(Cat.MEMCPY),
        "memset_union_ns": covered(Cat.MEMSET),
        "memcpy_exposed_ns": copied - kernel,
        "memset_exposed_ns": busy - copied,
        **{f"{word}_sum_ns": int(work.dur[work.cat == cat].sum()) for cat, word in KIND.items()},
        **{f"n_{word}": int((work.cat == cat).sum()) for cat, word in KIND.items()},
    }


def same(found: dict[str, int], want: dict[str, Any]) -> None:
    assert found == {key: want[key] for key in found}


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_gives_the_integers_of_the_reference(name: str) -> None:
    gpus_only(name)
    path, want = reference(name)
    trace = kineto.load(path, strict=True)
    assert trace.source.events == want["events_by_ph"]
    assert trace.source.cats == want["complete_events_by_cat"]
    assert trace.source.meta.get("baseTimeNanoseconds") == want["baseTimeNanoseconds"]
    work = links.work(trace)
    assert len(work) == want["gpu_activities"]
    assert len(links.calls(trace)) == want["runtime_calls"]
    linked = links.launch_row(trace) >= 0
    assert int(linked.sum()) == want["gpu_activities_with_a_launch_event"]
    assert set(map(str, trace.devices)) == set(want["devices"])
    for device, numbers in want["devices"].items():
        own = work.where(work.device == int(device))
        same(split(own), numbers)
        assert int(own.ts[0]) + trace.origin_ns == numbers["window_start_ns"]
        flat = union(spans(own.ts, own.dur))
        holes = gaps(flat)[:, 1] - gaps(flat)[:, 0]
        assert len(holes) == numbers["idle_gaps"]["n"]
        assert max(holes, default=0) == numbers["idle_gaps"]["max_ns"]
        for stream, row in numbers["per_stream"].items():
            some = own.where(own.stream == (-1 if stream == "None" else int(stream)))
            assert len(some) == row["n"]
            assert total(union(spans(some.ts, some.dur))) == row["busy_ns"]


@pytest.mark.parametrize("name", NAMES)
def test_counts_and_sums_by_name_are_those_of_the_reference(name: str) -> None:
    gpus_only(name)
    _, want = reference(name)
    trace = loaded(name)
    work = links.work(trace)
    count: Counter[tuple[str, str]] = Counter()
    sums: Counter[tuple[str, str]] = Counter()
    for row in range(len(work)):
        key = KIND[Cat(work.cat[row])], work.text(row)
        count[key] += 1
        sums[key] += int(work.dur[row])
    rows = want["by_name"]["rows"]
    assert len(count) == want["by_name"]["n_names"]
    for kind, text, n, ns, _least, _most in rows:
        assert (count[kind, text], sums[kind, text]) == (n, ns)


@pytest.mark.parametrize("name", NAMES)
def test_the_work_of_each_annotation_is_that_of_the_reference(name: str) -> None:
    gpus_only(name)
    _, want = reference(name)
    trace = loaded(name)
    calls, work, marks = links.calls(trace), links.work(trace), links.marks(trace)
    assert len(marks) == want["user_annotations"]["n"]
    row = links.launch_row(trace)
    linked = row >= 0
    when = links.launch_start(trace)
    pid, tid = (np.append(column, -1)[row] for column in (calls.pid, calls.tid))
    for at, stage in enumerate(want["user_annotations"]["rows"]):
        start = stage["start_ns"] - trace.origin_ns
        end = start + stage["dur_ns"]
        assert (marks.text(at), int(marks.ts[at]), int(marks.end[at])) == (
            stage["name"], start, end,
        )  # fmt: skip
        inside = linked & (when >= start) & (when < end) & (pid == stage["pid"])
        for key, mask in (
            ("launched_any_thread", inside),
            ("launched_same_thread", inside & (tid == stage["tid"])),
        ):
            expected = stage[key]
            if expected == "same":
                continue
            if expected is None:
                assert not mask.any()
                continue
            if len(trace.devices) == 1:
                same(split(work.where(mask)), expected)
        if len(trace.devices) == 1:
            flat = clip(union(spans(work.ts, work.dur)), start, end)
            wall = stage["wall"]
            assert stage["dur_ns"] - total(flat) == wall["idle_ns"]


@pytest.mark.parametrize("name", ["tl_h100_qwen15_05b", "hta_ns_resolution_v100"])
def test_processes_and_small_pieces_change_nothing(name: str, monkeypatch: Any) -> None:
    path, _ = reference(name)
    tables = frozenset(TABLES)
    plain = kineto.load(path, tables=tables)
    monkeypatch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, 100_003))
    split_up = kineto.load(path, tables=tables, processes=3)
    for column in ("ts", "dur", "cat", "pid", "tid", "device", "stream", "correlation"):
        assert (getattr(plain, column) == getattr(split_up, column)).all()
    assert [plain.text(row) for row in range(0, len(plain), 97)] == [
        split_up.text(row) for row in range(0, len(plain), 97)
    ]
    assert plain.source.events == split_up.source.events
    for table in TABLES:
        one, two = plain.table(table), split_up.table(table)
        assert len(one) == len(two)
        assert (one.id == two.id).all()
        for column in TABLES[table]:
            if not column.endswith("*"):
                assert np.array_equal(
                    one.columns[column], two.columns[column], equal_nan=column == "value"
                    or column in ("warps_per_sm", "occupancy"),
                )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_real_trace_is_read_event_by_event(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, want = reference(name)

    def slowly(*_: Any) -> None:
        raise AssertionError("a piece of a sound trace was not decoded at once")

    monkeypatch.setattr("tracekit.trace.columns.decode._slowly", slowly)
    trace = kineto.load(path, tables=frozenset(TABLES))
    assert trace.source.events == want["events_by_ph"]
