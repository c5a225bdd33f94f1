"""What the name of a step says."""

import pytest

from tracekit.attribution.stages.annotation_names import (
    Phase,
    Writer,
    family,
    is_library,
    of_file,
    recognise,
    spoken,
)

FORMS = [
    ("tracekit::prefill", Writer.TRACEKIT, Phase.PREFILL, None, None),
    ("tracekit::decode_step#12", Writer.TRACEKIT, Phase.DECODE, None, None),
    ("execute_new_3_cached_0", Writer.VLLM, Phase.PREFILL, 3, 0),
    ("execute_new_0_cached_7", Writer.VLLM, Phase.DECODE, 0, 7),
    ("execute_new_1_cached_7", Writer.VLLM, Phase.MIXED, 1, 7),
    ("execute_context_2(77)_generation_0(0)", Writer.VLLM, Phase.PREFILL, 2, 0),
    ("execute_context_0(0)_generation_9(9)", Writer.VLLM, Phase.DECODE, 0, 9),
    ("execute_context_2(77_3001)_generation_9(9)", Writer.VLLM, Phase.MIXED, 2, 9),
    ("execute_context_0(0)_generation_0(0)", Writer.VLLM, Phase.IDLE, 0, 0),
    (
        "execute_8192_context_9(sq8155sk8430sqsq7475785sqsk7671310)"
        "_generation_37(sq37sk34489sqsq37sqsk34489)",
        Writer.VLLM,
        Phase.MIXED,
        9,
        37,
    ),
    ("step[EXTEND bs=15 toks=15360]", Writer.SGLANG, Phase.PREFILL, 15, 0),
    ("step[DECODE bs=32]", Writer.SGLANG, Phase.DECODE, 0, 32),
    ("step[decode bs=32 c_sq=1 g_sq=2 new=3]", Writer.SGLANG, Phase.DECODE, 0, 32),
    ("step[prefill bs=2 toks=9]", Writer.SGLANG, Phase.PREFILL, 2, 0),
    ("step[MIXED bs=4 toks=70]", Writer.SGLANG, Phase.MIXED, None, None),
    ("step[IDLE bs=0]", Writer.SGLANG, Phase.IDLE, None, None),
    ("step[TARGET_VERIFY bs=4]", Writer.SGLANG, Phase.VERIFY, None, None),
    ("step[DRAFT_EXTEND bs=4]", Writer.SGLANG, Phase.DRAFT, None, None),
    ("step[EAGLE_VERIFY bs=4 toks=16]", Writer.SGLANG, Phase.VERIFY, None, None),
    ("step[NGRAM_VERIFY bs=4]", Writer.SGLANG, Phase.VERIFY, None, None),
    ("step[EAGLE_DRAFT_EXTEND bs=4]", Writer.SGLANG, Phase.DRAFT, None, None),
    ("step[EAGLE_DRAFT bs=4]", Writer.SGLANG, Phase.DRAFT, None, None),
    ("step[PREBUILT bs=4]", Writer.SGLANG, Phase.IDLE, None, None),
    ("step[NOVEL bs=4]", Writer.SGLANG, None, None, None),
    ("capture_8_DECODE", Writer.VLLM, Phase.CAPTURE, None, None),
    ("capture_512_PIECEWISE", Writer.VLLM, Phase.CAPTURE, None, None),
    ("ProfilerStep#6", Writer.TORCH, None, None, None),
]


@pytest.mark.parametrize(("name", "writer", "phase", "prefill", "decode"), FORMS)
def test_each_form_is_read_as_its_engine_means_it(
    name: str, writer: Writer, phase: Phase | None, prefill: int | None, decode: int | None
) -> None:
    step = recognise(name)
    assert step is not None
    assert (step.writer, step.phase) == (writer, phase)
    assert (step.prefill_requests, step.decode_requests) == (prefill, decode)


def test_tokens_are_those_of_the_queries() -> None:
    step = recognise("execute_8192_context_9(sq8155sk8430sqsq1sqsk2)_generation_37(sq37sk3sqsq1)")
    assert step is not None
    assert (step.prefill_tokens, step.decode_tokens) == (8155, 37)
    step = recognise("execute_context_2(77_3001)_generation_0(0)")
    assert step is not None
    assert step.prefill_tokens == 77


@pytest.mark.parametrize("name", ["## forward ##", "tracekit::", "step", "execute_model", ""])
def test_other_names_are_not_guessed(name: str) -> None:
    assert recognise(name) is None
    assert family(name) == name


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("prefill", "prefill"), ("## Prefill ##", "prefill"), ("llm_prefill", "prefill"),
        ("PrefillStep", "prefill"), ("prefill_T512", "prefill"), ("decode_step_12", "decode"),
        ("Decode token 5", "decode"),
        ("generate/decode", "decode"), ("model.decoding", "decode"), ("LLMDecode", "decode"),
        ("run_decode(bs=4)", "decode"), ("decode next token", "decode"),
        ("prefill_chunk_2", "prefill"), ("chunked prefill", "prefill"),
        ("prefill (512 tokens)", "prefill"),
    ],
)  # fmt: skip
def test_prefill_and_decode_are_understood_in_a_programs_own_words(name: str, want: str) -> None:
    assert recognise(name) is None
    assert spoken(name) == family(name) == want


@pytest.mark.parametrize(
    "name",
    ["decoder", "batch_decode", "decode tokens", "image_decode", "DecodeBase64", "prefill+decode",
     "prefill decode", "step 3", "", "##", "decoder fp8 None", "not prefill",
     "decode_chunk", "decode len", "DecodeJPEG", "draft_prefill"],
)  # fmt: skip
def test_what_may_mean_something_else_keeps_its_name(name: str) -> None:
    assert spoken(name) is None
    assert family(name) == name


def test_a_file_may_be_one_stage() -> None:
    assert of_file("/a/1723-TP-0-EXTEND.trace.json.gz") is Phase.PREFILL
    assert of_file("1723-TP-0-DECODE.trace.json.gz") is Phase.DECODE
    assert of_file("decode.json.gz") is None


def test_regions_of_libraries_are_known() -> None:
    assert is_library("Optimizer.step#SGD.step")
    assert is_library("nccl:all_reduce")
    assert not is_library("## forward ##")
