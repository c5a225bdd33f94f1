"""A model that is an encoder and nothing else: load, rows of a window, encode, and its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Sample
from tracekit.models.entry import BuildOptions, Facts
from tracekit.models.shared import checkpoints
from tracekit.models.shared.decoder.compiling import compiled
from tracekit.models.shared.decoder.request import without_gradients

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch


def sizes(parameters: int, dtype: str, *, flops: int, tokens: int) -> dict[str, Any]:
    """`Facts.dims` of an encoder; `flops` are of one window, `tokens` its outputs."""
    return {
        "encode": {
            "flops": flops,
            "weight_parameters": parameters,
            "bytes_per_value": checkpoints.bytes_per_value(dtype),
            "tokens": tokens,
        }
    }


class EncoderAdapter:
    """Every stage of such a model but `preprocess`, which is its own."""

    def __init__(
        self,
        model: str,
        encoder: Any,
        options: BuildOptions,
        *,
        flops: int,
        tokens: int,
        config: Mapping[str, Any],
        attention: str = "none",
    ) -> None:
        """`encoder` is filled and on its device; `flops` are of one window, `tokens` its outputs.

        Raises: TracekitError where it is to be compiled and cannot be.
        """
        self.encoder, self.options = encoder, options
        self._run, how = compiled(encoder, options, "encoder")
        count = checkpoints.count(encoder)
        self.described = Facts(
            model=model,
            size=options.size,
            parameters={"encoder": count},
            random_weights=options.checkpoint is None,
            dims={
                "batch_size": options.batch_size,
                **sizes(count, options.dtype, flops=flops, tokens=tokens),
            },
            tokenizer="none",
            attention=attention,
            cache="none",
            options={"config": config, "compile": how},
        )

    @property
    def facts(self) -> Facts:
        """What the metadata says of the model."""
        return self.described

    def load(self, sample: Sample) -> Any:
        """The sample's bytes, read from disk."""
        return sample.read()

    def rows(self, window: npt.NDArray[np.floating[Any]]) -> torch.Tensor:
        """[B, …] on the device, in its dtype; every row of the batch is this window [ … ]."""
        import torch

        kind = checkpoints.dtype_named(self.options.dtype)
        one = torch.from_numpy(window.astype("float32")).to(self.options.device, kind)
        return one.expand(self.options.batch_size, *one.shape).contiguous()

    @without_gradients
    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the encoder makes of a batch of windows."""
        out: torch.Tensor = self._run(inputs)
        return out
