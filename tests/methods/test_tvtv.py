"""TV-TV against a linear programme, which it is when epsilon = 0."""

from typing import Any

import numpy as np
import pytest
import torch
from references import dense_matrix, norms, relative_error, uniform
from scipy.optimize import linprog
from torch import Tensor

from mcnet_lightning.equilibrium import MeasurementBall, Outcome
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods import TVTV
from mcnet_lightning.methods.primal_dual import gradient, gradient_adjoint
from mcnet_lightning.operators import BicubicDownsample, DenseOperator

A = BicubicDownsample(2)
HEIGHT, WIDTH = 8, 10


def problem(batch: int = 1) -> tuple[Tensor, Tensor]:
    """w, and b of another image."""
    return uniform(batch, 1, HEIGHT, WIDTH), A(uniform(batch, 1, HEIGHT, WIDTH))


def optimum_of_the_linear_programme(w: Tensor, b: Tensor, beta: float) -> float:
    """min 1's + beta 1't  s.t.  -s <= D x <= s, -t <= D (x - w) <= t, A x = b, by HiGHS."""
    D = dense_matrix(gradient, 1, HEIGHT, WIDTH).numpy()
    M = dense_matrix(A, 1, HEIGHT, WIDTH).numpy()
    rows, size = D.shape
    zero, one = np.zeros((rows, rows)), np.eye(rows)
    target = D @ w.flatten().numpy()
    upper = np.block([[D, -one, zero], [-D, -one, zero], [D, zero, -one], [-D, zero, -one]])
    found = linprog(
        np.concatenate([np.zeros(size), np.ones(rows), beta * np.ones(rows)]),
        A_ub=upper,
        b_ub=np.concatenate([np.zeros(2 * rows), target, -target]),
        A_eq=np.hstack([M, np.zeros((len(M), 2 * rows))]),
        b_eq=b.flatten().numpy(),
        bounds=(None, None),
    )
    assert found.status == 0
    return float(found.fun)


def test_gradient_and_its_adjoint() -> None:
    image, differences = uniform(2, 3, 7, 5), uniform(2, 6, 7, 5)
    assert relative_error((gradient(image) * differences).sum(), (image * gradient_adjoint(differences)).sum()) <= 1e-13
    assert gradient(torch.ones(1, 1, 4, 4)).abs().max() == 0


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0, 2.5])
def test_reaches_the_optimum_of_the_linear_programme(beta: float) -> None:
    w, b = problem()
    solver = TVTV(prior_weight=beta, tolerance=1e-3, max_steps=20_000)
    x, stats = solver.solve(w, MeasurementBall(b, A))
    optimum = optimum_of_the_linear_programme(w, b, beta)
    assert stats.converged.all()
    assert norms(A(x) - b).max() <= 1e-12
    found = float(solver.objective(x, w))
    assert optimum * (1 - 1e-9) <= found <= optimum * (1 + 1e-3)


def test_stated_gap_bounds_the_true_one() -> None:
    w, b = problem()
    optimum = optimum_of_the_linear_programme(w, b, 1.0)
    for steps in (20, 100, 500):
        solver = TVTV(tolerance=1e-9, max_steps=steps)
        x, stats = solver.solve(w, MeasurementBall(b, A))
        assert float(solver.objective(x, w)) / optimum - 1 <= float(stats.residual)


def test_consistent_prior_image_of_small_variation_is_kept() -> None:
    """With beta > 1 nothing pays for leaving w if w is consistent: any change costs more than it gains."""
    w = uniform(1, 1, HEIGHT, WIDTH)
    x, stats = TVTV(prior_weight=1.5, tolerance=1e-6, max_steps=20_000).solve(w, MeasurementBall(A(w), A))
    assert stats.converged.all()
    assert relative_error(x, w) <= 1e-4


def test_radius_is_respected_and_used() -> None:
    w, b = problem(2)
    solver = TVTV(tolerance=1e-4, max_steps=20_000)
    loose, _ = solver.solve(w, MeasurementBall(b, A, 0.2))
    tight, _ = solver.solve(w, MeasurementBall(b, A))
    assert (norms(A(loose) - b) <= 0.2 * (1 + 1e-9)).all()
    assert (solver.objective(loose, w) < solver.objective(tight, w)).all()


def test_cap_is_reported() -> None:
    w, b = problem()
    _, stats = TVTV(tolerance=1e-9, max_steps=7).solve(w, MeasurementBall(b, A))
    assert stats.evaluations.tolist() == [7]
    assert stats.failed.all()


@pytest.mark.parametrize("options", [{"prior_weight": -1.0}, {"tolerance": 0.0}, {"max_steps": 0}, {"relaxation": 2.0}])
def test_impossible_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TVTV(**options)


def test_a_ball_out_of_reach_is_no_success() -> None:
    low_rank = DenseOperator(torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]), (1, 2, 2))
    b = torch.tensor([[1.0, 0, 0.5], [0.7, 0.7, 0.1]], dtype=torch.float64)
    for radius, ended in ((1e-3, [Outcome.INCONSISTENT, Outcome.CONVERGED]), (0.7072, [Outcome.CONVERGED] * 2)):
        _, stats = TVTV(max_steps=20_000).solve(uniform(2, 1, 2, 2), MeasurementBall(b, low_rank, radius))
        assert stats.outcome.tolist() == ended
    _, stats = TVTV(max_steps=20_000).solve(uniform(2, 1, 2, 2), MeasurementBall(b, low_rank, 1e-3))
    assert float(stats.attainable[0]) == pytest.approx(0.5**0.5)
    assert float(stats.distance[0]) == pytest.approx(0.5**0.5)
