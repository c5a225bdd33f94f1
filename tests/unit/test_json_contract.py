"""docs/json.md is a promise: every key it names is there, and sums are what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import shared
from tests.drawing import draw
from tracekit.results import catalog, engine

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))


# keys of `requests[]`: engine steps have none, see test_a_request_has_its_latencies
REQUEST = {"ttft_ns", "ttft_without_load_ns", "tpot_ns", "end_to_end_ns", "tokens", "itl_ns"}


def keys(analysis: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", SECTIONS[analysis], re.M)


def answers(name: str, only: list[str] | None = None) -> dict[str, Any]:
    document = engine.to_json([engine.answers(shared("traces", name), only)])
    plain: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    assert plain["schema"] == "tracekit/1"
    assert set(plain["traces"][0]) >= {"path", "answers", "unanswered"}
    found: dict[str, Any] = plain["traces"][0]
    return found


CONFIG = {"config", "name", "used", "tp"}  # where a model is named: see test_model_config.py


@pytest.mark.parametrize("analysis", ["devices", "stages", "kernels"])
def test_every_promised_key_is_in_every_row(analysis: str) -> None:
    rows = answers("hta_nccl_ddp_a100.json.gz", [analysis])["answers"][analysis]["rows"]
    assert rows
    assert all(set(keys(analysis)) <= set(row) for row in rows)


@pytest.mark.parametrize("analysis", ["idle", "launches", "audit", "tokens", "roles"])
def test_the_other_keys_of_the_page_are_somewhere_in_the_answer(analysis: str) -> None:
    answer = answers("tl_sglang_decode.json.gz", [analysis])["answers"][analysis]
    text = json.dumps(answer)
    named = set(re.findall(r"`(\w+)(?:\[\])?`", SECTIONS[analysis]))
    only_elsewhere = {
        "tokens": REQUEST,
        "roles": {
            "words",
            "family",
            "known",
            "shape",
            "prefill_ns",
            "decode_ns",
            "call_ratio",
            "row_ratio",
            "GEMM",
            "GEMV",
            "recorded",
            "metadata",
            *CONFIG,
        },
        # values, not keys
        "audit": {"note", "degraded", "refused", "impossible_records", "merged_ranks"},
    }.get(analysis, set())
    assert {key for key in named - only_elsewhere if f'"{key}"' not in text} == set()


def test_a_request_has_its_latencies() -> None:
    trace = draw("mark llffdd", {"l": "tracekit::load", "f": "tracekit::prefill", "d": "x"})
    request = catalog.analysis("tokens").run(trace).to_json()["requests"][0]
    assert set(request) >= REQUEST


def test_with_gpu_events_clock_and_launched_add_up_and_host_is_null() -> None:
    for row in answers("hta_nccl_ddp_a100.json.gz", ["stages"])["answers"]["stages"]["rows"]:
        clock, own = row["clock"], row["launched"]
        assert set(clock) == {"kernel_ns", "memcpy_ns", "memset_ns", "idle_ns"}
        assert set(own) == {*clock, "count", "window_ns", "other_ns"}
        assert row["wall_ns"] == sum(clock.values())
        assert own["window_ns"] == sum(own[key] for key in (*clock, "other_ns"))
        assert row["host"] is None


def test_without_gpu_events_clock_and_launched_are_null_and_host_adds_up() -> None:
    one = answers("hta_cpu_only_full.json.gz")
    for row in one["answers"]["stages"]["rows"]:
        assert row["clock"] is None
        assert row["launched"] is None
        assert set(row["host"]) == {"op_ns", "copy_ns", "other_ns"}
        assert row["wall_ns"] == sum(row["host"].values())
    assert one["unanswered"]["devices"] == "no kernel events"
    assert not set(one["answers"]) & set(one["unanswered"])


def test_every_answer_but_the_audit_says_how_far_it_may_be_trusted() -> None:
    one = answers("tl_sglang_decode.json.gz")
    for name, answer in one["answers"].items():
        if name != "audit":
            assert answer["trust"]["verdict"] in ("trusted", "degraded", "refused")
