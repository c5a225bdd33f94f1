"""What is asked of a GPU, call by call, on a machine that has none (`tests/fake_gpu.py`).

A run on `cuda:1` must ask nothing of `cuda:0`: events, streams, memory and energy of the first GPU
would be those of somebody else's work. NVML is asked once for each name of a device in a process,
so each test of it has a number of its own.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.fake_gpu import GIB, UUID, FakeGpu, Nvml, install, install_nvml
from tests.integration import small_model
from tracekit.bench import file, sensors, timing
from tracekit.capture import metadata, run
from tracekit.capture import plan as planning
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.shared import build_options
from tracekit.models.shared.decoder.attention import set_attention
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.network import TINY, fill, llama
from tracekit.taxonomy import Stage


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    return install(monkeypatch, FakeGpu())


def small(device: str, **given: Any) -> planning.Plan:
    given = {"size": "tiny", "samples": 2, "warmup": 1, "max_new_tokens": 3, **given}
    return planning.plan("small", model=small_model.model(**given.pop("model", {})),
                         device=device, **given)  # fmt: skip


def samples(folder: Path) -> list[Any]:
    return [small_model.recording(folder / "data", n) for n in range(2)]


# ---------------------------------------------------------------- choosing


def test_a_gpu_is_chosen_where_there_is_one(gpu: FakeGpu) -> None:
    assert planning.find_device(None) == planning.find_device("gpu") == "cuda"
    assert planning.find_device("cuda:1") == "cuda:1"
    assert build_options.device_checked(BuildOptions(device="cuda:1")) == "cuda:1"
    with pytest.raises(TracekitError, match=r"--device cuda:2: only 2 GPUs are visible"):
        planning.find_device("cuda:2")


def test_a_gpu_without_bfloat16_gets_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeGpu(bfloat16=False))
    assert planning.default_dtype("cuda") == "float16"
    install(monkeypatch, FakeGpu())
    assert planning.default_dtype("cuda:1") == "bfloat16"


def test_the_size_follows_from_the_memory_of_the_gpu_that_was_named(gpu: FakeGpu) -> None:
    made = planning.plan("onellm", device="cuda:1", dtype="bfloat16")
    assert (made.options.size, gpu.asked("mem_get_info")) == ("full", [1])
    assert made.why.endswith("cuda:1 has 60.0 GiB free")


def test_weights_that_do_not_fit_are_refused_before_any_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, FakeGpu(free=2 * GIB))
    made = planning.plan("onellm", device="cuda:1", dtype="bfloat16", size="full")
    with pytest.raises(TracekitError, match=r"size full, bfloat16 on cuda:1: out of memory: the"):
        planning.build(made)


# ---------------------------------------------------------------- capture


def test_a_capture_asks_only_the_gpu_that_was_named(gpu: FakeGpu, tmp_path: Path) -> None:
    taken = run.capture(small("cuda:1"), tmp_path / "t.json.gz", samples=samples(tmp_path))
    assert {number for name, number in gpu.calls if not name.startswith("profile")} == {1}
    assert [name for name, _ in gpu.calls if name.startswith("profile")] == [
        "profile CPU", "profile CUDA"
    ]  # fmt: skip
    # each of the five stages of the warm-up, the plain, the profiler's first and the profiled ones
    assert len(gpu.asked("synchronize")) == (1 + 2 + 1 + 2) * len(Stage)
    about = taken.metadata["device"]
    assert (about["name"], about["index"], about["capability"]) == ("Fake GPU 1", 1, "9.0")
    assert about["memory_bytes"] == 80 * GIB
    assert about["architecture"] is None


def test_without_synchronisation_none_is_made(gpu: FakeGpu, tmp_path: Path) -> None:
    run.capture(small("cuda", sync=False), tmp_path / "t.json.gz", samples=samples(tmp_path))
    assert gpu.asked("synchronize") == []


def test_a_device_without_a_number_is_the_current_one(gpu: FakeGpu) -> None:
    gpu.at = 1
    assert metadata.device("cuda")["name"] == "Fake GPU 1"
    with planning.current("cuda"):
        assert gpu.calls[-1][0] != "enter"
    with planning.current("cuda:0"):
        assert (gpu.at, gpu.calls[-1]) == (0, ("enter", 0))
    assert gpu.at == 1


def test_an_amd_gpu_is_told_by_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeGpu(hip="7.0"))
    assert metadata.device("cuda:0")["architecture"] == "gfx942"
    assert metadata.versions()["hip"] == "7.0"


# ---------------------------------------------------------------- bench


def benched(folder: Path, device: str, **given: Any) -> tuple[timing.Outcome, dict[str, Any]]:
    (outcome,) = timing.bench([timing.Config(small(device, **given))], samples=samples(folder))
    return outcome, file.document([outcome])


def test_a_benchmark_reads_events_memory_and_energy_of_its_gpu(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_nvml(monkeypatch, gpu)
    gpu.count = 3
    outcome, content = benched(tmp_path, "cuda:2")
    others = ("nvmlInit", "empty_cache")
    assert {number for name, number in gpu.calls if name not in others} == {2}
    (row,) = content["configurations"]
    # an event at both ends of each stage, 2 ms between them
    for sample in row["samples"]:
        assert sample["device_ns"] == {stage.value: 2_000_000 for stage in Stage}
    assert row["memory"]["device_peak_bytes"] == 3 * GIB  # the peak less what was held before
    assert outcome.joules == pytest.approx(12.0)
    assert row["joules_per_request"] == pytest.approx(6.0)
    first = row["gpu"][0]
    assert first["throttled"] == ["hardware thermal slowdown"]
    assert (first["sm_mhz"], first["memory_mhz"], first["celsius"]) == (1980, 2619, 55)
    assert first["watts"] == 350
    assert "sm_max_mhz" not in first  # this GPU does not say
    assert content["environment"]["driver"] == "570.86.15"
    order = [name for name, _ in gpu.calls]
    assert order.index("reset_peak_memory_stats") < order.index("max_memory_allocated")
    assert order.index("empty_cache") == 0  # nothing of what came before is in the way


def test_a_gpu_whose_nvml_is_silent_has_no_energy_and_no_clocks(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_nvml(monkeypatch, gpu).dead = True
    outcome, content = benched(tmp_path, "cuda:0")
    assert outcome.joules is None
    assert content["configurations"][0]["gpu"] == [{}, {}]
    assert set(gpu.asked("event")) == {0}


def test_nvml_is_not_asked_for_an_amd_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = install(monkeypatch, FakeGpu(hip="7.0", count=4))
    install_nvml(monkeypatch, gpu)
    assert sensors.joules("cuda:3") is None
    assert sensors.clocks("cuda:3") == {}
    assert ("nvmlInit", None) not in gpu.calls

    def version(path: Path, **_: Any) -> str:
        if str(path) == "/sys/module/amdgpu/version":
            return "6.12.12\n"
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", version)
    assert sensors.driver("cuda:3") == "6.12.12"


def test_the_driver_is_read_from_the_kernel_where_nvml_is_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, FakeGpu(count=6))
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)

    def said(path: Path, **_: Any) -> str:
        assert str(path) == "/proc/driver/nvidia/version"
        return "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build"

    monkeypatch.setattr(Path, "read_text", said)
    assert sensors.driver("cuda:5") == "570.86.15"


def test_memory_that_runs_out_is_an_outcome_and_is_given_back(gpu: FakeGpu, tmp_path: Path) -> None:
    def build(_options: BuildOptions) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    outcome, _ = benched(tmp_path, "cuda:1", model={"build": build})
    assert outcome.error == "out of memory"
    assert [name for name, _ in gpu.calls].count("empty_cache") == 2  # before, and after


def test_one_stage_alone_is_synchronised_on_its_gpu(gpu: FakeGpu, tmp_path: Path) -> None:
    adapter = small_model.Small(BuildOptions())
    timing.alone(adapter, samples(tmp_path)[0], "encode", "cuda:1", calls=10, seconds=0.02)
    assert set(gpu.asked("synchronize")) == {1}
    assert gpu.asked("enter") == [1]


def test_energy_is_of_the_gpu_that_torch_counts_so(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`CUDA_VISIBLE_DEVICES` renumbers for torch, not for NVML: the UUID is one for both."""
    install_nvml(monkeypatch, gpu)
    seen: list[str] = []

    def handle(_nvml: Nvml, uuid: str) -> int:
        seen.append(uuid)
        return 4

    monkeypatch.setattr(Nvml, "nvmlDeviceGetHandleByUUID", handle)
    gpu.count = 8
    assert sensors.joules("cuda:7") == pytest.approx(1012.0)
    assert seen == [f"GPU-{UUID.format(7)}"]
    assert gpu.asked("energy") == [4]


# ---------------------------------------------------------------- Intel


def test_an_intel_gpu_is_timed_and_its_memory_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpu = install(monkeypatch, FakeGpu(kind="xpu", count=1))
    _, content = benched(tmp_path, "xpu", dtype="float32")
    (row,) = content["configurations"]
    assert row["memory"]["device_peak_bytes"] == 3 * GIB
    assert row["samples"][0]["device_ns"]["encode"] == 2_000_000
    about = content["environment"]["device"]
    assert (about["name"], about["memory_bytes"]) == ("Fake GPU 0", 80 * GIB)
    assert len(gpu.asked("synchronize")) > 10
    assert planning.free_bytes("xpu") == 60 * GIB


def test_of_a_device_that_counts_no_memory_none_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "maia", SimpleNamespace(is_available=lambda: True), raising=False)
    assert planning.find_device("maia") == "maia"
    assert planning.free_bytes("maia") is None
    assert sensors.peak("maia") is None
    assert sensors.timer("maia") is None


# ---------------------------------------------------------------- compiled decoding, flash


class Compiled:
    """torch.compile and the start of a step of CUDA graphs, written down."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        patch.setattr(torch, "compile", self.compile)
        patch.setattr(
            torch.compiler, "cudagraph_mark_step_begin", lambda: self.calls.append("mark")
        )

    def compile(self, run: Any, *, mode: str) -> Any:
        self.calls.append(mode)

        def step(*given: Any, **named: Any) -> Any:
            self.calls.append("step")
            return run(*given, **named)

        return step


def tiny(**given: Any) -> Any:
    model = llama({**TINY, "num_hidden_layers": 1})
    fill(model, BuildOptions(max_new_tokens=4), None)
    return Decoder(model, BuildOptions(max_new_tokens=4, **given), eos=[])


def test_a_graph_is_replayed_for_each_decode_step_and_for_no_prefill(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Compiled(monkeypatch)
    decoder = tiny(device="cuda:1", compile=True)
    assert decoder.cache_kind == "static"
    assert decoder.compiled == "decode step, reduce-overhead"
    request = decoder.prefill(ids=torch.tensor([[1, 2, 3]]))
    assert told.calls == ["reduce-overhead"]
    while not request.finished:
        decoder.decode(request)
    # the mark comes first: the step is about to write where the last one's logits lie
    assert told.calls[1:] == ["mark", "step"] * 3
    first = decoder.prefill(ids=torch.tensor([[1, 2, 3]])).cache
    assert first is request.cache  # in place, as a graph has its addresses


def test_flash_attention_of_a_gpu_is_the_package_where_it_is_installed(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import utils

    chosen: list[str] = []
    model = SimpleNamespace(set_attn_implementation=chosen.append)

    def attention(dtype: str, cache: str = "dynamic") -> str:
        options = BuildOptions(device="cuda:1", dtype=dtype, attention="flash")
        return set_attention(model, options, cache)

    monkeypatch.setattr(utils, "is_flash_attn_2_available", lambda: True, raising=False)
    assert attention("bfloat16") == "flash (package flash-attn)"
    with pytest.raises(TracekitError, match="half precision only"):
        attention("float32")
    with pytest.raises(TracekitError, match="a static cache needs one"):
        attention("bfloat16", "static")
    monkeypatch.setattr(utils, "is_flash_attn_2_available", lambda: False)
    assert attention("float16") == "flash (torch SDPA's flash backend)"
    assert chosen == ["flash_attention_2", "sdpa"]
