"""Reading weights, and making them up."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tracekit.errors import TracekitError
from tracekit.models.shared import checkpoints


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)


def on_meta() -> Net:
    with checkpoints.on_meta():
        return Net()


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(value.shape) for name, value in Net().state_dict().items()}


def load(module: Net, checkpoint: Path) -> None:
    checkpoints.load_into(
        module,
        checkpoints.open_checkpoint(checkpoint),
        device="cpu",
        dtype=torch.float32,
        where=checkpoint,
    )


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.safetensors"])
def test_values_arrive_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    wanted, path = state(), tmp_path / name
    if name.endswith("safetensors"):
        save_file(wanted, path)
    else:
        torch.save(wanted, path)
    net = on_meta()
    load(net, path)
    for key, value in net.state_dict().items():
        assert torch.equal(value, wanted[key])


def test_loaded_values_do_not_live_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(state(), path)
    net = on_meta()
    load(net, path)
    wanted = net.inner.weight.clone()
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(net.inner.weight, wanted)


def test_shards_that_an_index_names_are_read_together(tmp_path: Path) -> None:
    wanted = state()
    first, *rest = wanted
    save_file({first: wanted[first]}, tmp_path / "model-1.safetensors")
    save_file({name: wanted[name] for name in rest}, tmp_path / "model-2.safetensors")
    places = dict.fromkeys(rest, "model-2.safetensors") | {first: "model-1.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    net = on_meta()
    load(net, tmp_path)
    assert torch.equal(net.state_dict()[first], wanted[first])
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(TracekitError, match=r"1 of 2 weight files are not there"):
        checkpoints.open_checkpoint(tmp_path)


def test_split_consolidated_files_are_read_together(tmp_path: Path) -> None:
    wanted = state()
    for number, name in enumerate(wanted):
        torch.save({name: wanted[name]}, tmp_path / f"consolidated.00-of-01.s{number}.pth")
    net = on_meta()
    load(net, tmp_path)
    assert torch.equal(net.norm.bias, wanted["norm.bias"])


def test_the_error_names_what_is_missing_unexpected_and_misshapen() -> None:
    wanted = {f"a{n}": (1,) for n in range(6)} | {"b": (2, 3)}
    found = {"b": (3, 2), "x": (1,), "ignored": (1,)}
    with pytest.raises(TracekitError) as caught:
        checkpoints.compare(wanted, found, where="f", ignore=lambda name: name == "ignored")
    assert caught.value.what == (
        "the weights do not fit: 6 missing (a0, a1, a2, a3, …); 1 unexpected (x); "
        "1 of another shape (b (3, 2) not (2, 3))"
    )


def test_a_wrong_checkpoint_leaves_the_module_untouched(tmp_path: Path) -> None:
    torch.save({"inner.weight": torch.zeros(4, 3)}, tmp_path / "w.pt")
    net = on_meta()
    with pytest.raises(TracekitError, match="3 missing"):
        load(net, tmp_path / "w.pt")
    assert all(parameter.is_meta for parameter in net.parameters())


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "cannot be read|more than tensors"),
        (b"not a checkpoint at all", "cannot be read|more than tensors"),
        (None, "more than tensors"),
    ],
)
def test_damaged_files_and_code_are_one_clear_error(
    tmp_path: Path, content: bytes | None, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.pt"
    if content is None:
        torch.save({"a": Evil()}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(TracekitError, match=what):
        checkpoints.open_checkpoint(path)
    assert "executed" not in capsys.readouterr().out


def test_a_cut_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TracekitError, match="cannot be read"):
        checkpoints.open_checkpoint(path)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.pt"])
def test_a_missing_file_or_folder_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(TracekitError, match="no such file or folder"):
        checkpoints.open_checkpoint(tmp_path / name)


def test_a_folder_without_weights_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match="holds no weights"):
        checkpoints.open_checkpoint(tmp_path)


def test_random_weights_follow_the_seed_and_keep_norms_neutral() -> None:
    def made(seed: int) -> Net:
        net = on_meta()
        checkpoints.randomize(net, device="cpu", dtype=torch.bfloat16, seed=seed)
        return net

    net = made(3)
    assert net.inner.weight.dtype == torch.bfloat16
    assert torch.equal(net.inner.weight, made(3).inner.weight)
    assert not torch.equal(net.inner.weight, made(4).inner.weight)
    assert torch.equal(net.norm.weight, torch.ones(4, dtype=torch.bfloat16))
    assert not net.inner.bias.any()


def test_large_random_weights_are_filled_to_the_end_and_differ() -> None:
    with checkpoints.on_meta():
        net = nn.ModuleList([nn.Linear(1100, 1000, bias=False) for _ in range(2)])
    checkpoints.randomize(net, device="cpu", dtype=torch.float32, seed=0)
    first, second = (parameter.flatten() for parameter in net.parameters())
    assert not torch.equal(first, second)
    for values in (first, second):
        assert values.std().item() == pytest.approx(checkpoints.STD, rel=0.01)
        assert values[-1000:].any()


def test_an_unknown_dtype_is_one_clear_error() -> None:
    with pytest.raises(TracekitError, match="no such dtype"):
        checkpoints.dtype_named("int3")
