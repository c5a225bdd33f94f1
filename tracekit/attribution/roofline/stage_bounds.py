"""The least time of a stage beside what it took."""

from __future__ import annotations

from typing import TypeVar

from tracekit.attribution.roofline.devices import Device
from tracekit.attribution.roofline.model_bounds import Need
from tracekit.attribution.roofline.utilization import least
from tracekit.records import Record, replace

N = TypeVar("N", int, float)

DEFINITION = (
    "The longer of FLOPs over the device's peak for the dtype, and least bytes (weights once a "
    "pass, of routed experts as many as one token chooses; keys and values) over its memory "
    "bandwidth, summed over the forward passes."
)


class StageBound(Record, frozen=True):
    """The least time of a stage beside what it took. None: not known."""

    stage: str
    dtype: str
    passes: int  # forward passes
    tokens: int | None
    took_ns: int | None  # from each marker's start to the end of the marker and of its work
    flops: int
    bytes: int
    weight_bytes: int  # of bytes
    floor_ns: float | None  # sum over the passes of the larger of the two times
    floor_share: float | None  # floor over took
    mfu: float | None  # FLOPs over took, over the peak
    mbu: float | None  # bytes over took, over the bandwidth
    mbu_weights: float | None  # the same with weights alone
    even_weight_bytes: int | None = None  # weights if experts were chosen evenly; None: dense
    mbu_even: float | None = None  # as mbu, with those weights: an estimate, no bound


def of_need(need: Need, took: int | None, spec: Device | None) -> StageBound:
    """The floor of a stage that has to do `need` and took `took` ns."""
    peak = spec.flops.get(need.dtype) if spec else None
    memory = spec.memory_bytes_per_s if spec else None
    parts = [least(done, moved, peak, memory)[0] for done, moved in need.passes]
    known = [ns for ns in parts if ns is not None]
    return _shares(
        StageBound(
            stage=need.stage,
            dtype=need.dtype,
            passes=len(need.passes),
            tokens=need.tokens,
            took_ns=took,
            flops=sum(one for one, _ in need.passes),
            bytes=sum(one for _, one in need.passes),
            weight_bytes=need.weight_bytes,
            floor_ns=sum(known) if len(known) == len(parts) else None,
            floor_share=None,
            mfu=None,
            mbu=None,
            mbu_weights=None,
            even_weight_bytes=need.even_weight_bytes,
        ),
        spec,
    )


def join(one: StageBound | None, two: StageBound, spec: Device | None) -> StageBound:
    """Both added up, every share taken anew; what either side does not know is not known."""
    if one is None:
        return _shares(two if spec else replace(two, floor_ns=None), spec)
    return _shares(
        replace(
            two,
            passes=one.passes + two.passes,
            tokens=_both(one.tokens, two.tokens),
            took_ns=_both(one.took_ns, two.took_ns),
            flops=one.flops + two.flops,
            bytes=one.bytes + two.bytes,
            weight_bytes=one.weight_bytes + two.weight_bytes,
            floor_ns=_both(one.floor_ns, two.floor_ns) if spec else None,
            even_weight_bytes=_both(one.even_weight_bytes, two.even_weight_bytes),
        ),
        spec,
    )


def _both(one: N | None, two: N | None) -> N | None:
    return None if one is None or two is None else one + two


def _shares(floor: StageBound, spec: Device | None) -> StageBound:
    """The same with its shares of the floor and of the device's peaks."""
    took = floor.took_ns
    peak = spec.flops.get(floor.dtype) if spec else None
    memory = spec.memory_bytes_per_s if spec else None
    even = floor.even_weight_bytes

    def share(amount: float, rate: float | None) -> float | None:
        return amount / (took / 1e9) / rate if took and rate else None

    return replace(
        floor,
        floor_share=floor.floor_ns / took if floor.floor_ns is not None and took else None,
        mfu=share(floor.flops, peak),
        mbu=share(floor.bytes, memory),
        mbu_weights=share(floor.weight_bytes, memory),
        mbu_even=None if even is None else share(floor.bytes - floor.weight_bytes + even, memory),
    )
