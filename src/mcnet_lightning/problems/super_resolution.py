"""Super-resolution: from HR to LR by protocol, and how quality on Y is counted.

`paper` follows the published MCNet experiments, `standard` the super-resolution literature (MATLAB's imresize).
"""

import math
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging.colour import LUMA_GAIN, LUMA_SPREAD, rgb_to_luma
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.operators.resize import (
    BicubicDownsample,
    Boundary,
    resize_matrix,
    upsample_bicubic,
)
from mcnet_lightning.problems.base import Problem
from mcnet_lightning.problems.observation import Observation
from mcnet_lightning.problems.perturbation import Perturbation, by_pillow, through_jpeg
from mcnet_lightning.problems.quality import psnr, ssim
from mcnet_lightning.problems.rounding import ROUNDING, UNIFORM, floor_8bit, middle_of_floored, two_pass_8bit

ProtocolName = Literal["paper", "standard"]
Dequantise = Literal["none", "midpoint"]
OWN_BOUNDARY: dict[str, Boundary] = {"paper": "truncated", "standard": "symmetric"}


class SuperResolution(Problem):
    """x is Y of HR, RGB in [0, 1], and b is Y of LR, or of the middle of its rounding intervals.

    operator: makes LR in place of bicubic down-sampling by `scale`; what it makes is rounded once, by the protocol.
    perturbation: what happens to LR on the way and is not in `operator`, the one that the methods are told.
    dequantise: `midpoint` takes b in the middle of the interval that rounding made one level of: half a level above
    the floored LR of `paper`, and LR itself where the nearest level was taken. Networks see LR as it is in any case.
    """

    name = "super_resolution"
    figures = ("psnr_y", "ssim_y")
    start_name = "bicubic"
    ladder = ("bicubic", "bicubic+projection", "backbone", "backbone+projection", "mcnet")
    noisy = False
    from_files = ()
    given = ("protocol", "scale", "boundary", "quantise", "perturbation", "dequantise", "operator")
    scale: int

    def __init__(
        self,
        protocol: ProtocolName = "paper",
        scale: int = 2,
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
        self.protocol, self.scale = protocol, scale
        self.quantise = quantise
        self.dequantise = dequantise
        self.perturbation = perturbation or Perturbation()
        own: Boundary = getattr(operator, "boundary", OWN_BOUNDARY[protocol])
        self.boundary = boundary or own
        self.operator = operator or BicubicDownsample(scale, self.boundary)

    @property
    def operator_name(self) -> str:
        return self.operator.name

    @property
    def label(self) -> str:
        """`paper` or `standard`, with `-float` where LR was left unquantised, `-midpoint` where b is the middle of its
        rounding intervals, and with what perturbs it: each of these is a different column in every table.
        """
        rounding = "" if self.quantise else "-float"
        middle = "-midpoint" if self.dequantise == "midpoint" else ""
        return self.protocol + rounding + middle + self.perturbation.label

    def quality(self, estimate: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """On Y, `scale` pixels of the border left out."""
        return {
            "psnr_y": self.headline(estimate, truth),
            "ssim_y": ssim(estimate, truth, self.scale, self.protocol),
        }

    def headline(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return psnr(estimate, truth, self.scale, self.protocol)

    def counted(self, image: Tensor) -> Tensor:
        return image.clamp(0, 1) if self.protocol == "standard" else image

    def shown(self, image: Tensor, observation: Observation) -> Tensor:
        """With the colours of LR, enlarged; HR with its own."""
        if image is observation.truth and observation.colour is not None:
            return observation.colour.clamp(0, 1)
        colours = upsample_bicubic(observation.inputs["lr_rgb"], self.scale, self.boundary).to(image)
        return (colours + (image - rgb_to_luma(colours)) / LUMA_GAIN).clamp(0, 1)

    def seen(self, observation: Observation) -> Tensor:
        return observation.measurement

    def seen_in_colour(self, observation: Observation) -> Tensor:
        return observation.inputs["lr_rgb"]

    def radius(self, observation: Observation) -> Tensor:
        return Epsilon(self.noise_deviation, "noise").radii(observation.measurement, observation.operator)

    @property
    def floors(self) -> bool:
        """Whether LR is rounded down; Pillow's own resize and `standard` take the nearest level."""
        by_pillow = self.perturbation.operator == "pillow" and not self.perturbation.noise
        return self.quantise and self.protocol == "paper" and not by_pillow

    @property
    def noise_deviation(self) -> float:
        """Root mean square of A x - b per value of b, for the true x: Gaussian noise, and what rounding removes from
        each channel, uniform over a level. Clipping, JPEG and a foreign operator have no such model and are left out.
        """
        independent = self.perturbation.noise**2
        if self.quantise:
            independent += UNIFORM**2
            if self._in_two_passes and self.perturbation.operator != "pillow":
                independent += UNIFORM**2 * self._row_energy()  # the first of two passes, seen through the second
            if self.protocol == "standard" and self.perturbation.noise:
                independent += UNIFORM**2  # rounded once before the noise, and once after it
        shared = 0.5 if self.floors and self.dequantise == "none" else 0.0
        return math.hypot(math.sqrt(independent) * LUMA_SPREAD, shared * LUMA_GAIN) / 255

    @property
    def _in_two_passes(self) -> bool:
        """Whether rows are rounded before columns are resized, as imresize does it."""
        return self.protocol == "standard" and isinstance(self.operator, BicubicDownsample)

    def _row_energy(self) -> float:
        """Sum of the squared weights of one axis, away from the border."""
        rows = resize_matrix(24 * self.scale, 24, float(self.scale), self.boundary)
        return float(rows[12].square().sum())

    def check(self, image: Tensor, name: str) -> None:
        """Of a small image PSNR's border leaves nothing."""
        height, width = image.shape[-2:]
        if min(side - side % self.scale for side in (height, width)) <= 2 * self.scale:
            raise DataError(
                f"{name} is too small for x{self.scale}: of {height} x {width} pixels nothing is left within the "
                "border that PSNR leaves out; take it out of the set"
            )

    def fit(self, image: Tensor) -> Tensor:
        """(3, H, W) brought to a multiple of the scale: resized by PIL (`paper`) or cropped (`standard`)."""
        height, width = (size - size % self.scale for size in image.shape[-2:])
        if min(height, width) < self.scale:
            raise DataError(f"an image of {image.shape[-2]} x {image.shape[-1]} pixels is too small for x{self.scale}")
        if (height, width) == tuple(image.shape[-2:]):
            return image
        if self.protocol == "standard":
            return image[..., :height, :width]
        levels = torch.round(image * 255).clamp(0, 255)
        if not torch.allclose(
            levels / 255, image, rtol=0, atol=ROUNDING
        ):  # deeper than 8 bit, which a resize would cut
            channels = [Image.fromarray(channel.float().numpy()) for channel in image]
            resized = [np.array(channel.resize((width, height), Image.Resampling.BICUBIC)) for channel in channels]
            return torch.from_numpy(np.stack(resized)).to(image.dtype)
        pixels = Image.fromarray(levels.byte().permute(1, 2, 0).numpy())
        whole = pixels.resize((width, height), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(whole)).permute(2, 0, 1).to(image.dtype) / 255

    def observe(self, images: Tensor, seed: int = 0) -> Observation:
        """(B, 3, H, W), H and W multiples of the scale."""
        lr_float, lr = self.downsample(images, seed)
        if not (self.protocol == "paper" and self.quantise):
            return self.measured(images, lr)
        # the published SRCNN sees the float LR enlarged, then floored
        enlarged = floor_8bit(upsample_bicubic(lr_float, self.scale, self.boundary))
        return self._observation(images, lr, rgb_to_luma(enlarged.to(images.dtype)))

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
        return self._observation(hr, lr, upsample_bicubic(rgb_to_luma(lr), self.scale, self.boundary))

    def _observation(self, hr: Tensor, lr: Tensor, upsampled: Tensor) -> Observation:
        """upsampled: Y of LR bicubically enlarged, the bicubic baseline and SRCNN's input."""
        y = rgb_to_luma(lr)
        b = rgb_to_luma(middle_of_floored(lr)) if self.dequantise == "midpoint" and self.floors else y
        inputs = {"start": upsampled, "upsampled": upsampled, "lr_rgb": lr, "measurement": y}
        return Observation(rgb_to_luma(hr), b, self.operator, inputs, colour=hr)

    def downsample(self, hr: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """LR before and after the protocol's rounding; `standard` knows only the latter."""
        perturbed = self.perturbation
        if perturbed.operator == "pillow":
            exact = rounded = by_pillow(hr, self.scale)
        else:
            exact, rounded = self._downsample(*perturbed.taken(hr, self.operator, self.scale))
        expected = (*hr.shape[:-2], hr.shape[-2] // self.scale, hr.shape[-1] // self.scale)
        if tuple(exact.shape) != expected:
            raise ConfigError(
                f"{self.operator.name} measures images {tuple(hr.shape)} as {tuple(exact.shape)}, and super-resolution "
                f"at scale={self.scale} needs {expected}; choose another operator or scale"
            )
        if perturbed.noise:
            exact = perturbed.noisy(hr, exact, seed)
            rounded = self._round_off(exact)
        if perturbed.jpeg is not None:
            exact = rounded = through_jpeg(rounded, perturbed.jpeg)
        return exact, rounded.to(hr.dtype)

    def _downsample(self, hr: Tensor, operator: MeasurementOperator) -> tuple[Tensor, Tensor]:
        if not self.quantise:
            return (lr := operator(hr)), lr
        if isinstance(operator, BicubicDownsample) and self.protocol == "standard":
            return (lr := (two_pass_8bit(hr, operator) / 255).to(hr.dtype)), lr
        # float64: in flat regions float32 would put several per cent of the pixels one level too low
        lr = operator(torch.round(hr.double() * 255) / 255)
        return (lr, floor_8bit(lr)) if self.protocol == "paper" else (rounded := self._round_off(lr), rounded)

    def _round_off(self, lr: Tensor) -> Tensor:
        if not self.quantise:
            return lr
        return floor_8bit(lr) if self.protocol == "paper" else torch.round(lr.clamp(0, 1) * 255) / 255
