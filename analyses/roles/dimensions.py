"""What is known of the decoder that ran, whoever says it, and the sizes that its GEMMs have by it.

Dimensions come from the metadata of our own captures (metadata.py) or from a configuration that
the user names (given.py); both are held against the trace before they are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tracekit.answers.roles import Role
from tracekit.attribution.kernels import kernel_rules
from tracekit.attribution.roofline.decoder.dimensions import Decoder
from tracekit.attribution.roofline.decoder.matrices import Matrix
from tracekit.records import Record, replace

from . import names
from .layer_pattern import HEAD

Origin = str  # "metadata" or "config"
METADATA, CONFIG = "metadata", "config"
AT_HEAD = int(names.rank(HEAD, rest=False))


class Steps(Record, frozen=True):
    """What went through the forward passes of a phase. None: the trace does not say."""

    passes: int
    rows: int | None  # tokens, of all passes and batch rows
    head_rows: int | None  # of them that reach the head: prefill needs the last position alone
    attention: tuple[int, int] | None  # FLOPs and least bytes of all layers
    attended: str = ""  # its shape, for a reader

    def through(self, place: int, calls: int) -> int | None:
        """Rows of so many calls at a place of the layer; None where they are not known.

        Every layer, and the head, has one call a pass.
        """
        if place == AT_HEAD:
            return self.head_rows
        return None if self.rows is None else self.rows * (calls // self.passes)


class Stated(Record, frozen=True):
    """A decoder, and by phase its matrices by their place in a layer and what its passes did."""

    origin: Origin
    decoder: Decoder
    matrices: Mapping[str, Mapping[int, Matrix]]
    steps: Mapping[str, Steps]

    def matrix(self, row: Role) -> Matrix | None:
        """That of a GEMM with a place; None for all else."""
        if row.category != "gemm" or not row.calls:
            return None
        return self.matrices.get(row.phase, {}).get(int(row.place))

    def fills(self, row: Role) -> bool:
        """Whether the sizes of a GEMM are these: it has a matrix, and none is recorded."""
        steps = self.steps.get(row.phase)
        found = row.rows is None and self.matrix(row) is not None
        return found and steps is not None and not (row.calls or 0) % steps.passes


def filled(known: Stated | None, rows: Sequence[Role]) -> list[Role]:
    """The rows, with rows, weights, FLOPs and bytes where the dimensions have them and no shape is
    recorded, as of the nodes of a replayed graph; unchanged elsewhere.

    Which experts were chosen is not known, so weights of routed ones stay open.
    """
    if known is None:
        return list(rows)
    return [_filled(row, known) if known.fills(row) else row for row in rows]


def _filled(row: Role, known: Stated) -> Role:
    matrix, steps, calls = known.matrix(row), known.steps[row.phase], row.calls or 0
    assert matrix is not None
    if matrix.experts:
        return row
    total = steps.through(int(row.place), calls)
    dtype = product_dtype(row, matrix)
    size = known.decoder.size
    row = replace(row, by_metadata=known.origin == METADATA, by_config=known.origin == CONFIG)
    if total is None:
        return replace(row, weights=matrix.told, weight_bytes=calls * matrix.least, dtype=dtype)
    done, moved = matrix.work(calls, total, size)
    return replace(
        row,
        form="GEMV" if total == row.calls else "GEMM",
        rows=total,
        weights=matrix.told,
        weight_bytes=calls * matrix.least,
        dtype=dtype,
        flops=done,
        bytes=moved,
    )


def product_dtype(row: Role, matrix: Matrix) -> str:
    """As its kernel multiplies: matrix units may take float32 as TF32."""
    single = matrix.dtype == "float32" and re.search(kernel_rules.TF32, row.kernel)
    return "tf32" if single else matrix.dtype
