"""Levels of 8-bit files: what rounding makes of an image, and the middle of what it may have been."""

import math

import torch
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.operators.resize import BicubicDownsample, resize_matrix

ROUNDING = 1e-6  # of a level
WHOLE = 1e-3  # of a level: as far from whole ones as float32 puts 8-bit values
UNIFORM = 1 / math.sqrt(12)  # standard deviation of what rounding removes, in levels


def floor_8bit(image: Tensor) -> Tensor:
    """The level below, of float64 images: an exact level must not fall to the one below by rounding."""
    return torch.floor((image * 255).clamp(0, 255) + ROUNDING) / 255


def middle_of_floored(image: Tensor, peak: int = 255) -> Tensor:
    """Half a level up: the middle of what values in [0, 1] were before they were floored to `peak` + 1 levels.

    The lowest and the highest level stay: they also stand for everything that was clipped to them, and on Set5 and
    Set14 what they were is nearer to them than to half a level above. Raises DataError for values between levels.
    """
    levels = image.double() * peak
    whole = levels.round()
    if bool(((levels - whole).abs() > WHOLE).any()):
        raise DataError(
            f"dequantise=midpoint: this image has values between the {peak + 1} levels, so that it was not rounded to "
            "them; take dequantise=none"
        )
    inside = (whole > 0) & (whole < peak)
    return torch.where(inside, (whole + 0.5) / peak, image.double()).to(image.dtype)


def two_pass_8bit(image: Tensor, operator: BicubicDownsample) -> Tensor:
    """imresize of an 8-bit image: rows, rounding, columns, rounding; levels 0..255 in float64, where ties are ties."""
    height, width = image.shape[-2:]
    new_height, new_width = operator.measurement_size((height, width))
    ratio, boundary = float(operator.scale), operator.boundary
    vertical = resize_matrix(height, new_height, ratio, boundary).to(image.device)
    horizontal = resize_matrix(width, new_width, ratio, boundary).to(image.device)
    levels = torch.round(image.double() * 255)
    levels = torch.floor((vertical @ levels).clamp(0, 255) + 0.5)
    return torch.floor((levels @ horizontal.T).clamp(0, 255) + 0.5)
