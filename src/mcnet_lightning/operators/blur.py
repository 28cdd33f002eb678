"""Blur followed by decimation, circular at the border: diagonal in the Fourier basis of the measurement."""

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, Size, short_digest
from mcnet_lightning.operators.cache import CONSTANTS, lasting


def gaussian_kernel(width: float) -> Tensor:
    """Gaussian of standard deviation `width` pixels, cut off at three of them, sum 1; (k, k), k odd."""
    reach = max(1, round(3 * width))
    profile = torch.exp(-((torch.arange(-reach, reach + 1, dtype=torch.float64) / width) ** 2) / 2)
    kernel = profile[:, None] * profile
    return kernel / kernel.sum()


def gaussian_blur(scale: int, width: Annotated[float, {"minimum": 0.0, "exclusive": True}] = 1.6) -> "BlurDownsample":
    """Blur and decimation.

    width: standard deviation of the Gaussian in HR pixels
    """
    return BlurDownsample(gaussian_kernel(width), scale)


class BlurDownsample(DiagonalGramOperator):
    """b = every `scale`-th pixel of k * x (circular convolution), for sizes that are multiples of `scale`.

    `kernel` is (k, k), odd, and centred. A A^T is a circular convolution of the measurement grid: its eigenvalues are
    the aliased power spectrum of the kernel. Very smooth kernels make them tiny; then use epsilon > 0.
    """

    smallest_share = 1e-10  # smaller eigenvalues would make large images of small noise

    def __init__(self, kernel: Tensor, scale: int) -> None:
        if kernel.ndim != 2 or any(size % 2 == 0 for size in kernel.shape):
            raise ConfigError(f"a blur kernel is a matrix of odd size, got {tuple(kernel.shape)}")
        if not isinstance(scale, int) or scale < 1:
            raise ConfigError(f"scale={scale!r} is not a positive integer")
        self.kernel = kernel.double().cpu()
        self.scale = scale
        self.digest = short_digest(self.kernel)

    @property
    def name(self) -> str:
        return f"blur-x{self.scale}-{self.digest}"

    def measurement_size(self, image_size: Size) -> Size:
        if any(size % self.scale for size in image_size):
            raise ConfigError(f"image size {tuple(image_size)} is no multiple of scale={self.scale}; crop it")
        return image_size[0] // self.scale, image_size[1] // self.scale

    def image_size(self, measurement_size: Size) -> Size:
        return measurement_size[0] * self.scale, measurement_size[1] * self.scale

    def __call__(self, image: Tensor) -> Tensor:
        size = (image.shape[-2], image.shape[-1])
        self.measurement_size(size)
        blurred = torch.fft.ifft2(torch.fft.fft2(image) * self._spectrum(size, image)).real
        return blurred[..., :: self.scale, :: self.scale]

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        size = image_size or self.image_size((measurement.shape[-2], measurement.shape[-1]))
        spread = measurement.new_zeros(*measurement.shape[:-2], *size)
        spread[..., :: self.scale, :: self.scale] = measurement
        return torch.fft.ifft2(torch.fft.fft2(spread) * self._spectrum(size, measurement).conj()).real

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        return torch.fft.fft2(measurement, norm="ortho")

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        return torch.fft.ifft2(coefficients, norm="ortho").real

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        power = self._constant(image_size, like, BlurDownsample._aliased_power)
        return power.expand(*like.shape[1:-2], -1, -1)

    def _aliased_power(self, image_size: Size) -> Tensor:
        height, width = self.measurement_size(image_size)
        power = self._exact_spectrum(image_size).abs().square()
        return power.reshape(self.scale, height, self.scale, width).sum(dim=(0, 2)) / self.scale**2

    def _spectrum(self, size: Size, like: Tensor) -> Tensor:
        return self._constant(size, like, BlurDownsample._exact_spectrum)

    def _exact_spectrum(self, size: Size) -> Tensor:
        """Transfer function of the centred kernel on an image grid; kernels larger than the image wrap around."""
        padded = torch.zeros(size, dtype=torch.float64)
        rows, columns = (torch.arange(k) - k // 2 for k in self.kernel.shape)
        index = (rows[:, None] % size[0], columns[None, :] % size[1])
        padded.index_put_(index, self.kernel, accumulate=True)
        return torch.fft.fft2(padded)

    def _constant(self, size: Size, like: Tensor, source: "Callable[[BlurDownsample, Size], Tensor]") -> Tensor:
        """What `source` makes of one size, in float64 on the CPU, in the precision and on the device of `like`."""
        double = like.dtype in (torch.float64, torch.complex128)
        group, key = (self.name, size), (source, double, like.device)
        found: Tensor | None = CONSTANTS.find(group, key)
        if found is None:
            with lasting():
                table = source(self, size)
                if not double:
                    table = table.to(torch.complex64 if table.is_complex() else torch.float32)
                table = table.to(like.device)
            found = CONSTANTS.keep(group, key, table)
        return found
