"""What a device can do at most, from its maker's datasheet.

Peaks are dense (without structured sparsity) and for the dtype of the inputs; matrix units where
the device has them for that dtype. A name that is no datasheet's has no peaks: what is not known
is not guessed. One MI250X is two devices for PyTorch; its numbers are those of one half.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tracekit.errors import UsageError
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.trace import Source, Trace

TERA, GIGA = 1e12, 1e9


class Device(Record, frozen=True):
    """Peaks of one device. Rates in units a second."""

    name: str
    flops: Mapping[str, float]  # FLOP/s by dtype: see `DTYPES`
    memory_bytes_per_s: float
    bus_bytes_per_s: float | None  # to the host, one direction
    bus: str
    source: str
    pattern: str  # of the names that the device goes by


# What torch calls a dtype in shapes, in our metadata and in kernel names, and the key here
DTYPES: Mapping[str, str] = {
    "double": "float64", "float64": "float64", "c10::complex<float>": "complex64",
    "float": "float32", "float32": "float32", "tf32": "tf32",
    "c10::BFloat16": "bfloat16", "BFloat16": "bfloat16", "bfloat16": "bfloat16",
    "c10::Half": "float16", "Half": "float16", "float16": "float16", "half": "float16",
    "c10::Float8_e4m3fn": "float8", "c10::Float8_e5m2": "float8",
    "c10::Float8_e4m3fnuz": "float8", "c10::Float8_e5m2fnuz": "float8",
    "float8": "float8", "signed char": "int8", "char": "int8", "int8": "int8",
    "unsigned char": "int8", "uint8": "int8",
}  # fmt: skip
BYTES: Mapping[str, int] = {
    "float64": 8, "float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1,
    "complex64": 8,
}  # fmt: skip

PCIE3, PCIE4, PCIE5, PCIE6 = 16 * GIGA, 32 * GIGA, 64 * GIGA, 128 * GIGA
_BUS = {PCIE3: "PCIe 3 ×16", PCIE4: "PCIe 4 ×16", PCIE5: "PCIe 5 ×16", PCIE6: "PCIe 6 ×16"}


def _device(
    name: str, pattern: str, memory: float, bus: float | None, source: str, **tera: float
) -> Device:
    """`memory` in GB/s, `bus` in B/s, peaks in TFLOP/s."""
    kinds = {"f64": "float64", "f32": "float32", "tf32": "tf32", "f16": "float16",
             "bf16": "bfloat16", "f8": "float8", "i8": "int8"}  # fmt: skip
    peaks = {kinds[key]: value * TERA for key, value in tera.items()}
    label = "host memory shared" if bus is None else _BUS.get(bus, "NVLink-C2C")
    return Device(name, peaks, memory * GIGA, bus, label, source, pattern)


_H100 = {"f64": 67.0, "f32": 67.0, "tf32": 494.7, "f16": 989.4, "bf16": 989.4, "f8": 1978.9,
         "i8": 1978.9}  # fmt: skip
_A100 = {"f64": 19.5, "f32": 19.5, "tf32": 156.0, "f16": 312.0, "bf16": 312.0, "i8": 624.0}
_MI300X = {"f64": 163.4, "f32": 163.4, "tf32": 653.7, "f16": 1307.4, "bf16": 1307.4, "f8": 2614.9,
           "i8": 2614.9}  # fmt: skip

_MI210 = {"f64": 45.3, "f32": 45.3, "f16": 181.0, "bf16": 181.0, "i8": 181.0}

# The first whose pattern is found in the name. More of a name comes before less of it.
DEVICES: tuple[Device, ...] = (
    _device("GB300", r"\bGB300\b", 8000, 450 * GIGA, "NVIDIA GB300 NVL72 datasheet",
            f64=1.3, f32=80, tf32=1250, f16=2500, bf16=2500, f8=5000),
    _device("B300", r"\bB300\b", 8000, PCIE6, "NVIDIA HGX B300 datasheet",
            f64=1.25, f32=75, tf32=1125, f16=2250, bf16=2250, f8=4500),
    _device("GB200", r"\bGB200\b", 8000, 450 * GIGA, "NVIDIA Blackwell datasheet (GB200 NVL72)",
            f64=40, f32=80, tf32=1250, f16=2500, bf16=2500, f8=5000, i8=5000),
    _device("B200", r"\bB200\b", 7700, PCIE5, "NVIDIA Blackwell datasheet (HGX B200)",
            f64=37, f32=75, tf32=1100, f16=2250, bf16=2250, f8=4500, i8=4500),
    _device("B100", r"\bB100\b", 8000, PCIE5, "NVIDIA Blackwell architecture brief (HGX B100)",
            f64=30, f32=60, tf32=900, f16=1750, bf16=1750, f8=3500, i8=3500),
    _device("H200 NVL", r"\bH200 NVL\b", 4800, PCIE5, "NVIDIA H200 datasheet (NVL)",
            f64=60, f32=60, tf32=417.5, f16=835.5, bf16=835.5, f8=1670.5, i8=1670.5),
    _device("H200", r"(?<!G)\bH200\b", 4800, PCIE5, "NVIDIA H200 datasheet (SXM)", **_H100),
    _device("GH200 96 GB", r"\bGH200 (480GB|120GB|96GB)", 4000, 450 * GIGA,
            "NVIDIA GH200 datasheet (96 GB HBM3)", **_H100),
    _device("GH200 144 GB", r"\bGH200 144G", 4900, 450 * GIGA,
            "NVIDIA GH200 datasheet (144 GB HBM3e)", **_H100),
    _device("H100 NVL", r"\bH100 NVL\b", 3900, PCIE5, "NVIDIA H100 datasheet (NVL)",
            f64=60, f32=60, tf32=417.5, f16=835.5, bf16=835.5, f8=1670.5, i8=1670.5),
    _device("H100 PCIe", r"\bH100 PCIe\b", 2000, PCIE5, "NVIDIA H100 datasheet (PCIe)",
            f64=51, f32=51, tf32=378, f16=756, bf16=756, f8=1513, i8=1513),
    _device("H100 SXM", r"\bH100 (80GB HBM3|SXM)", 3350, PCIE5, "NVIDIA H100 datasheet (SXM)",
            **_H100),
    # made for export: Hopper with the FP64 units cut (H800), and most others too (H20)
    _device("H800 PCIe", r"\bH800 PCIe\b", 2000, PCIE5, "NVIDIA H800 datasheet (PCIe)",
            f64=0.8, f32=51, tf32=378, f16=756, bf16=756, f8=1513, i8=1513),
    _device("H800", r"\bH800\b(?! (NVL|CNX))", 3350, PCIE5, "NVIDIA H800 datasheet (SXM)",
            **{**_H100, "f64": 1.0}),
    _device("H20", r"\bH20\b(?!-3e)", 4000, PCIE5, "NVIDIA H20 datasheet",
            f64=1.0, f32=44, tf32=74, f16=148, bf16=148, f8=296, i8=296),
    _device("A100 SXM 80 GB", r"\bA100-SXM.*80GB", 2039, PCIE4,
            "NVIDIA A100 datasheet (80 GB SXM)", **_A100),
    _device("A100 PCIe 80 GB", r"\bA100 80GB PCIe", 1935, PCIE4,
            "NVIDIA A100 datasheet (80 GB PCIe)", **_A100),
    _device("A100 40 GB", r"\bA100-(SXM4|PCIE|PCIe)-40GB", 1555, PCIE4,
            "NVIDIA A100 datasheet (40 GB)", **_A100),
    # made for export: A100 with slower NVLink alone
    _device("A800 SXM 80 GB", r"\bA800-SXM.*80GB", 2039, PCIE4,
            "NVIDIA A800 datasheet (80 GB SXM)", **_A100),
    _device("A800 PCIe 80 GB", r"\bA800 80GB PCIe", 1935, PCIE4,
            "NVIDIA A800 datasheet (80 GB PCIe)", **_A100),
    _device("A30", r"\bA30\b", 933, PCIE4, "NVIDIA A30 datasheet",
            f64=10.3, f32=10.3, tf32=82, f16=165, bf16=165, i8=330),
    _device("A40", r"\bA40\b", 696, PCIE4, "NVIDIA A40 datasheet",
            f32=37.4, tf32=74.8, f16=149.7, bf16=149.7, i8=299.3),
    _device("A10", r"\bA10\b", 600, PCIE4, "NVIDIA A10 datasheet",
            f32=31.2, tf32=62.5, f16=125, bf16=125, i8=250),
    _device("A10G", r"\bA10G\b", 600, PCIE4, "NVIDIA A10G datasheet (AWS G5)",
            f32=35, tf32=35, f16=70, bf16=70, i8=140),
    _device("T4", r"\bT4\b", 320, PCIE3, "NVIDIA T4 datasheet", f64=0.25, f32=8.1, f16=65, i8=130),
    _device("RTX A6000", r"\bRTX A6000\b(?! Laptop)", 768, PCIE4, "NVIDIA RTX A6000 datasheet",
            f32=38.7, tf32=77.4, f16=154.8, bf16=154.8, i8=309.7),
    _device("RTX A5000", r"\bRTX A5000\b(?! Laptop)", 768, PCIE4, "NVIDIA RTX A5000 datasheet",
            f32=27.8, tf32=55.6, f16=111.1, bf16=111.1, i8=222.2),
    _device("RTX PRO 6000 Blackwell", r"\bRTX PRO 6000 Blackwell Workstation", 1792, PCIE5,
            "NVIDIA RTX Blackwell PRO architecture whitepaper (workstation edition)",
            f32=125.9, tf32=251.9, f16=503.8, bf16=503.8, f8=1007.6, i8=1007.6),
    _device("RTX 6000 Ada", r"\bRTX 6000 Ada\b", 960, PCIE4, "NVIDIA RTX 6000 Ada datasheet",
            f32=91.1, tf32=182.1, f16=364.2, bf16=364.2, f8=728.5, i8=728.5),
    _device("L40S", r"\bL40S\b", 864, PCIE4, "NVIDIA L40S datasheet",
            f32=91.6, tf32=183, f16=362.05, bf16=362.05, f8=733, i8=733),
    _device("L40", r"\bL40\b", 864, PCIE4, "NVIDIA L40 datasheet",
            f32=90.5, tf32=90.5, f16=181.05, bf16=181.05, f8=362, i8=362),
    _device("L20", r"\bL20\b", 864, PCIE4, "NVIDIA L20 datasheet",
            f32=59.8, tf32=59.8, f16=119.5, bf16=119.5, f8=239, i8=239),
    _device("L4", r"\bL4\b", 300, PCIE4, "NVIDIA L4 datasheet",
            f32=30.3, tf32=60, f16=121, bf16=121, f8=242.5, i8=242.5),
    _device("V100S", r"\bV100S-", 1134, PCIE3, "NVIDIA V100 datasheet (V100S PCIe)",
            f64=8.2, f32=16.4, f16=130),
    _device("V100 SXM2", r"\bV100-SXM2", 900, PCIE3, "NVIDIA V100 datasheet (SXM2)",
            f64=7.8, f32=15.7, f16=125),
    _device("V100 SXM3", r"\bV100-SXM3", 981, PCIE3,
            "NVIDIA V100 datasheet (SXM2), at the clocks of DGX-2: 1,597 and 958 MHz",
            f64=8.2, f32=16.4, f16=130.8),
    _device("V100 PCIe", r"\bV100-PCIE", 900, PCIE3, "NVIDIA V100 datasheet (PCIe)",
            f64=7, f32=14, f16=112),
    _device("P100 SXM2", r"\bP100-SXM2-16GB", 732, PCIE3, "NVIDIA Tesla P100 datasheet (NVLink)",
            f64=5.3, f32=10.6, f16=21.2),
    _device("P100 PCIe", r"\bP100-PCIE-16GB", 732, PCIE3, "NVIDIA Tesla P100 datasheet (PCIe)",
            f64=4.7, f32=9.3, f16=18.7),
    _device("Quadro RTX 8000", r"\bQuadro RTX [68]000\b(?! with Max-Q)", 672, PCIE3,
            "NVIDIA Quadro RTX 6000 and 8000 datasheets", f32=16.3, f16=130.5, i8=261),
    # tensor cores with float32 accumulation, as torch uses them
    _device("RTX 5090", r"RTX 5090(?! (D|Laptop))", 1792, PCIE5,
            "NVIDIA RTX Blackwell architecture whitepaper",
            f32=104.8, tf32=104.8, f16=209.5, bf16=209.5, f8=419, i8=838),
    _device("RTX 4090", r"RTX 4090(?! (D|Laptop))", 1008, PCIE4,
            "NVIDIA Ada GPU architecture whitepaper",
            f32=82.6, tf32=82.6, f16=165.2, bf16=165.2, f8=330.3, i8=660.6),
    _device("RTX 4080", r"RTX 4080(?! (SUPER|Laptop))", 716.8, PCIE4,
            "NVIDIA Ada GPU architecture whitepaper",
            f32=48.7, tf32=48.7, f16=97.5, bf16=97.5, f8=194.9, i8=389.9),
    _device("RTX 3090 Ti", r"RTX 3090 Ti\b", 1008, PCIE4,
            "NVIDIA Ampere GA102 architecture whitepaper",
            f32=40, tf32=40, f16=80, bf16=80, i8=320),
    _device("RTX 3090", r"RTX 3090(?! Ti)", 936, PCIE4,
            "NVIDIA Ampere GA102 architecture whitepaper",
            f32=35.6, tf32=35.6, f16=71, bf16=71, i8=284),
    _device("MI355X", r"\bMI355X", 8000, PCIE5, "AMD Instinct MI355X datasheet",
            f64=78.6, f32=157.3, f16=2516.6, bf16=2516.6, f8=5033.2, i8=5033.2),
    _device("MI350X", r"\bMI350X", 8000, PCIE5, "AMD Instinct MI350X datasheet",
            f64=72.1, f32=144.2, f16=2306.9, bf16=2306.9, f8=4613.7, i8=4613.7),
    _device("MI325X", r"\bMI325X", 6000, PCIE5, "AMD Instinct MI325X datasheet", **_MI300X),
    _device("MI300X", r"\bMI300X", 5300, PCIE5, "AMD Instinct MI300X datasheet", **_MI300X),
    _device("MI300A", r"\bMI300A", 5300, None, "AMD Instinct MI300A datasheet",
            f64=122.6, f32=122.6, tf32=490.3, f16=980.6, bf16=980.6, f8=1961.2, i8=1961.2),
    _device("MI250X (one die of two)", r"\bMI250X(?!\s*/)", 1638.4, PCIE4,
            "AMD Instinct MI250X datasheet, halved",
            f64=47.85, f32=47.85, f16=191.5, bf16=191.5, i8=191.5),
    _device("MI250 (one die of two)", r"(?<!/ )(?<!/)\bMI250\b", 1638.4, PCIE4,
            "AMD Instinct MI250 datasheet, halved",
            f64=45.25, f32=45.25, f16=181.05, bf16=181.05, i8=181.05),
    _device("MI210", r"\bMI210\b", 1638.4, PCIE4, "AMD Instinct MI210 datasheet", **_MI210),
    # no name says so: see `_by_units`
    _device("MI210, or one die of an MI250", r"(?!)", 1638.4, PCIE4,
            "AMD Instinct MI210 datasheet, equal to half an MI250; told by 104 compute units and "
            "64 GiB", **_MI210),
    _device("MI100", r"\bMI100\b", 1228.8, PCIE4, "AMD Instinct MI100 datasheet",
            f64=11.5, f32=46.1, f16=184.6, bf16=92.3, i8=184.6),
    _device("Radeon RX 7900 XTX", r"RX 7900 XTX\b", 960, PCIE4, "AMD Radeon RX 7900 XTX datasheet",
            f32=61.4, f16=122.8, bf16=122.8, i8=122.8),
    # a name that is only the architecture's gets the peaks of the largest chip of it
    _device("Radeon 8060S (gfx1151)", r"\b8060S\b|^(?!.*8050S).*\bgfx1151\b", 256, None,
            "AMD Ryzen AI Max+ 395 datasheet, and 512 FLOPs a clock and CU of RDNA 3.5",
            f32=29.7, f16=59.4, bf16=59.4, i8=59.4),
    _device("Radeon RX 9070", r"RX 9070(?! XT)(?! GRE)", 640, PCIE5, "AMD Radeon RX 9070 datasheet",
            f32=36.1, f16=144.6, bf16=144.6, f8=289.2, i8=289.2),
    _device("Radeon RX 9070 XT (gfx1201)", r"RX 9070 XT\b|^(?!.*(R9700|GRE)).*\bgfx1201\b", 640,
            PCIE5, "AMD Radeon RX 9070 XT datasheet",
            f32=48.7, f16=194.6, bf16=194.6, f8=389.3, i8=389.3),
)  # fmt: skip

_SLICE = later(r"\bMIG\b")
# What ROCm calls a device whose name it does not know, or that has one PCI id with another
_VAGUE = later(r"^AMD Radeon Graphics$|\bMI250X\s*/\s*MI250\b|\bMI200\b")
# (compute units, GiB of memory) of the architecture (9, 0), (9, 4), (9, 5) … that have one meaning
_BY_UNITS: Mapping[tuple[tuple[int, int], int, int], str] = {
    ((9, 0), 120, 32): "MI100",
    ((9, 0), 110, 64): "MI250X (one die of two)",
    ((9, 0), 104, 64): "MI210, or one die of an MI250",
    ((9, 4), 228, 128): "MI300A",
    ((9, 4), 304, 192): "MI300X",
    ((9, 4), 304, 256): "MI325X",
}


def named(name: str) -> Device | None:
    """The device of this name as torch or the driver writes it, or None where none is known.

    A slice of a GPU (MIG) has a part of its units and of its bandwidth: no datasheet is of it.
    """
    if _SLICE.search(name):
        return None
    return next((device for device in DEVICES if re.search(device.pattern, name)), None)


def datasheet(name: str) -> Device:
    """The device that somebody names: as here, or as torch writes it.

    Raises: UsageError for one that no datasheet is known of.
    """
    found = next((one for one in DEVICES if one.name.lower() == name.lower()), None) or named(name)
    if found is None:
        near = [one.name for one in DEVICES if one.name.lower().startswith(name.lower())]
        why = "several devices begin so" if near else "no datasheet of this device is known"
        known = ", ".join(near or [device.name for device in DEVICES])
        raise UsageError(why, where=name, hint=f"choose {known}")
    return found


def names(source: Source) -> tuple[str, ...]:
    """Distinct names of the devices that the file lists, empty ones left out."""
    meta = source.meta
    found: list[str] = []
    listed = meta.get("deviceProperties")
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        found += [str(one.get("name") or "") for one in listed if isinstance(one, Mapping)]
    own = meta.get("tracekit")
    if isinstance(own, Mapping) and not any(found):
        found.append(_own_name(own.get("device")))
    return tuple(dict.fromkeys(name for name in found if name))


def _own_name(device: object) -> str:
    if isinstance(device, Mapping):
        return str(device.get("name") or "")
    return ""


def of_trace(trace: Trace) -> Device | None:
    """The device that the trace ran on, or None where it is not known or they differ.

    Raises: UsageError for the word of a user that is no device's.
    """
    told = trace.source.device
    return of_file(trace.source) or (None if told is None else datasheet(told))


def of_file(source: Source) -> Device | None:
    """The device that the file names.

    Device ids of the events do not index the list of devices (on ROCm they count from elsewhere),
    so only a list of devices of one kind says which one it was.
    """
    found = [named(name) or _by_units(source, name) for name in names(source) or _unnamed(source)]
    first = found[0] if found else None
    return first if all(device is first for device in found) else None


def _unnamed(source: Source) -> tuple[str, ...]:
    """The empty name, where ROCm lists devices and knows the name of none."""
    rocm = any(name in source.meta for name in ("hip_runtime_version", "roctracer_version"))
    return ("",) if rocm and _listed(source) else ()


def _by_units(source: Source, name: str) -> Device | None:
    """The device behind a name that says only its maker's, or nothing, by its compute units and its
    memory.
    """
    if name and not _VAGUE.search(name):
        return None
    found = {_told(one) for one in _listed(source) if (one.get("name") or "") == name}
    only = found.pop() if len(found) == 1 else None
    return next((device for device in DEVICES if device.name == only), None)


def _told(one: Mapping[str, object]) -> str | None:
    major, minor, units, memory = (
        one.get(key) for key in ("computeMajor", "computeMinor", "numSms", "totalGlobalMem")
    )
    if not (isinstance(major, int) and isinstance(minor, int) and isinstance(units, int)
            and isinstance(memory, int)):  # fmt: skip
        return None
    return _BY_UNITS.get(((major, minor), units, round(memory / 2**30)))


def _listed(source: Source) -> list[Mapping[str, object]]:
    """The devices that the trace lists."""
    listed = source.meta.get("deviceProperties")
    rows = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    return [one for one in rows if isinstance(one, Mapping)]


def units(trace: Trace) -> int | None:
    """SMs, or compute units, of the device, where all that are listed have as many."""
    found = {one.get("numSms") for one in _listed(trace.source)}
    only = found.pop() if len(found) == 1 else None
    return only if isinstance(only, int) and only > 0 else None


def ns_for(amount: float, per_second: float | None) -> float | None:
    """ns that `amount` takes at a rate; None where the rate is not known."""
    return amount / per_second * 1e9 if per_second else None
