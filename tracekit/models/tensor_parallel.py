"""A language model's weights over several ranks, by the plan that transformers ships with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.errors import TracekitError

# the styles of a plan that torch has too; others are of mixtures of experts and packed weights
STYLES = ("colwise", "rowwise", "colwise_rep", "colwise_gather_output")
# a look-up reads a row a token: each rank keeps the whole table
WHOLE = ("embedding_rowwise", "replicate")


@dataclass(slots=True)
class Sharding:
    """Over how many ranks a model is divided, and what came of it."""

    ranks: int
    device: str  # the kind: cuda, cpu
    done: int = 0  # models that were divided
    why_not: str = ""  # of one that could not be

    def __call__(self, model: object) -> None:
        """Divides the linear layers of a causal model in place, unless its plan forbids it."""
        self.why_not = refusal(model, self.ranks)
        if not self.why_not:
            _divide(model, self.ranks, self.device)
            self.done += 1


def refusal(model: Any, ranks: int) -> str:
    """Why a model cannot be divided over so many ranks; empty where it can."""
    plan: Mapping[str, str] = getattr(model, "tp_plan", None) or {}
    kind = type(model).__name__
    if not any(style in STYLES for style in plan.values()):
        return f"{kind} has no plan for tensor parallelism"
    other = sorted({style for style in plan.values() if style not in (*STYLES, *WHOLE)})
    if other:
        return f"the plan of {kind} needs {', '.join(other)}"
    text = model.config.get_text_config(decoder=True)
    heads = int(text.num_attention_heads)
    for name, count in (
        ("attention heads", heads),
        ("key and value heads", int(getattr(text, "num_key_value_heads", None) or heads)),
    ):
        if count % ranks:
            return f"{count} {name} cannot be divided over {ranks} ranks"
    return ""


def _divide(model: Any, ranks: int, device: str) -> None:
    """Between layers activations are whole on each rank. Source: torch's tutorial."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    mesh = init_device_mesh(device, (ranks,))
    gathered = {"colwise_rep", "colwise_gather_output"}

    def style(name: str) -> Any:
        if name == "rowwise":
            return RowwiseParallel()
        return ColwiseParallel(output_layouts=Replicate()) if name in gathered else (
            ColwiseParallel()
        )  # fmt: skip

    plan = {path: style(name) for path, name in model.tp_plan.items() if name in STYLES}
    parallelize_module(model, mesh, plan)


def asked(sharding: Sharding, wanted: str, where: str) -> None:
    """Nothing where tensor parallelism was done, or not insisted on. Raises: TracekitError."""
    if wanted == "tensor" and not sharding.done:
        raise TracekitError(
            f"no tensor parallelism: {sharding.why_not or 'it has no language model of ours'}",
            where=where, hint="use --parallel data, or another number of ranks",
        )  # fmt: skip
