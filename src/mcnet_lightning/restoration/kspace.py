"""K-space of arrays: which samples were measured, where its origin lies, and the operator that made it.

Whatever the convention of a file, b and A here are centred and orthonormal, as `operators.fourier` says, with the image
as its file means it: other origins differ by a phase in k-space, which leaves every distance what it was.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.arrays import complex_of
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.operators.fourier import FourierSampling, as_channels, inverse_fourier
from mcnet_lightning.operators.sense import Sense

Array = NDArray[Any]
PLANE = (-2, -1)
ORIGINS = ("auto", "middle", "corner")
LEAST, MOST = 1e-30, 1e30  # of images that complex64 holds with all of its digits
CLEARLY = 1.5  # times the energy, for an image to lie in the middle
SMALLEST = 2  # samples along a side


@dataclass(frozen=True)
class KSpace:
    """One slice. measurement: b, (1, 2, H, W) or (1, coils, 2, H, W), float64, in the units of the file, zero where
    nothing was measured. operator: A, with its mask and coil maps. zero_frequency, image_origin: middle or corner, of
    the file. said: what was found out about it, a sentence each.
    """

    measurement: Tensor
    operator: MeasurementOperator
    zero_frequency: str
    image_origin: str
    said: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.measurement.shape[-2], self.measurement.shape[-1]

    @property
    def start(self) -> Tensor:
        """The zero-filled image, (1, 2, H, W); of coils A^T b over the sum of |S_c|^2, which should be 1."""
        image = self.operator.adjoint(self.measurement)
        if not isinstance(self.operator, Sense):
            return image
        power = self.operator.maps.to(torch.complex128).abs().square().sum(dim=-3)
        return image * (power > 0) / power.where(power > 0, 1.0)

    @property
    def peak(self) -> float:
        """The largest magnitude of the zero-filled image: what networks see as 1."""
        return float(self.start.norm(dim=1).max())


def kspace_of(
    values: Array,
    mask: Array | None = None,
    maps: Array | None = None,
    *,
    zero_frequency: str = "auto",
    image_origin: str = "auto",
) -> KSpace:
    """From complex (H, W), or (coils, H, W) with coil maps of that shape.

    mask: (H, W), or (W,) of whole columns, of zeros and ones, its zero frequency where that of k-space is, or in the
    middle; None: every sample that is not zero was measured.

    Raises DataError for arrays that cannot be that, ConfigError for coils without maps.
    """
    for name, origin in (("zero_frequency", zero_frequency), ("image_origin", image_origin)):
        if origin not in ORIGINS:
            raise ConfigError(f"{name}={origin!r} is unknown; use one of {', '.join(ORIGINS)}")
    samples = _checked(values)
    coils = len(samples)
    if maps is None and coils > 1:
        raise ConfigError(
            f"k-space of {coils} coils needs their sensitivities: give maps=FILE, complex ({coils}, H, W), as "
            f"`bart ecalib -m1` makes them; {coils} slices of one coil are ({coils}, 1, H, W)"
        )
    said = []
    if zero_frequency == "auto":
        zero_frequency = "corner" if _low(np.fft.fftshift(samples, PLANE)) > _low(samples) else "middle"
        said.append(f"zero frequency in the {zero_frequency} of k-space, where there is most energy")
    if zero_frequency == "corner":
        samples = np.fft.fftshift(samples, PLANE)
    seen = _measured(samples, mask, zero_frequency, said)
    samples = samples * seen
    if not samples.any():
        raise DataError("k-space is zero wherever the mask is one: the two do not belong together")
    if image_origin == "auto":
        image_origin = _found_origin(samples, zero_frequency)
        said.append(f"image origin in the {image_origin}: with it the image lies in the middle, as far as can be told")
    if image_origin == "corner":
        samples = samples * _phases(samples.shape[-2]).reshape(-1, 1) * _phases(samples.shape[-1])
    tensor = torch.from_numpy(np.ascontiguousarray(samples))
    pattern = torch.from_numpy(np.ascontiguousarray(seen)).float()
    operator: MeasurementOperator
    if maps is None:
        operator, b = FourierSampling(pattern), as_channels(tensor)
    else:
        operator = Sense(_checked_maps(maps, samples.shape), pattern)
        b = as_channels(tensor, dim=1)[None]
    return KSpace(b, operator, zero_frequency, image_origin, tuple(said))


def _checked(values: Array) -> Array:
    """(coils, H, W), complex128."""
    samples = complex_of(values)
    samples = samples[None] if samples.ndim == 2 else samples
    if samples.ndim != 3 or min(samples.shape[-2:], default=0) < SMALLEST or not len(samples):
        raise DataError(f"k-space of shape {values.shape} is no slice: give (H, W), or (coils, H, W)")
    if not np.isfinite(samples).all():
        raise DataError("k-space holds NaN or Inf; repair it")
    largest = max(np.abs(samples.real).max(), np.abs(samples.imag).max())
    if largest and not LEAST < largest < MOST:
        raise DataError(
            f"k-space holds numbers up to {largest:.3g}, too {'large' if largest > 1 else 'small'} for single "
            "precision; multiply it by a constant"
        )
    if not largest:
        raise DataError("k-space holds nothing but zeros")
    return samples


def _checked_maps(maps: Array, shape: Sequence[int]) -> Tensor:
    """(coils, H, W), complex64."""
    found = complex_of(maps, "the array of coil maps")
    found = found[None] if found.ndim == 2 else found
    if found.shape != tuple(shape):
        raise DataError(f"coil maps of shape {maps.shape} do not belong to k-space of (coils, H, W) = {tuple(shape)}")
    if not np.isfinite(found).all() or not found.any():
        raise DataError("the coil maps hold NaN, Inf, or nothing but zeros")
    return torch.from_numpy(np.ascontiguousarray(found)).to(torch.complex64)


def _measured(samples: Array, mask: Array | None, zero_frequency: str, said: list[str]) -> Array:
    """(H, W), bool, its zero frequency in the middle."""
    nonzero = (samples != 0).any(axis=0)
    if mask is None:
        said.append(f"no mask given: the {nonzero.sum()} of {nonzero.size} samples that are not zero were measured")
        return nonzero
    height, width = nonzero.shape
    pattern = np.squeeze(mask)
    if np.iscomplexobj(pattern) and not pattern.imag.any():
        pattern = pattern.real
    if pattern.ndim == 1 and len(pattern) in (width, height):
        pattern = np.broadcast_to(pattern if len(pattern) == width else pattern[:, None], nonzero.shape)
    if pattern.shape != nonzero.shape:
        raise DataError(f"a mask of shape {mask.shape} does not belong to k-space of {height} x {width} samples")
    if np.iscomplexobj(pattern) or not np.isin(pattern, (0, pattern.max())).all() or not pattern.max() > 0:
        raise DataError("a mask is a matrix of 0 and 1, and this one holds other numbers")
    seen = pattern > 0
    shifted = np.fft.fftshift(seen)
    energy = _energy(samples)
    inside, moved = energy[seen].sum(), energy[shifted].sum()
    if moved > inside or (zero_frequency == "corner" and moved == inside):
        if zero_frequency == "middle":
            said.append("the zero frequency of the mask is in its corner")
        seen, inside = shifted, moved
    if inside < energy.sum():
        said.append(f"the mask leaves out {1 - inside / energy.sum():.2%} of the energy of k-space")
    if empty := int((seen & ~nonzero).sum()):
        said.append(f"{empty} of the {seen.sum()} samples that the mask says were measured are zero")
    return seen


def _energy(samples: Array) -> Array:
    """Over all coils, (H, W), of samples whose largest is 1: no square overflows."""
    scaled: Array = np.square(np.abs(samples / np.abs(samples).max())).sum(axis=0)
    return scaled


def _low(samples: Array) -> float:
    """The energy of the samples in the middle."""
    height, width = samples.shape[-2:]
    rows, columns = height // 16, width // 16
    middle = np.s_[height // 2 - rows : height // 2 + rows + 1, width // 2 - columns : width // 2 + columns + 1]
    return float(_energy(samples)[middle].sum())


def _found_origin(samples: Array, usual: str) -> str:
    """With which origin the zero-filled image lies in the middle: another than the usual one only where it is clear."""
    image = _energy(inverse_fourier(torch.from_numpy(samples)).numpy())
    height, width = image.shape
    middle = np.s_[height // 4 : height - height // 4, width // 4 : width - width // 4]
    energies = {"middle": image[middle].sum(), "corner": np.fft.fftshift(image)[middle].sum()}
    other = "corner" if usual == "middle" else "middle"
    return other if energies[other] > CLEARLY * energies[usual] else usual


def _phases(size: int) -> Array:
    """What moving the origin of an image of this size from its first sample to the middle does to its spectrum."""
    shift, frequencies = size // 2, np.arange(size) - size // 2
    turns = (frequencies * shift) % size / size  # exact signs where the size is even
    phases: Array = np.where(turns == 0.5, -1, np.exp(2j * math.pi * turns))
    return phases
