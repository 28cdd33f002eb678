"""Bicubic matrices against torch, against padding by hand, and against the published formula."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from references import dense_matrix, uniform
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample, upsample_bicubic
from mcnet_lightning.operators.kernels import keys_kernel
from mcnet_lightning.operators.resize import Boundary

SIZES = [(24, 36), (25, 38), (27, 23), (5, 7)]  # multiples, no multiples, smaller than the kernel
scales = pytest.mark.parametrize("scale", [2, 3, 4])


def torch_downsample(image: Tensor, scale: int) -> Tensor:
    return F.interpolate(image, scale_factor=1 / scale, mode="bicubic", antialias=True)


@scales
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_truncated_equals_torch(scale: int, size: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
    image = torch.rand(2, 3, *size, dtype=dtype)
    ours, theirs = BicubicDownsample(scale)(image), torch_downsample(image, scale)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@scales
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("boundary", "mode"), [("symmetric", "symmetric"), ("replicate", "edge")])
def test_other_borders_equal_torch_on_a_padded_image(
    scale: int, size: tuple[int, int], boundary: Boundary, mode: Literal["symmetric", "edge"]
) -> None:
    image = uniform(1, 1, *size)
    margin = 3 * scale  # wider than the kernel, and a multiple of the scale: the sampling grid stays in place
    beyond = [(margin, margin + scale + (-length) % scale) for length in size]
    padded = torch.from_numpy(np.pad(image[0, 0].numpy(), beyond, mode=mode))[None, None]
    height, width = (-(-length // scale) for length in size)
    expected = torch_downsample(padded, scale)[..., 3 : 3 + height, 3 : 3 + width]
    torch.testing.assert_close(BicubicDownsample(scale, boundary)(image), expected, rtol=0, atol=1e-13)


@scales
def test_upsampling_equals_torch(scale: int) -> None:
    image = uniform(2, 1, 7, 10)
    theirs = F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
    torch.testing.assert_close(upsample_bicubic(image, scale), theirs, rtol=0, atol=1e-13)


@scales
@pytest.mark.parametrize("boundary", ["truncated", "symmetric", "replicate"])
def test_constants_stay_constant(scale: int, boundary: Boundary) -> None:
    ones = torch.ones(1, 1, 13, 9, dtype=torch.float64)
    assert (BicubicDownsample(scale, boundary)(ones) - 1).abs().max() <= 1e-14


@scales
@pytest.mark.parametrize("boundary", ["truncated", "symmetric", "replicate"])
def test_gram_matrix_is_well_conditioned(scale: int, boundary: Boundary) -> None:
    A = dense_matrix(BicubicDownsample(scale, boundary), 1, 6 * scale, 5 * scale)
    assert torch.linalg.cond(A @ A.T) < 5


def test_upsampling_is_no_adjoint() -> None:
    """The published code takes it for one."""
    y = uniform(1, 1, 8, 8)
    ratio = upsample_bicubic(y, 2).norm() / BicubicDownsample(2).adjoint(y).norm()
    assert 3 < ratio < 5


def test_keys_kernel_interpolates_and_sums_to_one() -> None:
    assert keys_kernel(torch.arange(-3.0, 4.0)).tolist() == [0, 0, 0, 1, 0, 0, 0]
    phase = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    total = keys_kernel(phase - torch.arange(-1, 3)).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-15)


def test_switching_dtype_does_not_disturb_the_cached_matrices() -> None:
    A, image = BicubicDownsample(2), uniform(1, 1, 14, 10)
    before = A(image)
    A(image.float())
    assert torch.equal(A(image), before)


@pytest.mark.parametrize("scale", [0, -2, 2.0, True, "2"])
def test_impossible_scale_is_refused(scale: Any) -> None:
    with pytest.raises(ConfigError, match=r"scale=.*positive integer"):
        BicubicDownsample(scale)


def test_unknown_boundary_is_refused_with_the_known_ones() -> None:
    unknown: Any = "reflect"
    with pytest.raises(ConfigError, match="truncated, symmetric, replicate"):
        BicubicDownsample(2, unknown)


def test_image_smaller_than_a_pixel_of_the_measurement_is_refused() -> None:
    with pytest.raises(ConfigError, match="too small for x4"):
        BicubicDownsample(4)(uniform(1, 1, 3, 9))


def test_adjoint_refuses_a_measurement_of_another_image_size() -> None:
    with pytest.raises(ConfigError, match="does not belong"):
        BicubicDownsample(2).adjoint(uniform(1, 1, 4, 4), (8, 12))
