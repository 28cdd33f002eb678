"""Perturbed measurements: LR that is not quite what the methods assume, to see how gracefully they take it."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator
from mcnet_lightning.operators.resize import Boundary
from mcnet_lightning.problems.base import noise

BLUR = 0.25  # standard deviation of `blurred`, in LR pixels
BLUR_SUPPORT = 4  # the kernel reaches this many standard deviations


@dataclass(frozen=True)
class Perturbation:
    """What happens to LR between the camera and us; the methods know nothing of it.

    noise:    standard deviation of Gaussian noise on every colour of LR, in grey levels of 255. The same seed and HR
              give the same noise, of any strength.
    jpeg:     quality of a JPEG file that LR goes through.
    operator: who makes LR in place of the operator that is assumed: another boundary, `pillow` (its own resize, to
              8 bit), or `blurred` (HR blurred with a Gaussian of a quarter of an LR pixel first).
    """

    noise: float = 0.0
    jpeg: int | None = None
    operator: Boundary | Literal["pillow", "blurred"] | None = None

    @property
    def label(self) -> str:
        """For the protocol's name: another column in every table. Empty if nothing is perturbed."""
        parts = [f"noise{self.noise:g}"] if self.noise else []
        parts += [f"jpeg{self.jpeg}"] if self.jpeg is not None else []
        parts += [self.operator] if self.operator is not None else []
        return "".join(f"+{part}" for part in parts)

    def taken(self, hr: Tensor, assumed: MeasurementOperator, scale: int) -> tuple[Tensor, MeasurementOperator]:
        """What is downsampled in fact in place of HR, and by which operator; not for `pillow`, which rounds, too."""
        if self.operator == "blurred":
            from kornia.filters import gaussian_blur2d  # who only restores need not have it

            deviation = BLUR * scale
            size = 2 * int(BLUR_SUPPORT * deviation) + 1
            return gaussian_blur2d(hr, (size, size), (deviation, deviation)), assumed
        if self.operator is None or self.operator == "pillow":
            return hr, assumed
        return hr, BicubicDownsample(scale, self.operator)

    def noisy(self, hr: Tensor, lr: Tensor, seed: int) -> Tensor:
        """LR with the noise of this HR."""
        return lr + (self.noise / 255 * noise(seed, hr, lr.double())).to(lr)


def _levels(images: Tensor) -> list[np.ndarray]:
    """(B, 3, H, W) in [0, 1] as 8-bit pictures (H, W, 3)."""
    return list((images.detach().cpu().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


def _images(levels: list[np.ndarray], like: Tensor) -> Tensor:
    return torch.from_numpy(np.stack(levels)).permute(0, 3, 1, 2).to(like) / 255


def by_pillow(hr: Tensor, scale: int) -> Tensor:
    """LR by Pillow's own resize, to 8 bit."""
    size = (hr.shape[-1] // scale, hr.shape[-2] // scale)
    return _images([np.array(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in _levels(hr)], hr)


def through_jpeg(lr: Tensor, quality: int) -> Tensor:
    """(B, 3, H, W) in [0, 1] as a JPEG of that quality shows it."""
    decoded = []
    for pixels in _levels(lr):
        Image.fromarray(pixels).save(file := io.BytesIO(), format="JPEG", quality=quality)
        decoded.append(np.array(Image.open(file)))
    return _images(decoded, lr)
