"""IMU2CLIP's encoder against numbers of the original code, and its adapter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import shared
from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.imu2clip import model
from tracekit.models.imu2clip.net import Encoder, Imu2ClipConfig
from tracekit.models.shared import golden as goldens


def tensors() -> dict[str, torch.Tensor]:
    return load_file(shared("reference", "models", "golden", "imu2clip_tiny.safetensors"))


def state() -> dict[str, torch.Tensor]:
    return {k.removeprefix("weights."): v for k, v in tensors().items() if k[:8] == "weights."}


def sample(values: Any, **more: Any) -> Sample:
    recording = Recording(kind="imu", values=values, **more)
    return Sample(
        id="drawn",
        dataset="test",
        path=Path("drawn"),
        read=lambda: values,
        parse=lambda _raw: recording,
    )


def run(options: BuildOptions, given: Sample) -> torch.Tensor:
    adapter = model.build(options)
    return adapter.encode(adapter.preprocess(given, adapter.load(given)))


def test_every_output_is_within_the_stated_tolerance() -> None:
    checks = goldens.check(shared("reference", "models", "golden", "imu2clip_tiny.json"))
    assert [check for check in checks if not check.passed] == []
    assert len(checks) == 8


def test_the_encoder_has_the_documented_850892_parameters() -> None:
    assert model.parameters("full") == {"encoder": 850_892}


def test_flops_of_a_window_are_the_documented_ones() -> None:
    assert model.flops(model.config("full")) == pytest.approx(61.5e6, rel=1e-3)


def test_the_gru_walks_over_channels_and_not_over_positions() -> None:
    torch.manual_seed(0)
    encoder = Encoder(Imu2ClipConfig(size_embeddings=8)).eval()
    x = torch.randn(1, 6, 1000)
    with torch.inference_mode():
        feature_map = encoder.net[:-1](x)
        shuffled = feature_map[:, torch.arange(31, -1, -1)]  # channels in another order
        assert encoder.gru(feature_map).shape == (1, 8)
        assert not torch.allclose(encoder.gru(feature_map), encoder.gru(shuffled), atol=1e-4)
        step = encoder.gru(feature_map[:, :1])  # the first channel is the first step
        assert not torch.allclose(step, encoder.gru(feature_map[:, :2]), atol=1e-6)


@pytest.mark.parametrize("form", ["encoder", "lightning", "downstream"])
def test_a_checkpoint_runs_through_the_stages_to_the_golden_numbers(
    form: str, tmp_path: Path
) -> None:
    prefix = {"encoder": "", "lightning": "imu_encoder.", "downstream": "encoder."}[form]
    named = {prefix + name: value for name, value in state().items()}
    saved: dict[str, Any] = named
    if form == "lightning":
        towers = {"loss.temperature": torch.ones(1), "text_encoder.clip_model.x": torch.ones(2)}
        saved = {"epoch": 3, "state_dict": named | towers}
    if form == "downstream":
        saved = named | {"head.weight": torch.ones(4, 64), "head.bias": torch.ones(4)}
    path = tmp_path / ("last.ckpt" if form == "lightning" else "x_imu_encoder.pt")
    torch.save(saved, path)
    given = tensors()
    values = given["in.imu"][1].double().numpy().T
    out = run(BuildOptions(checkpoint=path, batch_size=2), sample(values, rate_hz=200.0))
    want = given["out.embedding"][1].numpy()
    for row in out:
        np.testing.assert_allclose(row.numpy(), want, atol=1e-5, rtol=1e-4)


def test_a_five_second_window_is_cut_at_200_hertz_from_any_rate() -> None:
    adapter = model.build(BuildOptions())
    values = np.random.default_rng(0).normal(size=(900, 6))
    given = sample(values, rate_hz=100.0, start_s=1.0)
    inputs = adapter.preprocess(given, adapter.load(given))
    assert inputs.shape == (1, 6, 1000)
    assert adapter.encode(inputs).shape == (1, 64)


def test_a_recording_may_lie_channels_first() -> None:
    adapter = model.build(BuildOptions())
    values = np.random.default_rng(0).normal(size=(1000, 6))
    upright, lying = sample(values, rate_hz=200.0), sample(values.T, rate_hz=200.0)
    assert torch.equal(adapter.preprocess(upright, None), adapter.preprocess(lying, None))


def test_weights_of_another_model_name_what_is_wrong(tmp_path: Path) -> None:
    torch.save({"transformer.proj.bias": torch.zeros(7)}, tmp_path / "other.pt")
    with pytest.raises(TracekitError, match="is no IMU2CLIP encoder"):
        model.build(BuildOptions(checkpoint=tmp_path / "other.pt"))
    bent = {k: v for k, v in state().items() if k != "net.4.bias"}
    torch.save(bent, tmp_path / "bent.pt")
    with pytest.raises(TracekitError, match=r"1 missing \(net\.4\.bias\)"):
        model.build(BuildOptions(checkpoint=tmp_path / "bent.pt"))


def test_language_stages_are_absent_and_not_empty() -> None:
    adapter = model.build(BuildOptions())
    assert [s.value for s in model.MODEL.stages] == ["load", "preprocess", "encode"]
    assert not hasattr(adapter, "prefill")
    assert not hasattr(adapter, "decode")
