"""A relaxed denoiser: the layer of (1 - g) Id + g R, by every way that evaluates it."""

from typing import Any

import pytest
import torch
from references import relative_error, tiny_layer, uniform
from torch import Tensor, nn

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import GMRES, AndersonSolver, EquilibriumLayer, PublishedSolver
from mcnet_lightning.equilibrium.export import FixedIterationLayer
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)
RELAXATION = 0.6


class Mixed(nn.Module):
    """(1 - g) v + g R(v), written out."""

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, image: Tensor) -> Tensor:
        return (1 - RELAXATION) * image + RELAXATION * self.denoiser(image)


def pair() -> tuple[EquilibriumLayer, EquilibriumLayer]:
    """A relaxed layer, and one on the mixture itself."""
    relaxed = tiny_layer()
    mixed = EquilibriumLayer(Mixed(relaxed.denoiser), prior_weight=0.5, solver=relaxed.solver).double().eval()
    relaxed.relaxation = RELAXATION
    return relaxed, mixed


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_estimate_and_gradients_are_those_of_the_mixture(epsilon: float) -> None:
    w, b = uniform(2, 1, 12, 10), A(uniform(2, 1, 12, 10))
    found = []
    for layer in pair():
        layer.backward_solver = GMRES(tolerance=1e-12)
        start = w.clone().requires_grad_()
        estimate = layer(start, b, A, epsilon).estimate
        found.append([estimate.detach(), *torch.autograd.grad(estimate.square().sum(), [start, *layer.parameters()])])
    for ours, theirs in zip(*map(sorted_by_size, found), strict=True):
        assert relative_error(ours, theirs) <= 1e-9


def sorted_by_size(tensors: list[Tensor]) -> list[Tensor]:
    return sorted(tensors, key=lambda tensor: (tensor.numel(), float(tensor.norm())))


@torch.no_grad()
def test_linearised_map_is_that_of_the_mixture() -> None:
    (relaxed, mixed), w, b = pair(), uniform(1, 1, 12, 10), A(uniform(1, 1, 12, 10))
    state, direction = uniform(1, 1, 12, 10), uniform(1, 1, 12, 10)
    linearised = relaxed.map(w, b, A).linearise(state, torch.float64)
    assert linearised is not None
    value, near, vjp = linearised
    T = mixed.map(w, b, A)
    with torch.enable_grad():
        expected = torch.autograd.functional.vjp(T, state, direction)[1]
    assert relative_error(value, T(state)) <= 1e-13
    assert relative_error(near(state), T(state)) <= 1e-13
    assert relative_error(vjp(direction), expected) <= 1e-12


@torch.no_grad()
def test_published_solver_and_exported_graph_relax_too() -> None:
    (relaxed, mixed), w, b = pair(), uniform(1, 1, 16, 16), A(uniform(1, 1, 16, 16))
    exported = [FixedIterationLayer(layer, A, (16, 16), 5)(w, b) for layer in (relaxed, mixed)]
    assert relative_error(exported[0], exported[1]) <= 1e-13
    expected = mixed(w, b, A).estimate
    relaxed.solver = PublishedSolver(1e-9, max_evaluations=500)
    assert relative_error(relaxed(w, b, A).estimate, expected) <= 1e-6


@torch.no_grad()
def test_relaxation_settles_a_denoiser_that_does_not_settle() -> None:
    network = DnCNN(4, 8, spectral_norm=False)
    for weight in network.weights:
        weight.mul_(1.2)
    w, b = uniform(1, 1, 24, 24).float(), A(uniform(1, 1, 24, 24)).float()
    settled = []
    for relaxation in (1.0, 0.1):
        layer = EquilibriumLayer(network, 0.5, solver=AndersonSolver(max_evaluations=60), relaxation=relaxation).eval()
        settled.append(bool(layer(w, b, A).stats.converged))
    assert settled == [False, True]


@pytest.mark.parametrize("parameterisation", ["noise_residual", "averaged", "direct"])
@torch.no_grad()
def test_certificate_bounds_the_relaxed_denoiser(parameterisation: Any) -> None:
    layer = EquilibriumLayer(DnCNN(3, 8, parameterisation, spectral_norm=False), relaxation=RELAXATION)
    bound = layer.certificate()["denoiser_lipschitz_bound"]
    mixture, near, far = Mixed(layer.denoiser), uniform(1, 1, 16, 16).float(), uniform(1, 1, 16, 16).float()
    assert (mixture(near) - mixture(far)).norm() <= bound * (near - far).norm()
    assert bound == pytest.approx(
        1 - RELAXATION + RELAXATION * layer.denoiser.certificate()["denoiser_lipschitz_bound"]
    )


def test_a_denoiser_without_bounds_has_none_relaxed() -> None:
    assert EquilibriumLayer(nn.Conv2d(1, 1, 3, padding=1), relaxation=RELAXATION).certificate() == {}


@pytest.mark.parametrize("relaxation", [0.0, -0.5, 1.5, float("nan")])
def test_relaxation_outside_its_range_is_refused(relaxation: float) -> None:
    with pytest.raises(ConfigError, match="relaxation"):
        EquilibriumLayer(DnCNN(2, 2), relaxation=relaxation)
