"""One capture by two processes, as torchrun starts them, over gloo on the CPU."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fresh import called
from tracekit.capture import ranks
from tracekit.capture.part import Part
from tracekit.capture.ranks import Job, World
from tracekit.errors import TracekitError, UsageError
from tracekit.models import tensor_parallel
from tracekit.models.tensor_parallel import Sharding

pytest.importorskip("torch")


def content(path: Path) -> dict[str, Any]:
    with gzip.open(path) as text:
        whole: dict[str, Any] = json.load(text)
    return whole


def test_two_ranks_write_one_folder_and_make_the_text_of_one(tmp_path: Path) -> None:
    words = "--size tiny --samples 1 --warmup 0 --max-new-tokens 3 --device cpu -o job"
    ran = called("tests.integration.two_ranks:capture", str(tmp_path), "llasa", words.split())
    assert ran["codes"] == [0, 0], ran["said"]
    assert "2 ranks, the weights of the LLM divided" in ran["said"][0]
    assert "Traces: job" in ran["said"][0]
    assert "Traces" not in ran["said"][1]  # one speaks for all
    both = [content(tmp_path / "job" / f"rank{rank}.pt.trace.json.gz") for rank in (0, 1)]
    assert len(list((tmp_path / "job").iterdir())) == 2
    for rank, whole in enumerate(both):
        said = whole["tracekit"]
        assert (said["rank"], said["world_size"], said["parallel"]["kind"]) == (rank, 2, "tensor")
        spread = whole["distributedInfo"]
        assert (spread["rank"], spread["world_size"]) == (rank, 2)
        # bounds of the whole model's weights are not those of a rank
        assert "llm" not in said["dims"]
        names = [event.get("name") for event in whole["traceEvents"]]
        # by layer an all-reduce after attention and one after the MLP, of 3 tokens
        assert names.count("_c10d_functional::all_reduce") == 3 * 2 * 3
    assert both[0]["tracekit"]["text"] == both[1]["tracekit"]["text"] == [ran["alone"]]


def test_data_parallel_ranks_take_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    def part(rank: int, wanted: str = "auto", why_not: str = "no plan") -> Part:
        job = Job(World(rank, 3, rank), None)
        return Part(job, wanted, Sharding(3, "cpu", why_not=why_not), "model")

    assert [part(rank).share([0, 1, 2, 3]) for rank in range(3)] == [[0, 3], [1], [2]]
    with pytest.raises(UsageError, match="fewer than the 3 ranks"):
        part(0).share([0, 1])
    with pytest.raises(TracekitError, match="no tensor parallelism: no plan"):
        part(0, "tensor").share([0, 1, 2])
    facts: dict[str, Any] = {"dims": {"llm": {}}}
    part(2).tell(facts)
    assert (facts["rank"], facts["parallel"]) == (2, {"kind": "data", "why": "no plan"})
    monkeypatch.setenv("RANK", "1")
    assert ranks.world() is None  # another program's
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert ranks.world() == World(1, 2, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert ranks.world() is None


def test_what_cannot_be_divided_says_why() -> None:
    def model(heads: int, pairs: int, *styles: str) -> SimpleNamespace:
        text = SimpleNamespace(num_attention_heads=heads, num_key_value_heads=pairs)
        config = SimpleNamespace(get_text_config=lambda decoder: text)
        return SimpleNamespace(tp_plan=dict(zip("abcdef", styles, strict=False)), config=config)

    llama = ("colwise", "rowwise", "colwise_gather_output", "embedding_rowwise")
    assert tensor_parallel.refusal(model(6, 2, *llama), 2) == ""
    assert "6 attention heads cannot be divided over 4" in (
        tensor_parallel.refusal(model(6, 2, *llama), 4)
    )
    assert "2 key and value heads" in tensor_parallel.refusal(model(6, 2, *llama), 3)
    mixture = model(6, 2, *llama, "moe_experts")
    assert tensor_parallel.refusal(mixture, 2).endswith("needs moe_experts")
    assert "has no plan" in tensor_parallel.refusal(model(6, 2), 2)


def test_a_folder_of_others_is_not_written_into(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several ranks write a folder"):
        ranks.check(tmp_path / "trace.json.gz", force=False)
    ranks.check(tmp_path / "new", force=False)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(TracekitError, match=r"holds mine\.txt"):
        ranks.check(tmp_path, force=False)
    ranks.check(tmp_path, force=True)
    (tmp_path / "mine.txt").unlink()
    earlier = tmp_path / "rank3.pt.trace.json.gz"
    earlier.write_bytes(gzip.compress(b'{"tracekit":{"schema":"tracekit-capture/1"}}'))
    ranks.check(tmp_path, force=False)
    assert ranks.traces_of(tmp_path) == [earlier]
