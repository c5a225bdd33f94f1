"""What a folder's generation configuration changes in greedy text: applied, or named as ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# fields that are applied, in the order in which `generate` applies them, and what is no effect
APPLIED: Mapping[str, object] = {
    "sequence_bias": None, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
    "bad_words_ids": None, "min_length": 0, "min_new_tokens": 0, "forced_bos_token_id": None,
    "forced_eos_token_id": None, "suppress_tokens": None, "begin_suppress_tokens": None,
}  # fmt: skip
# fields that are not: what `generate` would do, and what is done here
IGNORED: Mapping[str, tuple[object, str]] = {
    "num_beams": (1, "one beam"),
    "penalty_alpha": (None, "no contrastive search"),
    "guidance_scale": (1.0, "no guidance"),
    "encoder_repetition_penalty": (1.0, "not applied"),
    "encoder_no_repeat_ngram_size": (0, "not applied"),
    "diversity_penalty": (0.0, "not applied"),
    "exponential_decay_length_penalty": (None, "not applied"),
    "prompt_lookup_num_tokens": (None, "no drafts"),
    "dola_layers": (None, "not applied"),
    "watermarking_config": (None, "no watermark"),
    "stop_strings": (None, "only end tokens end it"),
    "top_h": (None, "not applied"),
}


@dataclass(frozen=True, slots=True)
class Effects:
    """Fields of a generation configuration that would change the text."""

    applied: Mapping[str, object] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)  # what is done in place of each

    def sentences(self) -> list[str]:
        """In words, for the metadata and the terminal."""
        said = []
        if self.applied:
            fields = ", ".join(f"{name} {_short(value)}" for name, value in self.applied.items())
            said.append(f"the folder's generation configuration is applied: {fields}")
        if self.ignored:
            fields = ", ".join(f"{name} ({why})" for name, why in self.ignored.items())
            said.append(f"of the folder's generation configuration is ignored: {fields}")
        return said


def _short(value: object) -> str:
    return f"{len(value)} entries" if isinstance(value, list | dict) else str(value)


def effects(config: object, eos: Collection[int]) -> Effects:
    """The effects of a generation configuration on text that is not sampled.

    A least length is none where end tokens are passed over (`eos` empty).
    """
    applied = {
        name: value for name, nothing in APPLIED.items()
        if (value := getattr(config, name, None)) not in (None, nothing) and value != []
        and (eos or name not in ("min_length", "min_new_tokens"))
    }  # fmt: skip
    ignored = {
        name: f"{_short(value)}: {why}" for name, (nothing, why) in IGNORED.items()
        if (value := getattr(config, name, None)) not in (None, nothing) and value != []
    }  # fmt: skip
    if getattr(config, "do_sample", None):
        ignored["do_sample"] = "greedy unless --temperature is given"
    return Effects(applied, ignored)


def processors(found: Effects, prompt: int, most: int, eos: Collection[int], device: Any) -> object:
    """transformers' own processors of logits, for a prompt and a whole of so many positions."""
    import transformers

    library: Any = transformers
    ends = sorted(eos)
    begin = prompt + ("forced_bos_token_id" in found.applied and prompt == 1)
    make: dict[str, Any] = {
        "sequence_bias": lambda v: library.SequenceBiasLogitsProcessor(sequence_bias=v),
        "repetition_penalty": lambda v: library.RepetitionPenaltyLogitsProcessor(penalty=v),
        "no_repeat_ngram_size": library.NoRepeatNGramLogitsProcessor,
        "bad_words_ids": lambda v: library.NoBadWordsLogitsProcessor(v, ends or None),
        "min_length": lambda v: library.MinLengthLogitsProcessor(v, ends, device=device),
        "min_new_tokens": lambda v: library.MinNewTokensLengthLogitsProcessor(
            prompt, v, ends, device=device
        ),
        "forced_bos_token_id": library.ForcedBOSTokenLogitsProcessor,
        "forced_eos_token_id": lambda v: library.ForcedEOSTokenLogitsProcessor(
            most, v, device=device
        ),
        "suppress_tokens": lambda v: library.SuppressTokensLogitsProcessor(v, device=device),
        "begin_suppress_tokens": lambda v: library.SuppressTokensAtBeginLogitsProcessor(
            v, begin, device=device
        ),
    }
    return library.LogitsProcessorList([make[name](v) for name, v in found.applied.items()])
