"""OneLLM's golden: every stage's output, both cache offsets, with and without IMU data."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

from tracekit.models.entry import BuildOptions
from tracekit.models.onellm.config import OneLLMConfig
from tracekit.models.onellm.model import Inputs, OneLLM, assembled, rotated
from tracekit.models.shared import checkpoints, tokenizers
from tracekit.models.shared.decoder.decoder import decoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracekit.models.shared.golden import Golden


def adapter(case: Golden, cache_offset: str, steps: int) -> OneLLM:
    """OneLLM with the golden's configuration and weights."""
    known = {field.name for field in fields(OneLLMConfig)}
    config = OneLLMConfig(**{k: v for k, v in case.sidecar["config"].items() if k in known})
    weights = checkpoints.of_arrays(case.under("weights."))
    rotated(weights, config)
    options = BuildOptions(
        max_new_tokens=steps + 1,
        extra={"cache_offset": cache_offset, "ignore_eos": True},
    )
    return assembled(config, options, weights, tokenizers.WordPieces(config.vocab_size))


class Taps:
    """What passed through modules, by the name of an output."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def on(self, module: Any, name: str, pick: Callable[[Any, Any], Any]) -> None:
        """Keep `pick(inputs, output)` of a module's first call."""

        def keep(_module: object, given: object, out: object) -> None:
            self.seen.setdefault(name, pick(given, out).detach().clone())

        module.register_forward_hook(keep)


def _taps(model: OneLLM, kept: int) -> Taps:
    taps, net = Taps(), model.encoder
    modules = {
        "out.conv1": net.conv1["imu"],
        "out.clip_ln_pre": net.clip["visual"].ln_pre,
        "out.clip_ln_post": net.clip["visual"].ln_post,
        "out.clip_proj1": net.clip_proj1["imu"],
        "out.router_logits": net.routers["imu"],
        "out.image_tokens": net.clip_proj2["imu"],
        "out.prefill_final_norm": model.decoder.model.model.norm,
    }
    for name, module in modules.items():
        taps.on(module, name, lambda _given, out: out)
    for number, expert in enumerate(net.resample_layers):
        taps.on(expert, f"out.expert{number}_last", lambda _given, out: out[:, :kept])
    taps.on(net.clip_proj2["imu"], "out.upm_before_proj2", lambda given, _out: given[0])
    first = model.decoder.model.model.layers[0]
    taps.on(first, "out.prefill_h0", lambda given, _out: given[0])
    return taps


GOLDENS = ("OneLLM (IMU path)",)


@torch.no_grad()
def golden(case: Golden) -> dict[str, object]:
    """Our outputs by the golden's names."""
    steps = int(case.sidecar["decode_steps"])
    given = {name: torch.from_numpy(value) for name, value in case.under("in.").items()}
    out: dict[str, Any] = {}
    for label, offset in (("out", "published"), ("out_offset32", "corrected")):
        model = adapter(case, offset, steps)
        inputs = Inputs(imu=given["imu"], ids=given["prompt_ids"], prompt="")
        taps = _taps(model, int(case.sidecar["config"]["n_resample_tokens"]))
        tokens = model.encode(inputs)
        state = model.prefill(inputs, tokens)
        if label == "out":
            out |= taps.seen | {"out.prefill_logits": state.logits}
        out |= decoded(model.decoder, state, label, steps)
    state = model.prefill(inputs, None)
    out["out_textonly.prefill_logits"] = state.logits
    out |= decoded(model.decoder, state, "out_textonly", steps)
    fed = out["out_offset32.decode_ids"]
    embeds = torch.cat([taps.seen["out.prefill_h0"], model.decoder.embed(fed)], dim=1)
    whole = model.decoder.model(inputs_embeds=embeds, use_cache=False).logits[0]
    out["out.full_forward_logits_tail"] = whole[-(steps + 1) :]
    return {name: value.numpy() for name, value in out.items()}
