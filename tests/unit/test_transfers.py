"""Copies and memsets: exact counts, bytes and times, limits only where known, who waited."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from tracekit.analyses.transfers import analysis as transfers

from tests.conftest import shared
from tests.drawing import Slice, build, draw
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.attribution import copies
from tracekit.errors import MissingEventsError
from tracekit.results.result import to_plain
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Table, Trace


def copies_of(name: str) -> copies.Way:
    return ("fill", None) if name.startswith("Memset") else copies.way(name)


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_counts_bytes_and_times_equal_the_independent_figures(name: str) -> None:
    brute = json.loads(shared("traces", "expected", f"{name}.json").read_text())["brute_force"]
    column = {key: at for at, key in enumerate(brute["by_name"]["columns"])}
    trace = loaded(name)
    want: dict[tuple[str, str | None], list[int]] = {}
    for row in brute["by_name"]["rows"]:
        if row[column["kind"]] != "kernel":
            at = want.setdefault(copies_of(row[column["name"]]), [0, 0, 0])
            at[0] += row[column["count"]]
            at[2] += row[column["sum_ns"]]
    for text, _count, size, _total in brute.get("memory_ops", {"rows": []})["rows"]:
        want[copies_of(text)][1] += size or 0
    if not want:
        with pytest.raises(MissingEventsError):
            transfers.transfers(trace)
        return
    got = {
        (d.direction, d.host_memory): [d.count, d.bytes or 0, d.total_ns]
        for d in transfers.transfers(trace).directions
    }
    assert got == want


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Memcpy HtoD (Pageable -> Device)", ("HtoD", "pageable")),
        ("Memcpy DtoH (Device -> Pinned)", ("DtoH", "pinned")),
        ("Memcpy HtoD (Host -> Device)", ("HtoD", None)),
        ("Memcpy DtoD (Device -> Device)", ("DtoD", None)),
        ("Memcpy M2D (HOST -> DEVICE)", ("HtoD", None)),
        ("Memcpy D2M (DEVICE -> HOST)", ("DtoH", None)),
        ("Memcpy M2D (MEMORY(Unknown) -> DEVICE)", ("HtoD", None)),
        ("Memcpy M2D (SHARED -> DEVICE)", ("StoD", None)),
        ("Memcpy D2D (DEVICE -> DEVICE)", ("DtoD", None)),
        ("Memcpy HtoA (Pageable -> Array)", ("HtoD", "pageable")),
        ("Memcpy (HtoD)", ("HtoD", None)),
        ("CopyDeviceToHost", ("DtoH", None)),
        ("MEMORY_COPY_HOST_TO_DEVICE", ("HtoD", None)),
        ("enqueueCommand memcpyDtoHAsync", ("DtoH", None)),
        ("MEMCPY_ASYNC", ("unknown", None)),
        ("Memcpy", ("unknown", None)),
        ("Memcpy PtoP (Device -> Device)", ("PtoP", None)),
        ("Memset (Unknown)", ("fill", None)),
    ],
)
def test_a_name_says_direction_and_host_memory(name: str, read: tuple[str, str | None]) -> None:
    assert copies_of(name) == read


@pytest.mark.parametrize(
    ("kinds", "read"),
    [
        (("HtoD", "pageable", "device"), ("HtoD", "pageable")),
        (("DtoH", "device", "pinned"), ("DtoH", "pinned")),
        (("DtoD", "device", "device"), ("DtoD", None)),
        (("PtoP", "device", "device"), ("PtoP", None)),
        (("HtoA", "pinned", "array"), ("HtoD", "pinned")),
        (("AtoH", "array", "pageable"), ("DtoH", "pageable")),
        (("AtoD", "array", "device"), ("DtoD", None)),
        (("HtoH", "pinned", "pinned"), ("HtoH", "pinned")),
        (("UNKNOWN", "pageable", "device"), ("HtoD", "pageable")),
        (("1", "", ""), ("HtoD", None)),
        (("10", "device", "device"), ("PtoP", None)),
        (("", "managed", "device"), ("StoD", None)),
        (("CopyHostToDevice", "", ""), ("HtoD", None)),
        (("", "", ""), ("unknown", None)),
    ],
)
def test_kinds_among_the_arguments_say_what_the_name_does_not(
    kinds: tuple[str, str, str], read: copies.Way
) -> None:
    assert copies.way("Memcpy", *kinds) == read


def test_copies_of_one_name_are_told_apart_by_their_arguments(tmp_path: Path) -> None:
    """What torch's cupti_monitor writes: 2 copies to the device, 1 back, all of one name."""
    kinds = [("HtoD", "pageable", "device"), ("HtoD", "pageable", "device"),
             ("DtoH", "device", "pinned")]  # fmt: skip
    events = [
        {"ph": "X", "cat": "gpu_memcpy", "name": "Memcpy", "pid": 0, "tid": 7, "ts": 10 * n,
         "dur": 5, "args": {"device": 0, "stream": 7, "bytes": 100, "copy kind": kind,
                            "src kind": one, "dst kind": two}}
        for n, (kind, one, two) in enumerate(kinds)
    ]  # fmt: skip
    path = tmp_path / "t.json"
    path.write_text(json.dumps(events))
    for tables in (frozenset[str](), frozenset({"copies"})):  # read with the slices, or later
        found = transfers.transfers(kineto.load(path, tables=tables)).directions
        assert [(d.direction, d.host_memory, d.count, d.bytes) for d in found] == [
            ("HtoD", "pageable", 2, 200), ("DtoH", "pinned", 1, 100),
        ]  # fmt: skip


def sized(picture: str, sizes: dict[str, int], **how: object) -> Trace:
    trace = draw(picture, **how)  # type: ignore[arg-type]
    found = [
        (int(trace.id[row]), sizes[trace.text(row)])
        for row in np.flatnonzero(trace.is_(Cat.MEMCPY, Cat.MEMSET))
        if trace.text(row) in sizes
    ]
    ids = np.array([i for i, _ in found], np.int32)
    trace.tables["copies"] = Table(ids, {"bytes": np.array([b for _, b in found], np.int64)})
    return trace


HTOD, DTOH = "Memcpy HtoD (Pageable -> Device)", "Memcpy DtoH (Device -> Pinned)"


def test_the_host_waits_in_the_call_itself_or_in_a_sync_of_the_same_op() -> None:
    trace = sized(
        """
        op        ...........iiiiiiiii.xxxxxx
        host      aaaaaa.b...dsssss.....ee...
        stream 7  ..AA.......DD.............E   b launches nothing
        """,
        {HTOD: 4000, DTOH: 8},
        names={"i": "aten::item", "x": "aten::copy_", "A": HTOD, "D": DTOH, "E": DTOH,
               "s": "cudaStreamSynchronize"},
        kinds={"A": Cat.MEMCPY, "D": Cat.MEMCPY, "E": Cat.MEMCPY},
        meta={"deviceProperties": [{"name": "NVIDIA H100 80GB HBM3"}]},
    )  # fmt: skip
    result = transfers.transfers(trace)
    rows = {(r.direction, r.op): r for r in result.rows}
    held = rows["HtoD", None]
    assert (held.blocking_count, held.blocked_ns) == (1, 6000)
    item = rows["DtoH", "aten::item"]
    assert (item.blocking_count, item.blocked_ns) == (1, 6000)
    free = rows["DtoH", "aten::copy_"]
    assert (free.blocking_count, free.blocked_ns) == (0, 0)
    up = next(d for d in result.directions if d.direction == "HtoD")
    assert up.host_memory == "pageable"
    assert up.bytes_per_s == pytest.approx(4000 / 2e-6)
    assert up.limit_share == pytest.approx(2e9 / 64e9)


def test_an_unknown_device_has_no_limit_and_an_unknown_size_no_bandwidth() -> None:
    trace = sized("host a\nstream 7 .A", {}, names={"A": HTOD}, kinds={"A": Cat.MEMCPY})
    (one,) = transfers.transfers(trace).directions
    assert (one.bytes, one.bytes_per_s, one.limit_bytes_per_s, one.limit_share) == (None,) * 4
    grid = transfers.tables(transfers.transfers(trace))[0]
    shown = dict(zip((c.label for c in grid.columns), grid.rows[0], strict=True))
    assert shown["bytes"] is None


def test_copies_filed_as_kernels_are_told_but_not_mixed_in() -> None:
    trace = draw("host a.b\nstream 7 .AA.B", names={"A": "__amd_rocclr_copyBuffer"})
    result = transfers.transfers(trace)
    assert (result.rows, result.as_kernels_count, result.as_kernels_ns) == ((), 1, 2000)
    assert "as kernels" in transfers.tables(result)[0].note


def test_kernels_alone_have_no_transfers() -> None:
    with pytest.raises(MissingEventsError, match="no copies or memsets"):
        transfers.transfers(draw("host a\nstream 7 A"))


@given(traces(gpu=True), traces(gpu=True), traces(gpu=True))
def test_rows_add_up_and_merging_is_associative(a: Trace, b: Trace, c: Trace) -> None:
    many = [t for t in (a, b, c) if len(t.of(Cat.MEMCPY, Cat.MEMSET))]
    done = [transfers.transfers(t) for t in many]
    for trace, one in zip(many, done, strict=True):
        work = trace.of(Cat.MEMCPY, Cat.MEMSET)
        for parts in (one.rows, one.directions):
            assert sum(p.count for p in parts) == len(work)
            assert sum(p.total_ns for p in parts) == int(work.dur.sum())
    if len(done) == 3:
        left = transfers.merge(transfers.merge(done[0], done[1]), done[2])
        right = transfers.merge(done[0], transfers.merge(done[1], done[2]))
        assert to_plain(left) == to_plain(right)


def test_a_real_item_call_is_seen_to_block() -> None:
    result = transfers.transfers(loaded("tl_h100_qwen15_05b"))
    blocking = {(r.direction, r.op) for r in result.rows if r.blocking_count}
    assert ("DtoH", "aten::_local_scalar_dense") in blocking
    assert {chart.table for chart in transfers.charts(result)} <= {
        grid.key for grid in transfers.tables(result)
    }


def test_whether_a_copy_without_a_launch_blocked_is_not_known() -> None:
    copy = Slice(0, 5000, "Memcpy HtoD (Pinned -> Device)", Cat.MEMCPY, 7, 0, 0, 7, -1)
    result = transfers.transfers(build([copy]))
    for row in (*result.rows, *result.directions):
        assert (row.blocking_count, row.blocked_ns) == (None, None)
    twice = transfers.merge(result, result)
    assert (twice.rows[0].count, twice.rows[0].blocking_count) == (2, None)
