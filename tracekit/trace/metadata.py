"""What a file says beside its events, with the types that its readers count on.

Metadata is input like all else: any key may hold anything. What is of another kind than the writer
of that key writes is left out at one place, here, so that it is absent everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

# a type; [kind] a list of it; {key: kind} an object, "*" for keys that are not named; ANY
Kind: TypeAlias = "type | list[Kind] | dict[str, Kind] | None"

ANY: Kind = None
_FLAG = bool
_LARGEST = 1 << 63  # whole numbers beyond fit no column

_COUNTS: Kind = {"*": float}
_CAPTURE: Kind = {
    "schema": str, "model": str, "size": str, "title": str, "stages": [str],
    "absent_stages": [str], "dtype": str,
    "device": {"name": str, "type": str, "memory_bytes": int, "architecture": str, "*": ANY},
    "versions": {"*": str}, "parameters": {"*": int},
    "dims": {"llm": _COUNTS, "encode": _COUNTS, "prefill": _COUNTS, "batch_size": int, "*": ANY},
    "random_weights": _FLAG, "tokenizer": str,
    "tokens": {"generated": [int], "prefill_each": [int], "*": int},
    "prompt": str, "sampling": _COUNTS, "seed": int, "attention": str, "cache": str,
    "compile": _FLAG, "batch_size": int, "schedule": {"*": int},
    "options": {"*": _FLAG}, "checkpoint": str,
    "data": {"spec": str, "dataset": str, "synthetic": _FLAG, "samples": [str], "*": ANY},
    "command": str, "unprofiled": {"samples": [{"*": ANY}]}, "profiled": {"samples": [{"*": ANY}]},
    "interrupted": _FLAG, "notes": [str],
}  # fmt: skip
# Source: torch/csrc/autograd/profiler_kineto.cpp and kineto's output_json.cpp; flags are 0 and 1
_FILE: Kind = {
    "tracekit": _CAPTURE,
    "deviceProperties": [{
        **dict.fromkeys((
            "id", "totalGlobalMem", "computeMajor", "computeMinor", "maxThreadsPerBlock",
            "maxThreadsPerMultiprocessor", "regsPerBlock", "regsPerMultiprocessor", "warpSize",
            "sharedMemPerBlock", "sharedMemPerBlockOptin", "sharedMemPerMultiprocessor", "numSms",
        ), int),
        "name": str, "*": ANY,
    }],
    "distributedInfo": {"*": ANY, "rank": int, "world_size": int, "backend": str},
    "record_shapes": int, "with_stack": int, "with_modules": int, "with_flops": int,
    "profile_memory": int, "cuda_runtime_version": int, "cuda_driver_version": int,
    "hip_runtime_version": int, "hip_driver_version": int,
}  # fmt: skip


def typed(meta: Mapping[str, object]) -> dict[str, object]:
    """The keys of a file but its events, without those whose value is of the wrong kind.

    A list with one wrong element is wrong as a whole; an object, also one in a list, only loses
    the wrong keys. Keys that no reader counts on stay as they are.
    """
    assert isinstance(_FILE, dict)
    return _object(meta, _FILE)


def _object(value: Mapping[str, Any], kind: dict[str, Kind]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        wanted = kind.get(key, kind.get("*", ANY))
        if isinstance(wanted, dict) and isinstance(item, Mapping):
            kept[key] = _object(item, wanted)
        elif not _is(item, wanted):
            continue
        elif item and isinstance(wanted, list) and isinstance(inner := wanted[0], dict):
            kept[key] = [_object(one, inner) for one in item]
        else:
            kept[key] = item
    return kept


def _is(value: object, kind: Kind) -> bool:
    if value is None or kind is ANY:
        return True
    if isinstance(kind, list):
        # a count that is not known is null
        known = kind[0] is int
        return isinstance(value, list) and all(
            _is(one, kind[0]) and (known or one is not None) for one in value
        )
    if isinstance(kind, dict):
        return isinstance(value, Mapping)
    if isinstance(value, int) and kind in (int, float):
        return abs(value) < _LARGEST
    return kind is not None and isinstance(value, kind)
