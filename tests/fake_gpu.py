"""torch's calls to a GPU, written down and not made: what is asked of which device, in what order.

Everything that tracekit calls of `torch.cuda` (or `torch.xpu`) and of NVML is replaced; the tensors
of a test stay on the CPU. The fake keeps torch's own rule that what names no device is of the
current one, so that a call which forgets `cuda:1` is seen to go to the first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

GIB = 1 << 30
UUID = "0b5c6f0a-0000-0000-0000-00000000000{}"
Call = tuple[str, int | None]  # (what, the device's number)


@dataclass
class FakeGpu:
    """`count` devices of one kind; `calls` are all that was asked, in order."""

    kind: str = "cuda"
    count: int = 2
    free: int = 60 * GIB
    bfloat16: bool = True
    hip: str | None = None
    calls: list[Call] = field(default_factory=list)
    at: int = 0  # the current device
    held: int = 5 * GIB  # bytes of tensors
    now_ms: float = 0.0  # the device's clock

    def number(self, device: Any = None) -> int:
        if device is None:
            return self.at
        index = device if isinstance(device, int) else torch.device(device).index
        return self.at if index is None else int(index)

    def say(self, what: str, device: Any = None) -> None:
        self.calls.append((what, self.number(device)))

    def asked(self, what: str) -> list[int | None]:
        """The devices of all calls of that name."""
        return [number for name, number in self.calls if name == what]

    def answer(self, what: str, value: Any = None) -> Callable[..., Any]:
        def call(device: Any = None) -> Any:
            self.say(what, device)
            return value

        return call

    @contextmanager
    def device(self, device: Any) -> Iterator[None]:
        before, self.at = self.at, self.number(device)
        self.say("enter")
        try:
            yield
        finally:
            self.at = before

    def event(self, enable_timing: bool = False) -> Any:
        assert enable_timing, "an event without it tells no time"
        return Event(self)

    def properties(self, device: Any = None) -> Any:
        number = self.number(device)
        self.say("get_device_properties", number)
        return SimpleNamespace(
            name=f"Fake GPU {number}", total_memory=80 * GIB, multi_processor_count=100, major=9,
            minor=0, L2_cache_size=50 << 20, gcnArchName="gfx942", uuid=UUID.format(number),
        )  # fmt: skip


@dataclass
class Event:
    """A timing event: it is recorded on a device, 2 ms after the one before."""

    gpu: FakeGpu
    at: int | None = None
    ms: float = 0.0

    def record(self) -> None:
        self.gpu.say("event")
        self.gpu.now_ms += 2.0
        self.at, self.ms = self.gpu.at, self.gpu.now_ms

    def elapsed_time(self, other: Event) -> float:
        assert self.at == other.at, "events of two devices"
        assert self.gpu.calls[-1][0] != "event", "not synchronised yet"
        return other.ms - self.ms


def install(patch: pytest.MonkeyPatch, gpu: FakeGpu) -> FakeGpu:
    """Puts the fake where torch's module of its kind is."""
    module = getattr(torch, gpu.kind)
    replaced: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: gpu.count,
        "current_device": lambda: gpu.at,
        "is_bf16_supported": lambda including_emulation=True: gpu.bfloat16,
        "device": gpu.device,
        "Event": gpu.event,
        "get_device_properties": gpu.properties,
        "mem_get_info": gpu.answer("mem_get_info", (gpu.free, 80 * GIB)),
        "memory_allocated": gpu.answer("memory_allocated", gpu.held),
        "max_memory_allocated": gpu.answer("max_memory_allocated", gpu.held + 3 * GIB),
        "reset_peak_memory_stats": gpu.answer("reset_peak_memory_stats"),
        "synchronize": gpu.answer("synchronize"),
        "empty_cache": lambda: gpu.say("empty_cache"),
    }
    for name, value in replaced.items():
        patch.setattr(module, name, value, raising=False)
    patch.setattr(torch.version, "hip", gpu.hip)
    patch.setattr(torch, "full", _small(torch.full, gpu))
    _profiler(patch, gpu)
    return gpu


def _small(full: Callable[..., Any], gpu: FakeGpu) -> Callable[..., Any]:
    """The yardstick's matrix: made on the CPU and small, wherever it was to be."""

    def make(_size: Any, value: float, device: str) -> Any:
        gpu.say("full", device)
        return full((8, 8), value)

    return make


def _profiler(patch: pytest.MonkeyPatch, gpu: FakeGpu) -> None:
    """torch.profiler, which records what it is to watch, and watches the CPU."""
    real = torch.profiler.profile

    def profile(activities: Any, **more: Any) -> Any:
        for one in activities:
            gpu.say(f"profile {one.name}")
        return real(activities=[torch.profiler.ProfilerActivity.CPU], **more)

    patch.setattr(torch.profiler, "profile", profile)


class Nvml:
    """pynvml with two GPUs; the handle of each is its number."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
        self.millijoules = 1_000_000
        self.dead = False  # a GPU that answers nothing

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names
        if self.dead:
            raise RuntimeError("NVML Shared Library Not Found")
        self.gpu.calls.append(("nvmlInit", None))

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        assert uuid.startswith("GPU-")
        return int(uuid[-1])

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:  # noqa: N802
        self.gpu.say("energy", gpu)
        self.millijoules += 12_000
        return self.millijoules

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: int) -> int:  # noqa: N802
        return 0x1 | 0x40

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802
        return 350_000

    def nvmlDeviceGetClockInfo(self, gpu: int, which: int) -> int:  # noqa: N802
        return {1: 1980, 2: 2619}[which]

    def nvmlDeviceGetMaxClockInfo(self, gpu: int, which: int) -> int:  # noqa: N802
        raise RuntimeError("Not Supported")

    def nvmlDeviceGetTemperature(self, gpu: int, which: int) -> int:  # noqa: N802
        return 55

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"570.86.15"


def install_nvml(patch: pytest.MonkeyPatch, gpu: FakeGpu) -> Nvml:
    """Puts the fake where `import pynvml` finds it."""
    made = Nvml(gpu)
    patch.setitem(sys.modules, "pynvml", made)  # type: ignore[arg-type]
    return made
