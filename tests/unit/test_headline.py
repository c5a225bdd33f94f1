"""The first sentence of a page names the biggest thing in the trace, and is true of it."""

from __future__ import annotations

import re

import pytest

from tests import real
from tests.decoder import H100, Decoder
from tests.drawing import draw
from tests.program import Program
from tests.shown_numbers import texts
from tracekit.answers.findings import Findings
from tracekit.attribution.stages.nesting import Span, depths
from tracekit.report.one.headline import headline
from tracekit.results import engine

# what an expert says first of each, from the raw numbers: see the traces' own slices
SAID = {
    "tl_sglang_decode": "Decode step: 9.76 ms of kernels in a 10.5 ms window; weight GEMMs 59% at "
    "50% of memory bandwidth, attention 22%",
    "tl_h100_nsfw": "GPU idle for 83.8% of its 7.56 ms window: for 78.5% the host launches one "
    "short kernel after another",
    "tl_mi300_resnet_act_checkpoint": "Communication that no other kernel covers takes 64.3% of "
    "the 86.6 ms window, 55.6 ms, most in allreduce (6 calls)",
    "kin_resnet50_v100_2021_06_w0": "GPU idle for 39.4% of its 996 ms window: for 28.5% the host "
    "loads data",
    "tl_h100_qwen15_05b": "kernels take 45.4 ms: unfused elementwise and copy kernels 61%",
    "hta_negative_queue_a100": "525 ms of 1.23 s on the device are unaccounted for. Communication "
    "that no other kernel covers takes 26.2% of the 706 ms window, 185 ms, most in allreduce",
    "hta_mtia_inference": "Device busy, or waiting for events, for 95.7% of its 443 ms window; "
    "kernels take 424 ms (812 ms added up over streams): `event_wait` 43%",
    "hta_cuda_event_sync_multi_stream": "for 95.4% the host launches nothing, and the file does "
    "not show what it does",
    "hta_alexnet_a100": "[param|cuda] takes 43.4 s: for 98.1% of it the host sets up what runs for "
    "the first time",
    "tl_sglang_decode_capture": "Graph capture takes 33.6 ms on the host",
    "hta_cpu_only_full": "83% of it in collectives and no op, 14% in framework ops and copies",
    "tl_vllm_prefilldecode_piecewise": "expert GEMMs 79%",
}


@pytest.mark.parametrize("name", SAID)
def test_the_headline_says_what_an_expert_would_say_first(name: str) -> None:
    said = headline(real.answers(name))
    assert SAID[name] in said
    assert said.endswith(".")


@pytest.mark.parametrize("name", real.EVERY or ["none"])
def test_every_text_counts_in_grammar_and_in_the_fields_words(name: str) -> None:
    for text in texts(real.answers(name)):
        assert not ONE.search(text), text
        assert not OURS.search(text), text


# "1 activities"; names of the trace hold what they like, but no count before a plural
ONE = re.compile(
    r"(?<![\d.,#×x/+] )(?<![\d.,#×x/|+-])\b1 (?!(?:ms|ns|s|is|as|has|was|process|class|pass|bus)\b)"
    r"[a-z]+s\b(?! [\d.]+%)"
)
OURS = re.compile(r"\b(?:ledger|suspect|by launch|by clock|row cost|touches|fills|strips?)\b")


def test_one_of_everything_is_written_as_one() -> None:
    one = engine.of_trace(
        draw(
            """
            mark 1    pppppppppp
            host      .a........
            stream 7  ...AAA....
            """
        )
    )
    assert any("1 " in text for text in texts(one))
    for text in texts(one):
        assert not ONE.search(text), text


def test_a_busy_device_is_described_by_its_kernels() -> None:
    model = Decoder(gemm_ns=50_000)
    model.stage("prefill", [64])
    model.stage("decode", [1, 1])
    said = headline(engine.of_trace(model.trace(**H100)))
    first, second = said.split(". ")
    assert re.match(r"Decode step: [\d.]+ ms of kernels; weight GEMMs \d+% at <1% of memory", first)
    assert second.startswith("Prefill: ")
    assert "idle" not in said


def test_idle_time_leads_where_the_device_mostly_waits() -> None:
    said = headline(
        engine.of_trace(
            draw(
                """
                host      a.................b.................c
                stream 7  .A.................B.................C
                """,
                column_ns=50_000,
            )
        )
    )
    assert said.startswith("GPU idle for 91.9% of its 1.85 ms window: for ")
    assert "the host launches nothing, and the file does not show what it does" in said


def test_idle_time_is_work_of_the_host_only_where_some_is_recorded() -> None:
    picture = """
        op        xxxx{0}xxxx{0}xxxx
        host      .a................b................c..
        stream 7  ..A................B................C.
    """
    for seen, said in (("o" * 13, "other work between"), ("." * 13, "file does not show")):
        one = engine.of_trace(draw(picture.format(seen), {"o": "aten::sort"}, column_ns=50_000))
        assert said in headline(one)
        found = one.get(Findings)
        assert found is not None
        (row,) = [f for f in found.rows if f.kind == "host_work"]
        assert ("Nothing is recorded of what the host did in 1.30 ms" in row.what) == (
            seen[0] == "."
        )
        assert ("with_stack=True" in row.do) == (seen[0] == ".")


def test_a_wait_before_idle_time_is_not_said_to_last_through_it() -> None:
    """The host waits while the device works; what it does then holds the device up."""
    program = Program()
    for _ in range(12):
        with program.mark("step[DECODE bs=1]"):
            program.graph([("ampere_gemm", 30.0)] * 20)
            program.wait()
        program.op("schedule", 600)
    said = headline(engine.of_trace(program.trace()))
    assert "for 46.7% the host launches late, since it waited for the device before" in said


def test_one_kernel_is_said_to_be_one_kernel() -> None:
    one = engine.of_trace(draw("host a...\nstream 7 ..AA", {"A": "gemm"}))
    assert headline(one) == "One kernel of 2.00 µs, `gemm`, is all GPU work in the file."


def test_ops_that_hold_the_host_before_the_first_launch_are_named() -> None:
    one = engine.of_trace(
        draw(
            """
            mark      pppppppppppppppppppp
            op        .oooooooooooooaa....
            host      ...............a....
            stream 7  ................A...
            """,
            {"p": "ProfilerStep#1", "o": "aten::normal_", "a": "aten::add"},
        )
    )
    said = "framework ops and launches nothing yet (`aten::normal_`)"
    assert said in headline(one)


def test_shares_of_kernels_side_by_side_are_of_their_sum() -> None:
    one = engine.of_trace(
        draw(
            """
            host      ab..cd..
            stream 7  .AAA.CCC
            stream 8  ..BB..DD
            """,
            dict.fromkeys("AC", "one") | dict.fromkeys("BD", "two"),
        )
    )
    assert "kernels take 6.00 µs (10.0 µs added up over streams): `one` 60%" in headline(one)


def test_stages_inside_others_come_after_them_and_deeper() -> None:
    spans = [
        Span("step", 0, 100), Span("forward", 0, 40), Span("layer", 10, 20), Span("layer", 20, 30),
        Span("backward", 50, 90), Span("step", 100, 200), Span("forward", 110, 150),
        Span("after", 200, 210),
    ]  # fmt: skip
    assert depths(spans) == {"step": 0, "forward": 1, "layer": 2, "backward": 1, "after": 0}
    assert list(depths(spans)) == ["step", "forward", "layer", "backward", "after"]


def test_a_family_that_is_mostly_elsewhere_lies_in_none() -> None:
    spans = [Span("a", 0, 10), Span("b", 2, 4), Span("b", 20, 24), Span("b", 30, 34)]
    assert depths(spans) == {"a": 0, "b": 0}
