"""The stages of models that hear: speech to text, and sound before a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Facts
from tracekit.models.huggingface.adapters import Inputs, PromptedLM
from tracekit.models.huggingface.encoder_decoder import EncoderDecoder, SequenceDecoder
from tracekit.models.huggingface.library import (
    LOCAL,
    SOUND_PROMPT,
    quiet,
    run_plainly,
    said_plainly,
)
from tracekit.models.huggingface.text import Text, templated
from tracekit.models.shared import checkpoints, imu_window

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def waveform(recording: Recording, sample: Sample, rate: int) -> npt.NDArray[np.float32]:
    """The sound [N] at the rate that the model's feature extractor takes, resampled if need be.

    Raises: TracekitError where the recording is no sound.
    """
    import numpy as np

    found = recording.arrays.get("waveform")
    if found is None or recording.rate_hz is None:
        raise TracekitError(
            f"a sound is wanted, this is {recording.kind}",
            where=sample.path,
            hint="give --data a .wav",
        )
    have = round(recording.rate_hz)
    if have == rate:
        return found
    made: npt.NDArray[np.float32] = imu_window.resample(found[None].astype(np.float64), have, rate)[
        0
    ].astype(np.float32)
    return made


class Speech(EncoderDecoder):
    """Speech to text: the encoder hears, the decoder begins with its own start tokens."""

    def __init__(
        self, decoder: SequenceDecoder, text: Text, options: BuildOptions, facts: Facts,
        folder: Path,
    ) -> None:  # fmt: skip
        """Raises: TracekitError where the folder says nothing of how sound is read."""
        from transformers import AutoFeatureExtractor

        super().__init__(decoder, text, options, facts, folder)
        library: Any = AutoFeatureExtractor
        with said_plainly(folder), quiet():
            self.extractor = library.from_pretrained(folder, **LOCAL)

    def preprocess(self, sample: Sample, raw: Any) -> Inputs:
        """Features of the sound on the device; rows are copies."""
        rate = int(self.extractor.sampling_rate)
        heard = waveform(sample.parse(raw), sample, rate)
        rows = [heard] * self.options.batch_size
        with run_plainly(self.extractor, "preprocess"):
            made = self.extractor(rows, sampling_rate=rate, return_tensors="pt")
        dtype = checkpoints.dtype_named(self.options.dtype)
        device = self.options.device
        more = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in made.items()
        }
        return Inputs(ids=self.start(len(rows)), prompt="", more=more)

    def question(self, sample: Sample, recording: Recording) -> str:
        """None: sound alone."""
        return ""


class PromptedSound(PromptedLM):
    """A sound's tokens among those of a prompt."""

    features = "get_audio_features"
    marks = ("audio_token_id", "audio_token_index")
    what = "sound"
    default_prompt = SOUND_PROMPT
    parts = ("audio_tower", "multi_modal_projector")  # run one after the other

    def _owner(self) -> Any:
        inner = getattr(self.model, "model", self.model)
        return (
            inner if hasattr(inner, self.features) or hasattr(inner, self.parts[0]) else self.model
        )

    def processed(self, recording: Recording, sample: Sample, prompt: str) -> Mapping[str, Any]:
        rate = int(self.processor.feature_extractor.sampling_rate)
        rows = self.options.batch_size
        heard = [waveform(recording, sample, rate)] * rows
        found: Mapping[str, Any] = self.processor(
            text=[prompt] * rows, audio=heard, sampling_rate=rate, return_tensors="pt", padding=True
        )
        return found

    def asked(self, question: str) -> str:
        """The prompt as the model sees it, the place of picture or sound in it."""
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "audio", "audio_url": ""}, {"type": "text", "text": question}]
            return templated(self.processor, [{"role": "user", "content": content}], self.folder)
        begin = getattr(self.processor, "audio_bos_token", "")
        end = getattr(self.processor, "audio_eos_token", "")
        mark = getattr(self.processor, "audio_token", "<|AUDIO|>")
        return f"{begin}{mark}{end}{question}"  # Qwen2-Audio's

    def encoded(self, inputs: Inputs) -> Any:
        """The pass of the encoder and its connector."""
        if hasattr(self.owner, self.features):
            return super().encoded(inputs)
        return self._up_to_the_prompt(inputs)

    def _up_to_the_prompt(self, inputs: Inputs) -> dict[str, Any]:
        """The encoder's and the connector's outputs, of a forward pass that stops before the LLM.

        It looks the prompt's embeddings up on the way, which is little beside the encoder.
        """
        kept: dict[str, Any] = {}
        owner: Any = self.owner
        with ExitStack() as undo:
            for name in self.parts:
                part = getattr(owner, name)
                keep = lambda _part, _given, out, name=name: kept.update({name: out})  # noqa: E731
                undo.callback(part.register_forward_hook(keep).remove)
            stop = owner.language_model.register_forward_pre_hook(_stop)
            undo.callback(stop.remove)
            try:
                owner(input_ids=inputs.ids, **inputs.more)
            except _Stopped:
                return kept
        raise RuntimeError("its language model was never called")

    @contextmanager
    def _encoded(self, tokens: Any) -> Iterator[None]:
        """Inside, the encoder and its connector give what they gave."""
        if hasattr(self.owner, self.features):
            with super()._encoded(tokens):
                yield
            return
        with ExitStack() as undo:
            for name, out in tokens.items():
                part = getattr(self.owner, name)
                part.forward = lambda *_given, out=out, **_named: out
                undo.callback(part.__dict__.pop, "forward")
            yield


class _Stopped(Exception):  # noqa: N818 - no error: it ends a forward pass early
    """The language model was reached."""


def _stop(_module: Any, _given: Any) -> None:
    raise _Stopped
