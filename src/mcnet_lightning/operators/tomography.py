"""Parallel-beam tomography as a sparse matrix: sums along rays through a turned image, interpolated linearly.

For a view at angle theta, detector j sums f(x, y) over points one pixel apart on the line x cos(theta) + y sin(theta) =
t_j; detectors are a pixel wide and as many as the image has columns. The image's side is 1, so that one object has the
same sinogram on every grid. Of images of an odd side it is `skimage.transform.radon` divided by the side.
"""

import math
import warnings
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import MeasurementOperator, Size
from mcnet_lightning.operators.cache import CONSTANTS, lasting

Matrix = tuple[Tensor, Tensor, Tensor]  # of compressed sparse rows: beginnings, columns, values


class ParallelBeam(MeasurementOperator):
    """b = R x of images (B, C, n, n): sinograms (B, C, views, n), views equally spaced over half a turn."""

    def __init__(self, size: int, views: int) -> None:
        if size < 2 or views < 1:
            raise ConfigError(f"a scan of {views} views of {size} x {size} pixels is none; give larger numbers")
        self.size, self.views = size, views
        self.image_shape = (1, size, size)

    @property
    def name(self) -> str:
        return f"parallel-beam-{self.size}-{self.views}views"

    def measurement_size(self, image_size: Size) -> Size:
        if tuple(image_size) != (self.size, self.size):
            raise ConfigError(f"{self.name} is for images {self.size} x {self.size}, got {tuple(image_size)}")
        return self.views, self.size

    def image_size(self, measurement_size: Size) -> Size:
        return self.size, self.size

    def __call__(self, image: Tensor) -> Tensor:
        size = self.measurement_size((image.shape[-2], image.shape[-1]))
        made: Tensor = _Product.apply(image.flatten(-2), self, False)
        return made.unflatten(-1, size)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        made: Tensor = _Product.apply(measurement.flatten(-2), self, True)
        return made.unflatten(-1, (self.size, self.size))

    def filtered_back_projection(self, sinogram: Tensor) -> Tensor:
        """(B, C, views, n) -> (B, C, n, n): the ramp filter, then the adjoint, in the scale of the image."""
        length = 2 ** math.ceil(math.log2(2 * self.size))
        spectrum = torch.fft.rfft(sinogram, n=length) * _ramp(length).to(sinogram)
        filtered = torch.fft.irfft(spectrum, n=length)[..., : self.size]
        return self.adjoint(filtered) * (math.pi / self.views * self.size**2)

    def matrix(self) -> sparse.csr_matrix:
        """(views n, n^2), float64."""
        blocks = [_view(self.size, math.pi * view / self.views) for view in range(self.views)]
        return sparse.vstack(blocks, format="csr")

    def rows(self, like: Tensor, transposed: bool) -> Matrix:
        """The matrix or its transpose in dtype and on device of `like`."""
        group, key = (self.name, transposed), (like.dtype, like.device)
        found: Matrix | None = CONSTANTS.find(group, key)
        if found is None:
            with lasting():
                begins, columns, values = self._exact_rows(transposed)
                made = begins.to(like.device), columns.to(like.device), values.to(like.device, like.dtype)
            found = CONSTANTS.keep(group, key, made)
        return found

    def _exact_rows(self, transposed: bool) -> Matrix:
        """In float64, on the CPU."""
        found: Matrix | None = CONSTANTS.find((self.name, transposed), "exact")
        if found is None:
            matrix = self.matrix()
            made = _compressed(matrix.T.tocsr() if transposed else matrix)
            found = CONSTANTS.keep((self.name, transposed), "exact", made)
        return found


class _Product(torch.autograd.Function):
    """The matrix or its transpose times vectors (..., n); each is the other's derivative."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, operator: ParallelBeam, transposed: bool) -> Tensor:
        ctx.operator, ctx.transposed = operator, transposed
        begins, columns, values = operator.rows(vectors, transposed)
        shape = (len(begins) - 1, vectors.shape[-1])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            matrix = torch.sparse_csr_tensor(begins, columns, values, shape, check_invariants=False)
        lead = vectors.shape[:-1]
        return (matrix @ vectors.reshape(-1, shape[1]).T).T.reshape(*lead, shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradient, ctx.operator, not ctx.transposed), None, None


def _view(size: int, angle: float) -> sparse.csr_matrix:
    """(n, n^2): the image turned by `angle` about its middle, bilinearly, zero outside, and summed down its columns."""
    centre = (size - 1) / 2
    offset = np.arange(size) - centre
    detector, along = offset[None, :], offset[:, None]
    x = centre + math.cos(angle) * detector + math.sin(angle) * along
    y = centre - math.sin(angle) * detector + math.cos(angle) * along
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    rows, columns, weights = [], [], []
    for down in (0, 1):
        for right in (0, 1):
            weight = np.where(right, x - left, 1 - x + left) * np.where(down, y - top, 1 - y + top)
            row, column = top + down, left + right
            inside = (row >= 0) & (row < size) & (column >= 0) & (column < size) & (weight > 0)
            rows.append(np.broadcast_to(np.arange(size)[None, :], inside.shape)[inside])
            columns.append((row * size + column)[inside])
            weights.append(weight[inside] / size)
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_matrix(entries, shape=(size, size**2)).tocsr()


def _compressed(matrix: sparse.csr_matrix) -> Matrix:
    begins, columns = (torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices))
    return begins, columns, torch.from_numpy(matrix.data)


def _ramp(length: int) -> Tensor:
    """The transfer function of the ramp filter, from its exact impulse response (Kak & Slaney 1988, eq. 61), which
    keeps the mean right; detectors one pixel apart.
    """
    n = torch.fft.fftfreq(length, 1 / length, dtype=torch.float64).round()
    response = torch.where(n == 0, 0.25, torch.where(n % 2 == 0, 0.0, -1 / (math.pi * n.where(n != 0, 1.0)) ** 2))
    return torch.fft.rfft(response).real
