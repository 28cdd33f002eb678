"""The norm of a zero-padded convolution: normalised from below, bounded from above."""

import pytest
import torch
import torch.nn.functional as F
from references import dense_matrix, relative_error
from torch import Tensor

from mcnet_lightning.denoisers import ConvolutionNorm, convolution_norm_bound

WIDTHS = pytest.mark.parametrize("widths", [(1, 1), (1, 6), (6, 6), (6, 1), (3, 5)], ids=str)  # (out, in)


def kernel(widths: tuple[int, int], size: int = 3) -> Tensor:
    return torch.randn(*widths, size, size, dtype=torch.float64)


def dense_norm(weight: Tensor, height: int, width: int) -> float:
    """The exact operator norm on images of one size."""

    def convolve(image: Tensor) -> Tensor:
        return F.conv2d(image, weight, padding=weight.shape[-1] // 2)

    return float(torch.linalg.matrix_norm(dense_matrix(convolve, weight.shape[1], height, width), ord=2))


def plane_norm(weight: Tensor) -> float:
    """The supremum over all image sizes: the largest singular value of the symbol, on a fine grid of frequencies."""
    angles = torch.linspace(0, torch.pi, 100, dtype=torch.float64)
    offsets = torch.arange(weight.shape[-1], dtype=torch.float64)
    down = torch.exp(1j * angles[:, None] * offsets)
    across = torch.exp(1j * torch.cat([angles, -angles])[:, None] * offsets)
    symbol = torch.einsum("oikl,ak,bl->aboi", weight.to(down.dtype), down, across)
    return float(torch.linalg.matrix_norm(symbol, ord=2).max())


@WIDTHS
def test_normalised_convolution_has_norm_one_on_every_image(widths: tuple[int, int]) -> None:
    weight = kernel(widths)
    norm = ConvolutionNorm(weight.float()).double()
    for _ in range(300):
        normalised = norm(weight.requires_grad_())
    sizes = [(3, 3), (7, 9), (12, 12)]
    largest = [dense_norm(normalised.detach(), *size) for size in sizes]
    assert max(largest) <= 1 + 1e-3  # the iteration stops within a thousandth of the largest singular value
    assert largest == sorted(largest)
    assert plane_norm(normalised.detach()) == pytest.approx(1, abs=0.02)  # 40 x 40 pixels are nearly the plane


def test_a_fresh_norm_is_already_close() -> None:
    weight = kernel((8, 8)).float()
    assert plane_norm(ConvolutionNorm(weight)(weight).double()) == pytest.approx(1, abs=0.1)


@WIDTHS
def test_bound_holds_for_every_image_size(widths: tuple[int, int]) -> None:
    weight = kernel(widths)
    bound = convolution_norm_bound(weight)
    assert all(dense_norm(weight, *size) <= bound for size in [(1, 1), (2, 5), (8, 8), (13, 11)])
    assert plane_norm(weight) <= bound


@WIDTHS
@pytest.mark.parametrize("size", [3, 5])
def test_bound_is_tight(widths: tuple[int, int], size: int) -> None:
    weight = kernel(widths, size)
    assert convolution_norm_bound(weight) <= 1.02 * plane_norm(weight)


def test_bound_is_reached_within_two_percent_on_a_real_image_size() -> None:
    weight = kernel((2, 2))
    assert convolution_norm_bound(weight) <= 1.02 * dense_norm(weight, 24, 24)


def test_bound_is_homogeneous() -> None:
    weight = kernel((3, 3))
    assert convolution_norm_bound(1e-6 * weight) == pytest.approx(1e-6 * convolution_norm_bound(weight), rel=1e-12)


def test_only_training_with_gradients_advances_the_power_iteration() -> None:
    weight = kernel((4, 4)).float().requires_grad_()
    norm = ConvolutionNorm(weight)
    before = norm.vector.clone()
    with torch.no_grad():
        norm(weight)
    norm.eval()
    norm(weight)
    assert torch.equal(norm.vector, before)
    norm.train()
    norm(weight)
    assert not torch.equal(norm.vector, before)


def test_training_follows_a_weight_that_changes() -> None:
    first, second = kernel((4, 4)), kernel((4, 4))
    norm = ConvolutionNorm(first.float()).double()
    for _ in range(200):
        norm(second.requires_grad_())
    assert plane_norm(norm.eval()(second).detach()) == pytest.approx(1, abs=0.02)


def test_the_norm_does_not_see_the_size_of_the_weight() -> None:
    weight = kernel((4, 4))
    norm = ConvolutionNorm(weight.float()).double().eval()
    assert relative_error(norm(1e4 * weight), norm(weight)) <= 1e-14


def test_derivative_includes_that_of_the_norm() -> None:
    weight = kernel((2, 2))
    norm = ConvolutionNorm(weight.float()).double().eval()
    assert torch.autograd.gradcheck(norm, weight.requires_grad_())


def test_state_is_kept_with_the_weights() -> None:
    weight = kernel((4, 4)).float()
    trained, fresh = ConvolutionNorm(weight), ConvolutionNorm(weight)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(weight), trained(weight))
