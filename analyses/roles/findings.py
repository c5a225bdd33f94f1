"""GEMMs of a decoder's layers, all together, against what memory allows in decode."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.roles import Aligned, Roles
from tracekit.answers.stages import Stages
from tracekit.attribution import few_rows
from tracekit.attribution.roofline.devices import named
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import duration, share
from tracekit.taxonomy import Category, FindingKind, Stage

NEAR = 0.7  # of the memory bandwidth: GEMMs of few rows reach 70 to 90 %


def findings(result: Roles, ask: Ask) -> Iterator[Draft]:
    """One, of decode: from the weights' sizes where known, else from the rows of a step."""
    decode, prefill = result.slow_decode, result.phase(Stage.PREFILL)
    if decode is not None and decode.gemm_bytes_share is not None:
        yield _measured(result, decode, prefill)
    elif (near := result.phase(Stage.DECODE)) is not None and _near(near):
        yield _at_the_limit(result, near)
    elif (plain := result.phase(Stage.DECODE)) is not None and plain.gemm_bytes_share is None:
        stages = ask(Stages)
        names = [row.name for row in stages.rows] if stages is not None else []
        spec = named(result.device) if result.device else None
        told = few_rows.draft(plain.gemm_ns, plain.total_ns, spec, names, (Stages,))
        if told is not None:
            yield told


def _measured(result: Roles, decode: Aligned, prefill: Aligned | None) -> Draft:
    before = (
        f"; in prefill they reach {share(prefill.gemm_flops_share)} of its peak FLOP/s"
        if prefill is not None and prefill.gemm_flops_share is not None
        else ""
    )
    part = decode.gemm_bytes_share or 0.0
    return Draft(
        FindingKind.MEMORY_BANDWIDTH, decode.phase,
        f"{share(decode.gemm_ns / decode.total_ns)} of the kernel time of decode is GEMMs that use "
        f"{share(part)} of the memory bandwidth of {result.device}: they take "
        f"{duration(decode.gemm_ns)} where reading their weights takes "
        f"{duration(decode.gemm_floor_ns)}{_by(result, decode)}{before}.",
        part, "share", decode.gemm_waste_ns, decode.total_ns, few_rows.DO,
        numbers={"bandwidth_share": part, "gemm_ns": decode.gemm_ns,
                 "gemm_share": decode.gemm_ns / decode.total_ns,
                 "floor_ns": decode.gemm_floor_ns or 0.0},
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip


def _by(result: Roles, phase: Aligned) -> str:
    """Whose word the sizes are, where it is the user's."""
    mine = any(row.by_config for row in result.rows if row.phase == phase.phase)
    return f" by the sizes in {result.model.called}" if mine and result.model is not None else ""


def _near(decode: Aligned) -> bool:
    """GEMMs take much of decode and come close to the memory bandwidth."""
    part, flops = decode.gemm_bytes_share, decode.gemm_flops_share or 0.0
    much = decode.total_ns > 0 and decode.gemm_ns / decode.total_ns >= few_rows.MUCH
    return much and part is not None and NEAR <= part <= 1 and part > flops


def _at_the_limit(result: Roles, decode: Aligned) -> Draft:
    part, share_of = decode.gemm_bytes_share or 0.0, decode.gemm_ns / decode.total_ns
    return Draft(
        FindingKind.MEMORY_BANDWIDTH, decode.phase,
        f"{share(share_of)} of the kernel time of decode is GEMMs that use {share(part)} of the "
        f"memory bandwidth of {result.device}: they take {duration(decode.gemm_ns)} where reading "
        f"their weights takes {duration(decode.gemm_floor_ns)}{_by(result, decode)}. That is close "
        "to what the device allows: these kernels are not the fault.",
        part, "share", None, decode.total_ns,
        "Only fewer bytes a token make them faster: decode more rows at once (larger batches, "
        "speculative decoding), or quantise the weights.",
        numbers={"bandwidth_share": part, "gemm_ns": decode.gemm_ns, "gemm_share": share_of,
                 "floor_ns": decode.gemm_floor_ns or 0.0},
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip
