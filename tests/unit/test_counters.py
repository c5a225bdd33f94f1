"""Hardware counters of CUPTI's ranges: rows by kernel, summed by hand."""

import json
from pathlib import Path

import pytest
from tracekit.analyses.counters import ANALYSIS, counters, merge

from tests.conftest import shared
from tests.real import loaded
from tracekit.answers.audit import Audit
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.trace import kineto
from tracekit.trace.trace import Trace


def ranged(ts: int, name: str, **values: float) -> dict[str, object]:
    return {"ph": "X", "cat": "cuda_profiler_range", "name": name, "pid": 0, "tid": 0, "ts": ts,
            "dur": 10, "args": values}  # fmt: skip


def trace_of(folder: Path, *events: dict[str, object]) -> Trace:
    path = folder / "counted.json"
    path.write_text(json.dumps({"traceEvents": list(events)}))
    return kineto.load(path)


def drawn(folder: Path) -> Trace:
    launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1,
              "ts": 0, "dur": 5}  # fmt: skip
    power = {"ph": "C", "name": "power", "pid": 0, "ts": 20, "args": {"W": 300}}
    return trace_of(
        folder, launch, power, ranged(10, "gemm", ffma=8, fadd=0),
        ranged(20, "relu", ffma=2, fadd=0),
        ranged(30, "gemm", ffma=4, fadd=0),
    )  # fmt: skip


def test_counters_are_summed_by_kernel(tmp_path: Path) -> None:
    result = counters(drawn(tmp_path))
    rows = {
        (r.kernel, r.counter): (r.ranges, r.total, r.mean, r.least, r.most) for r in result.rows
    }
    assert rows[("gemm", "ffma")] == (2, 12, 6, 4, 8)
    assert rows[("relu", "ffma")] == (1, 2, 2, 2, 2)
    assert rows[("gemm", "fadd")] == (2, 0, 0, 0, 0)
    assert result.ranges == 3


def test_the_table_leaves_out_what_counts_nothing_and_says_so(tmp_path: Path) -> None:
    (grid,) = ANALYSIS.tables(counters(drawn(tmp_path)))
    assert [row[:2] for row in grid.rows] == [("gemm", "ffma"), ("relu", "ffma")]
    assert "2 rows left out here, 0 in every range" in grid.note


def test_two_traces_add_up(tmp_path: Path) -> None:
    one = counters(drawn(tmp_path))
    both = merge(one, one)
    assert [r.total for r in both.rows] == [2 * r.total for r in one.rows]
    assert [r.mean for r in both.rows] == [r.mean for r in one.rows]
    assert both.ranges == 6


def test_the_audit_says_what_there_is_in_the_place_of_kernels(tmp_path: Path) -> None:
    (row,) = [r for r in catalog.ask(drawn(tmp_path), Audit).rows if r.check == "no_gpu_work"]
    assert "3 ranges of hardware counters" in row.what


def test_counter_events_alone_are_no_counters_of_kernels(tmp_path: Path) -> None:
    power = {"ph": "C", "name": "power", "pid": 0, "ts": 20, "args": {"W": 300}}
    op = {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 0, "dur": 5}
    with pytest.raises(MissingEventsError, match="no hardware counters"):
        counters(trace_of(tmp_path, power, op))


def test_a_real_file_equals_its_raw_sums() -> None:
    import gzip

    raw = json.loads(gzip.decompress(shared("traces", "hta_cupti_profiler.json.gz").read_bytes()))
    ranges = [e for e in raw["traceEvents"] if e.get("cat") == "cuda_profiler_range"]
    result = counters(loaded("hta_cupti_profiler"))
    assert result.ranges == len(ranges) == 77
    for name in ranges[0]["args"]:
        mine = sum(r.total for r in result.rows if r.counter == name)
        assert mine == sum(e["args"][name] for e in ranges)
