"""What a file holds beside the work of GPUs, in words: other devices, and what is not known."""

from __future__ import annotations

import re

from tracekit.patterns import later
from tracekit.results.units import duration, plural
from tracekit.trace.categories import kind_of_device
from tracekit.trace.columns.device_rows import ASCEND_DEVICE
from tracekit.trace.trace import Source, Unknown

# "0 CPU HSA API", "1 CPU HIP API", "2 COPY", "6 GPU0". Source: rocprof's tblextr.py
_ROCPROF = later(r"^\d+ (?:CPU (?:HIP|HSA) API|COPY|GPU ?\d+)$")
_MOST = 3  # kinds that a sentence names


def device_kind(source: Source) -> str:
    """What the devices of a file are: `GPU` where nothing says otherwise."""
    if any(name.startswith(ASCEND_DEVICE) for name in source.processes.values()):
        return "NPU (Ascend)"
    return kind_of_device(source.cats, source.processes.values())


def other_device(source: Source) -> str | None:
    """Which device the file is of, and what is read as its kernels; None for GPUs."""
    kind = device_kind(source)
    if kind == "GPU":
        return None
    where = "hpu_op" if "hpu_op" in source.cats else None
    if "mtia_ccp_events" in source.cats:
        where = "mtia_ccp_events"
    waits = ", waits for events included" if where == "mtia_ccp_events" else ""
    what = (
        f": {plural(source.cats[where], 'slice')} of `{where}` read as kernels{waits}"
        if where
        else ""
    )
    return f"The device of this file is {_article(kind)} {kind}{what}."


# what stands in backticks is a name of the file
_GPU = later(r"(?P<name>`[^`]*`)|\bGPU(?P<many>s?)\b")

# what only CUDA and HIP have under this name
_GRAPHS = {
    "CUDA graphs": "graphs of the device", 'torch.compile(mode="reduce-overhead")': "torch.compile",
}  # fmt: skip


def neutral(text: str) -> str:
    """One of our sentences, or a label, of a device that is no GPU: `device` for `GPU`."""

    def word(found: re.Match[str]) -> str:
        if found["name"]:
            return found["name"]
        said = f"device{found['many']}"
        return said.capitalize() if found.start() == 0 else said

    for own, other in _GRAPHS.items():
        text = text.replace(own, other)
    return _GPU.sub(word, text)


def _article(word: str) -> str:
    return "an" if word[:1] in "HNMXAEIOU" else "a"


def unknown(source: Source) -> str | None:
    """What of the file is in no answer, by category and process; None where all is known."""
    rows = source.unknown
    if not rows:
        return None
    some = "; ".join(map(_one, rows[:_MOST]))
    left = rows[_MOST:]
    more = f"; and {plural(sum(r.count for r in left), 'slice')} of other kinds" if left else ""
    tail = (
        "They lie on threads of the host and are in no answer."
        if all(row.on_host for row in rows)
        else "They are in no answer, and work of a device may be among them."
    )
    form = "This is an export of rocprof, not of torch.profiler. " if _of_rocprof(source) else ""
    return f"{form}Not known to tracekit: {some}{more}. {tail}"


def _of_rocprof(source: Source) -> bool:
    """Its `otherData` names the agents, or its processes are the queues and the interfaces."""
    other = source.meta.get("otherData")
    agents = isinstance(other, dict) and "HSA_AGENTS" in other
    return agents or any(map(_ROCPROF.match, source.processes.values()))


def _one(row: Unknown) -> str:
    kind = f"of category `{row.category[:60]}`" if row.category else "without a category"
    return (
        f"{plural(row.count, 'slice')} {kind} in {row.process[:60]!r} "
        f"({duration(row.ns)}, tracks added up)"
    )
