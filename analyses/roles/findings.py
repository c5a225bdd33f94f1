"""GEMMs of a decoder's layers, all together, against what memory allows in decode."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.roles import Aligned, Roles
from tracekit.answers.stages import Stages
from tracekit.attribution.roofline.devices import named
from tracekit.attribution.stages.annotation_names import Phase, recognise
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import bytes_, duration, rate, share
from tracekit.taxonomy import Category, FindingKind, Stage

DO = (
    "Decode more rows at once (larger batches, speculative decoding), quantise the weights, or "
    "fuse these GEMMs into fewer, larger ones."
)
MEASURE = (
    "To know how near: record a step without graphs with record_shapes=True, or analyze it with a "
    "prefill that has shapes."
)
NEAR = 0.7  # of the memory bandwidth: GEMMs of few rows reach 70 to 90 %
MUCH = 0.25  # of the kernel time of decode


def findings(result: Roles, ask: Ask) -> Iterator[Draft]:
    """One, of decode: from the weights' sizes where known, else from the rows of a step."""
    decode, prefill = result.slow_decode, result.phase(Stage.PREFILL)
    if decode is not None and decode.gemm_bytes_share is not None:
        yield _measured(result, decode, prefill)
    elif (near := result.phase(Stage.DECODE)) is not None and _near(near):
        yield _at_the_limit(result, near)
    elif (plain := result.phase(Stage.DECODE)) is not None and plain.gemm_bytes_share is None:
        yield from _bound(result, plain, ask(Stages))


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
        f"{duration(decode.gemm_floor_ns)}{before}.",
        part, "share", decode.gemm_waste_ns, decode.total_ns, DO,
        numbers={"bandwidth_share": part, "gemm_ns": decode.gemm_ns,
                 "gemm_share": decode.gemm_ns / decode.total_ns,
                 "floor_ns": decode.gemm_floor_ns or 0.0},
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip


def _near(decode: Aligned) -> bool:
    """GEMMs take much of decode and come close to the memory bandwidth."""
    part, flops = decode.gemm_bytes_share, decode.gemm_flops_share or 0.0
    much = decode.total_ns > 0 and decode.gemm_ns / decode.total_ns >= MUCH
    return much and part is not None and NEAR <= part <= 1 and part > flops


def _at_the_limit(result: Roles, decode: Aligned) -> Draft:
    part, share_of = decode.gemm_bytes_share or 0.0, decode.gemm_ns / decode.total_ns
    return Draft(
        FindingKind.MEMORY_BANDWIDTH, decode.phase,
        f"{share(share_of)} of the kernel time of decode is GEMMs that use {share(part)} of the "
        f"memory bandwidth of {result.device}: they take {duration(decode.gemm_ns)} where reading "
        f"their weights takes {duration(decode.gemm_floor_ns)}. That is close to what the device "
        "allows: these kernels are not the fault.",
        part, "share", None, decode.total_ns,
        "Only fewer bytes a token make them faster: decode more rows at once (larger batches, "
        "speculative decoding), or quantise the weights.",
        numbers={"bandwidth_share": part, "gemm_ns": decode.gemm_ns, "gemm_share": share_of,
                 "floor_ns": decode.gemm_floor_ns or 0.0},
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip


def _bound(result: Roles, decode: Aligned, stages: Stages | None) -> Iterator[Draft]:
    """Steps of so few rows that the weights, whatever their size, bound the GEMMs.

    A GEMM of R rows does 2 R FLOPs for each weight, of 2 bytes in bfloat16: R FLOPs a byte. Below
    the ridge of the device its time is reading the weights.
    """
    spec = named(result.device) if result.device else None
    rows = _rows_of_a_step(stages)
    if spec is None or rows is None or not decode.total_ns:
        return
    part, peak = decode.gemm_ns / decode.total_ns, spec.flops.get("bfloat16")
    if part < MUCH or peak is None or rows * 2 > peak / spec.memory_bytes_per_s:
        return
    ridge = peak / spec.memory_bytes_per_s
    could = decode.gemm_ns / 1e9 * spec.memory_bytes_per_s
    yield Draft(
        FindingKind.MEMORY_BANDWIDTH, decode.phase,
        f"{share(part)} of the kernel time of decode, {duration(decode.gemm_ns)}, is GEMMs over "
        f"{rows} rows a step: each weight that is read serves {rows} rows, where {result.device} "
        f"needs {ridge:.0f} to be busy with arithmetic, so memory bandwidth is the limit. At its "
        f"{rate(spec.memory_bytes_per_s, 'B/s')} it could read {bytes_(could)} in that time: what "
        "the weights of these steps come to of it is how near they are; the file has no shapes.",
        part, "share", None, decode.total_ns, f"{DO} {MEASURE}",
        also=(Stages,),
        numbers={"gemm_share": part, "gemm_ns": decode.gemm_ns, "rows": rows, "ridge": ridge,
                 "bytes_per_s": spec.memory_bytes_per_s, "could_read_bytes": could},
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip


def _rows_of_a_step(stages: Stages | None) -> int | None:
    """The most rows that a decode step of an engine says it decodes; None where none says."""
    names = {row.name for row in (stages.rows if stages is not None else ())}
    steps = [recognise(name) for name in sorted(names)]
    rows = [
        step.decode_tokens for step in steps
        if step is not None and step.phase is Phase.DECODE and step.decode_tokens
    ]  # fmt: skip
    return max(rows, default=None)
