"""FLOPs and bytes that floors state, and torch's own count of a pass of each kind of layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.grid import made, test_encoders
from tests.grid.families import CAUSAL
from tests.grid.test_causal import PROMPT
from tests.unit.model_samples import text_sample
from tracekit.attribution.roofline import model_bounds
from tracekit.attribution.roofline.model_bounds import Llm, Need
from tracekit.datasets import opening
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions

# heads in groups, tied heads, tables of positions, windows, mixtures, latent attention, chunks
ATTENDING = ("llama", "qwen2", "gpt2", "mistral", "gemma2", "mixtral", "qwen2_moe", "deepseek_v3",
             "llama4_text")  # fmt: skip
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
    unchosen = multiplied_unchosen(found)
    assert stated - rest == sum(found.decode.values()) - again - unchosen
    # torch computes the pairs that the mask then hides
    pairs = llm["pair_flops"] + llm["window_pair_flops"]
    whole = Llm(**{key: value for key, value in llm.items() if key in Llm.__struct_fields__})
    hidden = pairs * length * length - whole.pairs_flops(1, length)
    stated, _bytes = found.needs["prefill"].passes[0]
    assert stated - rest * length == sum(found.prefill.values()) - hidden - unchosen * length


def multiplied_unchosen(found: Passes) -> int:
    """FLOPs a token of experts that it did not choose: Llama 4's layer here runs them all."""
    if "Llama4" not in type(found.model).__name__:
        return 0
    idle = found.llm["experts"] - found.llm["experts_per_token"]
    return 2 * found.llm["expert_parameters"] * idle // found.llm["experts"]


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


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
def test_pairs_in_chunks_are_those_of_its_mask(chunk: int) -> None:
    shape = {"layers": 1, "hidden": 1, "vocab": 1, "bytes_per_value": 2, "weight_parameters": 1}
    llm = Llm(**shape, pair_flops=0, cache_values=0, chunk=chunk, window_pair_flops=1,
              window_cache_values=1)  # fmt: skip
    at = torch.arange(20)
    mask = (at[:, None] >= at[None]) & (at[:, None] // chunk == at[None] // chunk)
    assert llm.pairs_flops(4, 20) == int(mask[3:].sum())
    for last in range(20):
        assert llm.pairs_flops(last + 1, last + 1) == int(mask[last].sum())
        assert llm.kept_bytes(last + 1) == 2 * int(mask[last].sum())


READING = ("bart", "t5", "whisper")  # what an encoder made of text and of sound


@pytest.mark.parametrize("kind", READING)
def test_decoders_of_encoders_multiply_what_is_stated(kind: str, tmp_path: Path) -> None:
    """The encoder's count is held by hand, the decoder's by torch's."""
    adapter, inputs = reading(kind, tmp_path / "m", tmp_path)
    state: list[Any] = []
    tokens = adapter.encode(inputs)
    prefill = counted(lambda: state.append(adapter.prefill(inputs, tokens)))
    decode = counted(lambda: adapter.decode(state[0]))
    heard, length, facts = tokens[0].shape[1], inputs.ids.shape[1], adapter.facts
    meta = {"dims": facts.dims, "dtype": "float32", "batch_size": 2, "tokens": {
        "prefill": length, "generated": [2], "sensor": heard}}  # fmt: skip
    needs = {need.stage: need for need in model_bounds.stated(meta)}
    unlike = model_bounds.stated(
        {**meta, "tokens": {"prefill": length, "generated": [2], "sensor": None}}
    )
    assert [need.stage for need in unlike] == ["encode"]
    llm, model = facts.dims["llm"], adapter.model
    decoder = dict(model.get_decoder().named_parameters())
    bare = sum(p.numel() for name, p in decoder.items() if p.dim() != 2)
    crossed = sum(p.numel() for name, p in decoder.items() if p.dim() != 2 and is_crossed(name))
    stated, read = needs["decode"].passes[0]
    assert stated == sum(decode.values()) + 2 * 2 * (bare - crossed)
    head = llm["hidden"] * llm["vocab"]  # torch's prefill applies the head to each position
    hidden = 2 * llm["pair_flops"] * (length * (length - 1) // 2) + 2 * 2 * head * (length - 1)
    beside = 2 * 2 * ((bare - crossed) * length + crossed * heard)
    assert needs["prefill"].passes[0][0] == sum(prefill.values()) - hidden + beside
    # a step reads what prefill made of the encoder's tokens, and not what made it
    kept = 2 * 4 * 2 * 2 * 32 * (heard + length + 1)  # rows, bytes, layers, K and V, width
    assert read == 4 * llm["weight_parameters"] + kept
    assert needs["encode"].passes[0][0] == 2 * by_hand(kind, model, heard)
    encoder = model.get_encoder().named_parameters()
    tables = ("embed_positions", "embed_tokens", "shared", "relative_attention_bias")
    whole = sum(p.numel() for name, p in encoder if not any(one in name for one in tables))
    assert needs["encode"].weight_bytes == 4 * whole


def is_crossed(name: str) -> bool:
    return "encoder_attn.k_" in name or "encoder_attn.v_" in name


def by_hand(kind: str, model: Any, tokens: int) -> int:
    """FLOPs of a row's encoder: 2 a weight of a matrix and token, the pairs, the filters."""
    matrices = sum(
        p.numel() for name, p in model.get_encoder().named_parameters()
        if p.dim() == 2 and "embed" not in name and "shared" not in name and "bias" not in name
    )  # fmt: skip
    pairs = 2 * 2 * 2 * 32 * tokens * tokens  # layers, products, FLOPs, width
    filters = 0
    if kind == "whisper":  # 16 bands to 32, then 32 to 32 at half the rate; three taps each
        filters = 2 * 3 * 32 * (16 * 2 * tokens + 32 * tokens)
    return 2 * matrices * tokens + pairs + filters


def reading(kind: str, folder: Path, data: Path) -> tuple[Any, Any]:
    """The adapter of a tiny encoder-decoder, and a request's inputs."""
    library = made.library()
    torch.manual_seed(0)
    if kind == "whisper":
        config = test_encoders.configured(kind, test_encoders.SPEECH[kind])
        made.saved(library.AutoModelForSpeechSeq2Seq.from_config(config), folder)
        test_encoders.extractor(kind).save_pretrained(folder)
        (sample,) = opening.open_samples("synthetic", kind="audio", workdir=data, limit=1)
    else:
        config = test_encoders.configured(kind, test_encoders.TEXT_TO_TEXT[kind])
        made.saved(library.AutoModelForSeq2SeqLM.from_config(config), folder)
        sample = text_sample(PROMPT)
    prompt = {} if kind == "whisper" else {"prompt": PROMPT}
    built = BuildOptions(size="full", max_new_tokens=3, batch_size=2, attention="eager",
                         extra={"ignore_eos": True}, **prompt)  # fmt: skip
    adapter = model_entry.model(f"hf:{folder}").build(built)
    return adapter, adapter.preprocess(sample, adapter.load(sample))
