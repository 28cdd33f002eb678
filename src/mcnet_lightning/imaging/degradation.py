"""From HR to LR by protocol: what a backbone and the layer get to see of a test image or training patch.

`paper` follows the published MCNet experiments, `standard` the super-resolution literature (MATLAB's imresize).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging.colour import LUMA_GAIN, LUMA_SPREAD, rgb_to_luma
from mcnet_lightning.imaging.perturbation import Perturbation
from mcnet_lightning.operators.base import MeasurementOperator
from mcnet_lightning.operators.resize import BicubicDownsample, Boundary, resize_matrix, upsample_bicubic

ProtocolName = Literal["paper", "standard"]
Dequantise = Literal["none", "midpoint"]
ROUNDING = 1e-6  # of a level
WHOLE = 1e-3  # of a level: as far from whole ones as float32 puts 8-bit values
UNIFORM = 1 / math.sqrt(12)  # standard deviation of what rounding removes, in levels
OWN_BOUNDARY: dict[str, Boundary] = {"paper": "truncated", "standard": "symmetric"}


@dataclass(frozen=True)
class Observation:
    """An HR image (or batch of patches) and all that is measured of it. Every tensor (B, C, ., .), in [0, 1]."""

    truth: Tensor  # Y of HR, (B, 1, H, W)
    truth_rgb: Tensor  # HR, (B, 3, H, W)
    measurement: Tensor  # b: Y of LR, or of the middle of its rounding intervals, (B, 1, h, w)
    lr_rgb: Tensor  # (B, 3, h, w), for backbones that take colour
    upsampled: Tensor  # Y of LR bicubically enlarged, (B, 1, H, W): the bicubic baseline and SRCNN's input


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


class Degradation:
    """HR RGB in [0, 1] -> Observation, by protocol. Works on batches; one boundary for A, LR and the enlarged LR.

    operator: makes LR in place of bicubic down-sampling; what it makes is rounded once, as the protocol says.
    perturbation: what happens to LR on the way and is not in `operator`, the one that the methods are told.
    dequantise: `midpoint` takes b in the middle of the interval that rounding made one level of: half a level above
    the floored LR of `paper`, and LR itself where the nearest level was taken. Networks see LR as it is in any case.
    """

    def __init__(
        self,
        protocol: ProtocolName,
        scale: int,
        boundary: Boundary | None = None,
        quantise: bool = True,
        perturbation: Perturbation | None = None,
        dequantise: Dequantise = "none",
        operator: MeasurementOperator | None = None,
    ) -> None:
        if protocol not in OWN_BOUNDARY:
            raise ConfigError(f"protocol={protocol!r} is unknown; use one of {', '.join(OWN_BOUNDARY)}")
        if dequantise not in get_args(Dequantise):
            raise ConfigError(f"dequantise={dequantise!r} is unknown; use one of {', '.join(get_args(Dequantise))}")
        if dequantise == "midpoint" and not quantise:
            raise ConfigError(
                "protocol.dequantise=midpoint undoes the rounding of LR, and protocol.quantise=false leaves it "
                "unrounded; take one of them back"
            )
        self.protocol = protocol
        self.quantise = quantise
        self.dequantise = dequantise
        self.perturbation = perturbation or Perturbation()
        self.scale = scale
        self.boundary: Boundary = boundary or OWN_BOUNDARY[protocol]
        self.operator = operator or BicubicDownsample(scale, self.boundary)

    @property
    def name(self) -> str:
        """Identity of the whole chain, for cache keys and records."""
        return f"{self.protocol_label}/{self.operator.name}"

    @property
    def protocol_label(self) -> str:
        """`paper` or `standard`, with `-float` where LR was left unquantised, `-midpoint` where b is the middle of its
        rounding intervals, and with what perturbs it: each of these is a different column in every table.
        """
        rounding = "" if self.quantise else "-float"
        return (
            self.protocol + rounding + ("-midpoint" if self.dequantise == "midpoint" else "") + self.perturbation.label
        )

    @property
    def floors(self) -> bool:
        """Whether LR is rounded down; Pillow's own resize and `standard` take the nearest level."""
        by_pillow = self.perturbation.operator == "pillow" and not self.perturbation.noise
        return self.quantise and self.protocol == "paper" and not by_pillow

    @property
    def two_passes(self) -> bool:
        """Whether rows are rounded before columns are resized, as MATLAB's imresize does."""
        return self.protocol == "standard" and isinstance(self.operator, BicubicDownsample)

    @property
    def noise_deviation(self) -> float:
        """Root mean square of A x - b per value of b, for the true x: Gaussian noise, and what rounding removes from
        each channel, uniform over a level. Clipping, JPEG and a foreign operator have no such model and are left out.
        """
        independent = self.perturbation.noise**2
        if self.quantise:
            independent += UNIFORM**2
            if self.two_passes and self.perturbation.operator != "pillow":
                independent += UNIFORM**2 * self._row_energy()  # the first of two passes, seen through the second
            if self.protocol == "standard" and self.perturbation.noise:
                independent += UNIFORM**2  # rounded once before the noise, and once after it
        shared = 0.5 if self.floors and self.dequantise == "none" else 0.0
        return math.hypot(math.sqrt(independent) * LUMA_SPREAD, shared * LUMA_GAIN) / 255

    def _row_energy(self) -> float:
        """Sum of the squared weights of one axis, away from the border."""
        rows = resize_matrix(24 * self.scale, 24, float(self.scale), self.boundary)
        return float(rows[12].square().sum())

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
        upsampled = rgb_to_luma(floor_8bit(upsample_bicubic(lr_float, self.scale, self.boundary)).to(hr.dtype))
        return Observation(rgb_to_luma(hr), hr, self._stated(lr), lr, upsampled)

    def measured(self, hr: Tensor, lr: Tensor) -> Observation:
        """The same where LR, (B, 3, H/s, W/s), was measured, and rounded as the protocol rounds, but not made here.

        Raises DataError for another size.
        """
        expected = (hr.shape[-2] // self.scale, hr.shape[-1] // self.scale)
        if expected != tuple(lr.shape[-2:]):
            raise DataError(
                f"an HR image of {hr.shape[-2]} x {hr.shape[-1]} pixels has an LR of {expected[0]} x {expected[1]} at "
                f"x{self.scale}, not {lr.shape[-2]} x {lr.shape[-1]}; check scale and the pairs"
            )
        upsampled = upsample_bicubic(rgb_to_luma(lr), self.scale, self.boundary)
        return Observation(rgb_to_luma(hr), hr, self._stated(lr), lr, upsampled)

    def _stated(self, lr: Tensor) -> Tensor:
        """b, of LR as a file holds it."""
        return rgb_to_luma(middle_of_floored(lr) if self.dequantise == "midpoint" and self.floors else lr)

    def downsample(self, hr: Tensor) -> tuple[Tensor, Tensor]:
        """LR before and after the protocol's rounding; `standard` knows only the latter."""
        exact, rounded = self.perturbation.resample(hr, self.operator, self.scale, self._downsample)
        expected = (*hr.shape[:-2], hr.shape[-2] // self.scale, hr.shape[-1] // self.scale)
        if tuple(exact.shape) != expected:
            raise ConfigError(
                f"{self.operator.name} measures images {tuple(hr.shape)} as {tuple(exact.shape)}, and super-resolution "
                f"at scale={self.scale} needs {expected}; choose another operator or scale"
            )
        exact, rounded = self.perturbation.corrupt(hr, exact, rounded, self._round_off)
        return exact, rounded.to(hr.dtype)

    def _downsample(self, hr: Tensor, operator: MeasurementOperator) -> tuple[Tensor, Tensor]:
        if not self.quantise:
            return (lr := operator(hr)), lr
        if self.protocol == "standard" and isinstance(operator, BicubicDownsample):
            lr = (_two_pass_8bit(hr, operator) / 255).to(hr.dtype)
            return lr, lr
        # float64: in flat regions float32 would put several per cent of the pixels one level too low
        lr = operator(torch.round(hr.double() * 255) / 255)
        return (lr, floor_8bit(lr)) if self.protocol == "paper" else (rounded := self._round_off(lr), rounded)

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
