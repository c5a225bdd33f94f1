"""A model that a user names for a trace: a configuration of Hugging Face, or one that is listed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekit import extras
from tracekit.attribution.roofline.decoder import config
from tracekit.errors import UsageError
from tracekit.models import entry
from tracekit.trace.trace import GivenModel

_DTYPE = "bfloat16"  # in which models of this project run on a GPU unless told otherwise
_KEYS = {
    "layers": "num_hidden_layers", "hidden": "hidden_size", "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads", "head_dim": "head_dim", "intermediate": "intermediate_size",
    "vocab": "vocab_size",
}  # fmt: skip
_HF = "hf:"


def given(name: str | Path, tp: int | None = None) -> GivenModel:
    """The model of a `config.json`, of a folder that holds one, or of a name that is listed.

    `tp` is the number of ranks that share its weights; None: as the trace says.
    Raises: UsageError where there is none, or it lacks a size; MissingExtraError for a listed one
    without torch, which counts it.
    """
    if tp is not None and tp < 1:
        raise UsageError("is no number of ranks", where=f"tp {tp}", hint="1 or more")
    text = os.fspath(name)
    path = Path(text.removeprefix(_HF)).expanduser()
    found = config.read(path) if path.exists() else _listed(text)
    config.decoder(found, 1, where=text)  # a size that is not said is no trace's fault
    return GivenModel(text, found, tp)


def _listed(name: str) -> Mapping[str, Any]:
    """Sizes of a model of `tracekit models`, under the keys of a configuration."""
    if name not in entry.models():
        raise UsageError(
            "there is no such file, folder or model", where=name,
            hint=f"name a config.json, its folder, or one of {', '.join(entry.models())}",
        )  # fmt: skip
    about = entry.model(name).description
    extras.need("capture", "torch", where=name)
    llm = about.dims(_DTYPE).get("llm") if about is not None and about.dims is not None else None
    if not isinstance(llm, Mapping):
        raise UsageError("has no decoder", where=name, hint="its trace has no layers of one")
    return {"dtype": _DTYPE, **{key: llm[own] for own, key in _KEYS.items() if own in llm}}
