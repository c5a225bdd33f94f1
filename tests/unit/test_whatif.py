"""What a change would save: its rules of honesty, on random and on real traces, and its forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracekit.analyses.whatif.analysis import whatif

import tracekit
from tests import real
from tests.decoder import H100
from tests.drawing import draw
from tests.fresh import tracekit as command
from tests.random_traces import traces
from tracekit.answers.findings import Findings
from tracekit.answers.whatif import WhatIf
from tracekit.attribution import links
from tracekit.attribution.replay import changes, host, other_device, predict
from tracekit.attribution.replay.changes import Change
from tracekit.attribution.replay.graph import Kind
from tracekit.attribution.replay.predict import Replay, Weights
from tracekit.attribution.stages.instances import launched
from tracekit.errors import MissingEventsError, UsageError
from tracekit.results import catalog, engine
from tracekit.taxonomy import FindingKind
from tracekit.trace.trace import Trace

SINGLE = ("kin_resnet50_v100_2021_06_w0", "hta_ns_resolution_v100", "tl_h100_qwen15_05b",
          "tl_h100_nsfw", "tl_mi300_nsfw")  # fmt: skip


def replayed(trace: Trace) -> Replay:
    try:
        return predict.replay(trace)
    except MissingEventsError:
        pytest.skip("not to be replayed")


def nothing(replay: Replay) -> Weights:
    count = len(replay.graph.edges)
    return Weights(np.ones(count), np.zeros(count, bool))


@settings(deadline=None)
@given(traces(gpu=True), st.sampled_from([0.0, 0.3, 0.9, 1.0]), st.booleans())
def test_speeding_up_makes_nothing_later_and_saves_no_more_than_was_removed(
    trace: Trace, factor: float, launch_cost: bool
) -> None:
    try:
        replay = predict.replay(trace)
    except MissingEventsError:
        return
    assert (replay.times(nothing(replay), pad=True) == replay.graph.when).all()
    work = np.full(len(links.work(trace)), factor)
    own, edges = changes.of_work(replay, work), replay.graph.edges
    cost = changes.weights(replay, Change(launch_cost=launch_cost))
    change = Weights(own.factor * cost.factor, own.dropped)
    after = replay.times(change, pad=True)
    assert (after <= replay.graph.when).all()
    removed = int((edges.ns - edges.changed(change.factor)).sum())
    assert (replay.graph.when - after <= removed).all()
    plain = replay.times(nothing(replay), pad=False)
    assert (replay.times(change, pad=False) <= plain).all()
    for said, known in zip(replay.predict(change), replay.fidelity, strict=True):
        off, lag = abs(known.residual), known.lag_share
        assert said.predicted_ns is None or (off <= 0.02 and lag <= 0.05)
        assert said.low_ns is None or (off <= 0.1 and lag <= 0.1)


@pytest.mark.parametrize("name", SINGLE)
def test_a_trace_of_one_stream_replays_within_half_a_percent(name: str) -> None:
    replay = replayed(real.loaded(name))
    for one in replay.fidelity:
        assert abs(one.residual) < 0.005, one
    assert (replay.times(nothing(replay), pad=True) == replay.graph.when).all()


def test_a_trace_whose_waits_are_not_in_the_file_is_refused() -> None:
    trace = real.loaded("hta_negative_queue_a100")
    found = catalog.ask(trace, WhatIf, scale=("gemm=0.5",))
    assert found.rows
    for row in found.rows:
        assert row.predicted_ns is row.low_ns is row.high_ns is None
        assert row.why
    assert "Nothing is predicted" in found.notes[0]
    assert not catalog.ask(trace, WhatIf).rows


def test_a_host_bound_trace_saves_much_less_than_the_sum_of_its_kernels() -> None:
    replay = replayed(real.loaded("tl_h100_nsfw"))
    gpu = links.work(replay.trace)
    after = replay.predict(changes.of_work(replay, np.full(len(gpu), 0.5)))
    saved = replay.fidelity[0].measured_ns - (after[0].predicted_ns or 0)
    assert 0 <= saved < 0.05 * int(gpu.dur.sum()) / 2


def test_halved_gemms_save_of_a_real_step_what_arithmetic_on_the_raw_file_says() -> None:
    replay = replayed(real.loaded("tl_h100_qwen15_05b"))
    gpu, launch = links.work(replay.trace), links.launch_row(replay.trace)
    gemms = gpu.named("(?i)gemm|cutlass")
    half, before = int(gpu.dur[gemms].sum()) // 2, int(gpu.dur[gemms & (launch < 0)].sum()) // 2
    found = replay.predict(changes.of_work(replay, np.where(gemms, 0.5, 1.0)))
    wall, work, window = (
        known.measured_ns - (said.predicted_ns or 0)
        for known, said in zip(replay.fidelity, found, strict=True)
    )
    assert half == pytest.approx(8_324_000, rel=1e-3)
    # the wait at the step's begin is for kernels that were launched before the recording
    assert wall == pytest.approx(before, rel=1e-3)
    # after it the device catches up with the host, no more than it was behind it at the end
    behind = int((gpu.ts - links.launch_start(replay.trace))[launch >= 0].max())
    assert wall < work == window < wall + behind < half


def own_work(replay: Replay) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Rows of work of each step, stream by stream."""
    instance, work = launched(replay.trace, replay.marks)
    start, stream = links.work(replay.trace).ts, links.stream(replay.trace)
    steps = [work[instance == step] for step in range(len(replay.marks))]
    return [rows[np.lexsort((start[rows], stream[rows]))] for rows in steps]


def host_steps(replay: Replay, step: int) -> np.ndarray:  # type: ignore[type-arg]
    """Edges of the host inside a step, thread by thread."""
    made, edges = replay.graph, replay.graph.edges
    inside = edges.of(Kind.HOST, Kind.LAUNCH, Kind.LOADING)
    inside &= made.when[edges.src] >= made.when[made.opens[step]]
    inside &= made.when[edges.dst] <= made.when[made.closes[step]]
    rows = np.flatnonzero(inside)
    thread = host.threads(replay.trace, replay.marks, made.places)
    return rows[np.lexsort((made.when[edges.src[rows]], thread[edges.src[rows]]))]


@pytest.mark.parametrize("name", ["hta_nccl_ddp_a100", "tl_mi300_resnet_act_checkpoint"])
def test_the_lengths_of_the_next_step_predict_it_better_than_no_change(name: str) -> None:
    replay = predict.replay(real.loaded(name), "ProfilerStep")
    gpu, made, edges = links.work(replay.trace), replay.graph, replay.graph.edges
    first, this, following = own_work(replay)
    assert (gpu.name[this] == gpu.name[following]).all()
    factor = np.ones(len(gpu))
    factor[this] = gpu.dur[following] / np.maximum(gpu.dur[this], 1)
    change = changes.of_work(replay, factor)
    one, two = host_steps(replay, 1), host_steps(replay, 2)
    assert (edges.kind[one] == edges.kind[two]).all()
    change.factor[one] = edges.ns[two] / np.maximum(edges.ns[one], 1)
    at = replay.times(change, pad=True)
    told = int(at[made.end[this]].max() - at[made.end[first]].max())
    measured = int(gpu.end[this].max() - gpu.end[first].max())
    wanted = int(gpu.end[following].max() - gpu.end[this].max())
    assert abs(told - wanted) < abs(measured - wanted) / 4
    assert abs(told - wanted) < 0.005 * wanted


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "scale", [("gemm=1e13",), ("gemm=1e17",), ("gemm=1e300", "kernel:.=1e300", "gemm=0")]
)
def test_factors_beyond_what_numbers_of_ns_hold_are_refused(scale: tuple[str, ...]) -> None:
    trace = real.loaded("tl_h100_nsfw")
    with pytest.raises(UsageError, match="36 years"):
        catalog.ask(trace, WhatIf, scale=scale)
    catalog.ask(trace, WhatIf, scale=("gemm=1e6",))


def test_another_device_gives_a_range_alone() -> None:
    trace = real.loaded("tl_h100_nsfw")
    found = catalog.ask(trace, WhatIf, device=("MI300X", "A100 SXM 80 GB"))
    assert found.changes == ("on MI300X", "on A100 SXM 80 GB")
    assert all(row.predicted_ns is None and row.low_ns is not None for row in found.rows)
    assert any("datasheet" in note or "bound" in note for note in found.notes)
    with pytest.raises(UsageError, match="datasheet"):
        catalog.ask(trace, WhatIf, device=("Abacus",))


def test_the_range_of_another_device_holds_for_short_kernels_too() -> None:
    trace = draw(
        """
        mark      SSSSSSSSSSSSSS
        host      abcd..........
        stream 7  .AABBCCDD.....
        """,
        names=dict.fromkeys("abcd", "cudaLaunchKernel"),
        meta=H100,
    )
    window = whatif(trace, device=("MI300X",)).rows[-1]
    # how long a kernel of 2 µs takes there no datasheet says; they wait for one another
    assert (window.predicted_ns, window.measured_ns) == (None, 8_000)
    assert window.low_ns is not None
    assert window.high_ns == 16_000
    assert 4_000 <= window.low_ns <= 5_000  # a launch a µs


@pytest.mark.parametrize(
    ("one", "two", "device"),
    [("tl_h100_nsfw", "tl_mi300_nsfw", "MI300X"), ("tl_mi300_nsfw", "tl_h100_nsfw", "H100 SXM")],
)
def test_kernels_of_the_same_model_on_another_device_are_inside_the_range(
    one: str, two: str, device: str
) -> None:
    gpu, there = links.work(real.loaded(one)), links.work(real.loaded(two))
    told = float((gpu.dur * other_device.factors(real.loaded(one), device)).sum())
    assert other_device.LEAST * told <= int(there.dur.sum()) <= other_device.MOST * told


PICTURE = """
    mark      SSSSSSSSSSSSSSSSSSSS
    host      abc..............yyy
    stream 7  .AAAAAA.BBBB.CCCCCC.
"""
NAMES = {**dict.fromkeys("abc", "cudaLaunchKernel"), "y": "cudaDeviceSynchronize",
         "A": "gemm", "B": "gemm", "C": "gemm"}  # fmt: skip


def test_without_a_change_the_best_of_what_is_usually_tried() -> None:
    found = whatif(draw(PICTURE, names=NAMES))
    assert found.changes[0] == "gemm=0.5"
    assert len(found.changes) <= 3
    first = found.rows[0]
    assert (first.measured_ns, first.replayed_ns, first.predicted_ns) == (20_000, 20_000, 18_000)
    assert (first.saves_ns, first.saves_at_least_ns, first.saves_at_most_ns) == (2_000,) * 3
    assert {row.gives for row in found.replays} == {"point"}


LATE = """
    mark      SSSSSSSSSSSSSSSSSSSSSSSSSSSSS
    host      a....b....c....d....e........
    stream 7  .A....B....C....D....E.......
"""


def test_what_is_tried_has_cuda_graphs_where_they_may_be_had_and_lists_what_saves() -> None:
    launches = dict.fromkeys("abcde", "cudaLaunchKernel") | {"z": "cudaStreamSynchronize"}
    found = whatif(draw(LATE, names=launches))
    assert found.changes[0] == "S as CUDA graphs"
    for row in found.rows:
        best = max(r.saves_ns or 0 for r in found.rows
                   if (r.change, r.stage) == (row.change, row.stage))  # fmt: skip
        assert best > 0, row
    # a stage in which the host waits again and again cannot be captured as one graph
    waiting = LATE.replace("b....c....", "b.zz.c.zz.")
    assert "S as CUDA graphs" not in whatif(draw(waiting, names=launches)).changes


def test_both_clocks_are_always_there() -> None:
    found = whatif(draw(PICTURE, names=NAMES), scale=("gemm=0.5",))
    assert [row.clock for row in found.rows] == [
        predict.HOST_CLOCK, predict.WORK_CLOCK, predict.DEVICE_CLOCK,
    ]  # fmt: skip


def test_a_trace_without_gpu_work_says_why() -> None:
    with pytest.raises(MissingEventsError, match="no GPU work"):
        whatif(draw("op aa..bb"))


def test_python_takes_a_path_or_a_trace_and_a_list_or_a_text() -> None:
    path = real.trace_file("tl_mi300_nsfw")
    found = tracekit.whatif(path, scale=["gemm=0.5"]).result
    assert isinstance(found, WhatIf)
    assert tracekit.whatif(tracekit.load(path), scale="gemm=0.5").result == found


def test_the_command_prints_tables_or_json(tmp_path: Path) -> None:
    path = str(real.trace_file("tl_mi300_nsfw"))
    done = command("whatif", path, "--no-launch-cost", "--json", cwd=tmp_path)
    document = json.loads(done.stdout)["whatif"]
    row = document["rows"][0]
    assert row["predicted_ns"] < row["measured_ns"]
    assert {
        "stage",
        "measured_ns",
        "replayed_ns",
        "predicted_ns",
        "low_ns",
        "high_ns",
        "clock",
    } <= (row.keys())
    assert "overstated" in " ".join(document["notes"])
    wrong = command("whatif", path, "--scale", "gemm", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "NAME=FACTOR" in wrong.stderr


def test_a_finding_says_and_is_ranked_by_what_the_replay_makes_of_its_saving() -> None:
    rows = catalog.ask(real.loaded("tl_h100_nsfw"), Findings).rows
    gemm = next(row for row in rows if row.kind == FindingKind.GEMM)
    assert gemm.saves_at_most_ns is not None
    assert gemm.replayed is not None
    assert gemm.saves_ns == gemm.replayed.predicted_ns
    # the host is late: faster kernels leave longer gaps
    assert gemm.replayed.low_ns <= (gemm.saves_ns or 0) <= 0.01 * gemm.saves_at_most_ns
    launches = next(row for row in rows if row.kind == FindingKind.LAUNCH_BOUND)
    assert launches.replayed is not None  # with one launch a step
    assert launches.saves_at_most_ns is not None
    assert 0 < (launches.saves_ns or 0) <= launches.saves_at_most_ns
    assert rows.index(launches) < rows.index(gemm)
    for row in rows:
        told = row.replayed
        assert row.saves_ns == (row.saves_at_most_ns if told is None else told.predicted_ns)


def test_it_is_a_section_of_the_page() -> None:
    assert "whatif" in engine.wanted(None)


def test_where_nothing_would_save_much_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.analyses.whatif.analysis.SOME", 1.0)
    found = whatif(draw(PICTURE, names=NAMES))
    assert not found.rows
    assert "Of what is usually tried nothing saves 100.0% of the device window." in found.notes
