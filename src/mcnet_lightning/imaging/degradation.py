"""From HR to LR by protocol: what a backbone and the layer get to see of a test image or training patch.

`paper` follows the published MCNet experiments, `standard` the super-resolution literature (MATLAB's imresize).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging.colour import rgb_to_luma
from mcnet_lightning.imaging.perturbation import Perturbation
from mcnet_lightning.operators.resize import BicubicDownsample, Boundary, resize_matrix, upsample_bicubic

ProtocolName = Literal["paper", "standard"]
ROUNDING = 1e-6  # of a level
OWN_BOUNDARY: dict[str, Boundary] = {"paper": "truncated", "standard": "symmetric"}


@dataclass(frozen=True)
class Observation:
    """An HR image (or batch of patches) and all that is measured of it. Every tensor (B, C, ., .), in [0, 1]."""

    truth: Tensor  # Y of HR, (B, 1, H, W)
    truth_rgb: Tensor  # HR, (B, 3, H, W)
    measurement: Tensor  # b: Y of LR, (B, 1, h, w)
    lr_rgb: Tensor  # (B, 3, h, w), for backbones that take colour
    upsampled: Tensor  # Y of LR bicubically enlarged, (B, 1, H, W): the bicubic baseline and SRCNN's input


def floor_8bit(image: Tensor) -> Tensor:
    """The level below, of float64 images: an exact level must not fall to the one below by rounding."""
    return torch.floor((image * 255).clamp(0, 255) + ROUNDING) / 255


class Degradation:
    """HR RGB in [0, 1] -> Observation, by protocol. Works on batches; one boundary for A, LR and the enlarged LR.

    perturbation: what happens to LR on the way and is not in `operator`, the one that the methods are told.
    """

    def __init__(
        self,
        protocol: ProtocolName,
        scale: int,
        boundary: Boundary | None = None,
        quantise: bool = True,
        perturbation: Perturbation | None = None,
    ) -> None:
        if protocol not in OWN_BOUNDARY:
            raise ConfigError(f"protocol={protocol!r} is unknown; use one of {', '.join(OWN_BOUNDARY)}")
        self.protocol = protocol
        self.quantise = quantise
        self.perturbation = perturbation or Perturbation()
        self.operator = BicubicDownsample(scale, boundary or OWN_BOUNDARY[protocol])

    @property
    def scale(self) -> int:
        return self.operator.scale

    @property
    def name(self) -> str:
        """Identity of the whole chain, for cache keys and records."""
        return f"{self.protocol_label}/{self.operator.name}"

    @property
    def protocol_label(self) -> str:
        """`paper` or `standard`, with `-float` where LR was left unquantised and with what perturbs it: each of these
        is a different column in every table.
        """
        return self.protocol + ("" if self.quantise else "-float") + self.perturbation.label

    def fit(self, hr: Tensor) -> Tensor:
        """(3, H, W) brought to a multiple of the scale: resized by PIL (`paper`) or cropped (`standard`)."""
        height, width = (size - size % self.scale for size in hr.shape[-2:])
        if min(height, width) < self.scale:
            raise DataError(f"an image of {hr.shape[-2]} x {hr.shape[-1]} pixels is too small for x{self.scale}")
        if (height, width) == tuple(hr.shape[-2:]):
            return hr
        if self.protocol == "standard":
            return hr[..., :height, :width]
        levels = torch.round(hr * 255).clamp(0, 255)
        if not torch.allclose(levels / 255, hr, rtol=0, atol=ROUNDING):  # deeper than 8 bit, which a resize would cut
            channels = [Image.fromarray(channel.float().numpy()) for channel in hr]
            resized = [np.array(channel.resize((width, height), Image.Resampling.BICUBIC)) for channel in channels]
            return torch.from_numpy(np.stack(resized)).to(hr.dtype)
        pixels = Image.fromarray(levels.byte().permute(1, 2, 0).numpy())
        whole = pixels.resize((width, height), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(whole)).permute(2, 0, 1).to(hr.dtype) / 255

    def __call__(self, hr: Tensor) -> Observation:
        """(B, 3, H, W), H and W multiples of the scale."""
        lr_float, lr = self.downsample(hr)
        if not (self.protocol == "paper" and self.quantise):
            return self.measured(hr, lr)
        # the published SRCNN sees the float LR enlarged, then floored
        upsampled = rgb_to_luma(floor_8bit(upsample_bicubic(lr_float, self.scale, self.operator.boundary)).to(hr.dtype))
        return Observation(rgb_to_luma(hr), hr, rgb_to_luma(lr), lr, upsampled)

    def measured(self, hr: Tensor, lr: Tensor) -> Observation:
        """The same where LR, (B, 3, H/s, W/s), was measured and not made here. Raises DataError for another size."""
        expected = self.operator.measurement_size((hr.shape[-2], hr.shape[-1]))
        if expected != tuple(lr.shape[-2:]):
            raise DataError(
                f"an HR image of {hr.shape[-2]} x {hr.shape[-1]} pixels has an LR of {expected[0]} x {expected[1]} at "
                f"x{self.scale}, not {lr.shape[-2]} x {lr.shape[-1]}; check scale and the pairs"
            )
        b = rgb_to_luma(lr)
        return Observation(rgb_to_luma(hr), hr, b, lr, upsample_bicubic(b, self.scale, self.operator.boundary))

    def downsample(self, hr: Tensor) -> tuple[Tensor, Tensor]:
        """LR before and after the protocol's rounding; `standard` knows only the latter."""
        exact, rounded = self.perturbation.resample(hr, self.operator, self._downsample)
        exact, rounded = self.perturbation.corrupt(hr, exact, rounded, self._round_off)
        return exact, rounded.to(hr.dtype)

    def _downsample(self, hr: Tensor, operator: BicubicDownsample) -> tuple[Tensor, Tensor]:
        if not self.quantise:
            return (lr := operator(hr)), lr
        if self.protocol == "paper":
            # float64: in flat regions float32 would put several per cent of the pixels one level too low
            lr = operator(torch.round(hr.double() * 255) / 255)
            return lr, floor_8bit(lr)
        lr = (_two_pass_8bit(hr, operator) / 255).to(hr.dtype)
        return lr, lr

    def _round_off(self, lr: Tensor) -> Tensor:
        if not self.quantise:
            return lr
        return floor_8bit(lr) if self.protocol == "paper" else torch.round(lr.clamp(0, 1) * 255) / 255


def _two_pass_8bit(image: Tensor, operator: BicubicDownsample) -> Tensor:
    """imresize of an 8-bit image: rows, rounding, columns, rounding; levels 0..255 in float64, where ties are ties."""
    height, width = image.shape[-2:]
    new_height, new_width = operator.measurement_size((height, width))
    ratio, boundary = float(operator.scale), operator.boundary
    vertical = resize_matrix(height, new_height, ratio, boundary).to(image.device)
    horizontal = resize_matrix(width, new_width, ratio, boundary).to(image.device)
    levels = torch.round(image.double() * 255)
    for resized in (lambda x: vertical @ x, lambda x: x @ horizontal.T):
        levels = torch.floor(resized(levels).clamp(0, 255) + 0.5)
    return levels
