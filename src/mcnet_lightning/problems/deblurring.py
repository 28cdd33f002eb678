"""Deblurring: a gray picture, blurred by a known kernel, circular at the border, and noise."""

from pathlib import Path
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.epsilon import LEVELS
from mcnet_lightning.imaging.colour import rgb_to_gray
from mcnet_lightning.operators.blur import BlurDownsample, gaussian_kernel
from mcnet_lightning.operators.kernel_files import read_kernel
from mcnet_lightning.problems.base import noise
from mcnet_lightning.problems.clipped import NoisyPicture
from mcnet_lightning.problems.observation import Observation

LEAST_NOISE = 0.1 / LEVELS  # that the start assumes: rounding of float32 counts for more than none


class Deblurring(NoisyPicture):
    """x is the gray picture, BT.601 luma in full range; b is k * x + n. Figures count the whole picture, cut off at
    black and white.

    kernel: file of the blur kernel: text, picture, array or MATLAB; null: a Gaussian
    index: which kernel of a file that holds several, from 0
    width: standard deviation of the Gaussian in pixels
    noise: standard deviation of the noise in grey levels of 255
    """

    name = "deblurring"
    start_name = "wiener"
    usual: ClassVar = {"backbone": "unet", "data": "few_photographs", "restoring": "unet"}
    from_files = ("kernel", "index", "width")

    def __init__(
        self,
        kernel: Annotated[str | None, {"path": "file"}] = None,
        index: Annotated[int | None, {"minimum": 0}] = None,
        width: Annotated[float, {"minimum": 0.0, "exclusive": True}] = 1.6,
        noise: Annotated[float, {"minimum": 0.0}] = 2.55,
    ) -> None:
        self.noise = noise
        values = gaussian_kernel(width) if kernel is None else read_kernel(kernel, index)
        self.operator = BlurDownsample(values, 1)
        stem = None if kernel is None else Path(kernel.rpartition(":")[0] or kernel).stem
        self.kernel_name = f"gaussian{width:g}" if stem is None else stem + ("" if index is None else f".{index}")
        square = values.shape[0] == values.shape[1]
        self.turns = square and all(torch.equal(values, each) for each in (values.T, values.flip(0), values.flip(1)))

    @property
    def label(self) -> str:
        return f"{self.kernel_name}-noise{self.noise:g}"

    @property
    def operator_name(self) -> str:
        return self.operator.name

    def observe(self, images: Tensor, seed: int) -> Observation:
        """(B, 3, H, W)."""
        truth = rgb_to_gray(images)
        b = self.operator(truth.double())
        b = (b + self.noise / LEVELS * noise(seed, images, b)).to(truth.dtype)
        return Observation(truth, b, self.operator, {"start": self.wiener(b)}, colour=images)

    def from_measurement(self, b: Tensor) -> Tensor:
        """The start of a measurement in somebody's file, (B, C, H, W)."""
        return self.wiener(b)

    def wiener(self, b: Tensor) -> Tensor:
        """argmin_x ||k * x - b||^2 / sigma^2 + sum |x^|^2 / S, the power S of natural pictures: as 1 / f^2, with the
        variance of b; its mean is kept.
        """
        rows, columns = (torch.fft.fftfreq(size, dtype=torch.float64, device=b.device) for size in b.shape[-2:])
        squared = rows[:, None].square() + columns.square()
        squared[0, 0] = torch.inf
        falling = 1 / squared
        centred = b.double() - b.double().mean(dim=(-2, -1), keepdim=True)
        power = centred.square().mean(dim=(-2, -1), keepdim=True) * falling / falling.mean()
        sigma = max(self.noise / LEVELS, LEAST_NOISE)
        impulse = torch.zeros_like(b[:1, :1], dtype=torch.float64)
        impulse[..., 0, 0] = 1
        transfer = torch.fft.fft2(self.operator(impulse))
        gain = transfer.conj() * power / (transfer.abs().square() * power + sigma**2)
        sharpened = torch.fft.ifft2(torch.fft.fft2(centred) * gain).real
        return (sharpened + b.double() - centred).to(b.dtype)
