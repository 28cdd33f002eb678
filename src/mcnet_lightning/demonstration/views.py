"""Pictures for the eye: 8-bit colour, and maps of where two images differ."""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

LEVELS = 255
LEAST_PEAK = 1 / LEVELS  # below one grey level a map stays dark rather than magnify rounding


@dataclass(frozen=True)
class ErrorMap:
    """Black where nothing differs, yellow at `white` grey levels of 255 and above; `largest` is what was found."""

    image: Image.Image
    largest: float
    white: float


def displayed(colour: Tensor) -> Image.Image:
    """(C, H, W) in [0, 1], clipped, as an RGB picture; gray becomes three equal channels."""
    levels = (colour.expand(3, -1, -1).clamp(0, 1) * LEVELS).round().byte()
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()))


def magnified(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) -> (C, H, W) with every pixel as a block, so that a measurement is seen as what it is."""
    return F.interpolate(image[None], size=size, mode="nearest-exact")[0]


def error_map(difference: Tensor, size: tuple[int, int], peak: float | None = None) -> ErrorMap:
    """The largest |difference| over the channels of (C, h, w), shown at `size`; `peak` in [0, 1] is drawn yellow.

    Without `peak` it is the largest difference of all, but for the topmost 0.1 % of the pixels.
    """
    magnitude = difference.abs().amax(dim=0, keepdim=True)
    if peak is None:
        peak = float(np.quantile(magnitude.numpy(), 0.999))
    peak = max(peak, LEAST_PEAK)
    shown = displayed(magnified(magnitude / peak, size)).convert("L")
    coloured = ImageOps.colorize(shown, black="black", mid="crimson", white="yellow")
    return ErrorMap(coloured, float(magnitude.max()) * LEVELS, peak * LEVELS)
