"""Undersampled Fourier transforms, as of magnetic resonance with one coil: orthonormal, so that A A^T is the mask.

Images and spectra have their origin in the middle, at (H // 2, W // 2), as scanners and their files do. Complex numbers
are two channels.
"""

from typing import ClassVar

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import Shape, Size
from mcnet_lightning.operators.mask import Mask

PLANE = (-2, -1)


def fourier(image: Tensor) -> Tensor:
    """The centred, orthonormal Fourier transform of complex images (..., H, W)."""
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, dim=PLANE), norm="ortho"), dim=PLANE)


def inverse_fourier(spectrum: Tensor) -> Tensor:
    """Its inverse and adjoint."""
    return torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=PLANE), norm="ortho"), dim=PLANE)


def as_complex(channels: Tensor, dim: int = 1) -> Tensor:
    """(B, 2, ...) -> (B, ...), complex; `dim` is that of real and imaginary part."""
    real, imaginary = channels.unbind(dim)
    return torch.complex(real, imaginary)


def as_channels(values: Tensor, dim: int = 1) -> Tensor:
    """(B, ...), complex -> (B, 2, ...)."""
    return torch.stack([values.real, values.imag], dim=dim)


def mirrored(mask: Tensor) -> Tensor:
    """The mask at -k: (..., H, W) turned about the zero frequency."""
    shifted = torch.fft.ifftshift(mask, dim=PLANE)
    return torch.fft.fftshift(shifted.flip(PLANE).roll((1, 1), PLANE), dim=PLANE)


class FourierSampling(Mask):
    """b = M F x of complex images (B, 2, H, W): the sampled part of k-space, (B, 2, H, W), zero elsewhere.

    The mask is binary, (H, W) for all samples or (B, 1, H, W), one for each, its zero frequency at (H // 2, W // 2).
    What b holds outside the mask cannot have been measured and is ignored.
    """

    channels: ClassVar = 2

    @property
    def name(self) -> str:
        return super().name.replace("mask", "fourier", 1)

    def __call__(self, image: Tensor) -> Tensor:
        if image.shape[1] != 2:
            raise ConfigError(
                f"{self.name} measures complex images, real and imaginary part as two channels, got "
                f"{image.shape[1]}; RealFourierSampling takes real ones"
            )
        return self.seen(as_channels(fourier(as_complex(image))))

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return as_channels(inverse_fourier(as_complex(self.seen(measurement))))

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        return self.adjoint(measurement, image_size)


class RealFourierSampling(FourierSampling):
    """b = M F x of real images (B, 1, H, W), with any mask: (B, 2, H, W), zero where nothing was measured.

    The samples at k and -k of a real image are conjugates. Where both are measured, what no image can change is half of
    their difference, and A A^T leaves their mean as it is; one that is measured alone fixes both, and A A^T halves it.
    Zero and Nyquist frequencies are real. So the mean of each pair is a Gram basis, with eigenvalues 1 and 1/2.
    """

    channels: ClassVar = 1

    @property
    def name(self) -> str:
        return f"real-{super().name}"

    def measurement_shape(self, image_shape: Shape) -> Shape:
        return (image_shape[0], 2, *self.measurement_size((image_shape[-2], image_shape[-1])))

    def __call__(self, image: Tensor) -> Tensor:
        if image.shape[1] != 1:
            raise ConfigError(f"{self.name} measures real images of one channel, got {image.shape[1]}")
        return self.seen(as_channels(fourier(image[:, 0])))

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return super().adjoint(measurement)[:, :1]

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        coefficients = self.to_gram_basis(measurement, image_size)
        return self.adjoint(coefficients / self.gram_eigenvalues(image_size, measurement))

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        samples = self.seen(measurement)
        real, imaginary = mirrored(samples).unbind(1)
        return samples.lerp(torch.stack([real, -imaginary], dim=1), self._also_mirrored(samples) / 2)

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        values = (1 + self._also_mirrored(like)) / 2
        return values.expand(*(like.shape[1:] if values.ndim == 2 else like.shape))

    def _also_mirrored(self, values: Tensor) -> Tensor:
        """One where k and -k are measured, as the mask is given."""
        mask = self._mask_like(values)
        return mask * mirrored(mask)
