"""Prefill and decode of programs that mark nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tracekit.analyses.audit.analysis import audit

from tests.drawing import Slice, build
from tracekit.answers.stages import Stages
from tracekit.attribution.stages.inferred import passes
from tracekit.attribution.stages.instances import markers
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Table, Trace

SDPA = "aten::scaled_dot_product_attention"


def drawn(
    runs: Sequence[Sequence[int]],
    *,
    shapes: bool = False,
    cache: str = "aten::cat",
    draw: str = "aten::argmax",
    marks: Sequence[str] = (),
    extra: str = "",
    layer: str = SDPA,
    slower: int = 1,
) -> Trace:
    """Passes over so many queries each, of two layers, 10 ns an op; nothing marks them.

    What has several queries takes `slower` times as long.
    """
    slices: list[Slice] = []
    dims: list[tuple[int, str]] = []
    at = 0

    def op(name: str, times: int = 1) -> None:
        nonlocal at
        slices.append(Slice(at, 10 * times - 1, name, Cat.CPU_OP))
        at += 10 * times

    for run in runs:
        op("aten::ones")  # what generate() does before
        for queries in run:
            op("aten::embedding")
            if queries > 2:
                op("aten::triu")  # a mask, which one query does not need
            for _ in range(2):
                op("aten::linear", slower if queries > 1 else 1)
                op(cache)
                dims.append((at, f"[[1, 4, {queries}, 8], [1, 4, 99, 8]]"))
                op(layer, slower if queries > 1 else 1)
            op("aten::linear")
            op(draw)
            op("aten::eq")  # is this the end?
    if extra:
        op(extra)
    slices += [Slice(0, at, name, Cat.ANNOTATION) for name in marks]
    trace = build(slices)
    if not shapes:
        return trace
    rows = {int(ts): i for i, (ts, cat) in enumerate(zip(trace.ts, trace.cat, strict=True))
            if cat == Cat.CPU_OP}  # fmt: skip
    return with_shapes(trace, {rows[ts]: text for ts, text in dims})


def with_shapes(trace: Trace, text: dict[int, str]) -> Trace:
    import numpy as np

    from tracekit.records import replace

    strings = tuple(dict.fromkeys(text.values()))
    ids = trace.id[np.array(sorted(text))]
    dims = np.array([strings.index(text[row]) for row in sorted(text)], np.int32)
    none = np.full(len(dims), -1, np.int32)
    table = Table(ids, {"dims": dims, "types": none, "concrete": none, "strides": none}, strings)
    return replace(trace, tables={**trace.tables, "shapes": table})


def said(trace: Trace) -> list[str]:
    return list(markers(trace).stage)


def test_a_generation_is_a_prefill_and_its_decode_steps() -> None:
    trace = drawn([[7, 1, 1, 1], [5, 1, 1, 1, 1]])
    assert said(trace) == ["prefill", *["decode"] * 3, "prefill", *["decode"] * 4]
    marks = markers(trace)
    assert marks.chosen == "inferred"
    # a step: from the look-up of its token to the drawing of the next
    first = int(marks.start[1])
    assert [trace.strings[n] for n in trace.name[trace.ts == first]] == ["aten::embedding"]
    assert int(marks.end[1]) - first == 9 * 10 - 1  # nine ops
    rows = [r for r in audit(trace).rows if r.check == "inferred_steps"]
    assert rows[0].what == (
        "Nothing marks a stage: 2 prefills and 7 decode steps are inferred from the repetition of "
        "2 layers and from what draws a token."
    )
    found = catalog.ask(trace, Stages)
    assert "inferred" in found.chosen


def test_shapes_tell_decode_where_the_prompt_was_read_before_the_trace_began() -> None:
    assert said(drawn([[1, 1, 1, 1]], shapes=True)) == ["decode"] * 4


def test_heads_that_are_folded_into_the_queries_of_one_token_do_not_hide_that_it_decodes() -> None:
    assert said(drawn([[7, 2, 2, 2]], shapes=True)) == ["prefill", *["decode"] * 3]
    assert passes(drawn([[7, 2, 2, 2]], shapes=True, cache="aten::mul")) is None
    with pytest.raises(MissingEventsError):
        markers(drawn([[1, 1, 1, 1]]))


@pytest.mark.parametrize("layer", [SDPA, "aten::softmax", "mamba_ssm::selective_scan_fwd"])
def test_short_passes_alike_after_a_long_one_decode_where_no_cache_is_seen(layer: str) -> None:
    trace = drawn([[7, 1, 1, 1], [5, 1, 1]], cache="aten::mul", layer=layer, slower=9)
    assert said(trace) == ["prefill", *["decode"] * 3, "prefill", *["decode"] * 2]
    assert passes(drawn([[1, 1, 7, 1, 1]], cache="aten::mul", layer=layer, slower=9)) is None


@pytest.mark.parametrize(
    "trace",
    [
        drawn([[7], [7], [7], [7], [7]]),  # an encoder in a loop: no pass is unlike the others
        drawn([[7], [7], [7], [7], [7]], shapes=True),
        drawn([[7, 1, 1, 1]], cache="aten::mul"),  # nothing keeps keys and values
        drawn([[7, 1, 1, 1]], draw="aten::relu"),  # no token is drawn
        drawn([[7, 1, 1]]),  # too few to call it a repetition
        drawn([[7, 1, 1, 1]], extra="autograd::engine::evaluate_function: MmBackward0"),
    ],
    ids=["encoder", "encoder with shapes", "no cache", "no token", "few", "training"],
)
def test_what_could_be_something_else_is_not_called_decode(trace: Trace) -> None:
    assert passes(trace) is None
    with pytest.raises(MissingEventsError):
        markers(trace)


def test_marks_of_the_program_come_first_and_profiler_steps_do_not_stand_in_the_way() -> None:
    assert markers(drawn([[7, 1, 1, 1]], marks=["answer"])).chosen == "user"
    assert markers(drawn([[7, 1, 1, 1]], marks=["ProfilerStep#3"])).chosen == "inferred"


def test_generate_of_transformers_is_found_as_it_is(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=3,
        num_attention_heads=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    ids = torch.randint(5, 40, (1, 9))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(2):
            model.generate(ids, max_new_tokens=6, min_new_tokens=6, do_sample=False, pad_token_id=0)
    path = tmp_path / "plain.json"
    profiler.export_chrome_trace(str(path))
    assert "tracekit::" not in json.dumps(json.loads(path.read_text())["traceEvents"][:50])
    trace = kineto.load(path)
    assert said(trace) == ["prefill", *["decode"] * 5] * 2
    found = passes(trace)
    assert found is not None
    assert found.layers == 3
