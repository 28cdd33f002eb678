"""Undersampled Fourier transforms, as of magnetic resonance with one coil: orthonormal, so that A A^T is the mask.

Images and spectra have their origin in the middle, at (H // 2, W // 2), as scanners and their files do. Complex numbers
are two channels.
"""

from typing import ClassVar

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import Size
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
                f"{image.shape[1]}; real images need a point-symmetric mask"
            )
        return self.seen(as_channels(fourier(as_complex(image))))

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return as_channels(inverse_fourier(as_complex(self.seen(measurement))))

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        return self.adjoint(measurement, image_size)


class SymmetricFourierSampling(Mask):
    """b = F^-1 M F x of real images and a point-symmetric mask: an orthogonal projection, so that b is a real image.

    { x : ||F^-1 M F x - b|| <= epsilon } is the same set as that of the samples themselves, and networks and layers for
    images of one channel apply. Any number of channels, each by itself.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        if not torch.equal(mirrored(mask), mask):
            raise ConfigError(
                "real images need a point-symmetric mask, with every frequency its negative; give the image as two "
                "channels (complex), or another mask"
            )

    @property
    def name(self) -> str:
        return super().name.replace("mask", "symmetric-fourier", 1)

    def seen(self, values: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(values)
        half = torch.fft.ifftshift(self._mask_like(values), dim=PLANE)[..., : spectrum.shape[-1]]
        return torch.fft.irfft2(spectrum * half, s=values.shape[-2:])
