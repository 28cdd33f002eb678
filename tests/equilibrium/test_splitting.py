"""The Douglas-Rachford map against the two-variable ADMM of the paper."""

from collections.abc import Callable

import pytest
import torch
from references import dense_matrix, norms, relative_error, tiny_layer, uniform
from torch import Tensor

from mcnet_lightning.equilibrium import DouglasRachfordMap, MeasurementBall
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)
BETA, RHO = 0.3, 0.8


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    """w, and b of another image."""
    return uniform(2, 1, 8, 10), A(uniform(2, 1, 8, 10))


def step_map(w: Tensor, b: Tensor, epsilon: float = 0.0) -> DouglasRachfordMap:
    return DouglasRachfordMap(tiny_layer().denoiser.bind(), MeasurementBall(b, A, epsilon), w, BETA / RHO)


def admm(
    w: Tensor, b: Tensor, denoise: Callable[[Tensor], Tensor], estimate: Tensor, multiplier: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Textbook scaled ADMM on f(u) + g(x), u = x, with g = beta/2 ||x - w||^2 on {A x = b}; projects densely."""
    M = dense_matrix(A, 1, 8, 10)
    pseudo_inverse = torch.linalg.pinv(M)
    for _ in range(steps):
        denoised = denoise(estimate + multiplier)
        target = ((BETA * w + RHO * (denoised - multiplier)) / (BETA + RHO)).flatten(1)
        estimate = (target - (target @ M.T - b.flatten(1)) @ pseudo_inverse.T).view_as(w)
        multiplier = multiplier + estimate - denoised
    return estimate, multiplier


def iterate(T: DouglasRachfordMap, state: Tensor, steps: int) -> Tensor:
    with torch.no_grad():
        for _ in range(steps):
            state = T(state)
    return state


def test_iterates_are_those_of_admm(images: tuple[Tensor, Tensor]) -> None:
    T, state = step_map(*images), images[0]
    estimate = T.estimate(state)
    expected, _ = admm(*images, T.denoise, estimate, estimate - state, steps=7)
    assert relative_error(T.estimate(iterate(T, state, 7)), expected) <= 1e-13


def test_fixed_point_is_that_of_admm(images: tuple[Tensor, Tensor]) -> None:
    T = step_map(*images)
    expected, _ = admm(*images, T.denoise, torch.zeros_like(images[0]), torch.zeros_like(images[0]), steps=300)
    assert relative_error(T.estimate(iterate(T, images[0], 300)), expected) <= 1e-12


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_denoiser_leaves_the_fixed_point_alone(images: tuple[Tensor, Tensor], epsilon: float) -> None:
    T = step_map(*images, epsilon)
    state = iterate(T, images[0], 300)
    estimate = T.estimate(state)
    assert relative_error(T.denoise(2 * estimate - state), estimate) <= 1e-12


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_estimate_is_consistent_for_any_state(images: tuple[Tensor, Tensor], epsilon: float) -> None:
    state = 100 * torch.randn_like(images[0])
    distance = norms(A(step_map(*images, epsilon).estimate(state)) - images[1])
    assert (distance <= epsilon + 1e-12).all()


def test_selected_samples_move_as_in_the_whole_batch(images: tuple[Tensor, Tensor]) -> None:
    T, state = step_map(*images, epsilon=0.1), uniform(2, 1, 8, 10)
    assert relative_error(T.select(torch.tensor([1]))(state[[1]]), T(state)[[1]]) <= 1e-14
