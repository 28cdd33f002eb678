"""The gradient through the fixed point: implicit = unrolled = finite differences, on the whole layer."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from references import relative_error, tiny_layer, uniform
from scipy.sparse.linalg import gmres
from torch import Tensor

from mcnet_lightning.equilibrium import (
    GMRES,
    AdjointAnderson,
    AndersonSolver,
    JacobianFree,
    Neumann,
    Outcome,
    SolveStats,
    Unrolled,
)
from mcnet_lightning.equilibrium.implicit import AdjointSolver
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)
BATCH, SIZE = 3, (7, 10)
RADII = {"zero": (0.0, 0.0, 0.0), "positive": (0.05, 0.1, 0.02), "mixed": (0.0, 0.05, 9.0)}  # 9: inactive
SCHEMES: dict[str, AdjointSolver | Unrolled] = {
    "gmres": GMRES(tolerance=1e-13, max_products=60),
    "anderson": AdjointAnderson(tolerance=1e-13, max_products=200),
    "neumann": Neumann(terms=200),
    "unrolled": Unrolled(max_evaluations=200),  # T contracts by 0.7: 0.7^200 is far below rounding
}
STEP = 1e-6  # central differences: 1e-12 of curvature, 1e-10 of rounding, hardly ever across a kink of a ReLU


class Problem:
    """The squared distance of the layer's estimate to a target, as a function of all that it depends on."""

    def __init__(self, radii: str, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(1)
        self.layer = tiny_layer()
        self.target = uniform(BATCH, 1, *SIZE)
        self.leaves = {
            "w": (self.target + 0.1 * torch.randn_like(self.target)).requires_grad_(),
            "b": A(self.target).requires_grad_(),
            "epsilon": torch.tensor(RADII[radii], dtype=torch.float64).requires_grad_(),
        }

    def groups(self) -> dict[str, list[Tensor]]:
        named = dict(self.layer.named_parameters())
        beta = named.pop("raw_prior_weight")
        return {"theta": list(named.values()), "beta": [beta], **{name: [leaf] for name, leaf in self.leaves.items()}}

    def losses(self) -> Tensor:
        """One per sample, (B,)."""
        w, b, epsilon = self.leaves.values()
        result = self.layer(w, b, A, epsilon)
        assert isinstance(self.layer.backward_solver, Unrolled) or result.stats.converged.all()
        return (result.estimate - self.target).square().flatten(1).sum(dim=1)

    def shifted_loss(self, group: str, direction: Tensor, step: float) -> float:
        """The loss with one group moved by step * direction."""
        pieces = direction.split([leaf.numel() for leaf in self.groups()[group]])
        with torch.no_grad():
            for sign in (1, -1):
                for leaf, piece in zip(self.groups()[group], pieces, strict=True):
                    leaf += sign * step * piece.view_as(leaf)
                if sign == 1:
                    loss = float(self.losses().sum())
        return loss


def gradients(problem: Problem, scheme: AdjointSolver | Unrolled) -> dict[str, Tensor]:
    """Of the summed loss, one flat vector per group."""
    problem.layer.backward_solver = scheme
    groups = problem.groups()
    leaves = [leaf for group in groups.values() for leaf in group]
    pieces = iter(torch.autograd.grad(problem.losses().sum(), leaves, materialize_grads=True))
    return {name: torch.cat([next(pieces).flatten() for _ in group]) for name, group in groups.items()}


@cache
def gradient(radii: str, scheme: str) -> dict[str, Tensor]:
    return gradients(Problem(radii), SCHEMES[scheme])


def cases(*names: str) -> list[tuple[str, str]]:
    """Without d/d epsilon where epsilon = 0: there it lies on its own bound."""
    return [(radii, name) for radii in RADII for name in names if (radii, name) != ("zero", "epsilon")]


each_derivative = pytest.mark.parametrize(("radii", "group"), cases("theta", "beta", "w", "b", "epsilon"))


@each_derivative
@pytest.mark.parametrize("scheme", ["gmres", "anderson", "neumann"])
def test_implicit_equals_unrolled(radii: str, group: str, scheme: str) -> None:
    assert relative_error(gradient(radii, scheme)[group], gradient(radii, "unrolled")[group]) <= 1e-9


@each_derivative
def test_implicit_equals_finite_differences(radii: str, group: str) -> None:
    problem, slope = Problem(radii), gradient(radii, "gmres")[group]
    for _ in range(3):  # partly along the gradient, partly across: the difference quotient is never small
        direction = slope / slope.norm() + 0.7 * torch.nn.functional.normalize(torch.randn_like(slope), dim=0)
        if group == "epsilon" and radii == "mixed":
            direction[0] = 0.0  # epsilon = 0 cannot go down
        ahead, back = (problem.shifted_loss(group, direction, sign * STEP) for sign in (1, -1))
        assert abs((ahead - back) / (2 * STEP) / float(slope @ direction) - 1) <= 1e-6


@pytest.mark.parametrize("radii", RADII)
def test_backward_of_a_batch_is_that_of_its_samples(radii: str) -> None:
    problem = Problem(radii)
    problem.layer.backward_solver = GMRES(tolerance=1e-3)  # the samples stop after different numbers of products
    parameters = problem.groups()["theta"]
    leaves = [*parameters, *problem.leaves.values()]
    together = torch.autograd.grad(problem.losses().sum(), leaves, materialize_grads=True)
    summed = [torch.zeros_like(parameter) for parameter in parameters]
    for sample in range(BATCH):
        w, b, epsilon = (leaf[[sample]] for leaf in problem.leaves.values())
        loss = (problem.layer(w, b, A, epsilon).estimate - problem.target[[sample]]).square().sum()
        alone = torch.autograd.grad(loss, leaves, materialize_grads=True)
        for ours, theirs in zip(together[len(parameters) :], alone[len(parameters) :], strict=True):
            torch.testing.assert_close(ours[sample], theirs[sample], rtol=1e-10, atol=1e-12)
        summed = [total + part for total, part in zip(summed, alone, strict=False)]
    for ours, theirs in zip(together, summed, strict=False):
        assert relative_error(ours, theirs) <= 1e-10


@pytest.mark.parametrize("terms", [0, 1, 3])
def test_neumann_series_is_that_many_more_steps_on_the_tape(terms: int) -> None:
    problem = Problem("positive")
    scheme = Neumann(terms) if terms else JacobianFree()
    found = gradients(problem, scheme)
    w, b, epsilon = problem.leaves.values()
    T = problem.layer.map(w, b, A, epsilon)
    with torch.no_grad():
        state = problem.layer.solver.solve(T, w)[0]
    for _ in range(terms + 1):
        state = T(state)
    loss = (T.estimate(state) - problem.target).square().sum()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, problem.groups()["theta"])])
    assert relative_error(found["theta"], expected) <= 1e-11


def test_longer_neumann_series_come_closer() -> None:
    exact = gradient("zero", "gmres")["theta"]
    errors = [relative_error(gradients(Problem("zero"), Neumann(n))["theta"], exact) for n in (0, 2, 5, 10, 40)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.01 > 1e-4 > errors[-1]


def test_products_in_half_precision_cost_little_accuracy() -> None:
    """bfloat16 has 8 bits; only the convolutions of the backward pass see it, never the activations."""
    problem = Problem("zero")
    problem.layer.float()
    problem.target = problem.target.float()
    problem.leaves = {name: leaf.detach().float().requires_grad_() for name, leaf in problem.leaves.items()}
    problem.layer.solver = AndersonSolver(1e-6, half_evaluations=False)
    exact = gradient("zero", "gmres")["theta"]
    full = relative_error(gradients(problem, GMRES(1e-3, half_products=False))["theta"].double(), exact)
    half = relative_error(gradients(problem, GMRES(1e-3, half_products=True))["theta"].double(), exact)
    assert full < 1e-3
    assert full < half < 0.02


def recorded(problem: Problem) -> SolveStats | None:
    return problem.layer.backward_stats


def test_backward_stats_are_recorded() -> None:
    problem = Problem("zero")
    assert recorded(problem) is None
    gradients(problem, GMRES(tolerance=1e-6))
    stats = recorded(problem)
    assert stats is not None
    assert stats.converged.all()
    assert (stats.residual <= 1e-6).all()


def test_differentiable_once_only() -> None:
    problem = Problem("zero")
    (first,) = torch.autograd.grad(problem.losses().sum(), problem.leaves["w"], create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable; .* backward=unrolled"):
        first.square().sum().backward()


# the solvers of v = J^T v + g, on matrices


def linear(*rates: float, size: int = 12) -> tuple[Tensor, Callable[[Tensor], Tensor], Tensor]:
    """J (B, n, n) of these spectral norms, v -> J^T v, and g."""
    matrices = torch.randn(len(rates), size, size, dtype=torch.float64)
    norms = torch.linalg.matrix_norm(matrices, ord=2)
    matrices *= (torch.tensor(rates, dtype=torch.float64) / norms)[:, None, None]
    return matrices, lambda v: (v.unsqueeze(1) @ matrices).squeeze(1), torch.randn(len(rates), size).double()


@pytest.mark.parametrize("scheme", ["gmres", "anderson", "neumann"])
def test_adjoint_equation_equals_the_dense_solution(scheme: str) -> None:
    matrices, vjp, g = linear(0.3, 0.8, 0.9)
    solver = SCHEMES[scheme]
    assert not isinstance(solver, Unrolled)
    v, stats = solver.solve_adjoint(vjp, g)
    expected = torch.linalg.solve(torch.eye(12) - matrices.transpose(1, 2), g.unsqueeze(2)).squeeze(2)
    assert relative_error(v, expected) <= 1e-9
    assert scheme == "neumann" or stats.converged.all()


@pytest.mark.parametrize("scheme", [GMRES(tolerance=1e-3), AdjointAnderson(tolerance=1e-3)], ids=["gmres", "anderson"])
def test_true_residual_of_the_adjoint_is_within_tolerance(scheme: GMRES | AdjointAnderson) -> None:
    _, vjp, g = linear(0.3, 0.95)
    v, stats = scheme.solve_adjoint(vjp, g)
    true = (v - vjp(v) - g).norm(dim=1)
    assert (true <= 1e-3 * (g if isinstance(scheme, GMRES) else v).norm(dim=1) * (1 + 1e-9)).all()
    assert stats.evaluations[0] < stats.evaluations[1]


def test_gmres_residuals_are_those_of_scipy() -> None:
    matrices, vjp, g = linear(0.95)
    _, stats = GMRES(tolerance=1e-12, max_products=12).solve_adjoint(vjp, g)
    expected: list[float] = []
    system = (torch.eye(12) - matrices[0].T).numpy()
    gmres(system, g[0].numpy(), rtol=1e-12, restart=12, callback=expected.append, callback_type="pr_norm")
    count = min(len(expected), len(stats.trace))
    torch.testing.assert_close(stats.trace[:count, 0], torch.tensor(expected[:count]).double(), rtol=1e-6, atol=1e-12)


def times(matrices: Tensor, v: Tensor) -> Tensor:
    return (v.unsqueeze(1) @ matrices).squeeze(1)


@pytest.mark.parametrize("scheme", [GMRES(), AdjointAnderson()], ids=["gmres", "anderson"])
def test_adjoint_of_a_sample_does_not_depend_on_its_batch_mates(scheme: GMRES | AdjointAnderson) -> None:
    matrices, vjp, g = linear(0.1, 0.99, 0.7)
    together, stats = scheme.solve_adjoint(vjp, g)
    for sample in range(3):
        own = partial(times, matrices[[sample]])
        alone, own_stats = scheme.solve_adjoint(own, g[[sample]])
        assert relative_error(together[[sample]], alone) <= 1e-10
        assert own_stats.evaluations == stats.evaluations[sample]


@pytest.mark.parametrize("scheme", [GMRES(), AdjointAnderson()], ids=["gmres", "anderson"])
def test_zero_gradient_gives_zero(scheme: GMRES | AdjointAnderson) -> None:
    _, vjp, g = linear(0.5, 0.5)
    g[0] = 0.0
    v, stats = scheme.solve_adjoint(vjp, g)
    assert not v[0].any()
    assert v[1].any()
    assert stats.converged.all()


@pytest.mark.parametrize("scheme", [GMRES(), AdjointAnderson()], ids=["gmres", "anderson"])
def test_nan_gradient_stays_in_its_sample(scheme: GMRES | AdjointAnderson) -> None:
    _, vjp, g = linear(0.5, 0.5)
    expected, _ = scheme.solve_adjoint(vjp, g)
    g[0, 3] = torch.nan
    v, stats = scheme.solve_adjoint(vjp, g)
    assert stats.outcome.tolist() == [Outcome.NON_FINITE, Outcome.CONVERGED]
    assert relative_error(v[1], expected[1]) <= 1e-12


def test_gmres_at_its_cap_says_so_and_returns_its_best() -> None:
    _, vjp, g = linear(0.99)
    v, stats = GMRES(tolerance=1e-10, max_products=3).solve_adjoint(vjp, g)
    assert stats.outcome.tolist() == [Outcome.MAX_EVALUATIONS]
    torch.testing.assert_close((v - vjp(v) - g).norm(dim=1) / g.norm(dim=1), stats.residual, rtol=1e-10, atol=0)


def test_gmres_survives_an_exhausted_krylov_space() -> None:
    v, stats = GMRES(tolerance=1e-14).solve_adjoint(lambda v: 0.5 * v, torch.ones(1, 6, dtype=torch.float64))
    assert stats.converged.all()
    torch.testing.assert_close(v, torch.full_like(v, 2.0), rtol=1e-14, atol=0)


@pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"max_products": 0}], ids=str)
@pytest.mark.parametrize("scheme", [GMRES, AdjointAnderson])
def test_impossible_settings_are_refused(scheme: type[GMRES], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        scheme(**options).solve_adjoint(lambda v: v, torch.ones(1, 2))
