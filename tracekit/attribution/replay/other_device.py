"""How much longer or shorter each kernel takes on another device: by its own bound.

A kernel of a product whose shapes are known is bound by compute or by memory, whichever takes
longer at this device's peaks, unless it takes many times either: then neither limits it. Of other
kernels the length decides: short ones are bound by latency, the rest move bytes.

Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.copies import way
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.roofline.devices import Device, datasheet, of_trace
from tracekit.attribution.roofline.formulas.work import MATRIX
from tracekit.attribution.roofline.op_formulas import described
from tracekit.attribution.roofline.utilization import least
from tracekit.errors import MissingEventsError
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace

F64 = npt.NDArray[np.float64]

SHORT_NS = 5_000  # kernels without a formula up to here: latency
FAR = 0.1  # of the time: a floor below it limits nothing
# How long kernels were on the other device, of what their bounds say: one model on an H100 and on
# an MI300X, both ways. What libraries make of a device is in no datasheet.
LEAST, MOST = 0.5, 2.0


def factors(trace: Trace, name: str) -> F64:
    """[G] the time of each row of `links.work` on the device `name`, of what it is here.

    Raises: UsageError for an unknown name; MissingEventsError where the trace's own device is not
    known, or one of the two has no peak for a dtype that is multiplied.
    """
    other, own = datasheet(name), of_trace(trace)
    if own is None:
        raise MissingEventsError(
            "the device that it ran on is not known, so nothing can be scaled to another",
            where=trace.path, hint="record it with PyTorch's profiler, which lists its devices",
        )  # fmt: skip
    gpu = links.work(trace)
    memory = own.memory_bytes_per_s / other.memory_bytes_per_s
    out = np.ones(len(gpu))
    kernel = gpu.is_(Cat.KERNEL) & ~classify(trace).of(Category.COMMUNICATION)
    out[(kernel & (gpu.dur > SHORT_NS)) | gpu.is_(Cat.MEMSET)] = memory
    _formulas(trace, kernel, own, other, out)
    _copies(trace, own, other, memory, out)
    return out


def _formulas(trace: Trace, kernel: Mask, own: Device, other: Device, out: F64) -> None:
    """Kernels of products whose FLOPs and bytes are known."""
    gpu, known = links.work(trace), described(trace)
    rows = np.flatnonzero(kernel & (known.call >= 0))
    took: I64 = segments.sums(known.call[rows], gpu.dur[rows], len(known.work))
    factor = np.full(len(known.work), np.nan)
    for at in np.unique(known.call[rows]).tolist():
        work = known.works[int(known.work[at])]
        if work.family not in MATRIX:
            continue  # moves bytes, as what has no formula
        factor[at] = 1.0
        one, two = own.flops.get(work.dtype), other.flops.get(work.dtype)
        if one is None or two is None:
            lacking = own if one is None else other
            raise MissingEventsError(
                f"no peak of {lacking.name} for {work.dtype} is known",
                where=trace.path, hint="choose another device",
            )  # fmt: skip
        floor, bound = least(work.flops, work.bytes, one, own.memory_bytes_per_s)
        if floor is not None and floor >= FAR * took[at]:
            memory = own.memory_bytes_per_s / other.memory_bytes_per_s
            factor[at] = one / two if bound == "compute" else memory
    told = factor[known.call[rows]]
    out[rows] = np.where(np.isnan(told), out[rows], told)


def _copies(trace: Trace, own: Device, other: Device, memory: float, out: F64) -> None:
    """Copies to and from the host by the buses, copies on the device by the memories."""
    gpu = links.work(trace)
    for name in np.unique(gpu.name[gpu.is_(Cat.MEMCPY)]).tolist():
        direction, _ = way(trace.strings[name])
        rows = gpu.is_(Cat.MEMCPY) & (gpu.name == name)
        if direction == "DtoD":
            out[rows & (gpu.dur > SHORT_NS)] = memory
        elif direction in ("HtoD", "DtoH") and own.bus_bytes_per_s and other.bus_bytes_per_s:
            out[rows & (gpu.dur > SHORT_NS)] = own.bus_bytes_per_s / other.bus_bytes_per_s
