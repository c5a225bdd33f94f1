"""Rows and weights of a decoder's GEMMs from the dimensions in our own captures' metadata.

Only where they are proven to fit: the layer has LLaMA's GEMMs, as many layers and passes ran, and
the matrices together are the weights that the metadata counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tracekit.answers.roles import Aligned, Role
from tracekit.attribution.kernels import kernel_rules
from tracekit.attribution.roofline.devices import DTYPES
from tracekit.attribution.roofline.model_bounds import Llm, llm_of, prompts
from tracekit.records import Record, replace
from tracekit.taxonomy import Stage
from tracekit.trace.trace import Trace

from .names import IN_FRONT


class Stated(Record, frozen=True):
    """What a capture says of its decoder."""

    llm: Llm
    intermediate: int
    dtype: str
    rows: Mapping[str, int]  # of all passes, by phase
    head_rows: int  # of a pass: prefill applies the head to the last position alone
    passes: Mapping[str, int]  # by phase: one a request to prefill, one a token after the first
    lengths: tuple[int, ...]  # positions that prefill filled, of each row, request by request
    made: tuple[int, ...]  # tokens, of each row, request by request

    def attention(self, phase: str) -> tuple[int, int]:
        """FLOPs and least bytes of all attention of a phase: queries and results once, and of each
        pass the keys and values of its context.
        """
        done = kept = 0
        for length, tokens in zip(self.lengths, self.made, strict=True):
            if phase == Stage.PREFILL:
                done, kept = done + self.llm.pairs_flops(1, length), kept + self.cached(length)
                continue
            for at in range(length + 1, length + tokens):
                done, kept = done + self.llm.pairs_flops(at, at), kept + self.cached(at)
        wide = 2 * self.llm.layers * self.llm.heads * self.llm.head_dim * self.llm.bytes_per_value
        return self.head_rows * done, self.head_rows * kept + self.rows[phase] * wide

    def cached(self, positions: int) -> int:
        """Bytes of the keys and values of a row, in all layers."""
        return self.llm.kept_bytes(positions) - self.llm.state_values * self.llm.bytes_per_value


def filled(trace: Trace, rows: Sequence[Role], phases: Sequence[Aligned]) -> list[Role]:
    """The rows, with rows, weights, FLOPs and bytes where the metadata has them and no shape is
    recorded, as of the nodes of a replayed graph; unchanged elsewhere.
    """
    known = stated(trace)
    lacking = [row for row in rows if row.category == "gemm" and row.calls and row.rows is None]
    if known is None or not lacking:
        return list(rows)
    matrices = _matrices(known)
    if not all(_fits(known, matrices, rows, phase) for phase in phases):
        return list(rows)
    return [_filled(row, known, matrices) if row in lacking else row for row in rows]


def stated(trace: Trace) -> Stated | None:
    """What the metadata of one of our own captures says; None for any other trace."""
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
    passes = {"prefill": len(made), "decode": sum(max(n - 1, 0) for n in made)}
    rows = {"prefill": sum(lengths) * batch, "decode": passes["decode"] * batch}
    return Stated(llm, width, dtype, rows, batch, passes, tuple(lengths), tuple(made))


def _matrices(known: Stated) -> dict[str, tuple[int, int]]:
    """k → n of each role, separate or fused."""
    llm, wide = known.llm, known.intermediate
    queries, keys = llm.heads * llm.head_dim, llm.kv_heads * llm.head_dim
    return {
        "query projection": (llm.hidden, queries),
        "key projection": (llm.hidden, keys),
        "value projection": (llm.hidden, keys),
        "key, value projection": (llm.hidden, 2 * keys),
        "query, key, value projection": (llm.hidden, queries + 2 * keys),
        "attention output projection": (queries, llm.hidden),
        "MLP gate projection": (llm.hidden, wide),
        "MLP up projection": (llm.hidden, wide),
        "MLP down projection": (wide, llm.hidden),
        "head": (llm.hidden, llm.vocab),
    }


def _fits(
    known: Stated, matrices: Mapping[str, tuple[int, int]], rows: Sequence[Role], phase: Aligned
) -> bool:
    """Whether the GEMMs of a phase are the model's: so many layers, and all of its weights."""
    if phase.phase not in known.rows or not phase.layers or phase.layers % known.llm.layers:
        return False
    passes = phase.layers // known.llm.layers
    if passes != known.passes[phase.phase]:
        return False  # chunks of a prompt, or drafted tokens: so many rows are in no one pass
    mine = [r for r in rows if r.phase == phase.phase and r.category == "gemm" and r.calls]
    mine = [r for r in mine if r.role != IN_FRONT]  # of RoPE, or a projector: no layer's weights
    if any(r.role not in matrices for r in mine):
        return False
    read = sum((r.calls or 0) * matrices[r.role][0] * matrices[r.role][1] for r in mine)
    whole = known.llm.weight_parameters * passes
    return 0 <= whole - read <= passes * _vectors(known)


def _vectors(known: Stated) -> int:
    """Most weights that are in no matrix: biases, and four norms and two of heads in each layer."""
    llm = known.llm
    heads = (llm.heads + 2 * llm.kv_heads) * llm.head_dim
    return llm.layers * (6 * llm.hidden + 2 * heads + 3 * known.intermediate) + 2 * llm.hidden


def _filled(row: Role, known: Stated, matrices: Mapping[str, tuple[int, int]]) -> Role:
    if row.category != "gemm" or not row.calls or row.role not in matrices:
        return row
    k, n = matrices[row.role]
    # every layer, and the head, has one call a pass
    once = row.calls // known.passes[row.phase]
    total = row.calls * known.head_rows if row.role == "head" else once * known.rows[row.phase]
    size = known.llm.bytes_per_value
    single = known.dtype == "float32"
    return replace(
        row,
        form="GEMV" if total == row.calls else "GEMM",
        rows=total,
        weights=f"{k} → {n}",
        weight_bytes=row.calls * k * n * size,
        dtype="tf32" if single and re.search(kernel_rules.TF32, row.kernel) else known.dtype,
        flops=2 * total * k * n,
        bytes=(row.calls * k * n + total * (k + n)) * size,
        by_metadata=True,
    )
