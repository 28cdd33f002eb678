"""An observation of a batch: its parts go together, and noise is each image's own."""

import torch

from mcnet_lightning.operators import Mask
from mcnet_lightning.problems import Observation, draws, figure, noise


def observation(masks: torch.Tensor) -> Observation:
    truth = torch.rand(len(masks), 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operator = Mask(masks)
    return Observation(truth, operator(truth), operator, {"start": operator(truth)})


def test_selecting_takes_images_measurements_inputs_and_masks_alike() -> None:
    masks = (torch.rand(4, 1, 6, 5, generator=torch.Generator().manual_seed(1)) > 0.5).double()
    whole = observation(masks)
    part = whole.select(torch.tensor([3, 1]))
    assert len(part) == 2
    assert torch.equal(part.truth, whole.truth[[3, 1]])
    assert torch.equal(part.operator(part.truth), part.measurement)
    assert torch.equal(part.start, part.measurement)


def test_noise_of_an_image_is_its_own_whatever_else_is_in_the_batch() -> None:
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    together = noise(7, images, images)
    alone = noise(7, images[1:2], images[1:2])
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(noise(8, images, images), together)
    assert draws(7, images[0]).integers(1 << 30) == draws(7, images[0]).integers(1 << 30)


def test_a_name_says_which_way_a_figure_is_better() -> None:
    assert figure("psnr_y").heading == "PSNR"
    assert figure("psnr").decibel
    assert figure("nmse").smaller_is_better
    assert not figure("ssim").smaller_is_better
    assert figure("sharpness").heading == "sharpness"
