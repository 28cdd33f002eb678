"""Deblurring and in-painting of pictures: against SciPy, by seed and image, figures by scikit-image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from references import mask_of
from scipy.ndimage import convolve
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from mcnet_lightning.data import load_images
from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import rgb_to_gray
from mcnet_lightning.problems.deblurring import Deblurring
from mcnet_lightning.problems.inpainting import Inpainting


def pictures(count: int = 2, size: tuple[int, int] = (24, 31)) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def camera() -> Tensor:
    return load_images("photographs", "test")[1].rgb[None, :, 100:228, 180:308].double()


def test_gray_pictures_keep_their_levels() -> None:
    gray = torch.arange(256, dtype=torch.float32).view(1, 1, 16, 16) / 255
    assert torch.equal(rgb_to_gray(gray.expand(1, 3, 16, 16)), gray)
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    expected = (pictures() * weights[:, None, None]).sum(dim=1, keepdim=True)
    torch.testing.assert_close(rgb_to_gray(pictures()), expected)


def test_the_blur_is_scipys_convolution(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).random((5, 7))
    np.save(tmp_path / "shake.npy", kernel)
    problem = Deblurring(str(tmp_path / "shake.npy"), noise=0.0)
    observation = problem.observe(pictures(1), 0)
    expected = convolve(observation.truth[0, 0].numpy(), kernel / kernel.sum(), mode="wrap")
    np.testing.assert_allclose(observation.measurement[0, 0].numpy(), expected, atol=1e-12)
    assert problem.label.startswith("shake")
    assert not problem.turns
    assert Deblurring().turns


def test_noise_is_of_the_strength_that_is_said_and_the_images_own() -> None:
    problem = Deblurring(noise=2.55)
    images = pictures(4, (64, 64))
    observation = problem.observe(images, 5)
    missed = (observation.operator(observation.truth) - observation.measurement).flatten(1).norm(dim=1)
    assert (missed / problem.radius(observation)).mean().item() == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(problem.observe(images[3:], 5).measurement, observation.measurement[3:])


@pytest.mark.parametrize("noise", [0.0, 2.55, 20.0])
def test_the_start_of_deblurring_is_nearer_than_the_blurred_picture(noise: float) -> None:
    problem = Deblurring(noise=noise)
    observation = problem.observe(camera(), 0)
    of_start, of_b = (
        problem.headline(image, observation.truth) for image in (problem.start(observation), observation.measurement)
    )
    assert of_start > of_b + 0.3
    mean = observation.measurement.mean()
    assert problem.start(observation).mean().item() == pytest.approx(mean.item(), abs=1e-9)


def test_figures_of_pictures_are_cut_off_at_black_and_white() -> None:
    truth = pictures()[:, :1]
    estimate = truth + 0.3 * pictures()[:, 1:2] - 0.15
    found = Deblurring().quality(estimate, truth)["psnr"]
    for value, x, y in zip(found, truth.numpy(), estimate.clamp(0, 1).numpy(), strict=True):
        assert value.item() == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1))


@pytest.mark.parametrize("colour", [False, True])
def test_a_share_of_the_pixels_is_seen_and_the_rest_filled_with_their_mean(colour: bool) -> None:
    problem = Inpainting(0.25, colour=colour)
    images = pictures()
    observation = problem.observe(images, 0)
    seen = mask_of(observation).bool()
    assert seen.flatten(1).sum(1).tolist() == [round(0.25 * 24 * 31)] * 2
    assert not torch.equal(seen[0], seen[1])
    assert observation.truth.shape[1] == problem.channels == (3 if colour else 1)
    for truth, start, mask in zip(observation.truth, observation.start, seen[:, 0], strict=True):
        for x, filled in zip(truth, start, strict=True):
            assert torch.equal(filled[mask], x[mask])
            torch.testing.assert_close(filled[~mask], x[mask].mean().expand(int((~mask).sum())))
    torch.testing.assert_close(problem.observe(images[1:], 0).measurement, observation.measurement[1:])
    assert not problem.radius(observation).any()


def test_a_mask_of_a_file_is_taken_whole_for_images_of_its_size_and_in_parts_for_patches(tmp_path: Path) -> None:
    mask = np.random.default_rng(1).random((24, 31)) > 0.5
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "scratches.png")
    problem = Inpainting(mask=str(tmp_path / "scratches.png"), noise=5)
    observation = problem.observe(pictures(), 0)
    assert np.array_equal(mask_of(observation)[1, 0].bool().numpy(), mask)
    assert problem.radius(observation)[0].item() == pytest.approx(5 / 255 * np.sqrt(mask.sum()))
    assert problem.observe(pictures(size=(8, 8)), 0).start.shape == (2, 1, 8, 8)
    with pytest.raises(DataError, match="smaller than an image"):
        problem.observe(pictures(size=(25, 31)), 0)
