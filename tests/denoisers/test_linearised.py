"""The transposed Jacobian as plain convolutions equals autograd's."""

import pytest
import torch
from references import relative_error, uniform

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.denoisers.dncnn import Parameterisation
from mcnet_lightning.equilibrium import DouglasRachfordMap, MeasurementBall
from mcnet_lightning.operators import BicubicDownsample


def denoiser(parameterisation: Parameterisation = "noise_residual", **options: object) -> DnCNN:
    network = DnCNN(depth=4, channels=6, parameterisation=parameterisation, **options).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        network.offset.fill_(0.1)
    return network.double()


@pytest.mark.parametrize("parameterisation", ["noise_residual", "averaged", "direct"])
def test_equals_autograd_in_float64(parameterisation: Parameterisation) -> None:
    bound, image, direction = denoiser(parameterisation).bind(), uniform(3, 1, 11, 14), uniform(3, 1, 11, 14) - 0.5
    product = bound.transposed_jacobian(image, torch.float64)
    assert product is not None
    leaf = image.clone().requires_grad_()
    (expected,) = torch.autograd.grad(bound(leaf), leaf, direction)
    assert relative_error(product(direction), expected) <= 1e-12


def test_bfloat16_is_off_by_its_own_rounding_only() -> None:
    bound, image, direction = denoiser().float().bind(), torch.rand(3, 1, 16, 16), torch.randn(3, 1, 16, 16)
    full, half = (bound.transposed_jacobian(image, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert full is not None
    assert half is not None
    assert half(direction).dtype == torch.float32
    assert 0 < relative_error(half(direction), full(direction)) < 0.02


def test_rescaling_by_the_extremes_is_left_to_autograd() -> None:
    bound = denoiser(rescale="per_sample").bind()
    assert bound.transposed_jacobian(uniform(1, 1, 8, 8), torch.float64) is None


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 100.0])
def test_the_whole_map_equals_autograd_in_float64(epsilon: float) -> None:
    operator = BicubicDownsample(2)
    state, prior = uniform(2, 1, 12, 16), uniform(2, 1, 12, 16)
    ball = MeasurementBall(operator(uniform(2, 1, 12, 16)), operator, epsilon)
    T = DouglasRachfordMap(denoiser().bind(), ball, prior, 0.07, 1.3)
    vector = uniform(2, 1, 12, 16) - 0.5
    product = T.vjp(state, torch.float64)
    assert product is not None
    leaf = state.clone().requires_grad_()
    (expected,) = torch.autograd.grad(T(leaf), leaf, vector)
    assert relative_error(product(vector), expected) <= 1e-10


def test_a_denoiser_that_cannot_linearise_itself_is_left_to_autograd() -> None:
    operator = BicubicDownsample(2)
    T = DouglasRachfordMap(
        lambda v: 0.9 * v, MeasurementBall(torch.zeros(1, 1, 4, 4), operator), torch.zeros(1, 1, 8, 8), 0.1
    )
    assert T.vjp(torch.zeros(1, 1, 8, 8), torch.float64) is None
