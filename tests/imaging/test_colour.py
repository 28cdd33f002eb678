"""Luma in studio swing."""

import numpy as np
import pytest
import torch
from references import uniform
from skimage.color import rgb2ycbcr

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import rgb_to_luma


def test_formula_of_the_protocols() -> None:
    red, green, blue = rgb = uniform(3, 5, 7)
    expected = (16 / 255 + (65.738 * red + 129.057 * green + 25.064 * blue) / 256)[None]
    torch.testing.assert_close(rgb_to_luma(rgb), expected, rtol=1e-15, atol=0)


def test_equals_scikit_image() -> None:
    rgb = uniform(3, 9, 8)
    expected = rgb2ycbcr(rgb.numpy(), channel_axis=0)[0] / 255
    # scikit-image rounds its coefficients to 65.481/255 etc.: 4e-5 of the range
    np.testing.assert_allclose(rgb_to_luma(rgb)[0].numpy(), expected, atol=5e-5)


def test_black_and_white_are_16_and_235() -> None:
    grays = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert (rgb_to_luma(grays) * 255).flatten().tolist() == pytest.approx([16, 235], abs=0.02)


def test_batches_and_dtype_are_kept() -> None:
    assert rgb_to_luma(torch.rand(2, 3, 4, 5)).shape == (2, 1, 4, 5)
    assert rgb_to_luma(uniform(3, 4, 5)).dtype == torch.float64


def test_gray_is_refused() -> None:
    with pytest.raises(DataError, match="3 colour channels"):
        rgb_to_luma(torch.rand(1, 4, 4))
