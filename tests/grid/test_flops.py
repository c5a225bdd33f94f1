"""FLOPs and bytes that floors state, and torch's own count of a pass of each kind of layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.grid import made
from tests.grid.families import CAUSAL
from tests.grid.test_causal import PROMPT
from tests.unit.model_samples import text_sample
from tracekit.attribution.roofline import model_bounds
from tracekit.attribution.roofline.model_bounds import Llm, Need
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions

# heads in groups, tied heads, tables of positions, windows, mixtures, latent attention
ATTENDING = ("llama", "qwen2", "gpt2", "mistral", "gemma2", "mixtral", "qwen2_moe", "deepseek_v3")
RECURRENT = ("mamba2", "jamba", "qwen3_next", "lfm2", "zamba2", "rwkv")  # alone, and in some layers
FILTERS = ("A_log", "conv1d.weight", "conv.conv.weight", "dt_bias")  # multiplied value by value


def counted(run: Any) -> dict[str, int]:
    """FLOPs of a call by op, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return {str(op).rpartition(".")[2]: n for op, n in counter.get_flop_counts()["Global"].items()}


class Passes:
    """A prefill and a decode step of a family, counted, and what is stated of them."""

    def __init__(self, kind: str, folder: Path) -> None:
        torch.manual_seed(0)
        config = made.configured(kind, CAUSAL[kind])
        made.saved(made.library().AutoModelForCausalLM.from_config(config), folder)
        options = BuildOptions(size="full", max_new_tokens=3, prompt=PROMPT, attention="eager",
                               extra={"ignore_eos": True})  # fmt: skip
        adapter = model_entry.model(f"hf:{folder}").build(options)
        self.model = adapter.model
        if hasattr(self.model, "set_experts_implementation"):
            self.model.set_experts_implementation("eager")  # torch counts no grouped products
        sample = text_sample(PROMPT)
        inputs = adapter.preprocess(sample, None)
        state: list[Any] = []
        self.prefill = counted(lambda: state.append(adapter.prefill(inputs, None)))
        self.decode = counted(lambda: adapter.decode(state[0]))
        self.length = int(inputs.ids.shape[1])
        self.llm = adapter.facts.dims["llm"]
        tokens = {"prefill": self.length, "generated": [2]}
        meta = {"dims": adapter.facts.dims, "dtype": "float32", "batch_size": 1, "tokens": tokens}
        self.needs: dict[str, Need] = {need.stage: need for need in model_bounds.stated(meta)}

    def unmultiplied(self) -> int:
        """Values that no matrix product reads, and that the formula counts with the others."""
        return sum(
            p.numel() for name, p in self.model.named_parameters()
            if ".experts." not in name and (p.dim() != 2 or name.endswith(FILTERS))
        )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flops")


@pytest.mark.parametrize("kind", ATTENDING)
def test_attending_layers_multiply_what_is_stated(kind: str, folder: Path) -> None:
    found = Passes(kind, folder / kind)
    llm, length = found.llm, found.length
    rest = 2 * found.unmultiplied()
    stated, _bytes = found.needs["decode"].passes[0]
    again = expanded_again(found)  # latent keys, at each step: a better order need not
    assert stated - rest == sum(found.decode.values()) - again
    # torch computes the pairs that the mask then hides
    pairs = llm["pair_flops"] + llm["window_pair_flops"]
    whole = Llm(**{key: value for key, value in llm.items() if key in Llm.__dataclass_fields__})
    hidden = pairs * length * length - whole.pairs_flops(1, length)
    stated, _bytes = found.needs["prefill"].passes[0]
    assert stated - rest * length == sum(found.prefill.values()) - hidden


def expanded_again(found: Passes) -> int:
    """FLOPs of making the keys and values of all earlier positions from what was cached of them."""
    if "deepseek" not in type(found.model).__name__.lower() or found.llm["cache_values"] > 48:
        return 0
    weights = sum(p.numel() for name, p in found.model.named_parameters() if "kv_b_proj" in name)
    return 2 * weights * found.length


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_multiply_what_is_stated_beside_their_scan(
    kind: str, folder: Path
) -> None:
    found = Passes(kind, folder / kind)
    rest = 2 * found.unmultiplied()
    stated, read = found.needs["decode"].passes[0]
    pairs = found.llm["pair_flops"] * (found.length + 1)
    products = found.decode.get("mm", 0) + found.decode.get("addmm", 0)
    if kind == "jamba":  # one of its products is written for a batch of matrices
        weights = found.model.named_parameters()
        products += 2 * sum(p.numel() for name, p in weights if name.endswith("dt_proj.weight"))
    assert stated - rest - pairs == products
    # the scan is what is left of torch's count: small beside the products
    scan = sum(found.decode.values()) - products - pairs
    assert scan < 0.2 * products
    # a state is read once a step, however long the context
    assert found.llm["state_values"] > 0
    longer = model_bounds.stated({
        "dims": {"llm": found.llm}, "dtype": "float32", "batch_size": 1,
        "tokens": {"prefill": 1000 * found.length, "generated": [2]},
    })  # fmt: skip
    more = longer[1].passes[0][1] - read
    assert more == 4 * found.llm["cache_values"] * 999 * found.length


@pytest.mark.parametrize("window", [1, 3, 8, 100])
def test_pairs_under_a_window_are_those_of_its_mask(window: int) -> None:
    shape = {"layers": 1, "hidden": 1, "vocab": 1, "bytes_per_value": 2, "weight_parameters": 1}
    llm = Llm(
        **shape, pair_flops=0, cache_values=0, window=window, window_pair_flops=1,
        window_cache_values=1,
    )  # fmt: skip
    at = torch.arange(20)
    mask = (at[:, None] >= at[None]) & (at[:, None] - at[None] < window)  # [queries, keys]
    assert llm.pairs_flops(1, 20) == int(mask.sum())
    for last in range(20):
        assert llm.pairs_flops(last + 1, last + 1) == int(mask[last].sum())
        assert llm.kept_bytes(last + 1) == 2 * int(mask[last].sum())
