"""Decode steps of so few rows that the weights, whatever their size, bound the GEMMs.

A GEMM of R rows does 2 R FLOPs for each weight, of 2 bytes in bfloat16: R FLOPs a byte. Below the
ridge of the device its time is reading the weights.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracekit.attribution.roofline.devices import Device
from tracekit.attribution.stages.annotation_names import Phase, recognise
from tracekit.results.findings import Draft
from tracekit.results.result import Result
from tracekit.results.units import bytes_, duration, rate, share
from tracekit.taxonomy import Category, FindingKind, Stage

DO = (
    "Decode more rows at once (larger batches, speculative decoding), quantise the weights, or "
    "fuse these GEMMs into fewer, larger ones."
)
_MEASURE = (
    "To know how near: name the model that ran (--model-config), record a step without graphs with "
    "record_shapes=True, or analyze it with a prefill that has shapes."
)
MUCH = 0.25  # of the kernel time of decode


def draft(
    gemm_ns: int, total_ns: int, spec: Device | None, steps: Iterable[str],
    also: tuple[type[Result], ...],
) -> Draft | None:  # fmt: skip
    """What is said of decode's GEMMs by the names of its steps; None where these do not say it."""
    rows = rows_of_a_step(steps)
    peak = spec.flops.get("bfloat16") if spec is not None else None
    if spec is None or peak is None or rows is None or not total_ns:
        return None
    part, ridge = gemm_ns / total_ns, peak / spec.memory_bytes_per_s
    if part < MUCH or rows * 2 > ridge:
        return None
    could = gemm_ns / 1e9 * spec.memory_bytes_per_s
    return Draft(
        FindingKind.MEMORY_BANDWIDTH, Stage.DECODE.value,
        f"{share(part)} of the kernel time of decode, {duration(gemm_ns)}, is GEMMs over "
        f"{rows} rows a step: each weight that is read serves {rows} rows, where {spec.name} "
        f"needs {ridge:.0f} to be busy with arithmetic, so memory bandwidth is the limit. At its "
        f"{rate(spec.memory_bytes_per_s, 'B/s')} it could read {bytes_(could)} in that time: what "
        "the weights of these steps come to of it is how near they are; the file has no shapes.",
        part, "share", None, total_ns, f"{DO} {_MEASURE}",
        also=also,
        numbers={"gemm_share": part, "gemm_ns": gemm_ns, "rows": rows, "ridge": ridge,
                 "bytes_per_s": spec.memory_bytes_per_s, "could_read_bytes": could},
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip


def rows_of_a_step(steps: Iterable[str]) -> int | None:
    """The most rows that a decode step of an engine says it decodes; None where none says."""
    rows = [
        step.decode_tokens for step in map(recognise, sorted(set(steps)))
        if step is not None and step.phase is Phase.DECODE and step.decode_tokens
    ]  # fmt: skip
    return max(rows, default=None)
