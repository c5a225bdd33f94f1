"""What the categories of a file's slices are: which are work of a device, which of the host.

Sources: `_activityTypeNames` in kineto's libkineto/include/ActivityType.h (CUDA, ROCm, XPU, MTIA,
HPU, PrivateUse1); torch/csrc/autograd/profiler_kineto.cpp for the names of 2021 and before; the
forks of vendors, which put their own word for `cuda` (torch_musa, torch_gcu: `musa_runtime`,
`gcu_memcpy`); torch_npu's exporter, whose slices have no category but a process each (`CANN`,
`Ascend Hardware`: torch_npu/profiler/analysis/prof_view/_trace_view_parser.py); torch_mlu's Kineto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from tracekit.patterns import later
from tracekit.trace.trace import Cat

CATS: Mapping[str, Cat] = {
    "cpu_op": Cat.CPU_OP,
    "Operator": Cat.CPU_OP,
    "cuda_runtime": Cat.RUNTIME,
    "cuda_driver": Cat.RUNTIME,
    "hip_runtime": Cat.RUNTIME,
    "hip_driver": Cat.RUNTIME,
    "xpu_runtime": Cat.RUNTIME,
    "xpu_driver": Cat.RUNTIME,
    "mtia_runtime": Cat.RUNTIME,
    "glow_runtime": Cat.RUNTIME,
    "Runtime": Cat.RUNTIME,
    "runtime": Cat.RUNTIME,
    "driver": Cat.RUNTIME,
    "kernel": Cat.KERNEL,
    "Kernel": Cat.KERNEL,
    "mtia_ccp_events": Cat.KERNEL,
    "gpu_memcpy": Cat.MEMCPY,
    "Memcpy": Cat.MEMCPY,
    "gpu_memset": Cat.MEMSET,
    "Memset": Cat.MEMSET,
    "user_annotation": Cat.ANNOTATION,
    "gpu_user_annotation": Cat.GPU_ANNOTATION,
    "python_function": Cat.PYTHON,
    "overhead": Cat.OVERHEAD,
    "cuda_sync": Cat.SYNC,
}

# Of these the process decides whether they are work or calls: see columns/device_rows.py
OPS = frozenset({"hpu_op", "npu_op", "xpu_op", "privateuse1_op"})
UNDECIDED = OPS | {"privateuse1_runtime", "privateuse1_driver"}

# Neither work nor host time: spans and samples of the profiler itself, and requests that SGLang's
# convert_otel_2_perfetto.py draws beside a trace
ASIDE = frozenset({
    "Trace", "Traces", "external_correlation", "External correlation", "cpu_instant_event",
    "cuda_profiler_range", "mlu_profiler_range", "mlu_notifier", "xpu_scope_profiler",
    "mtia_counters", "gpu_pm_counter", "cuda_event", "graph_event_node", "sglang",
})  # fmt: skip

# A vendor's word, then what follows `cuda` or `gpu` in Kineto's own names
_VENDOR = later(
    r"^(?:cuda|hip|rocm|gpu|xpu|mtia|hpu|npu|musa|gcu|mlu|maca|sdaa|ppu|dcu|privateuse1)_"
    r"(?P<kind>runtime|driver|memcpy|memset|kernel|user_annotation|sync)$"
)
_OF_KIND: Mapping[str, Cat] = {
    "runtime": Cat.RUNTIME,
    "driver": Cat.RUNTIME,
    "memcpy": Cat.MEMCPY,
    "memset": Cat.MEMSET,
    "kernel": Cat.KERNEL,
    "user_annotation": Cat.GPU_ANNOTATION,
    "sync": Cat.SYNC,
}

# The device whose work a category is, where that is no GPU's
_KINDS: Mapping[str, str] = {
    "mtia": "MTIA",
    "hpu": "HPU (Gaudi)",
    "xpu": "XPU",
    "npu": "NPU (Ascend)",
    "privateuse1": "PrivateUse1 device",
    "musa": "MUSA GPU",
    "gcu": "GCU (Enflame)",
    "mlu": "MLU (Cambricon)",
}


@lru_cache(maxsize=4096)
def category(text: str) -> Cat:
    """What a file's category is; OTHER where it is not known, or where the process decides."""
    # Chrome allows several, joined by commas
    for one in text.split(","):
        word = one.strip()
        if word in UNDECIDED:
            return Cat.OTHER
        if word in CATS:
            return CATS[word]
        if found := _VENDOR.match(word):
            return _OF_KIND[found["kind"]]
    return Cat.OTHER


# The process of a device of XLA, as torch_tpu has it in Kineto's traces
XLA_DEVICE = later(r"^/device:(?P<kind>[A-Z]+):\d+")


def kind_of_device(cats: Mapping[str, int], processes: Iterable[str] = ()) -> str:
    """What the devices of a file are, by its categories and the names of its processes: `GPU` where
    none says otherwise.
    """
    known = [_KINDS[vendor] for text in cats if (vendor := text.split("_")[0]) in _KINDS]
    known += [found["kind"] for name in processes if (found := XLA_DEVICE.match(name))]
    return " and ".join(dict.fromkeys(known)) or "GPU"
