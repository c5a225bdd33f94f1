"""Time by module and memory over time, against pictures and slow versions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.memory import analysis as memory
from tracekit.analyses.modules import analysis as modules

from tests.conftest import shared
from tests.drawing import build, draw
from tests.real import loaded
from tracekit.attribution import links
from tracekit.errors import MissingEventsError
from tracekit.results.result import to_plain
from tracekit.trace import kineto
from tracekit.trace.trace import Table, Trace

PICTURE = """
    mark      ppppppppppppp..
    python    LLLLLLLLLLLL...
    python    .AAAAA.MMMM....
    python    ..QQ...........
    host      a.b..c..d....e.
    stream 7  .ABBB.CC.DD...E
"""
NAMES = {
    "p": "tracekit::prefill", "L": "nn.Module: LlamaDecoderLayer_0", "A": "nn.Module: Attention_0",
    "M": "nn.Module: LlamaMLP_0", "Q": "nn.Module: Linear_0",
}  # fmt: skip


def picture() -> Trace:
    # the letters A of the module track and of the stream are one name: rename the stream's
    text = PICTURE.replace(".ABBB.CC.DD...E", ".XBBB.CC.DD...E")
    return draw(text, names=NAMES, launched_by={"X": "a"})


def test_inclusive_time_holds_the_children_and_self_time_does_not() -> None:
    result = modules.modules(picture())
    got = {r.module: (r.calls, r.host_ns, r.host_self_ns, r.gpu_ns, r.gpu_self_ns)
           for r in result.rows}  # fmt: skip
    assert got == {
        # a is launched in the layer itself, b in Q, c in A, d in M; e outside
        "LlamaDecoderLayer_0": (1, 12_000, 3_000, 8_000, 1_000),
        "Attention_0": (1, 5_000, 3_000, 5_000, 2_000),
        "Linear_0": (1, 2_000, 2_000, 3_000, 3_000),
        "LlamaMLP_0": (1, 4_000, 4_000, 2_000, 2_000),
    }
    assert [(r.phase, r.gpu_ns, r.outside_ns) for r in result.rest] == [
        ("prefill", 8_000, 0), ("outside every stage", 1_000, 1_000),
    ]  # fmt: skip
    assert {r.kind: r.role for r in result.rows} == {
        "LlamaDecoderLayer": "layer", "Attention": "attention", "Linear": "linear",
        "LlamaMLP": "MLP",
    }  # fmt: skip


def test_self_times_and_what_no_module_launched_add_up_to_the_gpu_time() -> None:
    trace = loaded("tl_h100_qwen15_05b")
    result = modules.modules(trace)
    total = int(links.work(trace).dur.sum())
    outside = sum(r.outside_ns for r in result.rest)
    for rows in (result.rows, result.kinds):
        assert sum(r.gpu_self_ns or 0 for r in rows) + outside == total
    layers = [r for r in result.rows if r.kind == "Qwen2DecoderLayer" and r.calls]
    assert len(layers) == 24
    kind = next(r for r in result.kinds if r.kind == "Qwen2DecoderLayer")
    assert kind.gpu_ns == sum(r.gpu_ns or 0 for r in layers)
    kinds, by_layer = modules.charts(result)
    assert (kinds.key, by_layer.key) == ("kinds", "layers")
    (bars,) = by_layer.data
    (above,) = [t["marker"] for t in kinds.data if t["name"] == bars["name"]]
    look = bars["marker"]
    assert (above["color"], above.get("pattern")) == (look["color"], look.get("pattern"))
    both = modules.merge(result, result)
    assert sum(r.gpu_self_ns or 0 for r in both.rows) + 2 * outside == 2 * total


def test_a_module_inside_another_of_its_class_counts_once_in_the_class() -> None:
    trace = draw(
        "python AAAAAA\npython .BBB..\nhost ..c...\nstream 7 ...CC.",
        names={"A": "nn.Module: Block_0", "B": "nn.Module: Block_1"},
    )
    (kind,) = modules.modules(trace).kinds
    assert (kind.calls, kind.host_ns, kind.gpu_ns) == (2, 6_000, 2_000)


def test_without_module_names_the_reason_is_said() -> None:
    with pytest.raises(MissingEventsError, match="captured without module names"):
        modules.modules(draw("python AAA\nhost a\nstream 7 A"))


# ---------------------------------------------------------------- memory


def with_events(trace: Trace, events: list[tuple[int, int, int]]) -> Trace:
    """Events (ts, bytes, address) of one CUDA device; totals follow from them."""
    size = np.array([b for _, b, _ in events], np.int64)
    count = len(events)
    one = np.ones(count, np.int64)
    trace.tables["memory"] = Table(np.full(count, -1, np.int32), {
        "ts": np.array([t for t, _, _ in events], np.int64), "bytes": size,
        "allocated": np.cumsum(size) + 100, "reserved": np.full(count, 5000, np.int64),
        "device_type": one, "device": one * 0, "address": np.array([a for *_, a in events]),
        "tid": one,
    })  # fmt: skip
    return trace


def test_peaks_by_stage_and_what_was_held_at_its_start() -> None:
    trace = with_events(
        draw(
            "mark ppppp.ddddd\npython LLLL\npython .NN\nop .mmm.......\nop ..e........",
            names={"p": "tracekit::prefill", "d": "tracekit::decode", "m": "aten::mm",
                   "e": "aten::empty", "L": "nn.Module: Layer_3", "N": "nn.Module: Linear_7"},
        ),
        [(2000, 50, 1), (2500, 400, 2), (4000, -400, 2), (7000, 10, 3), (9000, -50, 1)],
    )  # fmt: skip
    result = memory.memory(trace)
    (device,) = result.rows
    assert (device.memory, device.allocated_peak, device.peak_ns) == ("CUDA 0", 550, 2500)
    assert (device.allocations, device.frees, device.requested) == (3, 2, 460)
    peaks = {s.stage: (s.allocated_peak, s.growth, s.requested) for s in result.stages}
    assert peaks == {"prefill": (550, 50, 450), "decode": (160, -40, 10)}
    largest = [(p.bytes, p.op, p.stage, p.held_ns) for p in result.largest]
    assert largest == [
        (400, "aten::mm", "prefill", 1500), (50, "aten::mm", "prefill", 7000),
        (10, None, "decode", None),
    ]  # fmt: skip
    # 100 were there before the recording, 50 and 400 were live at 2500
    assert [(p.bytes, p.blocks, p.op, p.module) for p in result.peaks] == [
        (450, 2, "aten::mm", "Linear_7"), (100, None, None, None),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-50, 50)), min_size=1, max_size=900))
def test_thinning_keeps_the_peak_and_the_ends(events: list[tuple[int, int]]) -> None:
    made = [(t, b, i) for i, (t, b) in enumerate(sorted(events)) if b]
    if not made:
        return
    result = memory.memory(with_events(build([]), made))
    (device,) = result.rows
    assert len(device.series_ns) <= memory.MOST_POINTS
    assert max(device.series_allocated) == device.allocated_peak
    assert list(device.series_ns) == sorted(device.series_ns)
    assert (device.series_ns[0], device.series_ns[-1]) == (made[0][0], made[-1][0])
    merged = memory.merge(memory.merge(result, result), result)
    assert to_plain(merged) == to_plain(memory.merge(result, memory.merge(result, result)))
    assert sum(p.count for p in merged.largest) == 3 * sum(p.count for p in result.largest)


def test_without_memory_events_the_reason_is_said() -> None:
    with pytest.raises(MissingEventsError, match="captured without memory events"):
        memory.memory(draw("host a"))


def test_a_real_trace_has_the_peak_that_its_events_say() -> None:
    path = shared("traces", "tl_h100_qwen15_05b.json.gz")
    trace = kineto.load(path, tables=frozenset({"memory"}))
    table = trace.table("memory")
    on_gpu = table.columns["device_type"] == 1
    result = memory.memory(trace)
    (gpu,) = [d for d in result.rows if d.memory == "CUDA 0"]
    assert gpu.allocated_peak == table.columns["allocated"][on_gpu].max()
    assert gpu.events == on_gpu.sum() == 2250
    ops = {p.op for p in result.largest}
    assert {"aten::mm", "aten::silu", "aten::mul"} <= ops
    # the host held 16 bytes beside it: no curve
    assert [c.title for c in memory.charts(result)] == ["Memory over time: CUDA 0"]
