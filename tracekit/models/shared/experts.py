"""Weights of the routed experts of a mixture: how many there are, and how many a token chooses."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tracekit.attribution.roofline.decoder.config import CHOSEN, EXPERTS

_ROUTED = re.compile(r"Experts$|ExpertsMLP$|ExpertGLU$")  # classes; shared experts are plain MLPs


class Experts(NamedTuple):
    """The routed experts of all layers. `number` and `chosen` are None where not known."""

    parameters: int  # of all of them; 0: the model is dense
    number: int | None  # in a layer
    chosen: int | None  # of them, by each token


DENSE = Experts(0, None, None)


def routed(model: Any, config: Any) -> Experts:
    """The routed experts of a model of transformers, counted in its modules.

    Layers without experts (the first of DeepSeek, every second of Jamba) and shared experts have
    none of these modules, so what remains is read by every pass.
    """
    found = {
        name: sum(int(p.numel()) for p in module.parameters())
        for name, module in model.named_modules()
        if _ROUTED.search(type(module).__name__) or name.split(".")[-1] == "experts"
    }
    outer = [n for n in found if not any(n.startswith(f"{other}.") for other in found)]
    total = sum(found[name] for name in outer)
    if not total:
        return DENSE
    text = config.get_text_config(decoder=True)
    if getattr(text, "zero_expert_num", None):  # a token may choose experts without weights
        return Experts(total, None, None)
    number, chosen = _stated(text, EXPERTS), _stated(text, CHOSEN)
    if number is None or chosen is None or chosen > number:
        return Experts(total, None, None)
    return Experts(total, number, chosen)


def _stated(config: object, names: tuple[str, ...]) -> int | None:
    """The first of these that a configuration, or its part on the MLP, gives as a whole number."""
    for place in (config, getattr(config, "ffn_config", None)):
        for name in names:
            value = getattr(place, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None
