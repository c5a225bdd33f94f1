"""OneLLM, LLaSA, transformers' models and a model from elsewhere: captured and analysed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tracekit.analyses.roles.analysis import roles
from tracekit.analyses.roles.names import IN_FRONT

from tests.unit.test_causal_lm import saved
from tests.unit.test_wrapped import FORK, example
from tracekit.capture import plan as planning
from tracekit.capture.profiling import Profiling
from tracekit.capture.run import Captured, capture
from tracekit.results import engine
from tracekit.taxonomy import Stage
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Table

STEPS = 4  # tokens asked for; the first is prefill's
KINDS = ("onellm", "llasa", "llama", "qwen2", "llava", "elsewhere")


def take(folder: Path, name: str, **given: Any) -> Captured:
    given = {"device": "cpu", "samples": 2, "warmup": 1, "max_new_tokens": STEPS, **given}
    return capture(planning.plan(name, **given), folder / "t.pt.trace.json.gz")


@pytest.fixture(scope="module", params=KINDS)
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    ignore = {"extra": {"ignore_eos": "true"}}
    if kind in ("onellm", "llasa"):
        return take(folder, kind, size="tiny", batch_size=2, **ignore)
    if kind != "elsewhere":
        (folder / "model").mkdir()
        return take(folder, f"hf:{saved(kind, folder / 'model')}", **ignore)
    with pytest.MonkeyPatch.context() as patch:
        (folder / "lab_fork.py").write_text(FORK)
        (folder / "lab_adapter.py").write_text(example())
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        return take(folder, "lab_adapter:ADAPTER")


def test_the_trace_has_the_stages_of_the_model_and_no_others(captured: Captured) -> None:
    marks = kineto.load(captured.path).of(Cat.ANNOTATION)
    found = {marks.text(row) for row in range(len(marks))}
    for stage in Stage:
        assert (stage.marker in found) == (stage in captured.stages)
    assert {f"tracekit::decode_step#{n}" for n in range(1, STEPS)} <= found
    assert captured.metadata["tokens"]["generated"] == [STEPS, STEPS]


def test_each_stage_is_split_and_adds_up(captured: Captured) -> None:
    found = engine.to_json([engine.answers(captured.path, only=["stages"])])
    (trace,) = found["traces"]
    rows = trace["answers"]["stages"]["rows"]
    assert {row["stage"] for row in rows} == {stage.value for stage in captured.stages}
    for row in rows:
        host = row["host"]
        assert host["op_ns"] + host["copy_ns"] + host["other_ns"] == row["wall_ns"] > 0
    assert {"prefill", "decode"} <= {row["stage"] for row in rows if row["host"]["op_ns"]}


def test_the_metadata_says_what_ran(captured: Captured) -> None:
    facts = captured.metadata
    assert json.loads(json.dumps(facts)) == facts
    assert sum(facts["parameters"].values()) > 0
    for unprofiled in facts["unprofiled"]["samples"]:
        assert set(unprofiled) >= {stage.value for stage in captured.stages}
    if facts["model"] in ("onellm", "llasa"):
        assert facts["tokens"]["prefill"] == facts["dims"]["prefill"]["tokens"]
        assert facts["random_weights"]
        assert facts["text"]


def test_each_layer_of_prefill_is_aligned_with_the_same_layer_of_decode(captured: Captured) -> None:
    done = engine.answers(captured.path, only=["roles"])
    if "adapter" in str(captured.metadata["model"]).lower():  # recurrent: it repeats no layer
        assert "no layer repeats" in done.unanswered["roles"]
        return
    found = done.answers["roles"].to_json()
    phases = {p["phase"]: p for p in found["phases"]}
    assert {(p["before"], p["after"]) for p in phases.values()} == {(3, 4)}
    layers = {name: p["layers"] / p["passes"] for name, p in phases.items()}
    assert layers["prefill"] == layers["decode"] >= 2
    for phase in phases.values():
        assert phase["aligned_ns"] > 0.95 * phase["total_ns"]
    assert {"query projection", "attention", "MLP down projection", "head"} <= {
        p["role"] for p in found["pairs"]
    }
    # transformers before 5.20 multiplies RoPE's frequencies by the positions: no weights
    gemms = [r for r in found["rows"] if r["category"] == "gemm" and r["role"] != IN_FRONT]
    assert found["shapes"] == "metadata"
    assert {row["phase"] for row in gemms if row["form"] == "GEMM"} >= {"prefill"}
    batch, tokens = captured.metadata["batch_size"], captured.metadata["tokens"]
    assert {row["rows"] / row["calls"] for row in gemms if row["phase"] == "decode"} == {batch}
    (down,) = [r for r in gemms if r["role"] == "MLP down projection" and r["phase"] == "prefill"]
    assert down["rows"] == layers["prefill"] * batch * sum(tokens["prefill_each"])


def test_rows_and_weights_by_the_dimensions_are_those_that_the_profiler_records(
    tmp_path: Path,
) -> None:
    made = planning.plan("llasa", size="tiny", device="cpu", samples=1, warmup=0, batch_size=2,
                         max_new_tokens=STEPS, extra={"ignore_eos": "true"})  # fmt: skip
    done = capture(made, tmp_path / "t.json.gz", profiling=Profiling(record_shapes=True))
    trace, blind = kineto.load(done.path), kineto.load(done.path)
    empty = blind.table("shapes").id[:0]
    blind.tables["shapes"] = Table(empty, dict.fromkeys(("dims", "types", "concrete"), empty))
    recorded, stated = roles(trace), roles(blind)
    assert (recorded.shapes, stated.shapes) == ("recorded", "metadata")
    fields = ("role", "phase", "calls", "form", "rows", "weights", "weight_bytes", "dtype", "flops",
              "bytes")  # fmt: skip

    def gemms(result: Any) -> list[tuple[object, ...]]:
        return [
            tuple(getattr(row, name) for name in fields)
            for row in result.rows
            if row.category == "gemm" and row.role != IN_FRONT
        ]

    assert gemms(recorded) == gemms(stated)
    assert len(gemms(stated)) == 16
