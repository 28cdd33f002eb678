"""RDN (Zhang et al., CVPR 2018): residual dense blocks whose outputs are all fused, RGB to RGB."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones.official import torchsr
from mcnet_lightning.backbones.subpixel import (
    Colours,
    Count,
    convolution,
    count,
    scale_of_upsampler,
    start_from_interpolation,
    subpixel_upsampler,
)
from mcnet_lightning.errors import WeightsError


class RDN(nn.Module):
    """(B, 3, h, w) RGB in [0, 1] -> (B, 3, s h, s w), not clipped. Tensor names as in yjn870/RDN-pytorch; by default
    the published network (RDN of the paper).

    blocks: D, dense blocks
    layers: C, layers per block
    growth: G, channels per layer
    features: G0, channels
    """

    name = "rdn"
    label, citation = "RDN", "Zhang et al., CVPR 2018"
    input_kind = "lr_rgb"
    default_weights, anchor = "bundled", "sfe1.weight"
    upsampler = "upscale."  # names of the tensors that depend on the scale
    compact: ClassVar = {"blocks": 4, "layers": 4, "growth": 32, "features": 64}
    official = torchsr("rdn")

    def __init__(
        self, scale: int, blocks: Count = 16, layers: Count = 8, growth: Count = 64, features: Colours = 64
    ) -> None:
        super().__init__()
        self.sfe1 = convolution(3, features)
        self.sfe2 = convolution(features, features)
        self.rdbs = nn.ModuleList(_ResidualDenseBlock(features, growth, layers) for _ in range(blocks))
        self.gff = nn.Sequential(convolution(blocks * features, features, 1), convolution(features, features))
        self.upscale = subpixel_upsampler(features, scale)
        self.output = convolution(features, 3)
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def hyperparameters(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read off the tensors of a weight file. Raises WeightsError if they are not an RDN's."""
        dense = tensors.get("rdbs.0.layers.0.conv.weight")
        if dense is None:
            raise WeightsError("these tensors are not an RDN's: rdbs.0.layers.0.conv.weight is missing")
        return {
            "scale": scale_of_upsampler(tensors, "upscale."),
            "blocks": count(tensors, "rdbs.{}.layers.0.conv.weight"),
            "layers": count(tensors, "rdbs.0.layers.{}.conv.weight"),
            "growth": dense.shape[0],
            "features": dense.shape[1],
        }

    def forward(self, rgb: Tensor) -> Tensor:
        with torch.autocast(rgb.device.type, enabled=False):  # 1/255 is lost in half precision
            shallow = self.sfe1(rgb.to(self.sfe1.weight.dtype))
        features, block_outputs = self.sfe2(shallow), []
        for block in self.rdbs:
            features = block(features)
            block_outputs.append(features)
        features = self.upscale(self.gff(torch.cat(block_outputs, dim=1)) + shallow)
        with torch.autocast(rgb.device.type, enabled=False):
            return self.output(features.to(self.output.weight.dtype))

    def start_from_interpolation(self) -> None:
        start_from_interpolation(self.sfe1, self.gff[1], self.upscale, self.output)


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.conv = convolution(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.relu(self.conv(x)).to(x.dtype)], dim=1)


class _ResidualDenseBlock(nn.Module):
    def __init__(self, features: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_DenseLayer(features + growth * i, growth) for i in range(layers)))
        self.lff = convolution(features + growth * layers, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.lff(self.layers(x))
