"""Collectives: sums by process group, rates by hand, and who comes late among ranks."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.collectives import ANALYSIS, collectives
from tracekit.analyses.devices.findings import findings as device_findings

from tests.examples import examples
from tracekit.answers.collectives import Collectives, merge
from tracekit.answers.devices import Devices
from tracekit.answers.roofline import Roofline
from tracekit.attribution.collectives.arrivals import RankCalls, meet
from tracekit.attribution.collectives.link_peaks import in_one_machine
from tracekit.errors import MissingEventsError
from tracekit.report.many import job
from tracekit.report.many.runs import read
from tracekit.results import catalog, engine
from tracekit.trace import kineto
from tracekit.trace.trace import Trace

H100 = {"id": 0, "name": "NVIDIA H100 80GB HBM3"}


def call(
    start: float, us: float, *, group: str = "0", ranks: int = 2, number: int | None = None,
    name: str = "allreduce", elements: int = 1_000_000, pid: int = 0,
) -> dict[str, object]:  # fmt: skip
    """An NCCL kernel as Kineto writes it; a message of bfloat16."""
    args: dict[str, object] = {
        "device": pid, "stream": 7, "Collective name": name, "dtype": "BFloat16",
        "In msg nelems": elements, "Out msg nelems": elements, "Group size": ranks,
        "Process Group Name": group, "Process Group Description": "undefined",
        "Process Group Ranks": json.dumps(list(range(ranks))),
    }  # fmt: skip
    if number is not None:
        args["Seq"] = number
    return {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)",
            "pid": pid, "tid": 7, "ts": start, "dur": us, "args": args}  # fmt: skip


def written(
    folder: Path, events: Sequence[dict[str, object]], rank: int = 0, name: str = "NVIDIA H100 SXM"
) -> Path:
    path = folder / f"rank{rank}.json"
    path.write_text(json.dumps({
        "deviceProperties": [H100 | {"name": name}], "traceEvents": list(events),
        "distributedInfo": {"rank": rank, "world_size": 2, "backend": "nccl"},
    }))  # fmt: skip
    return path


def trace_of(folder: Path, *events: dict[str, object], rank: int = 0) -> Trace:
    return kineto.load(written(folder, events, rank), tables=frozenset({"collectives"}))


def test_rates_are_those_of_hand_arithmetic(tmp_path: Path) -> None:
    matmul: dict[str, object] = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 9,
              "ts": 10.0, "dur": 5.0, "args": {"stream": 9, "device": 0}}  # fmt: skip
    (row,) = collectives(trace_of(tmp_path, call(0, 20, ranks=8), matmul)).rows
    # 1,000,000 elements of 2 bytes in 20 µs; 8 ranks: 2 x 7 / 8
    assert (row.bytes, row.total_ns, row.exposed_ns) == (2_000_000, 20_000, 15_000)
    assert row.bytes_per_s == pytest.approx(100e9)
    assert row.bus_bytes_per_s == pytest.approx(175e9)
    assert (row.link, row.link_bytes_per_s) == ("NVLink 4", 450e9)
    assert row.link_share == pytest.approx(175 / 450)


def test_an_all_gather_carries_all_but_its_own_part(tmp_path: Path) -> None:
    gather = call(0, 10, name="_allgather_base", ranks=4)
    (row,) = collectives(trace_of(tmp_path, gather)).rows
    assert row.bus_bytes_per_s == pytest.approx(200e9 * 3 / 4)


def test_process_groups_stand_apart_and_devices_adds_them_up(tmp_path: Path) -> None:
    trace = trace_of(tmp_path, call(0, 10, group="tp"), call(20, 10, group="dp", ranks=16))
    rows = collectives(trace).rows
    assert {(r.group, r.count, r.group_size) for r in rows} == {("tp", 1, 2), ("dp", 1, 16)}
    assert {r.group: r.link_share is None for r in rows} == {"tp": False, "dp": True}
    whole = catalog.ask(trace, Devices)
    assert [(c.name, c.count, c.group_size) for c in whole.collectives] == [("allreduce", 2, None)]


def test_parameters_stand_on_the_op_where_the_kernel_has_none(tmp_path: Path) -> None:
    kernel = call(30, 10)
    said = kernel["args"]
    assert isinstance(said, dict)
    kernel["args"] = {"device": 0, "stream": 7, "correlation": 5}
    host = [
        {"ph": "X", "cat": "cpu_op", "name": "record_param_comms", "pid": 9, "tid": 9,
         "ts": 0, "dur": 20, "args": {"External id": 1} | {k: v for k, v in said.items()
                                                          if k not in ("device", "stream")}},
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": 9,
         "ts": 5, "dur": 5, "args": {"correlation": 5}},
    ]  # fmt: skip
    (row,) = collectives(trace_of(tmp_path, *host, kernel)).rows
    assert (row.group, row.group_size, row.bytes) == ("0", 2, 2_000_000)


OLD = "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclDevComm*, unsigned long, ncclWork*)"
SCATTER = "c10d::_reduce_scatter_base_"


def step(at: int, gradients: Sequence[Sequence[int]]) -> list[dict[str, object]]:
    """One step as torch 2.0 writes it: gradients copied to their bucket, which is reduced, and a
    scatter of 8 × 3 int32 to each of 8 ranks; 10 and 4 µs.
    """
    out: list[dict[str, object]] = []

    def host(ts: float, us: float, name: str, **args: object) -> None:
        cat = "cpu_op" if "Input Dims" in args else "cuda_runtime"
        out.append({"ph": "X", "cat": cat, "name": name, "pid": 9, "tid": 9, "ts": ts, "dur": us,
                    "args": args})  # fmt: skip

    def kernel(ts: float, us: float, number: int) -> None:
        out.append({"ph": "X", "cat": "kernel", "name": OLD, "pid": 0, "tid": 7, "ts": ts,
                    "dur": us, "args": {"device": 0, "stream": 7, "correlation": number,
                                        "grid": [2, 1, 1], "block": [544, 1, 1]}})  # fmt: skip

    for place, sizes in enumerate(gradients):
        host(at + 2 * place, 1, "torch::distributed::reducer::mul_out",
             **{"Input Dims": [sizes], "Input type": ["float"]})  # fmt: skip
    lists: dict[str, object] = {"Input Dims": [[], []], "Input type": ["TensorList", "Scalar"]}
    host(at + 10, 6, "c10d::allreduce_", **lists)
    host(at + 11, 4, "record_param_comms", **lists)
    host(at + 12, 1, "cudaLaunchKernel", correlation=at + 1)
    host(at + 20, 6, SCATTER, **{"Input Dims": [[3], [24]], "Input type": ["int", "int"]})
    host(at + 21, 4, "record_param_comms", **{"Input Dims": [[24]], "Input type": ["int"]})
    host(at + 22, 1, "cudaLaunchKernel", correlation=at + 2)
    kernel(at + 30, 10, at + 1)
    kernel(at + 41, 4, at + 2)
    return out


def of_steps(folder: Path, *steps: Sequence[Sequence[int]]) -> Trace:
    """A kernel of the step before, then these steps."""
    (_, lost) = (one for one in step(0, []) if one["cat"] == "kernel")
    events = [lost, *(one for at, own in enumerate(steps, 1) for one in step(100 * at, own))]
    path = written(folder, events, name="NVIDIA A100-SXM4-80GB")
    return kineto.load(path, tables=frozenset({"collectives", "shapes", "grids"}))


def test_ops_say_what_older_torch_does_not_write_beside_them(tmp_path: Path) -> None:
    """Gradients of 3 × 4 and 5 float32; 24 int32 of which each of 8 ranks gets 3."""
    rows = {r.name: r for r in collectives(of_steps(tmp_path, [[3, 4], [5]], [[3, 4], [5]])).rows}
    assert {name: r.bytes for name, r in rows.items()} == {
        "allreduce": 2 * 4 * 17, SCATTER[6:-1]: 2 * 4 * 24, "SendRecv": None,
    }  # fmt: skip
    scatter = rows["_reduce_scatter_base"]
    assert (scatter.group_size, scatter.received_bytes) == (8, 2 * 4 * 3)
    assert scatter.bus_bytes_per_s == pytest.approx(4 * 24 / 4e-6 * 7 / 8)


def test_buckets_that_differ_from_step_to_step_are_not_taken(tmp_path: Path) -> None:
    trace = of_steps(tmp_path, [[3, 4], [5]], [[3, 4]])
    assert {r.bytes for r in collectives(trace).rows if r.name == "allreduce"} == {None}


def test_a_collective_from_before_the_recording_is_that_of_its_round(tmp_path: Path) -> None:
    result = catalog.ask(of_steps(tmp_path, *[[[3, 4], [5]]] * 2), Roofline)
    assert {(r.op, r.calls, r.bytes, r.limit) for r in result.rows} == {
        ("record_param_comms", 2, 2 * 2 * 68, "communication"),
        (SCATTER, 2, 2 * 4 * 27, "communication"),
    }
    assert [(r.op, r.calls, r.bytes) for r in result.alike] == [(SCATTER, 1, 4 * 27)]
    assert result.covered_share == 1
    one = catalog.ask(of_steps(tmp_path, [[3, 4], [5]]), Roofline)  # one round repeats nothing
    assert not one.alike


def test_what_a_link_carries_is_the_floor_of_a_collective(tmp_path: Path) -> None:
    """2 MB in 20 µs over NVLink 4 of 450 GB/s, 8 ranks: 3.5 MB of it on each link."""
    kernel = call(30, 20, ranks=8)
    said = kernel["args"]
    assert isinstance(said, dict)
    said["correlation"] = 5
    op = {"Collective name": "allreduce", "dtype": "BFloat16",
          "In msg nelems": 1_000_000, "Out msg nelems": 1_000_000,
          "Input Dims": [[[1_000_000]]], "Input type": ["TensorList"]}  # fmt: skip
    host = {"ph": "X", "cat": "cpu_op", "name": "record_param_comms", "pid": 9, "tid": 9,
            "ts": 0, "dur": 20, "args": op}  # fmt: skip
    launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": 9,
              "ts": 5, "dur": 5, "args": {"correlation": 5}}  # fmt: skip
    path = written(tmp_path, [host, launch, kernel])
    (row,) = catalog.ask(kineto.load(path), Roofline).rows
    assert row.bytes == 2 * 2_000_000
    assert (row.limit, row.rates.bound) == ("communication", "link")
    assert row.rates.floor_ns == pytest.approx(3.5e6 / 450)
    assert row.rates.floor_share == pytest.approx(3.5e6 / 450 / 20_000)


def test_without_communication_there_is_a_reason(tmp_path: Path) -> None:
    lone: dict[str, object] = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7,
            "ts": 0, "dur": 5, "args": {"stream": 7}}  # fmt: skip
    with pytest.raises(MissingEventsError, match="no communication kernels"):
        collectives(trace_of(tmp_path, lone))


def both(
    tmp_path: Path, one: Sequence[dict[str, object]], two: Sequence[dict[str, object]]
) -> Collectives:
    return merge(
        collectives(trace_of(tmp_path, *one, rank=0)), collectives(trace_of(tmp_path, *two, rank=1))
    )


def test_the_shortest_kernel_of_a_call_is_the_transfer(tmp_path: Path) -> None:
    """Rank 1 comes 40 µs late to call 0 and 10 µs late to call 2; rank 0 5 µs to call 1."""
    one = [call(0, 50, number=0), call(100, 10, number=1), call(200, 20, number=2)]
    two = [call(9_040, 10, number=0), call(9_095, 15, number=1), call(9_210, 10, number=2)]
    result = both(tmp_path, one, two)
    (row,) = result.arrivals
    assert (row.ranks, row.count, row.met_by) == (2, 3, "number")
    assert (row.transfer_ns, row.skew_ns, row.largest_skew_ns) == (30_000, 55_000, 40_000)
    assert (row.last, row.last_count, row.last_skew_ns) == ("rank 1", 2, 50_000)
    assert [(w.rank, w.waited_ns, w.last_count) for w in result.waiting] == [
        ("rank 0", 50_000, 1), ("rank 1", 5_000, 2)
    ]  # fmt: skip
    # each rank's kernels are transfer and waiting
    total = sum(r.total_ns for r in result.rows)
    assert total == 2 * row.transfer_ns + sum(w.waited_ns for w in result.waiting)


def test_calls_are_met_by_number_where_windows_differ(tmp_path: Path) -> None:
    one = [call(0, 99, number=3), call(100, 30, number=4)]
    two = [call(0, 10, number=4), call(100, 77, number=5)]
    (row,) = both(tmp_path, one, two).arrivals
    assert (row.count, row.transfer_ns, row.skew_ns) == (1, 10_000, 20_000)


def test_without_numbers_order_counts_only_where_all_is_alike(tmp_path: Path) -> None:
    one, two = [call(0, 50), call(100, 10)], [call(40, 10), call(95, 15)]
    (row,) = both(tmp_path, one, two).arrivals
    assert (row.met_by, row.count, row.skew_ns) == ("order", 2, 45_000)
    assert both(tmp_path, one, two[:1]).arrivals == ()
    assert both(tmp_path, one, [call(40, 10, elements=7), two[1]]).arrivals == ()


def test_calls_that_do_not_end_together_are_not_one_call(tmp_path: Path) -> None:
    """Of as many calls each, other ones were left of the second: the clocks differ by 9 s."""
    one = [call(20_000 * i, 9_000) for i in range(5)]
    same = [call(9_000_000 + 20_000 * i + 4_000, 5_000) for i in range(5)]
    (row,) = both(tmp_path, one, same).arrivals
    assert (row.met_by, row.skew_ns) == ("order", 20_000_000)
    other = [*same[:4], call(9_000_000 + 100_000 + 4_000, 5_000)]
    assert both(tmp_path, one, other).arrivals == ()


def test_a_broadcast_is_no_meeting(tmp_path: Path) -> None:
    sent = [call(0, 10, name="broadcast")]
    assert both(tmp_path, sent, sent).arrivals == ()


def late_rank() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Six calls to which rank 1 comes 50 µs late, but the last, to which rank 0 does."""
    waits = [60, 60, 60, 60, 60, 10]
    one = [call(100 * i, us, number=i) for i, us in enumerate(waits)]
    two = [call(100 * i + 60 - (70 - us), 70 - us, number=i) for i, us in enumerate(waits)]
    return one, two


def test_the_straggler_is_named_on_a_page_of_ranks(tmp_path: Path) -> None:
    one, two = late_rank()
    many = [
        engine.answers(written(tmp_path, events, rank)) for rank, events in enumerate((one, two))
    ]
    assert job.headline(job.read(read(many))) == (
        "Rank 1 comes last to 5 of 6 collective calls: another rank waits 250 µs in those 5."
    )


def test_and_in_the_finding_of_a_file_of_two_ranks(tmp_path: Path) -> None:
    one, two = late_rank()
    events = []
    for place, side in enumerate((one, two)):
        for at, event in enumerate(side):
            args = event["args"]
            assert isinstance(args, dict)
            launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel",
                      "pid": f"[TP0{place}] 9{place}", "tid": 1, "ts": event["ts"], "dur": 1,
                      "args": {"correlation": at + 1}}  # fmt: skip
            work = event | {"pid": f"[TP0{place}] 0", "args": args | {"correlation": at + 1}}
            events += [launch, work]
    trace = trace_of(tmp_path, *events)
    drafts = device_findings(catalog.ask(trace, Devices), lambda kind: catalog.ask(trace, kind))
    (draft,) = drafts
    assert "Rank TP01 comes last to 5 of 6 collective calls" in draft.what


def test_groups_of_one_machine_are_known_by_their_ranks() -> None:
    assert in_one_machine(4, "[8, 9, 10, 11]")
    assert not in_one_machine(2, "[0, 8]")
    assert not in_one_machine(16, "[0, 1, 2]")
    assert not in_one_machine(2, "")
    assert not in_one_machine(1, "[0]")


@st.composite
def jobs(draw: st.DrawFn) -> list[RankCalls]:
    """Ranks with some of the calls of two groups each, numbered."""
    import numpy as np

    many = []
    for rank in range(draw(st.integers(2, 4))):
        rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(1, 99)),
                             max_size=8, unique_by=lambda row: row[:2]))  # fmt: skip
        column = [np.array([row[i] for row in rows], np.int64) for i in range(3)]
        many.append(RankCalls(f"rank {rank}", (("a", "", "allreduce"), ("b", "", "allreduce")),
                              column[0], column[2], column[2], column[1], 1_000))  # fmt: skip
    return many


@given(jobs())
@examples(100)
def test_transfer_and_waiting_are_all_the_time_of_calls_that_met(many: list[RankCalls]) -> None:
    rows, waiting = meet(many)
    met = 0
    for group in (0, 1):
        own = [dict(zip(s.sequence[s.key == group].tolist(), s.dur[s.key == group].tolist(),
                        strict=True)) for s in many]  # fmt: skip
        for number in set.intersection(*(set(one) for one in own)):
            met += sum(one[number] for one in own)
    assert met == sum(r.transfer_ns * r.ranks for r in rows) + sum(w.waited_ns for w in waiting)
    assert all(r.skew_ns >= r.last_skew_ns >= 0 for r in rows)
    assert sum(w.last_count for w in waiting) <= sum(r.count for r in rows)


def test_the_sum_does_not_depend_on_the_order_of_merging(tmp_path: Path) -> None:
    parts = [collectives(trace_of(tmp_path, call(0, 10 + 7 * rank, ranks=3, number=0), rank=rank))
             for rank in range(3)]  # fmt: skip
    one, two, three = parts
    left, right = merge(merge(one, two), three), merge(one, merge(two, three))
    assert left.to_json() == right.to_json()
    assert left.arrivals[0].ranks == 3
    assert [grid.key for grid in ANALYSIS.tables(left)] == ["collectives", "arrivals", "waiting"]
