"""Resampling as two small matrices: A X = A_v X A_h^T; bicubic (Keys kernel, a = -0.5, antialiased) by default.

Three borders exist in the wild: `truncated` (weights outside the image dropped, the rest renormalised: torch, PIL),
`symmetric` (MATLAB's imresize today) and `replicate` (older MATLAB). Weights are computed in float64.
"""

from functools import lru_cache
from math import ceil
from typing import Literal, get_args

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import RANK_TOLERANCE, DiagonalGramOperator, Size
from mcnet_lightning.operators.kernels import BICUBIC, Kernel

Boundary = Literal["truncated", "symmetric", "replicate"]
NEGLIGIBLE = 1e-16  # entries of orthogonal factors below this are set to zero: they only make subnormal numbers


@lru_cache(maxsize=256)
def resize_matrix(size_in: int, size_out: int, ratio: float, boundary: Boundary, kernel: Kernel = BICUBIC) -> Tensor:
    """Weights (size_out, size_in), float64: output i is centred at input coordinate (i + 1/2) ratio - 1/2.

    `ratio` is input pixels per output pixel: 2 halves the size, 1/2 doubles it. The kernel widens only when shrinking,
    and only if it is antialiased.
    """
    stretch, radius = kernel.stretch(ratio), kernel.radius
    centre = (torch.arange(size_out, dtype=torch.float64) + 0.5) * ratio - 0.5
    first = torch.floor(centre - radius * stretch)
    taps = first[:, None] + torch.arange(ceil(2 * radius * stretch) + 2, dtype=torch.float64)
    weights = kernel((centre[:, None] - taps) / stretch)
    taps = taps.long()
    if boundary == "truncated":
        weights = weights * ((taps >= 0) & (taps < size_in))
        taps = taps.clamp(0, size_in - 1)
    elif boundary == "symmetric":
        taps = taps.remainder(2 * size_in)
        taps = torch.minimum(taps, 2 * size_in - 1 - taps)
    else:
        taps = taps.clamp(0, size_in - 1)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return torch.zeros(size_out, size_in, dtype=torch.float64).scatter_add_(1, taps, weights)


@lru_cache(maxsize=256)
def gram_eigendecomposition(
    size_in: int, size_out: int, ratio: float, boundary: Boundary, kernel: Kernel = BICUBIC
) -> tuple[Tensor, Tensor]:
    """Eigenvalues (n,) and eigenvectors (n, n) of A_1 A_1^T for one axis, float64."""
    matrix = resize_matrix(size_in, size_out, ratio, boundary, kernel)
    values, vectors = torch.linalg.eigh(matrix @ matrix.T)
    return values, vectors.where(vectors.abs() > NEGLIGIBLE, 0.0)


@lru_cache(maxsize=256)
def gram_extremes(
    size_in: int, size_out: int, ratio: float, boundary: Boundary, kernel: Kernel = BICUBIC
) -> tuple[float, float]:
    """The smallest and largest eigenvalue of A_1 A_1^T for one axis."""
    values, _ = gram_eigendecomposition(size_in, size_out, ratio, boundary, kernel)
    return float(values[0]), float(values[-1])


@lru_cache(maxsize=256)
def synthesis_matrix(size_in: int, size_out: int, ratio: float, boundary: Boundary, kernel: Kernel = BICUBIC) -> Tensor:
    """A_1^T U_1 (size_in, size_out) for one axis, float64."""
    _, vectors = gram_eigendecomposition(size_in, size_out, ratio, boundary, kernel)
    return resize_matrix(size_in, size_out, ratio, boundary, kernel).T @ vectors


@lru_cache(maxsize=256)
def pseudo_inverse_matrix(
    size_in: int, size_out: int, ratio: float, boundary: Boundary, kernel: Kernel = BICUBIC
) -> Tensor:
    """A_1^+ (size_in, size_out) for one axis, float64."""
    values, vectors = gram_eigendecomposition(size_in, size_out, ratio, boundary, kernel)
    inverse = synthesis_matrix(size_in, size_out, ratio, boundary, kernel) / values @ vectors.T
    return inverse.where(inverse.abs() > NEGLIGIBLE, 0.0)


@lru_cache(maxsize=256)
def _cast(source, size_in: int, size_out: int, ratio: float, boundary: Boundary, kernel: Kernel, dtype, device):  # type: ignore[no-untyped-def]
    """One axis' factors in a working dtype and device, converted once."""
    factors = source(size_in, size_out, ratio, boundary, kernel)
    if isinstance(factors, Tensor):
        return factors.to(device, dtype)
    return tuple(factor.to(device, dtype) for factor in factors)


def resample(
    image: Tensor, size: Size, ratio: float, boundary: Boundary = "truncated", kernel: Kernel = BICUBIC
) -> Tensor:
    """Resamples (..., H, W) to (..., *size), rows first; `ratio` is input pixels per output pixel."""
    height, width = image.shape[-2:]
    vertical = _cast(resize_matrix, height, size[0], ratio, boundary, kernel, image.dtype, image.device)
    horizontal = _cast(resize_matrix, width, size[1], ratio, boundary, kernel, image.dtype, image.device)
    return (vertical @ image) @ horizontal.T


def upsample_bicubic(image: Tensor, scale: int, boundary: Boundary = "truncated") -> Tensor:
    """(..., h, w) to (..., scale h, scale w). Not an adjoint: an interpolation, for pictures and network inputs."""
    height, width = image.shape[-2:]
    return resample(image, (scale * height, scale * width), 1 / scale, boundary)


class KernelDownsample(DiagonalGramOperator):
    """b = A_v x A_h^T: decimation with a separable kernel by an integer factor, for images of any size.

    Sizes that are no multiple of `scale` follow the library that the boundary belongs to: `truncated` drops the
    remainder (torch), the other two round up (MATLAB).
    """

    def __init__(self, scale: int, kernel: Kernel, boundary: Boundary = "truncated") -> None:
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
            raise ConfigError(f"scale={scale!r} is not a positive integer; use 2, 3 or 4")
        if boundary not in get_args(Boundary):
            raise ConfigError(f"boundary={boundary!r} is unknown; use one of {', '.join(get_args(Boundary))}")
        self.scale = scale
        self.kernel = kernel
        self.boundary: Boundary = boundary

    @property
    def name(self) -> str:
        return f"{self.kernel.name}-x{self.scale}-{self.boundary}"

    def axis_matrices(self, image_size: Size) -> tuple[Tensor, Tensor]:
        """A_v (h, H) and A_h (w, W), float64 on the CPU."""
        sizes = zip(image_size, self.measurement_size(image_size), strict=True)
        vertical, horizontal = (
            resize_matrix(n_in, n_out, float(self.scale), self.boundary, self.kernel) for n_in, n_out in sizes
        )
        return vertical, horizontal

    def measurement_size(self, image_size: Size) -> Size:
        height, width = image_size
        if self.boundary == "truncated":
            return height // self.scale, width // self.scale
        return -(-height // self.scale), -(-width // self.scale)

    def image_size(self, measurement_size: Size) -> Size:
        return measurement_size[0] * self.scale, measurement_size[1] * self.scale

    def __call__(self, image: Tensor) -> Tensor:
        size = self.measurement_size((image.shape[-2], image.shape[-1]))
        if min(size) < 1:
            raise ConfigError(
                f"an image of {image.shape[-2]} x {image.shape[-1]} pixels is too small for x{self.scale}"
            )
        return resample(image, size, float(self.scale), self.boundary, self.kernel)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        size = (measurement.shape[-2], measurement.shape[-1])
        vertical, horizontal = self._factors(resize_matrix, image_size or self.image_size(size), measurement)
        if (vertical.shape[0], horizontal.shape[0]) != size:
            raise ConfigError(f"a measurement of size {size} does not belong to an image of size {image_size}")
        return (vertical.T @ measurement) @ horizontal

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        (_, vertical), (_, horizontal) = self._factors(gram_eigendecomposition, image_size, measurement)
        return (vertical.T @ measurement) @ horizontal

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        (_, vertical), (_, horizontal) = self._factors(gram_eigendecomposition, image_size, coefficients)
        return (vertical @ coefficients) @ horizontal.T

    def synthesise(self, coefficients: Tensor, image_size: Size) -> Tensor:
        vertical, horizontal = self._factors(synthesis_matrix, image_size, coefficients)
        return (vertical @ coefficients) @ horizontal.T

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        if not self._has_full_rank(image_size):
            return super().pseudo_inverse(measurement, image_size)
        vertical, horizontal = self._factors(pseudo_inverse_matrix, image_size, measurement)
        return (vertical @ measurement) @ horizontal.T

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        (vertical, _), (horizontal, _) = self._factors(gram_eigendecomposition, image_size, like)
        return vertical[:, None] * horizontal[None, :]

    def _has_full_rank(self, image_size: Size) -> bool:
        """Only then the axes' pseudo-inverses make that of A: (A A^T)^{-1} is separable, its truncation is not."""
        smallest, largest = 1.0, 1.0
        for n_in, n_out in zip(image_size, self.measurement_size(image_size), strict=True):
            least, most = gram_extremes(n_in, n_out, float(self.scale), self.boundary, self.kernel)
            smallest, largest = smallest * least, largest * most
        return smallest > RANK_TOLERANCE * largest

    def _factors(self, source, image_size: Size, like: Tensor):  # type: ignore[no-untyped-def]
        return tuple(
            _cast(source, n_in, n_out, float(self.scale), self.boundary, self.kernel, like.dtype, like.device)
            for n_in, n_out in zip(image_size, self.measurement_size(image_size), strict=True)
        )


class BicubicDownsample(KernelDownsample):
    """Antialiased bicubic decimation: what torch, PIL and MATLAB call bicubic, by the boundary."""

    def __init__(self, scale: int, boundary: Boundary = "truncated") -> None:
        super().__init__(scale, BICUBIC, boundary)
