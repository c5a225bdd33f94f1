"""The device against the CPU of the same machine: the same weights, inputs and fed ids.

The CPU's numbers are the reference: tests hold them to those of each model's original code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.on_gpu.setup import PLAIN, PartError, Said, Setup

TOKENS = 24
FLOAT32 = 1e-4  # of the largest value of an output: TF32 is off, sums may be in another order
CLOSE = 0.02  # of the spread of the logits, in half precision: rounding to 8 bits, a few layers
AGREE = 0.8  # of the fed positions have the same best id then: leads of random weights are small
COSINE = 0.99  # of an encoder's vectors in half precision


def strict() -> None:
    """Products in float32 as they are written, not in TF32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


class Twin:
    """One tiny model twice: float32 on the CPU, and the same values on the device in `dtype`."""

    def __init__(self, setup: Setup, name: str, dtype: str) -> None:
        from tracekit.capture import plan as planning

        given = {**PLAIN, "size": "tiny", "extra": setup.takes(name), "max_new_tokens": TOKENS}
        self.name = name
        host = planning.plan(name, device="cpu", dtype="float32", **given)
        there = planning.plan(name, device=setup.device, dtype=dtype, **given)
        (self.sample,) = planning.feed(host, setup.work / name)[:1]
        self.host, self.device = planning.build(host), planning.build(there)
        ours, theirs = dict(networks(self.host)), dict(networks(self.device))
        for where, network in ours.items():
            theirs[where].load_state_dict(network.state_dict())

    def inputs(self, adapter: Any) -> Any:
        return adapter.preprocess(self.sample, adapter.load(self.sample))


def networks(adapter: Any) -> Iterator[tuple[str, Any]]:
    """Every network that an adapter holds, by where it is."""
    from torch import nn

    for name, value in vars(adapter).items():
        if isinstance(value, nn.Module):
            yield name, value
    if hasattr(adapter, "decoder"):
        yield "decoder.model", adapter.decoder.model


def outputs(twin: Twin, adapter: Any, ids: list[int] | None) -> tuple[dict[str, Any], list[int]]:
    """What each stage gives, as float32 on the host, and the ids generated (or fed)."""
    import torch

    made: dict[str, Any] = {}
    with torch.inference_mode():
        inputs = twin.inputs(adapter)
        tokens = adapter.encode(inputs)
        made["encode"] = tokens
        if not hasattr(adapter, "prefill"):
            return {"encode": tokens.float().cpu()}, []
        state = adapter.prefill(inputs, tokens)
        made["prefill"] = state.logits
        if ids is None:
            while not state.finished:
                state = adapter.decode(state)
            ids = list(state.ids[0])
            state = adapter.prefill(inputs, tokens)
        fed = torch.tensor([ids[:-1]]).to(state.next.device)
        made["decode"] = adapter.decoder.feed(state, fed)
    return {name: value.float().cpu() for name, value in made.items()}, ids


def float32(setup: Setup, name: str, said: Said) -> None:
    """Every stage within the tolerance, and the same ids.

    Raises: PartError.
    """
    twin = Twin(setup, name, "float32")
    wanted, ids = outputs(twin, twin.host, None)
    got, own = outputs(twin, twin.device, None)
    worst = {}
    for stage, value in wanted.items():
        scale = float(value.abs().max())
        error = float((got[stage] - value).abs().max())
        worst[stage] = error / scale
    said.figures |= {"error_of_largest": worst, "allowed": FLOAT32, "ids": own}
    beyond = {stage: error for stage, error in worst.items() if not error <= FLOAT32}
    if beyond:
        raise PartError(f"beyond {FLOAT32:g} of the largest value: {beyond}")
    if ids != own:
        raise PartError(f"other ids: {own}, on the CPU {ids}")
    said.text = f"error {max(worst.values()):.1e} of the largest value (allowed {FLOAT32:g})"
    if ids:
        said.text += f", {len(ids)} of {len(ids)} ids"


def half(setup: Setup, name: str, dtype: str, said: Said) -> None:
    """In half precision the logits are near, and most fed positions have the same best id.

    Raises: PartError.
    """
    import torch

    twin = Twin(setup, name, dtype)
    wanted, ids = outputs(twin, twin.host, None)
    got, _ = outputs(twin, twin.device, ids or None)
    one, two = wanted["encode"].flatten(), got["encode"].flatten()
    cosine = float(torch.nn.functional.cosine_similarity(one, two, dim=0))
    said.figures["cosine_of_encode"] = cosine
    if not cosine >= COSINE:
        raise PartError(f"{dtype}: encode's cosine with float32 is {cosine:.4f}, below {COSINE}")
    said.text = f"encode's cosine with float32 {cosine:.5f}"
    if not ids:
        return
    logits, ours = wanted["decode"][0], got["decode"][0]
    same = logits.argmax(-1) == ours.argmax(-1)
    error = float((ours - logits).abs().max() / (logits.max() - logits.min()))
    agreed = float(same.float().mean())
    said.figures |= {"agreed": agreed, "positions": len(same), "error_of_spread": error}
    found = f"{int(same.sum())} of {len(same)} best ids agree, "
    found += f"logits off by {error:.1%} of their spread"
    if not error <= CLOSE or agreed < AGREE:
        raise PartError(f"{dtype}: {found}; {AGREE:.0%} and {CLOSE:.0%} are allowed")
    said.text += f", {found} (allowed {CLOSE:.0%})"


def published(folder: Path, said: Said) -> None:
    """The goldens of the original code that lie in a folder, on this machine's CPU.

    Raises: PartError.
    """
    from tracekit.models.shared import golden

    wrong, count, files = [], 0, sorted(folder.glob("*.json"))
    for path in files:
        checks = golden.check(path)
        count += len(checks)
        wrong += [f"{path.stem} {check.name}" for check in checks if not check.passed]
    if wrong:
        raise PartError(f"{len(wrong)} of {count} outputs beyond tolerance: {', '.join(wrong[:5])}")
    said.text = f"{count} outputs of {len(files)} goldens within their tolerance"
