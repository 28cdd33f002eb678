"""In-painting: some pixels of a picture were measured, the others were not."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.epsilon import LEVELS
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.arrays import read_array
from mcnet_lightning.imaging.colour import rgb_to_gray
from mcnet_lightning.operators import Mask
from mcnet_lightning.problems.base import draws
from mcnet_lightning.problems.clipped import NoisyPicture
from mcnet_lightning.problems.observation import Observation


class Inpainting(NoisyPicture):
    """x is the gray picture, BT.601 luma in full range, or the picture in RGB; b is x at the measured pixels.

    Each image has random pixels of its own, drawn by the seed, unless a file says which. Figures count the whole
    picture, cut off at black and white.

    rate: share of the pixels that are measured
    mask: file in place of that, picture or array of the images' size: white pixels, or ones, were measured; training
        patches take random parts of it
    noise: standard deviation of the noise in grey levels of 255
    colour: RGB in place of gray, the same pixels of every colour
    """

    name = "inpainting"
    start_name = "mean-filled"
    usual: ClassVar = {"backbone": "unet", "data": "few_photographs", "restoring": "unet"}
    from_files = ("mask",)

    def __init__(
        self,
        rate: Annotated[float, {"minimum": 0.0, "exclusive_minimum": True, "maximum": 1.0}] = 0.5,
        mask: Annotated[str | None, {"path": "file"}] = None,
        noise: Annotated[float, {"minimum": 0.0}] = 0.0,
        colour: bool = False,
    ) -> None:
        self.rate, self.mask, self.noise, self.colour = rate, mask, noise, colour
        self.channels = 3 if colour else 1

    @property
    def operator_name(self) -> str:
        if self.mask is None:
            return f"mask-random{self.rate:g}"
        return f"mask-{Path(self.mask.rpartition(':')[0] or self.mask).stem}"

    @property
    def label(self) -> str:
        parts = [self.operator_name.removeprefix("mask-")] + (["rgb"] if self.colour else [])
        return "-".join(parts + ([f"noise{self.noise:g}"] if self.noise else []))

    def observe(self, images: Tensor, seed: int) -> Observation:
        """(B, 3, H, W)."""
        generators = [draws(seed, image) for image in images]
        masks = [
            self._mask((image.shape[-2], image.shape[-1]), by) for image, by in zip(images, generators, strict=True)
        ]
        operator = Mask(torch.stack(masks)[:, None])
        truth = images if self.colour else rgb_to_gray(images)
        b = operator(truth)
        if self.noise:
            drawn = np.stack([generator.standard_normal(tuple(b.shape[1:])) for generator in generators])
            b = b + self.noise / LEVELS * operator.measured(torch.from_numpy(drawn).to(b))
        return Observation(truth, b, operator, {"start": mean_filled(b, operator)}, colour=images)

    @property
    def operator(self) -> Mask:
        """Of a measurement in somebody's file: the mask's."""
        if self.mask is None:
            raise ConfigError("which pixels were measured? Give mask=FILE, white where they were")
        return Mask(self._whole)

    def from_measurement(self, b: Tensor) -> Tensor:
        """The start of a measurement in somebody's file, (B, C, H, W)."""
        return mean_filled(b * self.operator.measured(torch.ones_like(b)), self.operator)

    def _mask(self, size: tuple[int, int], generator: np.random.Generator) -> Tensor:
        """(H, W). At the rate to the nearest pixel, and one at least."""
        height, width = size
        if self.mask is None:
            seen = torch.zeros(height * width)
            count = max(1, round(self.rate * height * width))
            seen[torch.from_numpy(generator.permutation(height * width)[:count])] = 1
            return seen.view(size)
        whole = self._whole
        if whole.shape[0] < height or whole.shape[1] < width:
            raise DataError(
                f"the mask {self.mask} of {whole.shape[0]} x {whole.shape[1]} pixels is smaller than an image of "
                f"{height} x {width}"
            )
        top, left = (int(generator.integers(have - want + 1)) for have, want in zip(whole.shape, size, strict=True))
        return whole[top : top + height, left : left + width]

    @cached_property
    def _whole(self) -> Tensor:
        values = np.squeeze(read_array(self.mask or ""))
        if values.ndim != 2 or np.iscomplexobj(values) or not np.any(values > 0):
            raise ConfigError(f"problem.mask={self.mask} holds an array {values.shape}, not a matrix of 0 and 1")
        return torch.from_numpy(np.ascontiguousarray(values > values.max() / 2)).float()


def mean_filled(b: Tensor, operator: Mask) -> Tensor:
    """The measured pixels, and their mean, by channel, elsewhere."""
    seen = operator.measured(torch.ones_like(b))
    mean = b.sum(dim=(-2, -1), keepdim=True) / seen.sum(dim=(-2, -1), keepdim=True).clamp_min(1)
    return b + mean * (1 - seen)
