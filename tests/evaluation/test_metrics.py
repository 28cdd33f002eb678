"""Figures of merit against scikit-image, and what each protocol means by them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import dense_matrix, uniform
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from mcnet_lightning.backbones.precomputed import PrecomputedBackbone
from mcnet_lightning.data import WholeImages, load_images
from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.evaluation.metrics import ImageMeans, consistency, headroom, lr_psnr
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.quality import psnr, ssim
from mcnet_lightning.problems.super_resolution import SuperResolution

A = BicubicDownsample(2)
borders = pytest.mark.parametrize("border", [0, 3])
protocols = pytest.mark.parametrize("protocol", ["paper", "standard"])


def pair(noise: float = 0.1, batch: int = 3) -> tuple[Tensor, Tensor]:
    """An estimate that leaves [0, 1], and a smooth truth."""
    truth = 0.5 + 0.5 * torch.sin(torch.arange(31.0 * 37).view(31, 37).double() / 9).repeat(batch, 1, 1, 1)
    return truth + noise * torch.randn_like(truth), truth


def shaved(image: Tensor, border: int) -> np.ndarray:
    return image[0, border : image.shape[-2] - border, border : image.shape[-1] - border].numpy()


@borders
@protocols
def test_psnr_is_that_of_scikit_image(border: int, protocol: str) -> None:
    estimate, truth = pair()
    clipped = estimate.clamp(0, 1) if protocol == "standard" else estimate
    expected = [
        peak_signal_noise_ratio(shaved(t, border), shaved(e, border), data_range=1)
        for e, t in zip(clipped, truth, strict=True)
    ]
    # torchmetrics divides by a logarithm of 10 in float32: 5e-8 relative, a millionth of a dB
    assert psnr(estimate, truth, border, protocol).tolist() == pytest.approx(expected, rel=1e-7)


@borders
def test_paper_ssim_is_scikit_images_default(border: int) -> None:
    estimate, truth = pair()
    expected = [
        structural_similarity(shaved(t, border), shaved(e, border), data_range=1)
        for e, t in zip(estimate, truth, strict=True)
    ]
    assert ssim(estimate, truth, border, "paper").tolist() == pytest.approx(expected, abs=1e-9)


@borders
def test_standard_ssim_is_gaussian_on_the_valid_region(border: int) -> None:
    estimate, truth = pair()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [
        structural_similarity(shaved(t, border), shaved(e.clamp(0, 1), border), **options)  # crops 5 pixels itself
        for e, t in zip(estimate, truth, strict=True)
    ]
    assert ssim(estimate, truth, border, "standard").tolist() == pytest.approx(expected, abs=1e-6)


@protocols
@pytest.mark.parametrize("figure", [psnr, ssim])
def test_float32_images_are_measured_in_float64(figure: Callable[..., Tensor], protocol: str) -> None:
    estimate, truth = (image.float() for image in pair())
    value = figure(estimate, truth, 2, protocol)
    assert value.dtype == torch.float64
    assert value.tolist() == pytest.approx(figure(estimate.double(), truth.double(), 2, protocol).tolist(), abs=1e-12)


@protocols
def test_perfect_estimate(protocol: str) -> None:
    _, truth = pair()
    assert psnr(truth, truth, 2, protocol).tolist() == [math.inf] * 3
    assert ssim(truth, truth, 2, protocol).tolist() == pytest.approx([1] * 3, abs=1e-9)


def test_only_standard_clips_the_estimate() -> None:
    _, truth = pair()
    assert torch.isinf(psnr(truth.clamp(0, 1), truth.clamp(0, 1), 0, "standard")).all()
    beyond = torch.where(truth > 0.9, truth + 0.5, truth)
    inside = beyond.clamp(0, 1)
    assert torch.equal(psnr(beyond, truth, 0, "standard"), psnr(inside, truth, 0, "standard"))
    assert (psnr(beyond, truth, 0, "paper") < psnr(inside, truth, 0, "paper")).all()


def test_consistency_is_the_l2_norm_per_image() -> None:
    x, b = uniform(3, 1, 8, 10), uniform(3, 1, 4, 5)
    expected = [math.sqrt(float(((A(x[[i]]) - b[[i]]) ** 2).sum())) for i in range(3)]
    assert consistency(x, b, A).tolist() == pytest.approx(expected, rel=1e-14)


def test_consistency_of_float32_images_is_measured_in_float64() -> None:
    x = torch.rand(1, 1, 64, 64)
    b = A(x.double())
    assert float(consistency(x, b, A)) <= 1e-14


def test_lr_psnr_is_the_psnr_of_the_degraded_estimate() -> None:
    x, b = uniform(2, 1, 8, 10), uniform(2, 1, 4, 5)
    expected = [peak_signal_noise_ratio(b[i, 0].numpy(), A(x)[i, 0].numpy(), data_range=1) for i in range(2)]
    assert lr_psnr(x, b, A).tolist() == pytest.approx(expected, abs=1e-10)


def test_lr_psnr_and_consistency_say_the_same() -> None:
    x, b = uniform(2, 1, 8, 10), uniform(2, 1, 4, 5)
    expected = -20 * torch.log10(consistency(x, b, A) / math.sqrt(4 * 5))
    torch.testing.assert_close(lr_psnr(x, b, A), expected, rtol=1e-12, atol=0)


def test_lr_psnr_of_a_perfect_match_is_infinite() -> None:
    x = uniform(1, 1, 8, 8)
    assert lr_psnr(x, A(x), A).tolist() == [math.inf]


@pytest.mark.parametrize("sizes", [[12], [1] * 12, [5, 7], [10, 1, 1]], ids=str)
def test_means_do_not_depend_on_batching(sizes: list[int]) -> None:
    values: dict[str, Any] = {"psnr": uniform(12), "ssim": uniform(12)}
    means = ImageMeans(("psnr", "ssim"))
    for rows in torch.arange(12).split(sizes):
        means.update(**{name: value[rows] for name, value in values.items()})
    computed = means.compute()
    assert {name: float(value) for name, value in computed.items()} == pytest.approx(
        {name: float(value.mean()) for name, value in values.items()}, rel=1e-14
    )


def test_figures_are_gathered_where_the_metric_is() -> None:
    """In a validation on a GPU what a solve counted lies on the host. `meta` stands for any other device."""
    means = ImageMeans(("psnr", "evaluations")).to("meta")
    means.update(psnr=torch.ones(1, device="meta"), evaluations=torch.ones(1))
    assert [row.device.type for row in means.rows] == ["meta"]


def test_means_take_counts_and_flags() -> None:
    means = ImageMeans(("evaluations", "failed"))
    means.update(evaluations=torch.tensor([3, 6]), failed=torch.tensor([True, False]))
    assert {name: float(value) for name, value in means.compute().items()} == {"evaluations": 4.5, "failed": 0.5}


def test_means_start_again_after_reset() -> None:
    means = ImageMeans(("psnr",))
    means.update(psnr=torch.tensor([10.0]))
    means.reset()
    means.update(psnr=torch.tensor([30.0]))
    assert float(means.compute()["psnr"]) == 30


class NoBorder(SuperResolution):
    """With PSNR over the whole image."""

    def headline(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return psnr(estimate, truth, 0, self.protocol)


def seen(truth: Tensor) -> Observation:
    return Observation(truth, A(truth), A, {"start": truth})


def test_headroom_is_the_share_of_the_error_that_the_operator_sees() -> None:
    w, truth = pair()
    w, truth = w[..., :30, :36], truth[..., :30, :36]
    error = w - truth
    matrix = dense_matrix(A, 1, 30, 36)
    visible = torch.linalg.pinv(matrix) @ (matrix @ error.flatten(1).T)
    share = visible.square().sum(dim=0) / error.flatten(1).square().sum(dim=1)
    expected = -10 * torch.log10(1 - share)
    assert headroom(w, seen(truth), NoBorder("paper", 2)).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_no_measurement_can_add_more_than_the_headroom() -> None:
    w, truth = pair()
    w, truth = w[..., :30, :36], truth[..., :30, :36]
    room = headroom(w, seen(truth), NoBorder("paper", 2))
    for b in (A(truth), A(truth) + 0.01, A(truth) + 0.02 * torch.randn(3, 1, 15, 18).double()):
        gain = psnr(project_measurement_ball(w, b, A), truth, 0) - psnr(w, truth, 0)
        assert (gain <= room + 1e-6).all()
    assert headroom(truth, seen(truth), NoBorder("paper", 2)).tolist() == [0, 0, 0]
    assert (headroom(w, seen(truth), NoBorder("standard", 2)) > 0).all()  # of what is left after clipping
    assert torch.equal(
        headroom(w, seen(truth), NoBorder("standard", 2)), headroom(w.clamp(0, 1), seen(truth), NoBorder("standard", 2))
    )


@pytest.mark.parametrize(("scale", "published"), [(2, 0.042), (3, 0.017), (4, 0.016)])
def test_headroom_of_the_published_rcan_pictures(shared: Path, scale: int, published: float) -> None:
    degradation = SuperResolution("standard", scale, "replicate")  # which made their LR
    pictures = PrecomputedBackbone(shared / "sr_results/RCAN", scale)
    images = WholeImages(load_images("Set5", "test", str(shared / "data")), degradation)
    rooms = [
        headroom(pictures.prior_image(image), image["observation"], degradation).item()
        for image in (images[index] for index in range(len(images)))
    ]
    assert sum(rooms) / len(rooms) == pytest.approx(published, abs=5e-4)
