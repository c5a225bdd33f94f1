"""LIMU-BERT against numbers of the original code, and its adapter."""

import json
from dataclasses import asdict
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
from tracekit.models.limu_bert import model, net
from tracekit.models.shared import golden as goldens
from tracekit.models.shared import limu_window


def golden(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    sidecar = json.loads(shared("reference", "models", "golden", f"{name}.json").read_text())
    return sidecar, load_file(shared("reference", "models", "golden", f"{name}.safetensors"))


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["limu_bert_tiny", "limu_bert_uci"])
@torch.inference_mode()
def test_every_layer_equals_the_original(name: str, attention: net.Attention) -> None:
    sidecar, tensors = golden(name)
    config = sidecar["config"]
    state = (
        load_file(shared("reference", "models", "limu_bert_uci.safetensors"))
        if name == "limu_bert_uci"
        else {k.removeprefix("weights."): v for k, v in tensors.items() if k[:8] == "weights."}
    )
    encoder = net.load_encoder(
        state, n_layers=config["n_layers"], n_heads=config["n_heads"], attention=attention
    )
    assert asdict(encoder.config) == config
    h = encoder.embed(tensors["in.imu_normalised"])
    close(h, tensors["out.after_embed"])
    for k in range(1, config["n_layers"] + 1):
        if k == config["n_layers"] and "out.attn_scores_last" in tensors:
            close(encoder.attn.weights(h), tensors["out.attn_scores_last"])
        h = encoder.layer(h)
        close(h, tensors[f"out.after_layer_{k}"])
    close(encoder(tensors["in.imu_normalised"]), tensors["out.encoder"])


@pytest.mark.parametrize("name", ["uci", "hhar"])
def test_the_published_weights_load_and_are_62646_values(name: str) -> None:
    state = load_file(shared("reference", "models", f"limu_bert_{name}.safetensors"))
    whole = net.Pretraining(net.LimuConfig())
    whole.load_state_dict(state)
    assert sum(p.numel() for p in whole.parameters()) == 62_646
    assert sum(p.numel() for p in whole.transformer.parameters()) == 51_552


def test_a_state_dict_of_the_encoder_alone_loads_too() -> None:
    state = load_file(shared("reference", "models", "limu_bert_uci.safetensors"))
    alone = {k.removeprefix(net.PREFIX): v for k, v in state.items() if k.startswith(net.PREFIX)}
    x = torch.randn(1, 120, 6, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert torch.equal(net.load_encoder(alone)(x), net.load_encoder(state)(x))


def test_a_wrong_state_dict_is_said_to_be_wrong() -> None:
    with pytest.raises(TracekitError, match="is no LIMU-BERT checkpoint"):
        net.load_encoder({"model.embed_tokens.weight": torch.zeros(4, 4)})
    state = net.Pretraining(net.LimuConfig()).transformer.state_dict()
    with pytest.raises(TracekitError, match="4 layers of 5 heads do not fit a width of 72"):
        net.load_encoder(state, n_heads=5)
    with pytest.raises(TracekitError, match=r"1 missing \(norm2\.beta\)"):
        net.load_encoder({k: v for k, v in state.items() if k != "norm2.beta"})


@pytest.mark.parametrize("name", ["limu_bert_tiny", "limu_bert_uci"])
def test_every_output_is_within_the_stated_tolerance(name: str) -> None:
    checks = goldens.check(shared("reference", "models", "golden", f"{name}.json"))
    assert [check for check in checks if not check.passed] == []
    assert len(checks) >= 6


def test_parameters_add_up_to_the_documented_62646() -> None:
    assert model.parameters("full") == {"encoder": 51_552, "pretraining_head": 11_094}
    assert 51_552 + 11_094 == 62_646


def test_flops_of_a_window_are_the_documented_ones() -> None:
    assert model.flops(model.config("full")) == pytest.approx(56.5e6, rel=1e-3)


def sample(values: Any, rate_hz: float | None = 20.0, **more: Any) -> Sample:
    recording = Recording(kind="imu", values=values, rate_hz=rate_hz, **more)
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


def test_an_original_pt_runs_through_the_stages_to_the_golden_numbers(tmp_path: Path) -> None:
    _, tensors = golden("limu_bert_uci")
    state = load_file(shared("reference", "models", "limu_bert_uci.safetensors"))
    torch.save(state, tmp_path / "uci.pt")
    raw = tensors["in.imu_raw"][0].double().numpy()
    options = BuildOptions(size="full", checkpoint=tmp_path / "uci.pt", batch_size=3)
    tokens = run(options, sample(raw))
    assert tokens.shape == (3, 120, 72)
    for row in tokens:
        close(row, tensors["out.encoder"][0])


def test_a_pt_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": net.Encoder(net.LimuConfig())}, tmp_path / "code.pt")
    with pytest.raises(TracekitError, match="holds more than tensors"):
        model.build(BuildOptions(checkpoint=tmp_path / "code.pt"))


def test_a_checkpoint_with_a_magnetometer_is_refused(tmp_path: Path) -> None:
    torch.save(net.Pretraining(net.LimuConfig(feature_num=9)).state_dict(), tmp_path / "v2.pt")
    with pytest.raises(TracekitError, match="takes 9 features"):
        model.build(BuildOptions(checkpoint=tmp_path / "v2.pt"))


def test_weights_of_another_model_name_what_is_wrong(tmp_path: Path) -> None:
    state = net.Pretraining(net.LimuConfig()).state_dict()
    state["transformer.extra.weight"] = torch.zeros(2)
    state["transformer.proj.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "bent.pt")
    with pytest.raises(TracekitError) as error:
        model.build(BuildOptions(checkpoint=tmp_path / "bent.pt"))
    assert "1 unexpected (extra.weight)" in error.value.what
    assert "1 of another shape (proj.bias (7,) not (72,))" in error.value.what


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_random_weights_run_in_every_dtype(dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=(300, 6))
    options = BuildOptions(dtype=dtype)
    tokens = run(options, sample(values))
    assert tokens.dtype == getattr(torch, dtype)
    assert tokens.shape == (1, 120, 24)
    assert tokens.float().isfinite().all()
    assert torch.equal(tokens, run(options, sample(values)))  # the seed decides


def test_fifty_hertz_become_twenty_by_means_of_two_and_three_samples() -> None:
    values = np.arange(10.0)[:, None].repeat(6, axis=1)
    assert limu_window.block_means(values, 2.5)[:, 0].tolist() == [0.5, 3.0, 5.5, 8.0]


def test_a_group_that_the_end_cuts_is_left_out() -> None:
    values = np.arange(9.0)[:, None].repeat(6, axis=1)
    assert limu_window.block_means(values, 4.0)[:, 0].tolist() == [1.5, 5.5]
    assert limu_window.block_means(values[:3], 4.0).shape == (0, 6)


def test_the_window_begins_where_the_recording_says_and_gravity_is_over_9_8() -> None:
    values = np.arange(1000.0)[:, None].repeat(6, axis=1)
    recording = Recording(kind="imu", values=values, rate_hz=100.0, start_s=2.0)
    window = limu_window.window(recording, where="x")
    assert window.shape == (120, 6)
    assert window[0, 3] == 202.0  # the mean of samples 200 to 204
    assert window[0, 0] == pytest.approx(202.0 / 9.8)
    short = Recording(kind="imu", values=values, rate_hz=100.0, start_s=2.0, duration_s=1.0)
    assert limu_window.window(short, where="x").shape == (20, 6)


def test_ten_hertz_become_twenty_by_straight_lines() -> None:
    values = np.array([0.0, 2.0, 6.0])[:, None].repeat(6, axis=1)
    recording = Recording(kind="imu", values=values, rate_hz=10.0)
    window = limu_window.window(recording, where="x")
    assert window[:, 5].tolist() == [0.0, 1.0, 2.0, 4.0, 6.0, 6.0]
    minute = np.random.default_rng(0).normal(size=(600, 6))
    whole = limu_window.window(
        Recording(kind="imu", values=minute, rate_hz=10.0, start_s=54.0), where="x"
    )
    assert whole.shape == (120, 6)
    np.testing.assert_allclose(whole[::2, 3:], minute[540:, 3:], rtol=1e-6)


def test_a_thinned_window_is_filled_by_the_times_of_its_samples() -> None:
    kept = np.round(np.linspace(0, 119, 60)).astype(int)  # as SensorCaps was made from 20 Hz
    straight = np.arange(120.0)[:, None].repeat(6, axis=1)
    recording = Recording(
        kind="imu", values=straight[kept], rate_hz=10.0, timestamps_ms=kept * 50.0
    )
    window = limu_window.window(recording, where="x")
    np.testing.assert_allclose(window[:, 3:], straight[:, 3:])


def test_a_start_is_a_time_where_the_recording_has_times() -> None:
    values = np.arange(400.0)[:, None].repeat(6, axis=1)
    times = 60_000 + np.arange(400) * 20.0
    recording = Recording(kind="imu", values=values, timestamps_ms=times, start_s=61.0)
    window = limu_window.window(recording, where="x")
    assert window[:2, 4].tolist() == [50.5, 53.0]  # 50 Hz by its times, from sample 50 on


def test_six_rows_of_channels_are_turned_round() -> None:
    values = np.random.default_rng(1).normal(size=(120, 6))
    upright = limu_window.window(Recording(kind="imu", values=values, rate_hz=20.0), where="x")
    lying = limu_window.window(Recording(kind="imu", values=values.T, rate_hz=20.0), where="x")
    assert np.array_equal(upright, lying)


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        (Recording(kind="events"), "takes IMU recordings"),
        (Recording(kind="imu", values=np.zeros((50, 4))), "6 channels, this one is 50 x 4"),
        (Recording(kind="imu", values=np.zeros((50, 6)), rate_hz=4.0), "recorded at 4 Hz"),
        (Recording(kind="imu", values=np.zeros((50, 6)), start_s=9.0), "no samples from 9 s on"),
        (Recording(kind="imu", values=np.full((50, 6), np.nan)), "50 of 50 rows"),
    ],
)
def test_a_recording_without_a_window_is_one_clear_error(recording: Recording, said: str) -> None:
    with pytest.raises(TracekitError, match=said):
        limu_window.window(recording, where="x")


def test_flash_attention_is_refused_and_not_replaced() -> None:
    with pytest.raises(TracekitError, match="no flash attention"):
        model.build(BuildOptions(attention="flash"))


@pytest.mark.parametrize("altered", [False, True])
def test_a_download_is_held_against_the_published_values(
    altered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def https(url: str, folder: Path, name: str, *, check: Any, **_: Any) -> Path:
        asked.append(url.rsplit("/", 2)[1:])
        state = load_file(shared("reference", "models", name.replace(".pt", ".safetensors")))
        if altered and "hhar" in name:
            state["fc.bias"][0] += 1e-6
        torch.save(state, folder / name)
        check(folder / name)  # before a download takes its name
        return folder / name

    monkeypatch.setattr("tracekit.datasets.fetch.downloads.https", https)
    assert model.MODEL.download is not None
    if altered:
        with pytest.raises(TracekitError, match="not the published ones"):
            model.MODEL.download(tmp_path)
    else:
        model.MODEL.download(tmp_path)
        with pytest.raises(TracekitError, match=r"2 checkpoints \(limu_bert_hhar.pt, limu"):
            model.build(BuildOptions(checkpoint=tmp_path))
        adapter = model.build(BuildOptions(checkpoint=tmp_path / "limu_bert_uci.pt"))
        assert adapter.facts.random_weights is False
    assert asked == [
        ["pretrain_base_uci_20_120", "uci.pt"],
        ["pretrain_base_hhar_20_120", "hhar.pt"],
    ]
