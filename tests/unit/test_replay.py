"""Traces whose times after a change can be read off the picture, one for each rule of the replay.

A column is 1 µs. `cudaLaunchKernel` takes one, a kernel begins one after its launch began.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.drawing import Slice, build, draw
from tracekit.attribution.replay import changes, predict
from tracekit.attribution.replay.changes import Change
from tracekit.attribution.replay.predict import DEVICE_CLOCK, HOST_CLOCK, WORK_CLOCK
from tracekit.errors import MissingEventsError, TracekitError, UsageError
from tracekit.trace.trace import Cat, Table, Trace

NAMES = dict.fromkeys("abcdef", "cudaLaunchKernel") | {
    "m": "cudaMemcpy",
    "y": "cudaDeviceSynchronize",
    "z": "cudaStreamSynchronize",
    "w": "cudaStreamWaitEvent",
    "W": "cudaStreamWaitEvent",
}


def drawn(picture: str, names: Mapping[str, str] = NAMES, **more: object) -> Trace:
    return draw(picture, names=names, **more)  # type: ignore[arg-type]


def after(trace: Trace, change: Change) -> dict[str, int]:
    """By clock, what is predicted of the one stage; its range is that number alone."""
    replay = predict.replay(trace)
    found = replay.predict(changes.weights(replay, change))
    for said, window in zip(replay.fidelity, replay.windows, strict=True):
        assert said.replayed_ns == said.measured_ns, window.clock
        assert said.lag_ns == 0
    for one in found:
        assert one.predicted_ns == one.low_ns == one.high_ns
        assert one.predicted_ns is not None
    return {w.clock: int(p.predicted_ns or 0) for w, p in zip(replay.windows, found, strict=True)}


def half(pattern: str) -> Change:
    return Change(scale=(f"kernel:{pattern}=0.5",))


def test_work_that_the_host_waits_for_saves_until_the_host_is_the_later() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSS
        host      a....b....yyyy..
        stream 7  .AAA..BBBBBBB...
    """)
    # A to 2.5, B from 6 to 9.5; the call at 10 finds nothing to wait for, and takes its 1
    assert after(trace, half(".")) == {HOST_CLOCK: 13_000, WORK_CLOCK: 9_500, DEVICE_CLOCK: 8_500}


def test_what_runs_ahead_of_the_device_saves_all_of_it() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSSSSSS
        host      abc..............yyy
        stream 7  .AAAAAA.BBBB.CCCCCC.
    """)
    # A to 4, gap 1, B 5 to 7, gap, C 8 to 11; the call at 17 still takes its 1
    assert after(trace, half(".")) == {HOST_CLOCK: 18_000, WORK_CLOCK: 11_000, DEVICE_CLOCK: 10_000}


def test_a_host_bound_stage_saves_only_the_last_kernel() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSS
        host      a...b...c.....
        stream 7  .AA..BB..CC...
    """)
    found = after(trace, half("."))
    assert found == {HOST_CLOCK: 14_000, WORK_CLOCK: 10_000, DEVICE_CLOCK: 9_000}


def test_an_end_of_a_marker_inside_a_wait_moves_with_the_wait() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSS...
        host      a....b....yyyy..
        stream 7  .AAA..BBBBBBB...
    """)
    # the marker ends 1 before the call does, which ends at 11
    assert after(trace, half("B"))[HOST_CLOCK] == 10_000


def test_loading_a_module_inside_a_launch_is_no_cost_of_launching() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSSSSSSSS
        host      a..b..ccccccccc..d....
        stream 7  .A..B..........C..D...
    """)
    # four launches of 1 go; the 8 of loading stay
    found = after(trace, Change(launch_cost=False))
    assert found == {HOST_CLOCK: 18_000, WORK_CLOCK: 16_000, DEVICE_CLOCK: 15_000}


def test_a_copy_that_blocks_is_submitted_where_it_is_called() -> None:
    trace = drawn(
        """
        mark      SSSSSSSSSSSSSS
        host      a.mmmmmmmmm...
        stream 7  .AAAAAAA.M....
        """,
        kinds={"M": Cat.MEMCPY},
    )
    # A to 4.5, the copy 5.5 to 6.5, the call returns at 7.5
    assert after(trace, half("^A|Launch")) == {
        HOST_CLOCK: 10_500, WORK_CLOCK: 6_500, DEVICE_CLOCK: 5_500,
    }  # fmt: skip


def test_a_wait_is_for_what_ended_before_it_returned() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSSS
        host      a.b.zzzzz........
        stream 7  .AAAAAAA.........
        stream 8  ...BBBBBBBBBBBBB.
    """)
    # A to 4.5: the call returns at 5.5, whatever B does
    assert after(trace, half("A"))[HOST_CLOCK] == 13_500
    assert after(trace, half("B"))[HOST_CLOCK] == 17_000


def test_a_wait_may_be_for_work_without_a_launch() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSS
        host      a...yyyyyy......
        stream 7  .AA.UUUUU.......
    """)
    # U follows A as it did, 1 after: 4 to 6.5, the call returns at 7.5
    assert after(trace, half("U"))[HOST_CLOCK] == 13_500


def test_work_without_a_launch_keeps_its_place_in_the_stream() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSS
        host      a.b.............
        stream 7  .AAAA.UUU.BBBB..
    """)
    # A to 3, U 4 to 7, B 8 to 12
    assert after(trace, half("A"))[WORK_CLOCK] == 12_000


def test_programmatic_dependent_launch_ends_after_what_it_depends_on() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSS
        host      ab..............
        stream 7  .AAAAAAAA.......
        stream 7  .......BBBBB....
    """)
    # A from 1 to 5; B has its 3 after that, and begins where three quarters of A are done
    assert after(trace, half("A")) == {HOST_CLOCK: 16_000, WORK_CLOCK: 8_000, DEVICE_CLOCK: 7_000}
    # B's own part is what it did after A
    assert after(trace, half("B"))[WORK_CLOCK] == 10_500


def test_a_join_of_two_streams_is_held_by_the_later_of_what_is_left() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSSSSSS
        host      ab.wW.c.............
        stream 7  .AAAAAAAAA..........
        stream 8  ..BBBBBBBBBB........
        stream 9  .............CCC....
    """)
    # B to 7: then A, which ends at 10, holds C; 1 after it 11 to 14
    assert after(trace, half("B"))[WORK_CLOCK] == 14_000
    replay = predict.replay(trace)
    assert len(replay.graph.inferred) == 2


def test_a_join_inside_a_graph_is_held_by_the_later_of_what_is_left() -> None:
    trace = draw(
        """
        mark      SSSSSSSSSSSSSSSSSSSS
        host      g...................
        stream 7  .AAA.BBBBBBBB.DDDD..
        stream 8  .....CCCCCC.........
        """,
        names={"g": "cudaGraphLaunch"},
        launched_by=dict.fromkeys("ABCD", "g"),
    )
    # B to 9: then C, which ends at 11, holds D, 12 to 16
    assert after(trace, half("B"))[WORK_CLOCK] == 16_000
    assert after(trace, half("C"))[WORK_CLOCK] == 18_000
    # B to 9, C to 8: D 10 to 14
    assert after(trace, half("[BC]"))[WORK_CLOCK] == 14_000


def test_a_recorded_event_orders_two_streams() -> None:
    def call(ts: int, name: str, link: int) -> Slice:
        return Slice(ts * 1000, 1000, name, Cat.RUNTIME, correlation=link)

    def work(ts: int, dur: int, name: str, stream: int, link: int) -> Slice:
        return Slice(ts * 1000, dur * 1000, name, Cat.KERNEL, pid=0, device=0, stream=stream,
                     correlation=link)  # fmt: skip

    wait = Slice(4000, 1, "Stream Wait Event", Cat.SYNC, pid=0, device=0, stream=8, correlation=4)
    rows = [
        Slice(0, 20_000, "S", Cat.ANNOTATION), call(0, "cudaLaunchKernel", 1),
        call(2, "cudaEventRecord", 3), call(3, "cudaLaunchKernel", 2),
        call(4, "cudaStreamWaitEvent", 4), call(6, "cudaLaunchKernel", 5), wait,
        work(1, 6, "A", 7, 1), work(8, 6, "X", 7, 2), work(9, 3, "B", 8, 5),
    ]  # fmt: skip
    ids = [r.name for r in sorted(rows, key=lambda s: (s.ts, -s.dur))].index("Stream Wait Event")
    columns = {"wait_stream": np.array([7]), "wait_event_correlation": np.array([3])}
    trace = build(rows, tables={"syncs": Table(np.array([ids], np.int32), columns)})
    # A to 4: B waits for it alone, not for X, and for its launch: 7 to 10, X 5 to 11
    assert after(trace, half("A"))[WORK_CLOCK] == 11_000
    assert after(trace, half("A|X"))[WORK_CLOCK] == 10_000
    assert not predict.replay(trace).graph.inferred


def test_a_first_kernel_far_too_late_stays_where_it_was() -> None:
    trace = drawn(
        """
        mark      SSSSSSSSSSSSSSSSSSSSSSSSSSSS
        host      a..b........................
        stream 7  ....................AAA.BBB.
        """,
        column_ns=100_000,
    )
    replay = predict.replay(trace)
    assert replay.graph.pinned.tolist() == [0]
    at = replay.times(changes.weights(replay, Change(launch_cost=False)), pad=True)
    assert at[replay.graph.start[0]] == 2_000_000
    # what is before it nothing explains: no number is given
    assert {f.gives.name for f in replay.fidelity if f.clock == WORK_CLOCK} == {"NOTHING"}


def test_autograd_begins_where_backward_is_called_and_is_waited_for() -> None:
    names = NAMES | {"E": "autograd::engine::evaluate_function: Mm", "O": "aten::mm"}
    trace = drawn(
        """
        mark      SSSSSSSSSSSSSSSSSSSSSS
        op        OO..............OO....
        host      .a..............b.....
        op 2      .....EEEEEEEE.........
        host 2    ......c..yyyy.........
        stream 7  ..AA...CCCCC.....BB...
        """,
        names,
    )
    # C 7 to 9.5; the call at 9 returns 1 after, at 10.5 and not 13: all else 2.5 earlier
    found = after(trace, half("C"))
    assert found[HOST_CLOCK] == 19_500
    assert found[WORK_CLOCK] == 16_500


def test_what_the_main_thread_does_between_two_bursts_of_autograd_holds_nothing() -> None:
    engine = "autograd::engine::evaluate_function: Mm"
    names = NAMES | {"E": engine, "O": "aten::mm", "r": "cudaEventRecord"}
    trace = drawn(
        """
        mark      SSSSSSSSSSSSSSSSSSSSSSS
        op        OO.........OO....OO....
        host      .a..........r....b.....
        op 2      ....EEEEEEE...EE.......
        host 2    .....c.yyyy...d........
        stream 7  ..A...CCCC.....D..B....
        """,
        names,
    )
    # C 6 to 8, the call at 7 returns at 9 and not 11: all else 2 earlier
    found = after(trace, half("C"))
    assert found[HOST_CLOCK] == 21_000
    assert found[WORK_CLOCK] == 17_000


def test_cuda_graphs_leave_one_launch_of_a_stage() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSS
        host      a...b...c.....
        stream 7  .AA..BB..CC...
    """)
    found = after(trace, Change(cuda_graphs=("S",)))
    assert found[HOST_CLOCK] == 1_000  # the launch of the graph
    # the kernels one after the other, from 1
    assert found[WORK_CLOCK] == 7_000


def test_waits_that_are_removed_leave_no_wait() -> None:
    trace = drawn("""
        mark      SSSSSSSSSSSSSSSSSSSS
        host      a.yyyyyy.b..........
        stream 7  .AAAAAA...BBBB......
    """)
    # the call goes: b at 3, B waits for A and follows at once: 7 to 11
    found = after(trace, Change(remove=("host_sync",)))
    assert found == {HOST_CLOCK: 14_000, WORK_CLOCK: 11_000, DEVICE_CLOCK: 10_000}


DEEP = 1022


def queue(length: int, count: int = 1_500) -> tuple[list[Slice], int, int]:
    """Launches 2 apart of kernels of this length (ns), and when the stage and its work end.

    A launch waits until the one DEEP before it has begun.
    """
    rows: list[Slice] = []
    starts: list[int] = []
    at, free = 0, 0
    for number in range(count):
        begin = at
        submit = max(begin, starts[number - DEEP]) if number >= DEEP else begin
        start = max(submit + 2_000, free)
        starts.append(start)
        free = start + length + 1_000
        rows.append(Slice(begin, submit + 1_000 - begin, "cudaLaunchKernel", Cat.RUNTIME,
                          correlation=number + 1))  # fmt: skip
        rows.append(Slice(start, length, "k", Cat.KERNEL, pid=0, device=0, stream=7,
                          correlation=number + 1))  # fmt: skip
        at = submit + 2_000
    rows.append(Slice(0, at, "S", Cat.ANNOTATION))
    return rows, at, free - 1_000


@pytest.mark.parametrize("times", [0.9, 0.5, 0.1])
def test_a_full_queue_of_launches_holds_the_host_back(times: float) -> None:
    rows, *_ = queue(10_000)
    _, host, work = queue(int(10_000 * times))
    found = after(build(rows), Change(scale=(f"kernel:^k$={times}",)))
    assert found[HOST_CLOCK] == host
    assert found[WORK_CLOCK] == work


def test_clocks_that_disagree_are_refused() -> None:
    trace = drawn("""
        host      ..a..b
        stream 7  A.....B
    """)
    with pytest.raises(MissingEventsError, match="begin before their launch"):
        predict.replay(trace)


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        *((UsageError, change) for change in (
            Change(scale=("gemm",)), Change(scale=("gemm=-1",)), Change(scale=("kernel:(=0.5",)),
            Change(scale=("wheels=0.5",)), Change(remove=("wheels",)),
        )),
        # another trace may have it: no wrong usage
        *((MissingEventsError, change) for change in (
            Change(scale=("gemm=0.5",)), Change(scale=("kernel:nothing=0.5",)),
            Change(cuda_graphs=("T",)),
        )),
    ],
)  # fmt: skip
def test_a_change_of_nothing_is_refused(fault: type[TracekitError], change: Change) -> None:
    trace = drawn("""
        mark      SSSS
        host      a...
        stream 7  .AA.
    """)
    replay = predict.replay(trace)
    with pytest.raises(fault):
        changes.weights(replay, change)
