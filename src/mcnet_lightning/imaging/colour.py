"""BT.601 luma in studio swing, the Y on which super-resolution is measured."""

import math

import torch
from torch import Tensor

from mcnet_lightning.errors import DataError

LUMA_WEIGHTS = (65.738 / 256, 129.057 / 256, 25.064 / 256)
LUMA_OFFSET = 16 / 255
LUMA_GAIN = sum(LUMA_WEIGHTS)  # of what all three channels share
LUMA_SPREAD = math.hypot(*LUMA_WEIGHTS)  # of the standard deviation of what they do not share


def rgb_to_luma(rgb: Tensor) -> Tensor:
    """Y = 16/255 + (65.738 R + 129.057 G + 25.064 B)/256: (..., 3, H, W) in [0, 1] -> (..., 1, H, W) in [16, 235]/255.

    Full-range luma (kornia's `rgb_to_y`) would shift PSNR by 1.3 dB against the literature.
    """
    if rgb.shape[-3] != 3:
        raise DataError(f"luma needs 3 colour channels, got an image of shape {tuple(rgb.shape)}; repeat gray images")
    weights = torch.tensor(LUMA_WEIGHTS, dtype=rgb.dtype, device=rgb.device).view(3, 1, 1)
    return (rgb * weights).sum(dim=-3, keepdim=True) + LUMA_OFFSET


def rgb_to_gray(rgb: Tensor) -> Tensor:
    """BT.601 luma in full range, (..., 3, H, W) -> (..., 1, H, W): of gray pictures their levels, untouched."""
    red, green, blue = (rgb[..., channel : channel + 1, :, :] for channel in range(3))
    return red + 0.587 * (green - red) + 0.114 * (blue - red)
