"""Files that do not fit are refused in one sentence, whatever is wrong with them."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mcnet_lightning.backbones import load_backbone, load_trunk, untrained_backbone
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.weights import read_weights, write_weights

TINY = {
    "rcan": {"groups": 2, "blocks": 1, "features": 8, "reduction": 2},
    "rdn": {"blocks": 2, "layers": 1, "growth": 4, "features": 8},
}
NAMES = sorted(TINY)


def tensors_of(name: str, scale: int = 3) -> dict[str, Tensor]:
    return dict(untrained_backbone(name, scale, TINY[name])[0].state_dict())


def refusal(name: str, path: Path, scale: int = 3) -> str:
    with pytest.raises(WeightsError) as error:
        load_backbone(name, scale, str(path))
    text = str(error.value)
    assert path.name in text
    assert "\n" not in text
    assert len(text) < 400
    return text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_own_tensors_of_any_size_load(tmp_path: Path, name: str, suffix: str) -> None:
    path, tensors = tmp_path / f"own.{suffix}", tensors_of(name)
    write_weights(path, tensors, {}) if suffix == "safetensors" else torch.save(tensors, path)
    backbone = load_backbone(name, 3, str(path))
    assert backbone.spec.hyperparameters == TINY[name]
    assert backbone(torch.rand(2, 3, 8, 7)).shape == (2, 1, 24, 21)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_files_load_into_a_float32_network(tmp_path: Path, name: str) -> None:
    halved = {key: tensor.half() for key, tensor in tensors_of(name).items()}
    write_weights(tmp_path / "half.safetensors", halved, {})
    network = load_backbone(name, 3, str(tmp_path / "half.safetensors")).network
    assert all(tensor.dtype == torch.float32 for tensor in network.state_dict().values())


@pytest.mark.parametrize("name", NAMES)
def test_wrong_scale(tmp_path: Path, name: str) -> None:
    torch.save(tensors_of(name), tmp_path / "file.pth")
    assert "made for scale=3, not scale=2" in refusal(name, tmp_path / "file.pth", scale=2)


@pytest.mark.parametrize("name", NAMES)
def test_missing_unexpected_and_foreign_tensors(tmp_path: Path, name: str) -> None:
    tensors, path = tensors_of(name), tmp_path / "file.pth"
    last = list(tensors)[-1]
    torch.save({key: tensor for key, tensor in tensors.items() if key != last}, path)
    assert f"{last} is missing" in refusal(name, path)
    torch.save({**tensors, "stray": torch.ones(1)}, path)
    assert "stray is unexpected" in refusal(name, path)
    torch.save(tensors_of("rdn" if name == "rcan" else "rcan"), path)
    assert f"does not fit {name}" in refusal(name, path)


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("name", NAMES)
def test_code_and_truncation(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pth"
    torch.save({**tensors_of(name), "x": Code()}, path)
    assert "will not be run" in refusal(name, path)
    assert not (tmp_path / "pwned").exists()
    torch.save(tensors_of(name), path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "damaged" in refusal(name, path)


def test_a_size_that_the_file_has_not_is_refused(tmp_path: Path) -> None:
    torch.save(tensors_of("rcan"), tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"groups=2, not backbone\.groups=10"):
        load_backbone("rcan", 3, str(tmp_path / "file.pth"), {"groups": 10})


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_trunk_starts_a_network_of_another_scale(tmp_path: Path, name: str, scale: int) -> None:
    write_weights(tmp_path / "x2.safetensors", tensors_of(name, 2), {"scale": 2})
    network, _ = untrained_backbone(name, scale, TINY[name])
    load_trunk(network, read_weights(tmp_path / "x2.safetensors"))
    source, upsampler = tensors_of(name, 2), network.upsampler
    trunk = {key for key in network.state_dict() if not key.startswith(str(upsampler))}
    stored = read_weights(tmp_path / "x2.safetensors").tensors
    assert trunk == {key for key in source if not key.startswith(str(upsampler))}
    assert all(torch.equal(network.state_dict()[key], stored[key]) for key in trunk)


def test_a_trunk_of_another_size_is_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "x2.safetensors", tensors_of("rcan", 2), {})
    network, _ = untrained_backbone("rcan", 2, {**TINY["rcan"], "groups": 3})
    with pytest.raises(WeightsError, match="missing"):
        load_trunk(network, read_weights(tmp_path / "x2.safetensors"))
