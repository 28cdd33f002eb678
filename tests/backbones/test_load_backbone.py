"""Backbones by name: the right file for the right scale, or one clear sentence."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mcnet_lightning.backbones import load_backbone, untrained_backbone
from mcnet_lightning.build import build_backbone
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.files.weights import write_weights


@pytest.fixture
def srcnn_file(tmp_path: Path) -> Path:
    network, _ = untrained_backbone("srcnn", 2)
    write_weights(tmp_path / "own.safetensors", network.state_dict(), {"kind": "backbone", "scale": 2})
    return tmp_path / "own.safetensors"


def test_file_round_trip(srcnn_file: Path) -> None:
    backbone = load_backbone("srcnn", 2, str(srcnn_file))
    again = load_backbone("srcnn", 2, str(srcnn_file))
    image = torch.rand(1, 1, 12, 12)
    assert torch.equal(backbone(image), again(image))
    assert backbone.spec.identity == again.spec.identity
    assert backbone.spec.weights == str(srcnn_file)


def test_bicubic_needs_no_weights_and_returns_its_input() -> None:
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(load_backbone("bicubic", 3)(image), image)


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'srcn' is unknown.*srcnn"):
        load_backbone("srcn", 2)


def test_weights_for_another_scale_are_refused(srcnn_file: Path) -> None:
    with pytest.raises(WeightsError, match="made for scale=2, not scale=3"):
        load_backbone("srcnn", 3, str(srcnn_file))


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    network, _ = untrained_backbone("srcnn", 2)
    write_weights(tmp_path / "layer.safetensors", network.state_dict(), {"kind": "layer", "scale": 2})
    with pytest.raises(WeightsError, match="holds a layer, not a backbone"):
        load_backbone("srcnn", 2, str(tmp_path / "layer.safetensors"))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_published_files_load(shared: Path, scale: int) -> None:
    path = shared / f"weights/srcnn/srcnn_x{scale}.pth"
    backbone = load_backbone("srcnn", scale, str(path))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in backbone.network.state_dict().items())


def test_published_file_of_another_scale_is_known_by_its_name(shared: Path) -> None:
    with pytest.raises(WeightsError, match="made for scale=3, not scale=2"):
        load_backbone("srcnn", 2, str(shared / "weights/srcnn/srcnn_x3.pth"))


def test_tables_say_whose_weights_they_are(srcnn_file: Path) -> None:
    assert load_backbone("srcnn", 2).spec.label == "SRCNN (ours)"
    assert load_backbone("rcan", 2).spec.label == "RCAN (compact, ours)"
    assert load_backbone("srcnn", 2, str(srcnn_file)).spec.label == "SRCNN (own file)"
    assert replace(load_backbone("rdn", 2).spec, weights="official").label == "RDN (official)"


def test_a_network_without_a_constructor_of_its_own_is_built_from_the_configuration() -> None:
    backbone = build_backbone(compose_config("train", ["backbone=bicubic"]))
    assert (backbone.spec.name, dict(backbone.spec.hyperparameters)) == ("bicubic", {})
