"""The local estimates against the dense Jacobian."""

from typing import Any

import pytest
import torch
from references import HiddenBasis, dense_jacobian, dncnn, tiny_layer, uniform
from torch import Tensor

from mcnet_lightning.equilibrium import DouglasRachfordMap, local_jacobian
from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator

A = BicubicDownsample(2)


def at_fixed_point(
    epsilon: float, operator: MeasurementOperator = A, **denoiser: Any
) -> tuple[DouglasRachfordMap, Tensor]:
    w, b = uniform(2, 1, 6, 6), operator(uniform(2, 1, 6, 6))
    layer = tiny_layer(**denoiser)
    T = layer.map(w, b, operator, epsilon)
    return T, layer.solver.solve(T, w)[0]


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 9.0])
@pytest.mark.parametrize("denoiser", [{}, {"parameterisation": "averaged"}, {"rescale": "per_sample"}], ids=str)
def test_equals_the_dense_jacobian(epsilon: float, denoiser: dict[str, Any]) -> None:
    T, state = at_fixed_point(epsilon, **denoiser)
    local = local_jacobian(T, state, steps=300)  # more than there are pixels
    for sample in range(2):
        J = dense_jacobian(T.select(torch.tensor([sample])), state[[sample]])
        norm, radius = torch.linalg.matrix_norm(J, ord=2), torch.linalg.eigvals(J).abs().max()
        assert 0.995 <= float(local.norm[sample] / norm) <= 1 + 1e-12  # slow: the largest singular values are close
        assert float(local.spectral_radius[sample] / radius) == pytest.approx(1, rel=1e-8)


def test_norm_and_radius_of_a_non_normal_map_are_told_apart() -> None:
    J = torch.diag(torch.linspace(0.1, 0.5, 9).double())
    J[0, 8] = 3.0
    local = local_jacobian(lambda y: (y.flatten(1) @ J.T).view_as(y), uniform(2, 1, 3, 3), steps=30)
    assert local.norm.tolist() == pytest.approx([float(torch.linalg.matrix_norm(J, ord=2))] * 2, rel=1e-10)
    assert local.spectral_radius.tolist() == pytest.approx([0.5] * 2, rel=1e-8)


def test_norm_is_an_estimate_from_below_that_rises() -> None:
    T, state = at_fixed_point(0.0)
    estimates = torch.stack([local_jacobian(T, state, steps).norm for steps in (1, 2, 5, 20, 100)])
    exact = [torch.linalg.matrix_norm(dense_jacobian(T.select(torch.tensor([i])), state[[i]]), ord=2) for i in range(2)]
    assert (estimates.diff(dim=0) >= -1e-12).all()
    assert (estimates[-1] <= torch.stack(exact) * (1 + 1e-12)).all()


def test_nan_in_the_weights_gives_nan() -> None:
    """LAPACK's eigenvalue routines may end the process when they are given one."""
    layer = tiny_layer(spectral_norm=False)
    with torch.no_grad():
        dncnn(layer).weights[1][0, 0, 0, 0] = torch.nan
    w = uniform(2, 1, 6, 6)
    local = local_jacobian(layer.map(w, A(w), A), w)
    assert torch.isnan(local.norm).all()
    assert torch.isnan(local.spectral_radius).all()


def test_same_seed_gives_the_same_estimate() -> None:
    T, state = at_fixed_point(0.0)
    first, second = (local_jacobian(T, state, steps=3, seed=7) for _ in range(2))
    assert torch.equal(first.norm, second.norm)
    assert torch.equal(first.spectral_radius, second.spectral_radius)


def test_operators_without_a_basis_are_measured_too() -> None:
    torch.manual_seed(0)
    expected = local_jacobian(*at_fixed_point(0.0), steps=10)
    torch.manual_seed(0)
    found = local_jacobian(*at_fixed_point(0.0, HiddenBasis(A)), steps=10)
    torch.testing.assert_close(found.norm, expected.norm, rtol=1e-8, atol=0)
