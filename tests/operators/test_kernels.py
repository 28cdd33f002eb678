"""Kernels against torch, Pillow and plain sums, and as operators: adjoint and Gram basis."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from references import dense_matrix, uniform

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import Kernel, KernelDownsample
from mcnet_lightning.operators.resize import Boundary

scales = pytest.mark.parametrize("scale", [2, 3, 4])
KERNELS = [
    Kernel("bilinear"),
    Kernel("lanczos"),
    Kernel("box"),
    Kernel("bicubic", antialiased=False),
    Kernel("gaussian", 1.2),
]


@scales
def test_bilinear_equals_torch(scale: int) -> None:
    image = uniform(1, 2, 13, 24)
    theirs = F.interpolate(image, scale_factor=1 / scale, mode="bilinear", antialias=True)
    torch.testing.assert_close(KernelDownsample(scale, Kernel("bilinear"))(image), theirs, rtol=0, atol=1e-13)


@scales
def test_box_equals_average_pooling(scale: int) -> None:
    image = uniform(1, 1, 12, 24)
    ours = KernelDownsample(scale, Kernel("box"))(image)
    torch.testing.assert_close(ours, F.avg_pool2d(image, scale), rtol=0, atol=1e-13)


@scales
def test_lanczos_equals_pillow(scale: int) -> None:
    image = uniform(1, 1, 24, 36)
    ours = KernelDownsample(scale, Kernel("lanczos"))(image)
    picture = Image.fromarray(image[0, 0].float().numpy())
    theirs = picture.resize((36 // scale, 24 // scale), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(ours[0, 0].numpy(), np.asarray(theirs), atol=1e-6)


def test_aliased_bicubic_at_odd_scales_picks_pixels() -> None:
    image = uniform(1, 1, 12, 15)
    ours = KernelDownsample(3, Kernel("bicubic", antialiased=False))(image)
    torch.testing.assert_close(ours, image[..., 1::3, 1::3], rtol=0, atol=1e-13)


def test_gaussian_is_the_weighted_mean_around_the_centre() -> None:
    line = uniform(1, 1, 40, 1).expand(1, 1, 40, 40)
    ours = KernelDownsample(4, Kernel("gaussian", 1.5))(line)[0, 0, 5, 5]
    distance = torch.arange(40, dtype=torch.float64) - 21.5
    weights = torch.exp(-(distance**2) / (2 * 1.5**2)) * (distance.abs() <= 6)
    torch.testing.assert_close(ours, (weights * line[0, 0, :, 0]).sum() / weights.sum())


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("boundary", ["truncated", "symmetric", "replicate"])
def test_every_kernel_is_an_operator_with_its_transpose_and_basis(kernel: Kernel, boundary: Boundary) -> None:
    operator = KernelDownsample(2, kernel, boundary)
    matrix = dense_matrix(operator, 1, 9, 10)
    size = operator.measurement_size((9, 10))
    adjoint = dense_matrix(lambda y: operator.adjoint(y, (9, 10)), 1, *size)
    torch.testing.assert_close(adjoint, matrix.T, rtol=0, atol=1e-13)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(len(matrix), dtype=torch.float64))
    y = uniform(1, 1, *size)
    scaled = operator.to_gram_basis(y, (9, 10)) * operator.gram_eigenvalues((9, 10), y)
    torch.testing.assert_close(operator.from_gram_basis(scaled, (9, 10)), operator.gram(y, (9, 10)))


def test_names_tell_kernels_apart() -> None:
    names = {KernelDownsample(2, kernel).name for kernel in KERNELS}
    assert len(names) == len(KERNELS)
    assert "gaussian1.2-x2-truncated" in names


def test_unknown_kernels_are_refused() -> None:
    unknown: Any = "cubic"
    with pytest.raises(ConfigError, match="use one of bicubic"):
        Kernel(unknown)
    with pytest.raises(ConfigError, match="above 0"):
        Kernel("gaussian")
