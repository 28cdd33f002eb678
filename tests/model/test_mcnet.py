"""The model: backbone, layer and operator put together."""

import pytest
import torch
from references import norms, tiny_layer, uniform
from torch import Tensor, nn

import mcnet_lightning
from mcnet_lightning.backbones import BackboneSpec, FrozenBackbone, InputKind, load_backbone
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.model.mcnet import MCNet
from mcnet_lightning.operators import BicubicDownsample, Mask, upsample_bicubic

A = BicubicDownsample(2)


class NearestFromColour(nn.Module):
    def forward(self, rgb: Tensor) -> Tensor:
        return rgb[:, :1].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def model(kind: InputKind = "upsampled") -> MCNet:
    if kind == "upsampled":
        backbone = load_backbone("bicubic", 2)
    else:
        backbone = FrozenBackbone(NearestFromColour(), BackboneSpec("colour", 2, kind))
    return MCNet(backbone, tiny_layer(), A)


def test_backbone_is_fed_with_the_enlarged_measurement() -> None:
    b = uniform(2, 1, 4, 5)
    result = model()(b)
    assert torch.equal(result.prior_image, upsample_bicubic(b, 2))
    assert result.estimate.shape == result.prior_image.shape == result.state.shape


def test_estimate_is_that_of_the_layer_on_the_prior_image() -> None:
    network, b = model(), uniform(2, 1, 4, 5)
    result = network(b)
    expected = network.layer(result.prior_image, b, A)
    assert torch.equal(result.estimate, expected.estimate)
    assert torch.equal(result.stats.evaluations, expected.stats.evaluations)


@pytest.mark.parametrize("epsilon", [0.0, 0.05, torch.tensor([0.0, 0.05])], ids=str)
def test_estimate_is_consistent(epsilon: float | Tensor) -> None:
    b = uniform(2, 1, 4, 5)
    assert (norms(A(model()(b, epsilon).estimate) - b) <= torch.as_tensor(epsilon) * (1 + 1e-7) + 1e-12).all()


def test_colour_backbones_get_colour() -> None:
    b, rgb = uniform(1, 1, 4, 5), uniform(1, 3, 4, 5)
    result = model("lr_rgb")(b, backbone_input=rgb)
    assert torch.equal(result.prior_image, NearestFromColour()(rgb))


def test_given_prior_image_skips_the_backbone() -> None:
    b, w = uniform(1, 1, 4, 5), uniform(1, 1, 8, 10)
    layer_only = MCNet(None, tiny_layer(), A)
    assert torch.equal(layer_only(b, prior_image=w).prior_image, w)


def test_warm_start_converges_at_once() -> None:
    network, b = model(), uniform(1, 1, 4, 5)
    network.layer.solver.tolerance = 1e-8
    assert network(b, initial_state=network(b).state).stats.evaluations.tolist() == [1]


def test_checkpoint_holds_the_layer_and_nothing_of_the_backbone() -> None:
    network = MCNet(load_backbone("bicubic", 2), tiny_layer(), A)
    assert all(name.startswith("layer.") for name in network.state_dict())
    srcnn = FrozenBackbone(nn.Conv2d(1, 1, 3), BackboneSpec("conv", 2, "upsampled"))
    parameters = set(MCNet(srcnn, tiny_layer(), A).parameters())
    assert parameters.isdisjoint(srcnn.network.parameters())


def test_training_mode_reaches_the_denoiser_and_not_the_backbone() -> None:
    network = model("lr_rgb").train()
    assert network.layer.denoiser.training
    assert network.backbone is not None
    assert not network.backbone.training
    assert not network.backbone.network.training


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (MCNet(None, tiny_layer(), A), "has no backbone; give prior_image"),
        (model("lr_rgb"), "colour cannot be fed from b alone; give backbone_input"),
        (MCNet(load_backbone("bicubic", 2), tiny_layer(), Mask(torch.ones(4, 5))), "give backbone_input"),
    ],
    ids=["no backbone", "colour", "no resolution to gain"],
)
def test_missing_input_is_named(network: MCNet, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network(uniform(1, 1, 4, 5))


@pytest.mark.parametrize("name", mcnet_lightning.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(mcnet_lightning, name).__name__ == name


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MCNett'"):
        _ = mcnet_lightning.MCNett
