"""Half precision where it is exact enough: each form against the plain chain in float64, and its stated error."""

from typing import Any

import pytest
import torch
from references import relative_error, uniform
from torch import Tensor

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.denoisers.dncnn import Parameterisation, Rescale
from mcnet_lightning.equilibrium import DouglasRachfordMap, MeasurementBall
from mcnet_lightning.equilibrium.linearisation import Tangent
from mcnet_lightning.operators import BicubicDownsample

PARAMETERISATIONS = ["noise_residual", "averaged", "direct"]
RESCALES = ["none", "per_sample"]


def denoiser(parameterisation: Parameterisation = "noise_residual", rescale: Rescale = "none") -> DnCNN:
    network = DnCNN(depth=4, channels=6, parameterisation=parameterisation, rescale=rescale).eval()
    with torch.no_grad():
        network.offset.fill_(0.1)
    return network.double()


def step_map(epsilon: float, rescale: Rescale = "none") -> tuple[DouglasRachfordMap, Tensor]:
    operator = BicubicDownsample(2)
    state, prior = uniform(2, 1, 12, 16), uniform(2, 1, 12, 16)
    ball = MeasurementBall(operator(uniform(2, 1, 12, 16)), operator, epsilon)
    return DouglasRachfordMap(denoiser(rescale=rescale).bind(), ball, prior, 0.05), state


@pytest.mark.parametrize("rescale", RESCALES)
@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@torch.no_grad()
def test_rounded_form_is_the_denoiser_in_float64(parameterisation: Parameterisation, rescale: Rescale) -> None:
    bound, image = denoiser(parameterisation, rescale).bind(), uniform(3, 1, 11, 14)
    assert relative_error(bound.rounded(torch.float64)(image), bound(image)) <= 1e-12


def tangent_at(base: Tensor, bound: Any, dtype: torch.dtype) -> Tangent:
    value, jvp, _ = bound.linearise(base, dtype)
    return Tangent(base, value.detach(), jvp)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_tangent_is_the_jacobian_in_float64(parameterisation: Parameterisation) -> None:
    bound = denoiser(parameterisation).bind()
    base, step = uniform(3, 1, 11, 14), uniform(3, 1, 11, 14) - 0.5
    tangent = tangent_at(base, bound, torch.float64)
    with torch.no_grad():
        assert relative_error(tangent(base), bound(base)) <= 1e-14
    _, product = torch.autograd.functional.jvp(bound, base, step)
    assert relative_error(tangent(base + step) - tangent(base), product) <= 1e-11


@torch.no_grad()
def test_selected_tangents_are_rows_of_all() -> None:
    base = uniform(4, 1, 9, 9)
    tangent = tangent_at(base, denoiser().bind(), torch.float64)
    image, index = base + 0.1 * uniform(4, 1, 9, 9), torch.tensor([3, 1])
    selected = tangent.select(index)
    torch.testing.assert_close(selected(image[index]), tangent(image)[index], rtol=1e-12, atol=1e-13)
    again = selected.select(torch.tensor([1]))
    torch.testing.assert_close(again(image[[1]]), tangent(image)[[1]], rtol=1e-12, atol=1e-13)


@torch.no_grad()
def test_error_of_the_tangent_falls_faster_than_the_distance() -> None:
    bound, base = denoiser().float().bind(), uniform(2, 1, 24, 24).float()
    direction, tangent = uniform(2, 1, 24, 24).float(), tangent_at(base, bound, torch.bfloat16)
    shares = []
    for distance in (1e-1, 1e-2, 1e-3):
        step = distance * direction
        shares.append(float((tangent(base + step) - bound(base + step)).norm() / step.norm()))
    assert shares[1] < shares[0]
    assert shares[2] < 0.01


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_linearised_form_equals_autograd_in_float64(parameterisation: Parameterisation) -> None:
    network = denoiser(parameterisation)
    bound, image, direction = network.bind(), uniform(3, 1, 11, 14), uniform(3, 1, 11, 14) - 0.5
    leaves = [image.requires_grad_(), *network.parameters()]
    plain = bound(image)
    expected = torch.autograd.grad(plain, leaves, direction, retain_graph=True)
    linearised = bound.linearise(image, torch.float64)
    assert linearised is not None
    value, _, vjp = linearised
    assert relative_error(value, plain) <= 1e-13
    assert relative_error(vjp(direction), expected[0]) <= 1e-12
    for found, wanted in zip(torch.autograd.grad(value, leaves, direction), expected, strict=True):
        assert relative_error(found, wanted) <= 1e-11


def test_rescaling_by_the_extremes_is_left_to_autograd() -> None:
    assert denoiser(rescale="per_sample").bind().linearise(uniform(1, 1, 8, 8), torch.float64) is None
    T, state = step_map(0.0, "per_sample")
    assert T.linearise(state.requires_grad_(), torch.float64) is None


def test_linearised_form_in_bfloat16_is_off_by_its_own_rounding_only() -> None:
    bound, image, direction = denoiser().float().bind(), torch.rand(3, 1, 16, 16), torch.randn(3, 1, 16, 16)
    full, half = (bound.linearise(image, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert full is not None
    assert half is not None
    assert torch.equal(full.value, half.value)
    for exact, rounded in ((full.jvp, half.jvp), (full.vjp, half.vjp)):
        assert rounded(direction).dtype == torch.float32
        assert 0 < relative_error(rounded(direction), exact(direction)) < 0.02


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 100.0])
def test_the_whole_map_linearised_equals_autograd_in_float64(epsilon: float) -> None:
    T, state = step_map(epsilon)
    vector, leaf = uniform(2, 1, 12, 16) - 0.5, state.clone().requires_grad_()
    (expected,) = torch.autograd.grad(T(leaf), leaf, vector)
    linearised = T.linearise(state.requires_grad_(), torch.float64)
    assert linearised is not None
    value, near, product = linearised
    assert relative_error(value, T(leaf)) <= 1e-13
    assert relative_error(product(vector), expected) <= 1e-10
    (taped,) = torch.autograd.grad(value, state, vector)
    assert relative_error(taped, expected) <= 1e-10
    with torch.no_grad():
        assert relative_error(near(state), T(state)) <= 1e-13
        off = [relative_error(near(state + step * vector), T(state + step * vector)) for step in (1e-3, 1e-6)]
    assert off[1] <= 1e-4 * off[0] + 1e-12


def test_a_denoiser_that_offers_no_such_form_is_left_alone() -> None:
    operator = BicubicDownsample(2)
    T = DouglasRachfordMap(
        lambda v: 0.9 * v, MeasurementBall(torch.zeros(1, 1, 4, 4), operator), torch.zeros(1, 1, 8, 8), 0.1
    )
    assert T.linearise(torch.zeros(1, 1, 8, 8), torch.float64) is None
    assert T.rounded(torch.bfloat16) is None
