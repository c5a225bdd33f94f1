"""Prefill in one file, decode in another: what the first tells of the second.

A replayed graph records no shapes. Where another trace ran the same GEMMs of the same layers on the
same device, and recorded their shapes, the weights of both are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekit.answers.roles import Role, Roles
from tracekit.attribution.roofline.devices import named
from tracekit.report.many.runs import Side
from tracekit.results.units import duration, share
from tracekit.taxonomy import Category, Stage


def sentences(many: Sequence[Side]) -> Iterator[str]:
    """How near to the memory floor decode's GEMMs are, by the weights that another trace has."""
    for side in many:
        decode = _gemms(side, Stage.DECODE)
        if not decode or any(role.weight_bytes is not None for role in decode.values()):
            continue
        for other in many:
            if other is not side and _device(other) == _device(side):
                said = _said(side.name, other.name, decode, _gemms(other, Stage.PREFILL), side)
                if said:
                    yield said
                    break


def _gemms(side: Side, phase: Stage) -> dict[str, Role]:
    """The GEMMs with a place in the layers, by role."""
    roles = side.one.get(Roles)
    return {
        role.role: role
        for role in (roles.rows if roles is not None else ())
        if role.phase == phase and role.category == Category.GEMM and role.calls
    }


def _device(side: Side) -> str | None:
    roles = side.one.get(Roles)
    return roles.device if roles is not None else None


def _said(
    name: str, source: str, decode: dict[str, Role], prefill: dict[str, Role], side: Side
) -> str | None:
    """None where the roles of both differ, the weights of one are not known, or the device's peaks.

    Calls of decode are those of prefill times its steps, for each role the same.
    """
    device = _device(side)
    spec = named(device) if device else None
    if spec is None or decode.keys() != prefill.keys():
        return None
    steps = {(one.calls or 0) / (prefill[role].calls or 1) for role, one in decode.items()}
    sizes = [role.weight_bytes for role in prefill.values() if role.weight_bytes is not None]
    if len(steps) != 1 or len(sizes) != len(prefill):
        return None
    took = sum(role.total_ns for role in decode.values())
    floor = int(sum(sizes) * steps.pop() / spec.memory_bytes_per_s * 1e9)
    if not took:
        return None
    return (
        f"{name} · Decode: with the weights that {source} recorded, its GEMMs reach "
        f"{share(floor / took)} of the memory bandwidth of {device}: they take {duration(took)} "
        f"where reading the weights takes {duration(floor)}."
    )
