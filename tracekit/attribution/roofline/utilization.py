"""FLOPs and bytes in a time, against a device's peaks.

Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

from tracekit.attribution.roofline.devices import Device
from tracekit.attribution.roofline.formulas.work import MATRIX, Family, Known, Work
from tracekit.records import Record, replace

VECTOR = "float32"  # at whose peak vector units work, whatever is in memory


class Rates(Record, frozen=True):
    """How `flops` and least `bytes` in `total_ns` compare with the device; None: not known."""

    intensity: float | None  # FLOPs a byte
    flops_per_s: float | None
    bytes_per_s: float | None
    flops_share: float | None  # of the dtype's peak
    bytes_share: float | None  # of the memory's
    floor_ns: float | None  # the larger of FLOPs over peak and bytes over bandwidth
    floor_share: float | None  # floor over time
    bound: str | None  # compute or memory: the larger of the two


def rates(done: int, moved: int, ns: int | None, spec: Device | None, dtype: str) -> Rates:
    """How `done` FLOPs and `moved` bytes in `ns` compare with the device's peaks."""
    per_s = 1e9 / ns if ns else None
    peak = spec.flops.get(dtype) if spec else None
    memory = spec.memory_bytes_per_s if spec else None
    floor, bound = least(done, moved, peak, memory)
    return Rates(
        intensity=done / moved if moved else None,
        flops_per_s=done * per_s if per_s else None,
        bytes_per_s=moved * per_s if per_s else None,
        flops_share=done * per_s / peak if per_s and peak else None,
        bytes_share=moved * per_s / memory if per_s and memory else None,
        floor_ns=floor,
        floor_share=floor / ns if floor is not None and ns else None,
        bound=bound,
    )


def rates_of(work: Work, calls: int, ns: int | None, spec: Device | None, dtype: str) -> Rates:
    """How `calls` of this work in `ns` compare with the device; `dtype` as it was multiplied.

    Ops beside products run on vector units: their peak is that of float32. What is known from above
    alone has no floor; of communication the bytes in memory are no measure.
    """
    matrix = work.family in MATRIX
    found = rates(calls * work.flops, calls * work.bytes, ns, spec, dtype if matrix else VECTOR)
    if not work.flops:
        found = replace(found, intensity=None, flops_per_s=None, flops_share=None)
    if work.known is Known.MOST or work.family is Family.COMMUNICATION:
        found = replace(found, floor_ns=None, floor_share=None, bound=None)
    if work.known is Known.MOST:  # at most more than all says nothing
        found = replace(
            found, flops_share=_within(found.flops_share), bytes_share=_within(found.bytes_share)
        )
    return found


def _within(part: float | None) -> float | None:
    return None if part is None or part > 1 else part


def least(
    done: int, moved: int, peak: float | None, memory: float | None
) -> tuple[float | None, str | None]:
    if not peak or not memory:
        return None, None
    compute, move = done / peak * 1e9, moved / memory * 1e9
    return max(compute, move), "compute" if compute >= move else "memory"
