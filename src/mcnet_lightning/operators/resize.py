"""Resampling as two small matrices: A X = A_v X A_h^T; bicubic (Keys kernel, a = -0.5, antialiased) by default.

Three borders exist in the wild: `truncated` (weights outside the image dropped, the rest renormalised: torch, PIL),
`symmetric` (MATLAB's imresize today) and `replicate` (older MATLAB). Weights are computed in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Literal, get_args

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, Size
from mcnet_lightning.operators.cache import CONSTANTS, lasting
from mcnet_lightning.operators.kernels import BICUBIC, Kernel, KernelName

Boundary = Literal["truncated", "symmetric", "replicate"]
NEGLIGIBLE = 1e-16  # entries of orthogonal factors below this are set to zero: they only make subnormal numbers


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


@dataclass(frozen=True)
class Axis:
    """One axis of a resampling: A_1, (size_out, size_in), and what follows from it; all of it float64, on the CPU."""

    size_in: int
    size_out: int
    ratio: float
    boundary: Boundary
    kernel: Kernel = BICUBIC

    def matrix(self) -> Tensor:
        """A_1."""
        return resize_matrix(self.size_in, self.size_out, self.ratio, self.boundary, self.kernel)

    def eigendecomposition(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (n,) and eigenvectors (n, n) of A_1 A_1^T."""
        found: tuple[Tensor, Tensor] | None = CONSTANTS.find(self, "eigendecomposition")
        if found is None:
            with lasting():
                matrix = self.matrix()
                values, vectors = torch.linalg.eigh(matrix @ matrix.T)
                made = values.clamp_min(0), vectors.where(vectors.abs() > NEGLIGIBLE, 0.0)
            found = CONSTANTS.keep(self, "eigendecomposition", made)
        return found

    def synthesis(self) -> Tensor:
        """A_1^T U_1, (size_in, size_out)."""
        return self.matrix().T @ self.eigendecomposition()[1]

    def pseudo_inverse(self) -> Tensor:
        """A_1^+, (size_in, size_out)."""
        values, vectors = self.eigendecomposition()
        inverse = self.synthesis() / values @ vectors.T
        return inverse.where(inverse.abs() > NEGLIGIBLE, 0.0)

    def extremes(self) -> tuple[float, float]:
        """The smallest and largest eigenvalue of A_1 A_1^T."""
        found: tuple[float, float] | None = CONSTANTS.find(self, "extremes")
        if found is None:
            values = self.eigendecomposition()[0]
            found = CONSTANTS.keep(self, "extremes", (float(values[0]), float(values[-1])))
        return found

    def factor(self, source: "Callable[[Axis], Tensor]", like: Tensor) -> Tensor:
        """What `source` makes of this axis, in dtype and on device of `like`, converted once."""
        key = (source, like.dtype, like.device)
        found: Tensor | None = CONSTANTS.find(self, key)
        if found is None:
            with lasting():
                made = source(self).to(like.device, like.dtype)
            found = CONSTANTS.keep(self, key, made)
        return found


def eigenvalues(axis: Axis) -> Tensor:
    """(n,)"""
    return axis.eigendecomposition()[0]


def eigenvectors(axis: Axis) -> Tensor:
    """(n, n)"""
    return axis.eigendecomposition()[1]


def resample(
    image: Tensor, size: Size, ratio: float, boundary: Boundary = "truncated", kernel: Kernel = BICUBIC
) -> Tensor:
    """Resamples (..., H, W) to (..., *size), rows first; `ratio` is input pixels per output pixel."""
    height, width = image.shape[-2:]
    vertical = Axis(height, size[0], ratio, boundary, kernel).factor(Axis.matrix, image)
    horizontal = Axis(width, size[1], ratio, boundary, kernel).factor(Axis.matrix, image)
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

    smallest_share = 1e-10  # smaller eigenvalues of wide kernels would make large images of small noise

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
        vertical, horizontal = self._axes(image_size)
        return vertical.matrix(), horizontal.matrix()

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
        vertical, horizontal = self._factors(Axis.matrix, image_size or self.image_size(size), measurement)
        if (vertical.shape[0], horizontal.shape[0]) != size:
            raise ConfigError(f"a measurement of size {size} does not belong to an image of size {image_size}")
        return (vertical.T @ measurement) @ horizontal

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        vertical, horizontal = self._factors(eigenvectors, image_size, measurement)
        return (vertical.T @ measurement) @ horizontal

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        vertical, horizontal = self._factors(eigenvectors, image_size, coefficients)
        return (vertical @ coefficients) @ horizontal.T

    def synthesise(self, coefficients: Tensor, image_size: Size) -> Tensor:
        vertical, horizontal = self._factors(Axis.synthesis, image_size, coefficients)
        return (vertical @ coefficients) @ horizontal.T

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        if not self.has_full_rank(image_size, measurement.dtype):
            return super().pseudo_inverse(measurement, image_size)
        vertical, horizontal = self._factors(Axis.pseudo_inverse, image_size, measurement)
        return (vertical @ measurement) @ horizontal.T

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        vertical, horizontal = self._factors(eigenvalues, image_size, like)
        return (vertical[:, None] * horizontal[None, :]).expand(*like.shape[1:-2], -1, -1)

    def has_full_rank(self, image_size: Size, dtype: torch.dtype) -> bool:
        """Only then the axes' pseudo-inverses make that of A: (A A^T)^{-1} is separable, its truncation is not."""
        (least, most), (least_across, most_across) = (axis.extremes() for axis in self._axes(image_size))
        return least * least_across > self.rank_tolerance(dtype) * most * most_across

    def _axes(self, image_size: Size) -> tuple[Axis, Axis]:
        vertical, horizontal = (
            Axis(n_in, n_out, float(self.scale), self.boundary, self.kernel)
            for n_in, n_out in zip(image_size, self.measurement_size(image_size), strict=True)
        )
        return vertical, horizontal

    def _factors(self, source: Callable[[Axis], Tensor], image_size: Size, like: Tensor) -> tuple[Tensor, Tensor]:
        vertical, horizontal = self._axes(image_size)
        return vertical.factor(source, like), horizontal.factor(source, like)


class BicubicDownsample(KernelDownsample):
    """Antialiased bicubic decimation: what torch, PIL and MATLAB call bicubic, by the boundary.

    boundary: how the kernel meets the border; null takes the protocol's own (paper: truncated, standard: symmetric),
        and truncated where there is no protocol
    """

    def __init__(self, scale: int, boundary: Boundary | None = None) -> None:
        super().__init__(scale, BICUBIC, "truncated" if boundary is None else boundary)


def kernel_downsample(
    scale: int,
    kernel: Literal["box", "bilinear", "bicubic", "bicubic-aliased", "lanczos", "gaussian"] = "box",
    width: Annotated[float, {"minimum": 0.0, "exclusive": True}] = 1.0,
    boundary: Boundary = "truncated",
) -> KernelDownsample:
    """Decimation by a kernel of that name.

    kernel: shape of the kernel
    width: standard deviation of `gaussian` in HR pixels
    boundary: how the kernel meets the border
    """
    kind: KernelName = "bicubic" if kernel == "bicubic-aliased" else kernel
    shape = Kernel(kind, width if kind == "gaussian" else 0.0, antialiased=kind == kernel)
    return KernelDownsample(scale, shape, boundary)


class BlurDecimation(KernelDownsample):
    """`BD` of the literature (Zhang et al. 2017): a Gaussian of 7 taps and standard deviation 1.6, the border repeated,
    and the centre of every block of 3 x 3 pixels.
    """

    def __init__(self, scale: int = 3) -> None:
        if scale != 3:
            raise ConfigError(f"operator=bd takes the centre of blocks of 3 x 3 pixels; use scale=3, not {scale}")
        super().__init__(scale, Kernel("gaussian", 1.6, reach=3), "replicate")

    @property
    def name(self) -> str:
        return f"bd-x{self.scale}"
