"""Datasheet peaks: which device a name means, and numbers that hang together."""

import pytest

from tests.drawing import draw
from tracekit.attribution.collectives import link_peaks
from tracekit.attribution.roofline import devices
from tracekit.errors import UsageError
from tracekit.records import replace
from tracekit.trace import run_facts
from tracekit.trace.trace import Trace

SEEN = {
    "NVIDIA H100 80GB HBM3": "H100 SXM",
    "NVIDIA H100 PCIe": "H100 PCIe",
    "NVIDIA H100 NVL": "H100 NVL",
    "NVIDIA H200": "H200",
    "NVIDIA GH200 480GB": "GH200 96 GB",
    "NVIDIA B200": "B200",
    "NVIDIA GB200": "GB200",
    "NVIDIA A100-SXM4-80GB": "A100 SXM 80 GB",
    "NVIDIA A100-SXM4-40GB": "A100 40 GB",
    "NVIDIA A100-PCIE-40GB": "A100 40 GB",
    "NVIDIA A100 80GB PCIe": "A100 PCIe 80 GB",
    "NVIDIA L40S": "L40S",
    "NVIDIA L4": "L4",
    "NVIDIA A10": "A10",
    "Tesla V100-SXM2-32GB": "V100 SXM2",
    "NVIDIA GeForce RTX 4090": "RTX 4090",
    "AMD Instinct MI210": "MI210",
    "AMD Instinct MI250X": "MI250X (one die of two)",
    "AMD Instinct MI300X": "MI300X",
    "AMD Instinct MI300X VF": "MI300X",
    "Tesla T4": "T4",
    "NVIDIA H800": "H800",
    "NVIDIA H800 PCIe": "H800 PCIe",
    "NVIDIA H20": "H20",
    "NVIDIA A10G": "A10G",
    "NVIDIA RTX A6000": "RTX A6000",
    "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada",
    "Tesla V100-SXM3-32GB": "V100 SXM3",
    "Tesla V100-SXM3-32GB-H": "V100 SXM3",
    "NVIDIA B300 SXM6 AC": "B300",
    "NVIDIA GB300": "GB300",
    "AMD Radeon 8060S": "Radeon 8060S (gfx1151)",
    "AMD Radeon 8060S Graphics": "Radeon 8060S (gfx1151)",
    "gfx1151": "Radeon 8060S (gfx1151)",
    "gfx1201": "Radeon RX 9070 XT (gfx1201)",
    "gfx1201 Radeon RX 9070 XT": "Radeon RX 9070 XT (gfx1201)",
    "AMD Radeon RX 9070 XT": "Radeon RX 9070 XT (gfx1201)",
    "AMD Radeon RX 9070": "Radeon RX 9070",
    "NVIDIA B100": "B100",
    "NVIDIA A800-SXM4-80GB": "A800 SXM 80 GB",
    "NVIDIA L20": "L20",
    "Tesla P100-PCIE-16GB": "P100 PCIe",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "RTX PRO 6000 Blackwell",
    "NVIDIA GeForce RTX 3090 Ti": "RTX 3090 Ti",
    "NVIDIA GeForce RTX 4080": "RTX 4080",
    "Quadro RTX 8000": "Quadro RTX 8000",
    "AMD Radeon RX 7900 XTX": "Radeon RX 7900 XTX",
}
# names without a datasheet, or that may be one of two devices
UNKNOWN = ("", "NVIDIA A100-PG509-200", "AMD Radeon Graphics", "Quadro GP100", "NVIDIA H20-3e",
           "gfx1151 Radeon 8050S",
           "NVIDIA A1000", "NVIDIA T400", "NVIDIA RTX A6000 Laptop GPU",
           "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H100", "AMD Instinct MI250X / MI250",
           "AMD Instinct MI250X/MI250", "NVIDIA H100 80GB HBM3 MIG 1g.10gb")  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_a_name_as_drivers_write_it_finds_its_device(name: str) -> None:
    found = devices.named(name)
    assert found is not None
    assert found.name == SEEN[name]


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_name_without_a_datasheet_has_no_peaks(name: str) -> None:
    assert devices.named(name) is None


@pytest.mark.parametrize("device", devices.DEVICES, ids=lambda d: d.name)
def test_peaks_hang_together(device: devices.Device) -> None:
    assert device.source
    assert 1e11 < device.memory_bytes_per_s < 1e13
    assert (device.bus_bytes_per_s or 0) < device.memory_bytes_per_s
    assert set(device.flops) <= set(devices.BYTES)
    half, single = device.flops["float16"], device.flops["float32"]
    assert single < half < 35 * single
    if "float8" in device.flops:
        assert device.flops["float8"] == pytest.approx(2 * half, rel=0.03)


# by hand, from the datasheets named beside them: (float16 or bfloat16 TFLOP/s, GB/s)
STATED = {
    "T4": (65, 320), "H800": (989.4, 3350), "H20": (148, 4000), "A10G": (70, 600),
    "RTX A6000": (154.8, 768), "RTX 6000 Ada": (364.2, 960), "B300": (2250, 8000),
    "H100 SXM": (989.4, 3350), "H100 PCIe": (756, 2000), "H200": (989.4, 4800),
    "A100 SXM 80 GB": (312, 2039), "A100 40 GB": (312, 1555), "MI300X": (1307.4, 5300),
    "MI325X": (1307.4, 6000), "MI355X": (2516.6, 8000), "L4": (121, 300), "L40S": (362.05, 864),
    "B100": (1750, 8000), "RTX PRO 6000 Blackwell": (503.8, 1792), "P100 PCIe": (18.7, 732),
    "MI210": (181, 1638.4), "MI250X (one die of two)": (191.5, 1638.4),
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_peaks_are_those_of_the_datasheet(name: str) -> None:
    device = next(d for d in devices.DEVICES if d.name == name)
    tera, giga = STATED[name]
    assert device.flops["float16"] == pytest.approx(tera * 1e12)
    assert device.memory_bytes_per_s == pytest.approx(giga * 1e9)


def test_devices_of_one_kind_say_which_it_was_and_a_mixture_does_not() -> None:
    picture = "host a\nstream 7 A"
    kind = {"name": "NVIDIA H200"}
    same = draw(picture, meta={"deviceProperties": [kind, kind]})
    mixed = draw(picture, meta={"deviceProperties": [kind, {"name": "NVIDIA L4"}]})
    half_known = draw(picture, meta={"deviceProperties": [kind, {"name": "Quadro GP100"}]})
    found = devices.of_trace(same)
    assert found is not None
    assert found.name == "H200"
    assert devices.of_trace(mixed) is None
    assert devices.of_trace(half_known) is None
    assert devices.of_trace(draw(picture, meta={"deviceProperties": "damaged"})) is None
    assert devices.of_trace(draw(picture)) is None


def test_the_users_word_counts_where_the_file_names_no_device() -> None:
    def stated(word: str, **meta: object) -> Trace:
        trace = draw("host a\nstream 7 A", meta=meta)
        return replace(trace, source=replace(trace.source, device=word), memo={})

    kind = {"name": "NVIDIA H200"}
    for trace, told in (
        (stated("h100 sxm"), "H100 SXM"),
        (stated("NVIDIA H100 80GB HBM3", deviceProperties=[{"name": "ARTEMIS"}]), "H100 SXM"),
        (stated("H100 SXM", deviceProperties=[kind]), "H200"),
        (stated("H100 SXM", deviceProperties=[kind, {"name": "NVIDIA L4"}]), "H100 SXM"),
    ):
        found, links = devices.of_trace(trace), link_peaks.of_trace(trace)
        assert found is not None
        assert found.name == told
        assert links is not None
        assert links.bytes_per_s == 450e9
    assert run_facts.devices(stated("H100 SXM").source) == ["H100 SXM (as stated)"]
    with pytest.raises(UsageError, match="no datasheet of this device is known"):
        devices.of_trace(stated("ARTEMIS"))


@pytest.mark.parametrize(
    ("name", "units", "gib", "minor", "told"),
    [
        ("AMD Radeon Graphics", 104, 63.98, 0, "MI210, or one die of an MI250"),
        ("AMD Instinct MI250X / MI250", 110, 63.98, 0, "MI250X (one die of two)"),
        ("AMD Radeon Graphics", 304, 191.98, 4, "MI300X"),
        ("AMD Radeon Graphics", 256, 287.98, 5, None),  # MI350X and MI355X have as many
        ("AMD Radeon Graphics", 104, 31.98, 0, None),
        ("AMD Eng Sample", 304, 191.98, 4, None),
        ("", 304, 191.98, 4, "MI300X"),
    ],
)
def test_units_and_memory_tell_what_a_vague_name_is(
    name: str, units: int, gib: float, minor: int, told: str | None
) -> None:
    one = {"name": name, "numSms": units, "totalGlobalMem": int(gib * 2**30), "computeMajor": 9,
           "computeMinor": minor}  # fmt: skip
    rocm = {"roctracer_version": 4.1}  # which lists devices without a name too
    meta = {"deviceProperties": [one, one], **rocm}
    found = devices.of_trace(draw("host a\nstream 7 A", meta=meta))
    assert (found.name if found else None) == told
    other = {**one, "numSms": 38}
    assert devices.of_trace(draw("host a", meta={"deviceProperties": [one, other], **rocm})) is None
    if not name:
        assert devices.of_trace(draw("host a", meta={"deviceProperties": [one]})) is None


def test_a_capture_of_ours_names_its_device_itself() -> None:
    trace = draw("host a", meta={"tracekit": {"device": {"name": "NVIDIA L40S"}}})
    found = devices.of_trace(trace)
    assert found is not None
    assert found.name == "L40S"
