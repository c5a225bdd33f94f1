"""LLaSA's goldens: prompt ids, every stage's output, cached and uncached decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tracekit.models.entry import BuildOptions
from tracekit.models.limu_bert.net import LimuConfig
from tracekit.models.llasa.model import CONTROLS, Inputs, LlasaConfig, assembled
from tracekit.models.shared import checkpoints, prompts, tokenizers
from tracekit.models.shared.decoder.decoder import decoded

if TYPE_CHECKING:
    from tracekit.models.shared.golden import Golden


GOLDENS = ("LLaSA (LLaVA fork with LIMU-BERT tower)",)


@torch.no_grad()
def golden(case: Golden) -> dict[str, object]:
    """Our outputs by the golden's names."""
    steps = int(case.sidecar["decode_steps"])
    config = LlasaConfig(
        llm=case.sidecar["config"]["llm"],
        tower=LimuConfig(**case.sidecar["config"]["limu"]),
        most_prompt=2048,
        published=False,
    )
    tokenizer = tokenizers.SentencePiece(
        case.neighbour("tiny_llama_like_sp.model"), special=CONTROLS
    )
    options = BuildOptions(max_new_tokens=steps + 1, extra={"ignore_eos": True})
    weights = checkpoints.of_arrays(case.under("weights."))
    model = assembled(config, options, weights, tokenizer)
    given = {name: torch.from_numpy(value) for name, value in case.under("in.").items()}

    form = prompts.template("llasa", case.sidecar["config"]["conv"])
    ids = prompts.ids(form, tokenizer, [case.sidecar["question"]])
    expected = given["input_ids"][0].tolist()
    out: dict[str, Any] = {"prompt.ids": True if ids == expected else f"got {ids}"}

    at = expected.index(tokenizers.MARKER)
    inputs = Inputs(imu=given["imu"], ids=given["input_ids"], at=at, prompt="")
    out["out.limu_bert"] = model.tower(given["imu"])
    out["out.projected"] = tokens = model.encode(inputs)
    out["out.inputs_embeds"] = embeds = model.embeds(inputs, tokens)
    whole = model.decoder.model.model(inputs_embeds=embeds, use_cache=False)
    out["out.prefill_last_hidden"] = whole.last_hidden_state[:, -1]
    state = model.prefill(inputs, tokens)
    out["out.prefill_logits"] = state.logits
    out |= decoded(model.decoder, state, "out", steps)
    out["out.generate_ids"] = torch.tensor(state.ids)
    fed = torch.cat([embeds, model.decoder.embed(out["out.decode_ids"])], dim=1)
    uncached = model.decoder.model(inputs_embeds=fed, use_cache=False).logits[0]
    out["out.full_forward_logits_tail"] = uncached[-(steps + 1) :]
    text = Inputs(imu=None, ids=given["textonly_ids"], at=None, prompt="")
    out["out_textonly.prefill_logits"] = model.prefill(text, None).logits
    return {name: v.numpy() if isinstance(v, torch.Tensor) else v for name, v in out.items()}
