"""In-painting."""

import pytest
import torch
from references import uniform

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import Mask

HALF = (torch.arange(20) % 2).view(4, 5)


def test_keeps_observed_pixels_and_zeroes_the_others() -> None:
    image = uniform(2, 3, 4, 5)
    measured = Mask(HALF)(image)
    assert torch.equal(measured[..., HALF == 1], image[..., HALF == 1])
    assert not measured[..., HALF == 0].any()


def test_values_outside_the_mask_are_ignored() -> None:
    clean = Mask(HALF)(uniform(1, 1, 4, 5))
    dirty = clean + 7.0 * (1 - HALF)
    assert torch.equal(Mask(HALF).to_gram_basis(dirty, (4, 5)), Mask(HALF).to_gram_basis(clean, (4, 5)))


def test_name_tells_masks_apart() -> None:
    assert Mask(HALF).name == Mask(HALF.bool()).name != Mask(1 - HALF).name


@pytest.mark.parametrize("mask", [torch.full((4, 5), 0.5), torch.ones(1, 4, 5)])
def test_anything_but_a_binary_matrix_is_refused(mask: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="zeros and ones"):
        Mask(mask)


def test_image_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(4, 5\).*\(5, 4\)"):
        Mask(HALF)(uniform(1, 1, 5, 4))
