"""What the links between the devices of one machine carry at most, in one direction.

Datasheets state both directions added up; the numbers here are half of that.
"""

from __future__ import annotations

import re

from tracekit.attribution.roofline import devices
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.trace import Trace

MACHINE = 8  # devices that one machine holds, in the machines of the devices below


class LinkPeak(Record, frozen=True):
    """The links of one device to its peers, added up."""

    bytes_per_s: float
    link: str
    source: str
    pattern: re.Pattern[str]


def _links(pattern: str, gigabytes: float, link: str, source: str) -> LinkPeak:
    return LinkPeak(gigabytes * 1e9, link, source, later(pattern))


# The first whose pattern is found in the name of the device as the driver writes it
LINKS: tuple[LinkPeak, ...] = (
    _links(r"\b(GB300|B300|GB200|B200)\b", 900, "NVLink 5", "NVIDIA Blackwell datasheet: 1.8 TB/s"),
    _links(r"\b(H200|GH200|H20)\b(?! NVL)|\bH100 (80GB HBM3|SXM)", 450, "NVLink 4",
           "NVIDIA H100 datasheet: 900 GB/s"),
    _links(r"\bH800\b(?! (PCIe|NVL|CNX))", 200, "NVLink 4", "NVIDIA H800 datasheet: 400 GB/s"),
    _links(r"\bA100-SXM", 300, "NVLink 3", "NVIDIA A100 datasheet: 600 GB/s"),
    _links(r"\bA800-SXM", 200, "NVLink 3", "NVIDIA A800 datasheet: 400 GB/s"),
    _links(r"\bV100-SXM", 150, "NVLink 2", "NVIDIA V100 datasheet: 300 GB/s"),
    _links(r"\bMI35[05]X", 537.6, "Infinity Fabric", "AMD MI350X datasheet: 7 links of 153.6 GB/s"),
    _links(r"\bMI3[02][05]X", 448, "Infinity Fabric", "AMD MI300X datasheet: 7 links of 128 GB/s"),
)  # fmt: skip


def of_trace(trace: Trace) -> LinkPeak | None:
    """The links of the trace's devices; None where they differ or are not known."""
    source = trace.source
    called = devices.names(source)
    if source.device is not None and devices.of_file(source) is None:
        called = (devices.datasheet(source.device).name,)
    found = {next((one for one in LINKS if one.pattern.search(name)), None) for name in called}
    return found.pop() if len(found) == 1 else None


def in_one_machine(ranks: int, members: str) -> bool:
    """Whether a group of so many ranks, listed as `[0, 1]`, lies in one machine of `MACHINE`."""
    if not 1 < ranks <= MACHINE or "..." in members:
        return False
    listed = [int(number) for number in re.findall(r"\d+", members)]
    if not listed:
        return False
    return len({rank // MACHINE for rank in listed}) == 1
