"""RCAN (Zhang et al., ECCV 2018): residual groups of residual blocks with channel attention, RGB to RGB."""

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

LEVELS = 255.0  # the network computes on 0..255 inside
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class RCAN(nn.Module):
    """(B, 3, h, w) RGB in [0, 1] -> (B, 3, s h, s w), not clipped. Tensor names as in EDSR-PyTorch and the authors'
    files; by default the published network.

    groups: residual groups
    blocks: blocks per group
    features: channels
    reduction: channels per squeezed one
    """

    name = "rcan"
    label, citation = "RCAN", "Zhang et al., ECCV 2018"
    input_kind, levels = "lr_rgb", "0..255"
    default_weights, anchor = "bundled", "head.0.weight"
    upsampler = "tail.0."  # names of the tensors that depend on the scale
    compact: ClassVar = {"groups": 3, "blocks": 4, "features": 64, "reduction": 16}
    official = torchsr("rcan")

    def __init__(
        self, scale: int, groups: Count = 10, blocks: Count = 20, features: Colours = 64, reduction: Count = 16
    ) -> None:
        super().__init__()
        self.sub_mean = MeanShift(-1)
        self.head = nn.Sequential(convolution(3, features))
        body: list[nn.Module] = [_ResidualGroup(blocks, features, reduction) for _ in range(groups)]
        self.body = nn.Sequential(*body, convolution(features, features))
        self.tail = nn.Sequential(subpixel_upsampler(features, scale), convolution(features, 3))
        self.add_mean = MeanShift(1)
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def hyperparameters(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read off the tensors of a weight file. Raises WeightsError if they are not an RCAN's."""
        squeeze = tensors.get("body.0.body.0.body.3.conv_du.0.weight")
        if squeeze is None:
            raise WeightsError("these tensors are not an RCAN's: body.0.body.0.body.3.conv_du.0.weight is missing")
        return {
            "scale": scale_of_upsampler(tensors, "tail.0."),
            "groups": count(tensors, "body.{}.body.0.body.0.weight"),
            "blocks": count(tensors, "body.0.body.{}.body.0.weight"),
            "features": squeeze.shape[1],
            "reduction": squeeze.shape[1] // squeeze.shape[0],
        }

    def forward(self, rgb: Tensor) -> Tensor:
        with torch.autocast(rgb.device.type, enabled=False):  # a level is lost in half precision
            shallow = self.head(self.sub_mean(LEVELS * rgb.to(self.sub_mean.weight.dtype)))
        features = self.tail[0](self.body(shallow) + shallow)
        with torch.autocast(rgb.device.type, enabled=False):
            return self.add_mean(self.tail[1](features.to(self.add_mean.weight.dtype))) / LEVELS

    def start_from_interpolation(self) -> None:
        start_from_interpolation(self.head[0], self.body[-1], self.tail[0], self.tail[1])


class MeanShift(nn.Conv2d):
    """Subtracts (sign -1) or adds (1) the mean colour, on 0..255; constant, but stored in the weight files."""

    def __init__(self, sign: int) -> None:
        super().__init__(3, 3, 1)
        nn.init.dirac_(self.weight)
        mean = sign * LEVELS * torch.tensor(DIV2K_MEAN, device="cpu")
        self.bias = nn.Parameter(mean.to(self.weight.device))
        self.requires_grad_(False)


class _ChannelAttention(nn.Module):
    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        squeezed = features // reduction
        self.conv_du = nn.Sequential(
            nn.Conv2d(features, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, features, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv_du(x.mean(dim=(-2, -1), keepdim=True))


class _ResidualBlock(nn.Module):
    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(features, features),
            nn.ReLU(),
            convolution(features, features),
            _ChannelAttention(features, reduction),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _ResidualGroup(nn.Module):
    def __init__(self, blocks: int, features: int, reduction: int) -> None:
        super().__init__()
        body: list[nn.Module] = [_ResidualBlock(features, reduction) for _ in range(blocks)]
        self.body = nn.Sequential(*body, convolution(features, features))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)
