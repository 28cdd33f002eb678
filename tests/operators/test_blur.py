"""Blur and decimation, circular at the border."""

from typing import Any

import pytest
import torch
from references import relative_error, uniform
from scipy.ndimage import convolve

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BlurDownsample


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (9, 9)])  # the last one is larger than the image
@pytest.mark.parametrize("scale", [1, 2])
def test_equals_scipy_convolution_then_decimation(shape: tuple[int, int], scale: int) -> None:
    kernel, image = uniform(*shape), uniform(1, 1, 6, 8)
    blurred = torch.from_numpy(convolve(image[0, 0].numpy(), kernel.numpy(), mode="wrap"))
    measured = BlurDownsample(kernel, scale)(image)[0, 0]
    assert relative_error(measured, blurred[::scale, ::scale]) <= 1e-14


def test_name_tells_kernels_and_scales_apart() -> None:
    kernel = uniform(3, 3)
    names = {BlurDownsample(kernel, 2).name, BlurDownsample(kernel, 3).name, BlurDownsample(2 * kernel, 2).name}
    assert len(names) == 3


@pytest.mark.parametrize("shape", [(4, 4), (3, 2), (3, 3, 3)])
def test_kernel_without_a_centre_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="matrix of odd size"):
        BlurDownsample(torch.ones(shape), 2)


@pytest.mark.parametrize("scale", [0, 1.5])
def test_impossible_scale_is_refused(scale: Any) -> None:
    with pytest.raises(ConfigError, match="positive integer"):
        BlurDownsample(torch.ones(3, 3), scale)


def test_size_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ConfigError, match="no multiple of scale=2; crop it"):
        BlurDownsample(torch.ones(3, 3), 2)(uniform(1, 1, 5, 6))
