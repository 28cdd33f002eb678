"""Parallel imaging (SENSE): every coil sees the image through its own sensitivity, and the same part of k-space."""

import math
from copy import copy

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import MeasurementOperator, Shape, Size, short_digest
from mcnet_lightning.operators.fourier import FourierSampling, as_channels, as_complex, fourier, inverse_fourier


class Sense(MeasurementOperator):
    """b_c = M F (S_c x) for coils c: complex images (B, 2, H, W) to (B, coils, 2, H, W), zero outside the mask.

    maps: S, complex, (coils, H, W) for all samples or (B, coils, H, W); mask: as of `FourierSampling`. Projected by
    Krylov methods: A A^T has no known eigenbasis.
    """

    image_shape: Shape
    tall = True

    def __init__(self, maps: Tensor, mask: Tensor) -> None:
        if not maps.is_complex() or maps.ndim not in (3, 4):
            raise ConfigError(
                "coil maps are complex, (coils, H, W) or (B, coils, H, W), got "
                f"{tuple(maps.shape)} of {str(maps.dtype).removeprefix('torch.')}"
            )
        if maps.shape[-2:] != mask.shape[-2:]:
            raise ConfigError(
                f"coil maps of {tuple(maps.shape[-2:])} and a mask of {tuple(mask.shape[-2:])} do not belong together"
            )
        self.sampling = FourierSampling(mask)
        with torch.inference_mode(False):
            self.maps = maps.clone()
        self.image_shape = (2, *maps.shape[-2:])
        rounded = torch.view_as_real(maps.cpu().to(torch.complex128)).mul(1e6).round().long()
        digest = short_digest(rounded, self.sampling.digest)
        self._name = f"sense-{maps.shape[-3]}x{maps.shape[-2]}x{maps.shape[-1]}-{digest}"

    @property
    def name(self) -> str:
        return self._name

    def measurement_shape(self, image_shape: Shape) -> Shape:
        if tuple(image_shape[-3:]) != self.image_shape:
            raise ConfigError(
                f"{self.name} is for complex images {self.image_shape}, two channels, got {tuple(image_shape[-3:])}"
            )
        return (*image_shape[:-3], self.maps.shape[-3], *self.image_shape)

    def __call__(self, image: Tensor) -> Tensor:
        self.measurement_shape(tuple(image.shape))
        return self.measured(as_channels(fourier(self._maps_like(image) * as_complex(image)[:, None]), dim=2))

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        coils = inverse_fourier(as_complex(self.measured(measurement), dim=2))
        return as_channels((self._maps_like(measurement).conj() * coils).sum(dim=1))

    def measured(self, measurement: Tensor) -> Tensor:
        coils = measurement.shape[1]
        return self.sampling.seen(measurement.flatten(1, 2)).unflatten(1, (coils, 2))

    def select(self, index: Tensor) -> "Sense":
        chosen = copy(self)
        chosen.sampling = self.sampling.select(index)
        if self.maps.ndim == 4 and len(self.maps) > 1:
            with torch.inference_mode(False):
                chosen.maps = self.maps[index.to(self.maps.device)]
        return self if chosen.sampling is self.sampling and chosen.maps is self.maps else chosen

    def _maps_like(self, values: Tensor) -> Tensor:
        dtype = torch.complex128 if values.dtype == torch.float64 else torch.complex64
        if self.maps.ndim == 4 and len(self.maps) not in (1, len(values)):
            raise ConfigError(f"{len(self.maps)} sets of coil maps, one for each sample, do not fit {len(values)}")
        if self.maps.dtype != dtype or self.maps.device != values.device:
            with torch.inference_mode(False):
                self.maps = self.maps.to(values.device, dtype)
        return self.maps


def simulated_maps(coils: int, size: Size, seed: int = 0) -> Tensor:
    """(coils, H, W), complex64: smooth sensitivities of loops around the image, by seed; the sum of |S_c|^2 is 1.

    Each falls off like the field of a loop on its axis, its phase turns slowly across the image.
    """
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(coils, 4, generator=generator, dtype=torch.float64) - 0.5
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in size), indexing="ij")
    maps = []
    for coil, (turn, away, width, phase) in enumerate(jitter.tolist()):
        angle = 2 * math.pi * (coil + 0.5 * turn) / coils
        distance = 1.3 + 0.2 * away
        squared = (rows - distance * math.sin(angle)).square() + (columns - distance * math.cos(angle)).square()
        strength = (1 + squared / (0.8 + 0.2 * width) ** 2) ** -1.5
        turning = angle + 2 * math.pi * phase + 0.7 * (columns * math.sin(angle) - rows * math.cos(angle))
        maps.append(torch.polar(strength, turning))
    stacked = torch.stack(maps)
    return (stacked / stacked.abs().square().sum(dim=0).sqrt()).to(torch.complex64)
