"""What RCAN and RDN share: sub-pixel enlargement (Shi et al., CVPR 2016) and a start from plain interpolation."""

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from mcnet_lightning.errors import WeightsError

Count = Annotated[int, {"minimum": 1}]
Colours = Annotated[int, {"minimum": 3}]  # features that carry an image through


def convolution(channels_in: int, channels_out: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)


def subpixel_upsampler(features: int, scale: int) -> nn.Sequential:
    """Convolution and pixel shuffle, (B, F, h, w) -> (B, F, s h, s w); x4 is x2 twice."""
    steps: list[nn.Module] = []
    for factor in (2, 2) if scale == 4 else (scale,):
        steps += [convolution(features, factor**2 * features), nn.PixelShuffle(factor)]
    return nn.Sequential(*steps)


def scale_of_upsampler(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """The scale of the `subpixel_upsampler` whose tensors start with `prefix`. Raises WeightsError if there is none."""
    if (first := tensors.get(f"{prefix}0.weight")) is None:
        raise WeightsError(f"{prefix}0.weight is missing")
    factor = round((first.shape[0] / first.shape[1]) ** 0.5)
    return factor**2 if f"{prefix}2.weight" in tensors else factor


def count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """How many of pattern.format(0), pattern.format(1), ... there are."""
    number = 0
    while pattern.format(number) in tensors:
        number += 1
    return number


@torch.no_grad()
def start_from_interpolation(
    head: nn.Module, trunk_end: nn.Module, upsampler: nn.Module, reconstruction: nn.Module
) -> None:
    """Random weights beside three channels that carry the image through, interpolated quadratically: training starts
    at an enlarged image and learns what is missing. `trunk_end` is the last convolution before the long skip; all are
    convolutions but for the `upsampler`.
    """
    weight, bias = _numbers(head)
    colours = weight.shape[1]
    pass_through = torch.eye(colours)
    weight[:colours], bias[:colours] = 0.0, 0.0
    weight[:colours, :, 1, 1] = pass_through
    _numbers(trunk_end)[0].mul_(0.1)
    for step in upsampler.children():
        if isinstance(step, nn.Conv2d):
            weight, bias = _numbers(step)
            factor = round((step.out_channels / step.in_channels) ** 0.5)
            phases = torch.einsum("iy,jx->ijyx", *2 * [_quadratic_taps(factor)]).reshape(factor**2, 3, 3)
            weight[: factor**2 * colours], bias[: factor**2 * colours] = 0.0, 0.0
            for colour in range(colours):
                weight[factor**2 * colour : factor**2 * (colour + 1), colour] = phases
    weight, bias = _numbers(reconstruction)
    weight.mul_(0.1)
    weight[:, :colours], bias[:] = 0.0, 0.0
    weight[:, :colours, 1, 1] = pass_through


def _numbers(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias."""
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    return convolution.weight, convolution.bias


def _quadratic_taps(factor: int) -> Tensor:
    """(factor, 3): weights of the pixels at -1, 0, 1 for the sub-pixels of the one at 0 (Lagrange)."""
    t = (torch.arange(factor) + 0.5) / factor - 0.5
    return torch.stack([t * (t - 1) / 2, 1 - t**2, t * (t + 1) / 2], dim=1)
