"""Small pictures and pairs that the tests of this folder share."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator
from mcnet_lightning.restoration import Picture


def smooth(channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A smooth random image in [0.1, 0.9], (C, H, W) float64: random pixels, enlarged eight times."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, height // 8 + 2, width // 8 + 2, generator=generator, dtype=torch.float64)
    return 0.1 + 0.8 * F.interpolate(coarse, size=(height, width), mode="bilinear")[0]


def levels(image: torch.Tensor, peak: int = 255) -> torch.Tensor:
    return (image.clamp(0, 1) * peak).round() / peak


def pair(
    operator: MeasurementOperator | None = None, channels: int = 3, size: tuple[int, int] = (48, 64)
) -> tuple[Picture, Picture]:
    """HR, and its LR rounded to 8 bit."""
    operator = operator or BicubicDownsample(2)
    truth = levels(smooth(channels, *size))
    return Picture(truth), Picture(levels(operator(truth[None])[0]))


def save_png(path: Path, image: torch.Tensor) -> Path:
    """8-bit PNG of (C, H, W), C = 1..4."""
    array = (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else np.ascontiguousarray(array)).save(path)
    return path
