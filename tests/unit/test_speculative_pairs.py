"""Pairs of our models: the target's text whoever drafts, and what a capture says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.model_samples import run
from tests.unit.test_speculative import VOCAB, Unmarked, decoder
from tracekit.answers.stages import Stages
from tracekit.capture import plan as planning
from tracekit.capture import run as capturing
from tracekit.datasets import opening
from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.models.speculative import loop, vocabulary
from tracekit.models.speculative.entry import Asked, Built, alone, pair
from tracekit.models.speculative.track import Track
from tracekit.models.speculative.translated import TranslatedDraft
from tracekit.results import catalog
from tracekit.taxonomy import ACCEPT, DRAFT_STEP, ROLL_BACK, ROUND, VERIFY, Stage
from tracekit.trace import kineto

OURS = ("onellm", "llasa", "eventgpt")
PAIRS = [(target, draft) for target in OURS for draft in (*OURS, "ngram", "hf")]
GAMMAS, CACHES, BATCHES = cycle(range(1, 7)), cycle(["dynamic", "static"]), cycle([1, 1, 2])
CASES = [(*one, next(GAMMAS), next(CACHES), next(BATCHES)) for one in [*PAIRS, ("hf", "ngram")]]
MOST = 9


class Untimed(Unmarked):
    """Stages and parts that nobody times."""

    def stage(self, _stage: Stage) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A language model of transformers, without a tokenizer of its own: hf:FOLDER."""
    import transformers

    folder = tmp_path_factory.mktemp("language")
    shape = {"vocab_size": 400, "hidden_size": 16, "intermediate_size": 32}
    config: Any = transformers.LlamaConfig(
        **shape, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=256,
    )  # fmt: skip
    config.save_pretrained(folder)
    return f"hf:{folder}"


@cache
def sample(kind: Any, also: Any = ()) -> Sample:
    return next(opening.open_samples("synthetic", kind=kind, also=also, limit=1))


@pytest.mark.parametrize(("target", "draft", "gamma", "kept", "rows"), CASES)
def test_greedy_text_is_the_targets_own(
    target: str, draft: str, gamma: int, kept: str, rows: int, library: str
) -> None:
    names = {name: name for name in (*OURS, "ngram")} | {"hf": library}
    asked, built = Asked(draft=names[draft], target=names[target], gamma=gamma), Built()
    model = pair(asked, built)
    options = BuildOptions(
        size=next(iter(reversed(model.sizes))), max_new_tokens=MOST, cache=kept,  # type: ignore[arg-type]
        batch_size=rows, extra={"ignore_eos": True}, seed=gamma,
    )  # fmt: skip
    with torch.inference_mode():
        one = sample(model.input, model.also)
        made = model.build(options).request(one, Untimed())
        own = run(alone(asked, built).build(options), one)
    assert made.ids == [ids[:MOST] for ids in own.ids]
    assert len(built.adapters) == (1 if draft == "ngram" else 2)  # the target is not built twice
    assert all(0 <= turn.accepted <= turn.judged <= turn.drafted for turn in made.rounds)
    assert sum(turn.made for turn in made.rounds) == rows * (MOST - 1)


def test_a_capture_marks_and_says_every_round(tmp_path: Path) -> None:
    asked = Asked(draft="eventgpt", target="onellm", gamma=3)
    plan = planning.plan(
        asked.name, model=pair(asked), size="tiny", samples=1, warmup=0, max_new_tokens=6
    )
    captured = capturing.capture(plan, tmp_path / "pair.json")
    said = json.loads((tmp_path / "pair.json").read_text())
    facts, [request] = said["tracekit"]["speculative"], captured.metadata["speculative"]["requests"]
    assert (facts["draft"], facts["target"], facts["gamma"]) == ("eventgpt", "onellm", 3)
    assert request["same_as_target"] is True
    assert request["alone"]["tokens"] == 6
    assert list(request["draft_stages"]) == ["load", "preprocess", "encode", "prefill"]
    made = [one["made"] for one in request["rounds"]]
    assert sum(made) == 5
    assert set(facts["models"]) == {"draft", "target"}
    assert all(one["cache_bytes"] > 0 for one in facts["models"].values())
    assert any("acceptance means nothing" in note for note in said["tracekit"]["notes"])
    marks = [e for e in said["traceEvents"] if e.get("cat") == "user_annotation"]
    names = [e["name"] for e in marks]
    for number, one in enumerate(request["rounds"]):
        [around] = [e for e in marks if e["name"] == f"{ROUND}{number}"]
        end = around["ts"] + around["dur"]
        inside = [e["name"] for e in marks if around["ts"] <= e["ts"] and e["ts"] + e["dur"] <= end]
        steps = [f"{DRAFT_STEP}{k}" for k in range(one["drafted"])]
        assert inside == [f"{ROUND}{number}", *steps, VERIFY, ACCEPT, ROLL_BACK]
    for stage in (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL):
        assert names.count(stage.draft_marker) == 1
    found = catalog.ask(kineto.load(tmp_path / "pair.json"), Stages)
    assert found is not None
    assert [one.family for one in found.stages] == [stage.value for stage in Stage]


# ---------------------------------------------------------------- vocabularies


@dataclass
class Spelt:
    """A tokenizer of the letters of a text, or of two of them at once."""

    known: list[str]
    control: frozenset[int] = frozenset({0})
    about: str = "spelt"

    def pieces(self) -> list[str] | None:
        return self.known

    def added(self) -> frozenset[int]:
        return self.control

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        ids = [0] if bos else []
        while text:
            found = max((p for p in self.known if p and text.startswith(p)), key=len)
            ids.append(self.known.index(found))
            text = text[len(found) :]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.known[i] for i in ids if i not in self.control)


LETTERS = ["<s>", *"abcdefghijklmnopqrstuvw"]  # as many ids as the tiny models have
PAIRED = ["<s>", *"wvutsrqponmlkjihgfedcba"[:20], "ab", "cd", "a"]


def test_what_one_model_adds_is_masked_and_other_tokenizers_are_refused() -> None:
    more = Spelt([*LETTERS, "<ev_start>"], frozenset({0, len(LETTERS)}))
    found = vocabulary.shared(more, len(LETTERS) + 1, Spelt(LETTERS), len(LETTERS))
    assert (found.masked, found.allowed[-1], all(found.allowed[:-1])) == (1, False, True)
    own = Spelt([*LETTERS[:-1], "<image>"], frozenset({0, len(LETTERS) - 1}))
    assert vocabulary.shared(own, len(LETTERS), Spelt(LETTERS), len(LETTERS)).masked == 1
    with pytest.raises(TracekitError, match="id 1 is 'w' to the draft, 'a' to the target"):
        vocabulary.shared(Spelt(PAIRED), len(PAIRED), Spelt(LETTERS), len(LETTERS))


def test_a_draft_with_other_tokens_drafts_through_text() -> None:
    assert len(LETTERS) == VOCAB
    target, draft = decoder(), decoder(noise=0.3)
    rule = loop.Rule(gamma=3, most=20, eos=frozenset())
    prompt = torch.tensor([[1, 5, 9, 7]])
    plain = decoder()
    own = plain.prefill(ids=prompt)
    while len(own.ids[0]) < rule.most:
        plain.decode(own)
    said = Spelt(LETTERS, frozenset())
    for words in (Spelt(PAIRED), Spelt(LETTERS)):
        request, theirs = target.prefill(ids=prompt), draft.prefill(ids=prompt)
        text = loop.Text([list(request.ids[0])], [False])
        drafter = TranslatedDraft(Track(draft, theirs), words, said, VOCAB)
        loop.run(Track(target, request), drafter, text, request.next, rule, Unmarked())
        assert text.ids == own.ids
        assert drafter.cost.drafted >= drafter.cost.proposed > 0


def test_what_no_pair_can_be_is_said_in_one_line(library: str) -> None:
    with pytest.raises(TracekitError, match="generates no text"):
        pair(Asked(draft="imu2clip", target="onellm"))
    with pytest.raises(TracekitError, match="must be at least 1"):
        pair(Asked(draft="ngram", target="onellm", gamma=0))
    model = pair(Asked(draft="llasa", target="onellm"))
    with pytest.raises(TracekitError, match="not compiled"):
        model.build(BuildOptions(compile=True))
    with pytest.raises(TracekitError, match="text is translated for one row"):
        pair(Asked(draft="llasa", target="onellm", translate=True)).build(
            BuildOptions(batch_size=2)
        )
    assert set(model.sizes) == {"full", "tiny"}
    assert set(pair(Asked(draft=library, target="onellm")).sizes) == {"full", "tiny"}
    bare = replace(sample("imu"), also={})
    made = pair(Asked(draft="eventgpt", target="onellm")).build(BuildOptions())
    with pytest.raises(TracekitError, match="holds no events, which the draft reads"):
        made.request(bare, Untimed())
    assert model_entry.model("onellm").also == ()
