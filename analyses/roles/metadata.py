"""A decoder's dimensions and steps from the metadata of our own captures.

Only where they are proven to fit: the layer has LLaMA's GEMMs, as many layers and passes ran, and
the matrices together are the weights that the metadata counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekit.answers.roles import Aligned, Role
from tracekit.attribution.roofline.decoder import matrices
from tracekit.attribution.roofline.decoder.dimensions import Decoder, NoFitError
from tracekit.attribution.roofline.decoder.matrices import Matrix
from tracekit.attribution.roofline.devices import DTYPES
from tracekit.attribution.roofline.model_bounds import Llm, llm_of, prompts
from tracekit.records import Record, replace
from tracekit.taxonomy import Stage
from tracekit.trace.trace import Trace

from .dimensions import AT_HEAD, METADATA, Stated, Steps
from .names import IN_FRONT, LLAMA


class Said(Record, frozen=True):
    """What a capture says of its decoder and of its requests."""

    llm: Llm
    decoder: Decoder
    batch: int
    lengths: tuple[int, ...]  # positions that prefill filled, of each row, request by request
    made: tuple[int, ...]  # tokens, of each row, request by request

    @property
    def passes(self) -> Mapping[str, int]:
        """By phase: one a request to prefill, one a token after the first."""
        return {"prefill": len(self.made), "decode": sum(max(n - 1, 0) for n in self.made)}

    def steps(self, phase: str) -> Steps:
        passes = self.passes[phase]
        rows = (sum(self.lengths) if phase == Stage.PREFILL else passes) * self.batch
        one = self.decoder
        return Steps(
            passes, rows, passes * self.batch, self._attention(phase, rows),
            f"{self.batch}×{one.heads}×Sq×Sk×{one.head_dim}",
        )  # fmt: skip

    def _attention(self, phase: str, rows: int) -> tuple[int, int] | None:
        """FLOPs and least bytes of all attention of a phase: queries and results once, and of each
        pass the keys and values of its context.
        """
        if not self.llm.heads or self.llm.cross_positions:
            return None
        done = kept = 0
        for length, tokens in zip(self.lengths, self.made, strict=True):
            if phase == Stage.PREFILL:
                done, kept = done + self.llm.pairs_flops(1, length), kept + self._cached(length)
                continue
            for at in range(length + 1, length + tokens):
                done, kept = done + self.llm.pairs_flops(at, at), kept + self._cached(at)
        wide = 2 * self.llm.layers * self.llm.heads * self.llm.head_dim * self.llm.bytes_per_value
        return self.batch * done, self.batch * kept + rows * wide

    def _cached(self, positions: int) -> int:
        """Bytes of the keys and values of a row, in all layers."""
        return self.llm.kept_bytes(positions) - self.llm.state_values * self.llm.bytes_per_value


def stated(trace: Trace, rows: Sequence[Role], phases: Sequence[Aligned]) -> Stated | None:
    """What fits every phase of the trace; None where its metadata says nothing, or does not fit."""
    said = _said(trace)
    for gated in (True, False) if said is not None else ():
        assert said is not None
        one = replace(said, decoder=replace(said.decoder, gated=gated))
        places = {phase.phase: _matrices(one.decoder, phase) for phase in phases}
        if all(_fits(one, places[phase.phase], rows, phase) for phase in phases):
            steps = {phase.phase: one.steps(phase.phase) for phase in phases}
            return Stated(METADATA, one.decoder, places, steps)
    return None


def decoder_of(trace: Trace) -> Decoder | None:
    """The decoder of one of our own captures, whether or not it fits; None of any other trace."""
    said = _said(trace)
    return None if said is None else said.decoder


def _said(trace: Trace) -> Said | None:
    meta = trace.source.meta.get("tracekit")
    if not isinstance(meta, Mapping):
        return None
    llm, dtype = llm_of(meta), DTYPES.get(str(meta.get("dtype")))
    dims, tokens = meta.get("dims"), meta.get("tokens")
    if llm is None or dtype is None or not isinstance(dims, Mapping):
        return None
    width = dims["llm"].get("intermediate")
    made = tokens.get("generated") if isinstance(tokens, Mapping) else None
    batch = meta.get("batch_size", 1)
    if not all(isinstance(n, int) and n > 0 for n in (width, batch)):
        return None
    if not isinstance(made, list) or not all(isinstance(n, int) for n in made):
        return None
    lengths = prompts(tokens, len(made)) if isinstance(tokens, Mapping) else []
    if not lengths:
        return None
    decoder = Decoder(
        layers=llm.layers, hidden=llm.hidden, heads=llm.heads, kv_heads=llm.kv_heads,
        head_dim=llm.head_dim, intermediate=width, vocab=llm.vocab, dtype=dtype,
    )  # fmt: skip
    return Said(llm, decoder, batch, tuple(lengths), tuple(made))


def _matrices(one: Decoder, phase: Aligned) -> Mapping[int, Matrix]:
    """By place; empty where the layer is none of LLaMA's."""
    if phase.before is None or phase.after is None:
        return {}
    try:
        found = matrices.of_layer(one, phase.before, [False] * phase.after)
    except NoFitError:
        return {}
    return {**found, AT_HEAD: matrices.head(one)}


def _fits(
    said: Said, places: Mapping[int, Matrix], rows: Sequence[Role], phase: Aligned
) -> bool:  # fmt: skip
    """Whether the GEMMs of a phase are the model's: so many layers, and all of its weights."""
    if phase.phase not in said.passes or not phase.layers or phase.layers % said.llm.layers:
        return False
    passes = phase.layers // said.llm.layers
    if passes != said.passes[phase.phase]:
        return False  # chunks of a prompt, or drafted tokens: so many rows are in no one pass
    mine = [r for r in rows if r.phase == phase.phase and r.category == "gemm" and r.calls]
    mine = [r for r in mine if r.role != IN_FRONT]  # of RoPE, or a projector: no layer's weights
    if not places or any(r.role not in LLAMA for r in mine):
        return False
    read = sum((r.calls or 0) * places[int(r.place)].values for r in mine)
    whole = said.llm.weight_parameters * passes
    return 0 <= whole - read <= passes * _vectors(said)


def _vectors(said: Said) -> int:
    """Most weights that are in no matrix: biases, and four norms and two of heads in each layer."""
    llm = said.llm
    heads = (llm.heads + 2 * llm.kv_heads) * llm.head_dim
    wide = 3 * said.decoder.intermediate
    return llm.layers * (6 * llm.hidden + 2 * heads + wide) + 2 * llm.hidden
