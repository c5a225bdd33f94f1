"""Speculative decoding: its text is the target's, its rounds are what a slow version makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.network import TINY, fill, llama
from tracekit.models.shared.sampling import distribution, draw
from tracekit.models.speculative import acceptance, loop
from tracekit.models.speculative.acceptance import Draft, Verdict
from tracekit.models.speculative.drafts import LookUp, ModelDraft
from tracekit.models.speculative.loop import Rule, Text
from tracekit.models.speculative.track import Track, check
from tracekit.models.speculative.vocabulary import Shared
from tracekit.records import replace

VOCAB = 24
SHAPE = {**TINY, "vocab_size": VOCAB, "hidden_size": 16, "intermediate_size": 32}
ROWS = torch.tensor([[1, 5, 9, 7], [1, 3, 3, 20], [1, 15, 2, 11]])  # prompts that differ


class Unmarked:
    """Parts that nobody times."""

    def part(self, _name: str) -> AbstractContextManager[None]:
        return nullcontext()


def decoder(noise: float = 0.0, vocab: int = VOCAB, layers: int = 2, **given: Any) -> Decoder:
    """A tiny LLaMA; with noise, one that often but not always agrees with it."""
    options = BuildOptions(**{"max_new_tokens": 40, "seed": 3, **given})
    shape = {**SHAPE, "vocab_size": vocab, "num_hidden_layers": layers}
    model = llama(shape)
    fill(model, options, None)
    torch.manual_seed(11)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(noise * value.std() * torch.randn_like(value) if value.ndim > 1 else 0)
        model.get_output_embeddings().weight.mul_(40)  # logits apart by more than rounding
    return Decoder(model, options, eos=[])


def speculated(target: Decoder, draft: Decoder, prompts: torch.Tensor, rule: Rule) -> Text:
    """The text of a request, by rounds."""
    request, other = target.prefill(ids=prompts), draft.prefill(ids=prompts)
    text = Text([[] for _ in prompts], [False] * len(prompts))
    for row, ids in enumerate(request.ids):
        text.append(row, ids, rule.most, rule.eos)
    drafter = ModelDraft(Track(draft, other), Shared([True] * VOCAB, VOCAB), rule)
    loop.run(Track(target, request), drafter, text, request.next, rule, Unmarked())
    return text


def next_token(model: Decoder, ids: Sequence[int]) -> int:
    """The most likely token behind ids, of one pass over all of them."""
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([ids]), use_cache=False).logits
    return int(logits[0, -1].argmax())


def slowly(
    target: Decoder, draft: Decoder, prompt: Sequence[int], rule: Rule
) -> tuple[list[int], list[tuple[int, int]]]:
    """(ids, (drafted, accepted) of each round) of one row, every token from the whole text anew."""
    ids, rounds = [next_token(target, prompt)], []
    while len(ids) < rule.most and ids[-1] not in rule.eos:
        count = min(rule.gamma, rule.most - len(ids) - 1)
        drafted: list[int] = []
        for _ in range(count):
            drafted.append(next_token(draft, [*prompt, *ids, *drafted]))
        stay = 0
        while (
            stay < count and next_token(target, [*prompt, *ids, *drafted[:stay]]) == drafted[stay]
        ):
            stay += 1
        own = next_token(target, [*prompt, *ids, *drafted[:stay]])
        rounds.append((count, stay))
        for token in [*drafted[:stay], own]:
            if ids[-1] not in rule.eos:
                ids.append(token)
    return ids, rounds


@pytest.mark.parametrize(("cache", "gamma"), [("dynamic", 1), ("static", 3), ("dynamic", 6)])
def test_rounds_are_those_of_a_version_without_caches(cache: str, gamma: int) -> None:
    target, draft = decoder(cache=cache), decoder(noise=0.25, cache=cache)
    rule = Rule(gamma=gamma, most=18, eos=frozenset())
    for prompt in ROWS[:2]:
        text = speculated(target, draft, prompt[None], rule)
        ids, rounds = slowly(target, draft, prompt.tolist(), rule)
        assert text.ids == [ids]
        assert [(one.drafted, one.accepted) for one in text.rounds] == rounds
        assert {stay for _, stay in rounds} > {0}  # some tokens stayed, and some did not
        assert any(stay < count for count, stay in rounds)
        assert all(one.judged == min(one.accepted + 1, one.drafted) for one in text.rounds)
        assert sum(one.made for one in text.rounds) == len(ids) - 1


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("end", [None, 15])
def test_rows_that_accept_different_numbers_are_each_as_if_alone(
    cache: str, end: int | None
) -> None:
    eos = frozenset() if end is None else frozenset({slowly_nth(end)})
    given = {"cache": cache, "batch_size": len(ROWS)}
    target, draft = decoder(**given), decoder(noise=0.25, **given)
    alone = decoder(), decoder(noise=0.25)
    for gamma in (2, 5):
        rule = Rule(gamma=gamma, most=24, eos=eos)
        text = speculated(target, draft, ROWS, rule)
        expected = [slowly(*alone, prompt.tolist(), rule) for prompt in ROWS]
        assert text.ids == [ids for ids, _ in expected]
        if end is not None:
            assert min(map(len, text.ids)) < rule.most
            continue
        accepted = [[stay for _, stay in rounds] for _, rounds in expected]
        assert len({tuple(row) for row in accepted}) == len(ROWS)  # they do differ
        # at its end a row alone drafts fewer; in a batch the one furthest from its end decides
        full = [sum(count == gamma for count, _ in rounds) for _, rounds in expected]
        whole = min(full)
        each = [sum(row[n] for row in accepted) for n in range(whole)]
        assert whole >= 2
        assert [one.accepted for one in text.rounds[:whole]] == each


def slowly_nth(n: int) -> int:
    """The n-th token of the first row."""
    ids, _ = slowly(
        decoder(), decoder(), ROWS[0].tolist(), Rule(gamma=1, most=n + 1, eos=frozenset())
    )
    return ids[n]


def test_ids_that_only_the_draft_has_are_never_proposed() -> None:
    target, draft = decoder(), decoder(vocab=VOCAB + 8)
    with torch.no_grad():  # the draft would choose nothing but its own
        draft.model.get_output_embeddings().weight[VOCAB:] *= 100
    rule = Rule(gamma=3, most=12, eos=frozenset())
    shared = Shared([n < VOCAB and n != 7 for n in range(VOCAB + 8)], VOCAB)
    for warmth in (0.0, 1.0):
        warm = replace(rule, temperature=warmth)
        request, other = target.prefill(ids=ROWS[:1]), draft.prefill(ids=ROWS[:1])
        drafter = ModelDraft(Track(draft, other), shared, warm)
        made = drafter.propose(Text([list(request.ids[0])], [False]), 3, Unmarked())
        assert all(shared.allowed[token] for token in made.tokens[0].tolist())
        if made.chances is not None:
            assert made.chances.shape == (1, 3, VOCAB)
            assert torch.allclose(made.chances.sum(-1), torch.ones(1, 3))
            assert made.chances[..., 7].abs().max() == 0


def test_look_up_proposes_what_followed_before() -> None:
    found = LookUp([4, 5, 6, 7, 8, -200, 5, 6, 9], VOCAB, "cpu")
    drafted = found.propose(Text([[1, 5, 6], [2], [8]], [False, False, False]), 3, Unmarked())
    assert drafted.counts.tolist() == [3, 0, 0]  # behind 8 stands the place of the sensor's tokens
    assert drafted.tokens[0].tolist() == [9, 1, 5]
    target = decoder(batch_size=3)
    rule = Rule(gamma=4, most=30, eos=frozenset())
    request = target.prefill(ids=ROWS)
    text = Text([list(ids) for ids in request.ids], [False] * 3)
    looked = LookUp(ROWS[0].tolist(), VOCAB, "cpu")
    loop.run(Track(target, request), looked, text, request.next, rule, Unmarked())
    plain = decoder(batch_size=3)
    state = plain.prefill(ids=ROWS)
    while len(state.ids[0]) < rule.most:
        plain.decode(state)
    assert text.ids == state.ids
    assert sum(one.accepted for one in text.rounds) > 0


def test_the_librarys_assisted_generation_gives_the_same_in_as_many_passes() -> None:
    target, draft = decoder(), decoder(noise=0.25)
    passes: list[int] = []
    target.model.register_forward_hook(lambda *_given: passes.append(1))
    said: Any = draft.model.generation_config
    said.num_assistant_tokens, said.num_assistant_tokens_schedule = 4, "constant"
    said.assistant_confidence_threshold = 0.0
    theirs = target.model.generate(
        ROWS[:1], max_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=None,
        assistant_model=draft.model,
    )[0, ROWS.shape[1] :].tolist()  # fmt: skip
    library = len(passes)
    text = speculated(target, draft, ROWS[:1], Rule(gamma=4, most=20, eos=frozenset()))
    assert text.ids == [theirs]
    assert len(passes) - library == library == len(text.rounds) + 1  # and the prefill


# ---------------------------------------------------------------- sampling

MANY = 60_000
P_LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, 0.5], [0.0, 0.3, 1.5, 0.2, -3.0],
                         [1.0, 1.0, -1.0, 0.0, 0.0]])  # fmt: skip
Q_LOGITS = torch.tensor([[0.0, 1.5, 1.0, -2.0, 0.5], [1.0, 0.0, 0.0, 0.0, 1.0]])
Judge = Callable[[torch.Tensor, Draft, float, float], Verdict]


def drawn(judge: Judge, temperature: float, top_p: float, sure: bool = False) -> float:
    """Total variation between the first two tokens that come out and the target's own chances.

    The chances of a place are those of its logits, whatever the token before: so 25 pairs have
    known chances. `sure`: the draft proposes its most likely token.
    """
    torch.manual_seed(1)
    q = distribution(Q_LOGITS, temperature, top_p)
    chances = q.expand(MANY, 2, 5)
    tokens = draw(chances.reshape(-1, 5)).view(MANY, 2)
    if sure:
        tokens = q.argmax(dim=-1).expand(MANY, 2).contiguous()
    draft = Draft(tokens, torch.full((MANY,), 2), None if sure else chances)
    found = judge(P_LOGITS.expand(MANY, 3, 5), draft, temperature, top_p)
    p = distribution(P_LOGITS, temperature, top_p)
    later = draw(p[1].expand(MANY, 5))  # of the next round, where this one ended at once
    first = torch.where(found.accepted >= 1, tokens[:, 0], found.token)
    own = torch.where(found.accepted == 1, found.token, later)
    second = torch.where(found.accepted >= 2, tokens[:, 1], own)
    seen = torch.bincount(first * 5 + second, minlength=25) / MANY
    return float((seen - (p[0][:, None] * p[1]).flatten()).abs().sum() / 2)


# of 25 cells and 60,000 draws the expected distance is below sqrt(25 / (2 pi 60000)) = 0.0081; by
# McDiarmid it exceeds that by 0.01 with a chance under exp(-2 * 60000 * 0.01**2) = 6e-6
BOUND = 0.0181


@pytest.mark.parametrize("sure", [False, True])
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8)])
def test_sampled_text_has_the_targets_distribution(
    temperature: float, top_p: float, sure: bool
) -> None:
    assert drawn(acceptance.judge, temperature, top_p, sure) < BOUND


def broken(keep_all: bool) -> Judge:
    """A rule that keeps every token, or replaces a refused one by p instead of by max(0, p - q)."""

    def judge(logits: torch.Tensor, draft: Draft, temperature: float, top_p: float) -> Verdict:
        found = acceptance.judge(logits, draft, temperature, top_p)
        p = distribution(logits.flatten(0, 1), temperature, top_p).view(logits.shape)
        accepted = draft.counts if keep_all else found.accepted
        behind = p.gather(1, accepted[:, None, None].expand(-1, 1, p.shape[2]))[:, 0]
        return Verdict(accepted, draw(behind))

    return judge


@pytest.mark.parametrize("keep_all", [True, False])
def test_a_broken_rule_of_acceptance_would_be_seen(keep_all: bool) -> None:
    assert drawn(broken(keep_all), 1.0, 1.0) > 3 * BOUND


def test_sampled_text_of_two_models_has_the_targets_distribution() -> None:
    rows, tokens = 20_000, 3
    given = {"vocab": 5, "layers": 1, "batch_size": rows, "max_new_tokens": 8}
    target, draft = decoder(**given), decoder(noise=0.5, **given)
    for one in (target, draft):
        with torch.no_grad():
            one.model.get_output_embeddings().weight.div_(12)
    prompt, warmth = torch.tensor([[1, 3, 2]]), 1.0
    rule = Rule(gamma=2, most=tokens, eos=frozenset(), temperature=warmth)
    torch.manual_seed(4)
    request, other = (one.prefill(ids=prompt.expand(rows, -1)) for one in (target, draft))
    first = draw(torch.softmax(request.logits, dim=-1))
    text = Text([[token] for token in first.tolist()], [False] * rows)
    drafter = ModelDraft(Track(draft, other), Shared([True] * 5, 5), rule)
    loop.run(Track(target, request), drafter, text, first, rule, Unmarked())
    made = sum(one.accepted for one in text.rounds) / sum(one.judged for one in text.rounds)
    assert 0.2 < made < 0.95
    seen = np.zeros((5,) * tokens)
    np.add.at(seen, tuple(np.array(text.ids).T), 1 / rows)
    # expected below sqrt(125 / (2 pi 20000)) = 0.0316, and 0.02 above it with a chance under 2e-7
    assert np.abs(seen - chances(target, prompt, tokens)).sum() / 2 < 0.0516
    uniform = np.full_like(seen, 1 / seen.size)
    assert np.abs(seen - uniform).sum() / 2 > 0.1  # and it is no flat one that all would have


def chances(model: Decoder, prompt: torch.Tensor, tokens: int) -> Any:
    """The chance of each continuation of so many tokens, [5, 5, …]."""
    out = np.zeros((5,) * tokens)
    every = torch.tensor(list(product(range(5), repeat=tokens)))
    ids = torch.cat([prompt.expand(len(every), -1), every], dim=1)
    with torch.no_grad():
        logits = model.model(input_ids=ids, use_cache=False).logits[:, prompt.shape[1] - 1 : -1]
    each = torch.softmax(logits.float(), dim=-1).gather(2, every[..., None])[..., 0].prod(dim=1)
    out[tuple(every.T.numpy())] = each.numpy()
    return out


def windowed(window: int, seed: int = 0, **given: Any) -> Decoder:
    """A tiny Mistral, whose attention sees so many tokens."""
    from transformers import MistralConfig, MistralForCausalLM

    shape = {name: SHAPE[name] for name in ("vocab_size", "hidden_size", "intermediate_size")}
    config = MistralConfig(**shape, num_hidden_layers=2, num_attention_heads=2,
                           num_key_value_heads=2, sliding_window=window)  # fmt: skip
    torch.manual_seed(3)
    model: Any = MistralForCausalLM(config)
    model.eval()
    torch.manual_seed(seed)
    with torch.no_grad():  # weights of which every window makes another text
        for name, value in model.named_parameters():
            if value.ndim > 1:
                value.mul_(20 if "embed" in name else 12)
                value.add_(0.2 * seed * value.std() * torch.randn_like(value))
    options = BuildOptions(**{"max_new_tokens": 40, "dtype": "float32", **given})
    return Decoder(model, options, eos=[])


@pytest.mark.parametrize("window", [3, 6, 30])
def test_windows_are_rolled_back_too(window: int) -> None:
    """Shorter than a round, longer than the prompt, and longer than the text."""
    from transformers import DynamicCache

    if not hasattr(DynamicCache(config=windowed(4).model.config).layers[0],
                   "activate_past_recording"):  # fmt: skip
        pytest.skip("this transformers cannot roll a window back")
    plain = windowed(window)
    own = plain.prefill(ids=ROWS[:1])
    while len(own.ids[0]) < 24:
        plain.decode(own)
    target = windowed(window)
    for gamma, draft in ((1, windowed(window, 1)), (4, windowed(5, 1)), (4, windowed(window))):
        rule = Rule(gamma=gamma, most=24, eos=frozenset())
        text = speculated(target, draft, ROWS[:1], rule)
        assert text.ids == own.ids
        assert sum(turn.accepted for turn in text.rounds) > 0
    assert max(len(set(ids)) for ids in own.ids) > 4  # no text of one token


def test_a_cache_that_cannot_be_rolled_back_is_refused() -> None:
    with pytest.raises(TracekitError, match="a static cache of it forgets"):
        check(windowed(4, cache="static"), "mistral")
    with pytest.raises(TracekitError, match="rows that accept different numbers"):
        check(windowed(4, batch_size=2), "mistral")
