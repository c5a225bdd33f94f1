"""The first screen says what may be wrong with a number beside the number."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests import real
from tests.drawing import draw
from tests.integration.test_report import kineto
from tracekit.answers.findings import Finding, Findings, Saving
from tracekit.answers.stages import Split, Stages, spent
from tracekit.records import replace
from tracekit.report import traces
from tracekit.report.one.overview import overview, saving
from tracekit.results import engine
from tracekit.results.answers import Answers
from tracekit.results.figures import theme
from tracekit.taxonomy import FindingKind
from tracekit.trace.trace import Source

OURS = Path(__file__).parents[2] / "traces" / "sample-onellm-tiny-cpu.pt.trace.json.gz"


def test_suspect_time_is_in_no_share_and_stands_beside_them() -> None:
    view = overview(real.answers("tl_sglang_decode"))
    tiles = {tile.label: tile for tile in view.tiles}
    assert (tiles["GPU idle"].value, tiles["GPU idle"].sub) == ("6.9%", "725 µs")
    assert (tiles["Device window"].value, tiles["Device window"].level) == ("10.5 ms", "warn")
    assert "463 ms unaccounted for" in tiles["Device window"].sub
    assert "GPU idle for 6.9% of its 10.5 ms GPU window (463 ms unaccounted for" in view.limits[0]
    bars = {bar["name"]: bar["x"][0] for bar in view.charts[0].data}
    assert bars["idle in GPU window"] < 1_000
    assert not [name for name in bars if "suspect" in name]
    assert "unaccounted in GPU window" in [column.label for column in view.grids[0].columns]


def test_a_stage_is_said_by_its_own_window_and_its_own_kernels() -> None:
    """What a stage within launched is not all of the outer one's kernels; a small one says none."""
    picture = """
        mark      oooooooooooooooooooooooo{0}
        mark      .iiiiiiiiiiiiiiiiiiii...{0}
        host      .a..b..c..d..e..f..g.h..{1}
        stream 7  .A..B..C..D..E..F..G.H..{1}
    """
    names = {"o": "outer", "i": "inner", "H": "add_kernel", "m": "outer", "n": "other",
             **dict.fromkeys("ABCDEFG", "ampere_gemm")}  # fmt: skip
    view = overview(engine.of_trace(draw(picture.format("", ""), names)))
    assert view.limits == ("outer: GPU idle for 61.9% of its 21.0 µs GPU window.",)
    far = overview(engine.of_trace(draw(picture.format("", "." * 800 + "z"), names | {"Z": "k"})))
    assert far.limits == ()


def test_idle_time_that_is_not_suspect_is_stated_plainly() -> None:
    view = overview(real.answers("tl_h100_qwen15_05b"))
    tile = next(t for t in view.tiles if t.label == "GPU idle")
    assert (tile.value, tile.sub, tile.level) == ("8.1%", "4.01 ms", "")


@pytest.mark.parametrize("name", ["tl_sglang_decode", "hta_nccl_ddp_a100", "tl_mi300_nsfw"])
def test_the_parts_of_a_stage_add_up_to_its_whole(name: str) -> None:
    stages = real.answers(name).get(Stages)
    assert stages is not None
    for total in stages.totals:
        for split in (Split.CLOCK, Split.LAUNCHED):
            assert sum(total.parts(split).values()) == total.whole_ns(split)
            (cut,) = spent([total], split)
            assert sum(cut.values()) == total.whole_ns(split)


def test_a_damaged_file_is_not_said_to_be_of_the_cpu_alone(tmp_path: Path) -> None:
    whole = gzip.decompress(kineto(tmp_path / "a.json.gz").read_bytes())
    cut = tmp_path / "cut.json"
    cut.write_bytes(whole[: whole.index(b'"kernel"')])  # Kineto writes GPU events last
    text = traces.render([engine.answers(cut)])
    assert "GPU work may be in the part that is lost" in text
    assert "CPU events only" not in text
    assert "Captured without GPU" not in text


def test_a_stage_too_short_to_be_seen_gets_no_bar_and_the_title_counts_it() -> None:
    answers = real.answers("hta_cpu_only_full")
    (chart,) = overview(answers).charts
    assert chart.title.startswith("Where the time of each stage went: the longest 6 of 15: thinner")
    totals = [
        sum(x or 0 for x in column) for column in zip(*(t["x"] for t in chart.data), strict=True)
    ]
    assert min(totals) >= 0.005 * max(totals)
    ours = engine.answers(OURS)
    rows = overview(ours).charts[0].layout["yaxis"]["ticktext"]
    assert rows == ["load", "preprocess", "encode", "prefill", "decode"]  # however short


def test_a_finding_that_begins_with_the_name_of_an_op_keeps_its_letters() -> None:
    row = Finding(
        trace="a.json", kind=FindingKind.GEMM, stage=None, device=None,
        what="aten::mm 8×8 is slow", number=0.5, unit="share", saves_ns=5_000_000,
        saves_share=None, do="try other shapes", rests_on=("ops",), trust="trusted", why=(),
        numbers={},
    )  # fmt: skip
    one = Answers("a.json", Source("a.json"), {"findings": Findings((row,), ())})
    (found,) = overview(one).findings
    assert found.claim == "aten::mm 8×8 is slow."
    assert found.todo == "Try other shapes."
    assert found.saves == "Saves at most 5.00 ms."
    told = {
        (1_000_000, 900_000, 1_200_000):
            "Simulated, it saves 1.00 ms (900 µs to 1.20 ms); at most 5.00 ms.",
        (None, 900_000, 1_200_000): "Simulated, it saves 900 µs to 1.20 ms; at most 5.00 ms.",
        (5_000_000,) * 3: "Simulated, it saves 5.00 ms.",
        (0, 0, 900): "Simulated, it saves next to nothing alone; at most 5.00 ms.",
    }  # fmt: skip
    for ns, said in told.items():
        assert saving(replace(row, replayed=Saving(*ns), saves_at_most_ns=5_000_000)) == said


def test_a_trace_without_stages_calls_its_kernels_kernels() -> None:
    text = draw("""
        host      a...b...
        stream 7  .AAABBB.
    """)
    view = overview(engine.of_trace(text))
    (beside,) = view.opened
    assert beside.title == "Kernels that cost most"
    assert beside.columns[0].label == "kernel"


def test_what_has_no_category_never_has_the_colour_of_one() -> None:
    known = {
        mark.colour for name, mark in theme.MARKS.items() if name not in ("kernel", "op", "ops")
    }
    spare = [theme.mark("no such kind", place) for place in range(12)]
    assert not known & {mark.colour for mark in spare}
    assert len({(mark.colour, mark.hatch) for mark in spare}) == len(spare)
