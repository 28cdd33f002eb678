"""RDN: yjn870's tensor layout, equal to a functional recomputation from the state dict."""

import pytest
import torch
import torch.nn.functional as F
from references import relative_error, uniform
from torch import Tensor

from mcnet_lightning.backbones.rdn import RDN

SMALL = {"blocks": 3, "layers": 2, "growth": 6, "features": 10}


def recomputed(tensors: dict[str, Tensor], image: Tensor, scale: int) -> Tensor:
    """The equations of the paper (Zhang et al., CVPR 2018, 3.1-3.4), written out on bare tensors."""

    def convolve(name: str, x: Tensor) -> Tensor:
        weight = tensors[f"{name}.weight"]
        return F.conv2d(x, weight, tensors[f"{name}.bias"], padding=weight.shape[-1] // 2)

    first = convolve("sfe1", image)
    features, outputs = convolve("sfe2", first), []
    for block in range(SMALL["blocks"]):
        dense = [features]
        for layer in range(SMALL["layers"]):
            dense.append(convolve(f"rdbs.{block}.layers.{layer}.conv", torch.cat(dense, 1)).clamp_min(0))
        features = features + convolve(f"rdbs.{block}.lff", torch.cat(dense, 1))
        outputs.append(features)
    x = first + convolve("gff.1", convolve("gff.0", torch.cat(outputs, 1)))
    for index, factor in {2: [(0, 2)], 3: [(0, 3)], 4: [(0, 2), (2, 2)]}[scale]:
        x = convolve(f"upscale.{index}", x)
        batch, _, height, width = x.shape
        x = x.view(batch, -1, factor, factor, height, width).permute(0, 1, 4, 2, 5, 3)
        x = x.reshape(batch, -1, factor * height, factor * width)
    return convolve("output", x)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equals_a_functional_recomputation(scale: int) -> None:
    network, image = RDN(scale, **SMALL).double(), uniform(2, 3, 9, 12)
    assert relative_error(network(image), recomputed(dict(network.state_dict()), image, scale)) <= 1e-13


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("hyperparameters", [SMALL, {"blocks": 1, "layers": 3, "growth": 8, "features": 8}])
def test_hyperparameters_are_read_off_the_tensors(scale: int, hyperparameters: dict[str, int]) -> None:
    tensors = RDN(scale, **hyperparameters).state_dict()
    assert RDN.hyperparameters(tensors) == {"scale": scale, **hyperparameters}


def test_published_size() -> None:
    """22.1 million parameters at x2 (yjn870's rdn_x2.pth; Zhang et al., CVPR 2018), the published names."""
    with torch.device("meta"):
        network = RDN(2)
    assert sum(parameter.numel() for parameter in network.parameters()) == 22_123_395
    assert {"rdbs.15.layers.7.conv.weight", "rdbs.15.lff.bias", "gff.1.weight", "upscale.0.weight"} <= set(
        network.state_dict()
    )


def test_half_precision_autocast_keeps_the_levels_of_an_image() -> None:
    network, image = RDN(2, **SMALL), torch.rand(1, 3, 16, 16)
    network.start_from_interpolation()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(image)
    assert half.dtype == torch.float32
    assert (half - network(image)).abs().max() < 5e-3
