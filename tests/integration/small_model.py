"""A small model with all five stages, for tests of what surrounds a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tracekit.datasets.entry import Recording, Sample
from tracekit.models.entry import BuildOptions, Facts, Model
from tracekit.taxonomy import Stage

WIDTH, VOCAB, SENSOR, PROMPT = 32, 50, 4, 6


@dataclass
class Request:
    ids: list[list[int]]
    hidden: torch.Tensor
    most: int
    prompt_tokens: int = PROMPT + SENSOR
    prompt: str = "what is it?"
    on_step: Callable[[int], None] = field(default=lambda _n: None)

    @property
    def finished(self) -> bool:
        return len(self.ids[0]) >= self.most


class Small(nn.Module):
    """An encoder, a prompt, and a recurrent decoder, greedy; nothing learned."""

    def __init__(self, options: BuildOptions) -> None:
        super().__init__()
        torch.manual_seed(options.seed)
        self.options = options
        self.encoder = nn.Linear(6, WIDTH)
        self.embedding = nn.Embedding(VOCAB, WIDTH)
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, VOCAB)
        count = {n: sum(p.numel() for p in m.parameters()) for n, m in self.named_children()}
        self.facts = Facts(
            model="small", size=options.size, parameters=count, random_weights=True,
            dims={"width": WIDTH}, tokenizer="numbers", attention="none", cache="none",
        )  # fmt: skip

    def load(self, sample: Sample) -> Any:
        return sample.read()

    def preprocess(self, sample: Sample, raw: Any) -> torch.Tensor:
        values = sample.parse(raw).values
        assert values is not None
        rows = torch.tensor(values[:400], dtype=torch.float32)
        return rows.expand(self.options.batch_size, *rows.shape)

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        parts = inputs.reshape(len(inputs), SENSOR, -1, 6).mean(2)
        return self.encoder(parts)

    def prefill(self, inputs: torch.Tensor, tokens: torch.Tensor) -> Request:
        words = self.embedding(torch.arange(PROMPT)).expand(len(inputs), -1, -1)
        hidden = torch.zeros(len(inputs), WIDTH)
        for step in torch.cat([tokens, words], 1).unbind(1):
            hidden = self.cell(step, hidden)
        request = Request([[] for _ in range(len(inputs))], hidden, self.options.max_new_tokens)
        return self.choose(request)

    def decode(self, request: Request) -> Request:
        last = torch.tensor([row[-1] for row in request.ids])
        request.hidden = self.cell(self.embedding(last), request.hidden)
        return self.choose(request)

    def choose(self, request: Request) -> Request:
        for row, token in zip(request.ids, self.head(request.hidden).argmax(-1), strict=True):
            row.append(int(token))
        return request

    def text(self, request: Request) -> list[str]:
        return [" ".join(map(str, row)) for row in request.ids]


def model(build: Callable[[BuildOptions], Any] = Small, **changes: Any) -> Model:
    facts: dict[str, Any] = {
        "title": "A small model", "input": "imu", "stages": tuple(Stage),
        "sizes": {"tiny": {}, "full": {}}, "build": build,
        "parameters": lambda _size: {"all": 10_000},
        "licence": "MIT", "weights": "random", "source": "this file",
        "takes": {"gain": "a number that does nothing"},
    }  # fmt: skip
    return Model(**{**facts, **changes})


def recording(folder: Path, number: int = 0) -> Sample:
    """A sample whose bytes are on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number}.npy"
    np.save(path, np.random.default_rng(number).normal(size=(400, 6)))

    return Sample(
        id=f"sample-{number}",
        dataset="small",
        path=path,
        read=path.read_bytes,
        parse=lambda raw: Recording(
            kind="imu", values=np.frombuffer(raw[-400 * 6 * 8 :]).reshape(400, 6), rate_hz=200.0
        ),
        synthetic=True,
    )
