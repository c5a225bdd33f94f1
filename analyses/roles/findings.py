"""GEMMs of a decoder's layers, all together, far from what memory allows in decode."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.roles import Roles
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import share
from tracekit.taxonomy import Stage


def findings(result: Roles, _ask: Ask) -> Iterator[Draft]:
    """One, of decode."""
    decode, prefill = result.slow_decode, result.phase(Stage.PREFILL)
    if decode is None or decode.gemm_bytes_share is None:
        return
    before = (
        f"; in prefill they reach {share(prefill.gemm_flops_share)} of its peak FLOP/s"
        if prefill is not None and prefill.gemm_flops_share is not None
        else ""
    )
    yield Draft(
        decode.phase,
        f"{share(decode.gemm_ns / decode.total_ns)} of the kernel time of decode is GEMMs that use "
        f"{share(decode.gemm_bytes_share)} of the memory bandwidth of {result.device}{before}.",
        decode.gemm_bytes_share, "share", decode.gemm_waste_ns, decode.total_ns,
        "Decode more rows at once (larger batches, speculative decoding), quantise the weights, or "
        "fuse these GEMMs into fewer, larger ones.",
    )  # fmt: skip
