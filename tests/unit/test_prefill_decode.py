"""The first screen sets what costs most in prefill beside what costs most in decode."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from tracekit.analyses.kernels.first_screen import FIRST_SCREEN

from tests.decoder import H100, Decoder
from tests.drawing import draw
from tracekit.answers.kernels import Kernels
from tracekit.cli import terminal
from tracekit.report import text_tables
from tracekit.report.html.tables import html_table
from tracekit.report.one.overview import Finding, Overview, overview
from tracekit.results import engine
from tracekit.results.kernel_labels import readable
from tracekit.results.result import Column, Grid
from tracekit.trace.trace import Trace

NAMES = {"p": "tracekit::prefill", "d": "tracekit::decode", "a": "[red]mm", "b": "aten::add"}
HOST = """
    mark  ppppppppdddddd
    op    .aaaaa...bb.a.
"""
GPU = """
    mark      ppppdddd
    host      a...b...
    stream 7  .AAABBB.
"""


def screen(trace: Trace) -> Overview:
    return overview(engine.of_trace(trace))


def test_without_a_gpu_ops_are_set_side_by_side_and_never_called_kernels() -> None:
    (grid,) = screen(draw(HOST, NAMES)).opened
    assert [tuple(row[:2]) for row in grid.rows] == [("[red]mm", 5_000), ("", None)]
    assert [c.label for c in grid.columns if c.unit == "text"] == ["prefill: op", "decode: op"]
    assert "kernel" not in grid.title.lower()


def test_with_a_gpu_kernels_are_set_side_by_side() -> None:
    (grid,) = screen(draw(GPU, {"p": NAMES["p"], "d": NAMES["d"]})).opened
    assert grid.rows[0][0] == "A"
    assert "B" in grid.rows[0]


def test_a_sentence_says_what_each_phase_spends_its_time_on() -> None:
    said = screen(draw(HOST, NAMES)).limits
    assert [text.split(":")[0] for text in said] == ["Prefill", "Decode"]
    assert "outside any op" in said[1]


def test_markup_in_names_stays_text_in_the_terminal(tmp_path: Path) -> None:
    out = Console(file=io.StringIO(), width=160, force_terminal=False)
    terminal.overview(out, engine.of_trace(draw(HOST, NAMES), path="[bold]x.json"))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]mm" in text


def test_a_signature_reads_as_its_function_and_what_it_applies() -> None:
    name = (
        "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, "
        "std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<float>)"
    )
    assert readable(name) == "vectorized_elementwise_kernel: CUDAFunctor_add"
    assert readable("<script>alert(1)</script>") == "<script>alert(1)</script>"
    assert readable("aten::mm") == "aten::mm"


@pytest.mark.parametrize("width", range(50, 170, 6))
def test_a_number_is_whole_in_a_terminal_of_any_width_or_its_column_is_named(width: int) -> None:
    columns = (
        Column("stage"), Column("window", "ns"), Column("busy with other stages", "ns"),
        Column("memset", "ns"), Column("idle share", "share"), Column("unaccounted", "ns"),
    )  # fmt: skip
    rows = [("prefill", 1_250_000_000, 31_700_000, 0, 0.979, 463_251_758)]
    out = Console(file=io.StringIO(), width=width, force_terminal=False)
    text_tables.show(out, Grid("k", "Stages", columns, rows))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "zero in every row: memset" in text
    gone = text.split("no room for: ")[1] if "no room for" in text else ""
    for column, value in zip(columns, rows[0], strict=True):
        shown = column.show(value)
        assert value == 0 or column.label in gone or shown in text
    assert not gone or width < 60


def test_what_to_do_is_written_under_the_claim_and_not_under_its_number() -> None:
    out = Console(file=io.StringIO(), width=60, force_terminal=False)
    found = Finding(
        "A claim that takes more than one line of sixty.", "Saves at most 1 ms.", "Do it."
    )
    terminal.screen(out, "title", "", Overview(findings=(found,)))
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    at = next(i for i, line in enumerate(lines) if line.startswith("1. A claim"))
    assert all(line.startswith("   ") for line in lines[at + 1 : at + 3])
    assert lines[at + 2].strip() == "Do it."


def test_mangled_and_generated_names_read_as_the_function_and_what_tells_it_apart() -> None:
    assert readable("_ZN5aiter24add_rmsnorm_quant_kernelIDF16bLi256ELb1EEEvPT0_di") == (
        "add_rmsnorm_quant_kernel"
    )
    assert readable(
        "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_EE"
    ) == "act_and_mul_kernel: silu"  # fmt: skip
    assert readable("_ZN2ck6device12_GLOBAL__N_14gemmINS_8SequenceIJLi4ELi64EEEEEvi") == "gemm"
    assert readable("Cijk_Alik_Bljk_BBS_BH_Bias_HA_MT320x224x64_MI16x16x1_SN_WGSRA0_WG64_4_1") == (
        "Cijk_Alik_Bljk BBS MT320x224x64 WG64_4_1"
    )


@pytest.mark.parametrize(
    "odd", ["_Z", "_ZN", "_Z9999999999999999999a", "_Z0", "_ZNLi3E", "Cijk_", "9"]
)
def test_a_name_that_only_looks_mangled_stays_as_it_is(odd: str) -> None:
    assert readable(odd) == odd


def test_columns_of_nothing_but_zeros_are_named_not_shown() -> None:
    columns = (Column("stage"), Column("kernel", "ns"), Column("memset", "ns"))
    table = html_table("x", Grid("g", "", columns, [("a", 5, 0), ("b", 0, 0)]), 5)
    assert [head.label for head in table.heads] == ["stage", "kernel"]
    assert "Zero in every row: memset." in table.note


def test_the_sentences_say_how_near_the_roof_the_gemms_of_each_phase_came() -> None:
    model = Decoder()
    model.stage("prefill", [16])
    model.stage("decode", [1] * 4)
    said = screen(model.trace(**H100)).limits
    assert len(said) == 2
    assert re.search(r"its GEMMs at \d+% of peak FLOP/s", said[0])
    assert re.search(r"its GEMMs at \d+% of the memory bandwidth", said[1])


def test_a_table_of_stages_says_what_stages_inside_them_took() -> None:
    names = {"p": "prefill", "d": "decode", "q": "attention", "s": "sampling", "x": "log"}
    picture = """
        mark      pppppppppp.ddddddd
        mark      .qqqqq.......ss.x.
        host      a.b.....c..d.e..f.
        stream 7  .A.BBBBB.CC.D.E..F
    """
    trace = draw(picture, names)
    one = engine.of_trace(trace, ["kernels", "stages"])
    kernels = one.get(Kernels)
    assert kernels is not None
    (listed,) = FIRST_SCREEN.grids(kernels, one)
    shown = {row[0] for row in listed.grid.rows} | {row[3] for row in listed.grid.rows}
    assert shown == {"A", "C", "D", ""}
    assert listed.grid.note == (
        "7.00 µs of kernel time is not in this table: it belongs to stages inside prefill and "
        "decode (attention 5.00 µs, log 1.00 µs, sampling 1.00 µs), each for itself."
    )
    bare = engine.of_trace(draw("mark pppp\nhost a\nstream 7 .A", {"p": "prefill"}), ["kernels"])
    kernels = bare.get(Kernels)
    assert kernels is not None
    (listed,) = FIRST_SCREEN.grids(kernels, bare)
    assert listed.grid.note == ""
