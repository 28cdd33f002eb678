"""The solvers on maps whose fixed points are known: linear ones, singular ones, and ones that break."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from references import relative_error, uniform
from scipy.sparse.linalg import gmres
from torch import Tensor

from mcnet_lightning.equilibrium import AndersonSolver, Outcome, PicardSolver
from mcnet_lightning.equilibrium.anderson import anderson_weights
from mcnet_lightning.errors import ConfigError

SHAPE = (1, 4, 5)
SIZE = 20


class LinearMap:
    """T(y) = M y + c, another M per sample; counts the rows it is given. `rate` is the spectral norm of M."""

    def __init__(self, *rates: float, symmetric: bool = False) -> None:
        matrices = torch.randn(len(rates), SIZE, SIZE, dtype=torch.float64)
        if symmetric:
            matrices = matrices + matrices.transpose(1, 2)
        norms = torch.linalg.matrix_norm(matrices, ord=2)
        self.matrices = matrices * (torch.tensor(rates, dtype=torch.float64) / norms)[:, None, None]
        self.constants = torch.randn(len(rates), SIZE, 1, dtype=torch.float64)
        self.rows: list[int] = []

    def __call__(self, state: Tensor) -> Tensor:
        self.rows.append(len(state))
        return (self.matrices @ state.flatten(1).unsqueeze(2) + self.constants).view_as(state)

    def select(self, index: Tensor) -> "LinearMap":
        part = object.__new__(LinearMap)
        part.matrices, part.constants, part.rows = self.matrices[index], self.constants[index], self.rows
        return part

    @property
    def fixed_point(self) -> Tensor:
        identity = torch.eye(SIZE, dtype=torch.float64)
        return torch.linalg.solve(identity - self.matrices, self.constants).view(-1, *SHAPE)


def spoiled(T: LinearMap, sample: int, step: int, value: float) -> Callable[[Tensor], Tensor]:
    """T with one pixel of one sample replaced at its `step`-th evaluation."""
    calls = iter(range(1, 10_000))

    def evaluate(state: Tensor) -> Tensor:
        result = T(state)
        if next(calls) == step:
            result[sample, 0, 1, 2] = value
        return result

    return evaluate


def start(batch: int) -> Tensor:
    return uniform(batch, *SHAPE)


def test_reaches_the_dense_solution_of_a_linear_contraction() -> None:
    T = LinearMap(0.3, 0.9, 0.99)
    found, stats = AndersonSolver(tolerance=1e-13, max_evaluations=200).solve(T, start(3))
    assert stats.converged.all()
    assert relative_error(found, T.fixed_point) <= 1e-11  # tolerance / (1 - 0.99)


def test_needs_no_more_evaluations_than_gmres_needs_products() -> None:
    """With full memory Anderson acceleration of a linear map is GMRES (Walker & Ni 2011), two evaluations behind."""
    T, tolerance = LinearMap(0.95), 1e-8
    y0 = start(1)
    _, stats = AndersonSolver(tolerance, 200, history_size=SIZE, ridge=1e-14).solve(T, y0)
    products: list[float] = []
    rhs = (T.constants + T.matrices @ y0.flatten()[None, :, None] - y0.flatten()[None, :, None])[0, :, 0].numpy()
    scale = float(T.fixed_point.norm() / np.linalg.norm(rhs))  # both stop at ||T(y) - y|| = tolerance ||T(y)||
    matrix = np.eye(SIZE) - T.matrices[0].numpy()
    gmres(matrix, rhs, rtol=tolerance * scale, restart=SIZE, callback=products.append, callback_type="pr_norm")
    assert int(stats.evaluations) <= len(products) + 2


def test_acceleration_beats_plain_iteration() -> None:
    T = LinearMap(0.97, symmetric=True)
    counts = [
        int(solver.solve(T, start(1))[1].evaluations) for solver in (AndersonSolver(1e-6, 500), PicardSolver(1e-6, 500))
    ]
    assert counts[0] < counts[1] / 5


@pytest.mark.parametrize("tolerance", [1e-4, 1e-12])
@pytest.mark.parametrize("solver", [AndersonSolver, PicardSolver])
def test_no_sample_depends_on_its_batch_mates(solver: type[AndersonSolver], tolerance: float) -> None:
    T, y0 = LinearMap(0.1, 0.9, 0.99, 0.5), start(4)
    method = solver(tolerance=tolerance, max_evaluations=60)
    together, stats = method.solve(T, y0)
    for sample in range(4):
        alone, own = method.solve(T.select(torch.tensor([sample])), y0[[sample]])
        assert relative_error(together[[sample]], alone) <= 1e-10
        assert own.evaluations == stats.evaluations[sample]
        assert own.outcome == stats.outcome[sample]
    assert len(stats.evaluations.unique()) > 2  # the samples were of different difficulty


def test_finished_samples_cost_nothing() -> None:
    T = LinearMap(0.01, 0.5, 0.95)
    _, stats = AndersonSolver(tolerance=1e-8).solve(T, start(3))
    assert sum(T.rows) == int(stats.evaluations.sum())
    assert T.rows[-1] == 1


def test_plain_function_gives_the_same_as_a_map_with_select() -> None:
    T, y0 = LinearMap(0.1, 0.9), start(2)
    selecting, stats = AndersonSolver().solve(T, y0)
    plain, plain_stats = AndersonSolver().solve(lambda y: T(y), y0)
    assert relative_error(plain, selecting) <= 1e-12
    assert torch.equal(plain_stats.evaluations, stats.evaluations)


@pytest.mark.parametrize("mixing", [1.0, 0.5])
def test_picard_is_plain_damped_iteration(mixing: float) -> None:
    T, y0 = LinearMap(0.8, 0.9), start(2)
    found, stats = PicardSolver(tolerance=1e-15, max_evaluations=9, mixing=mixing).solve(T, y0)
    state = y0
    for _ in range(8):
        state = state + mixing * (T(state) - state)
    assert relative_error(found, T(state)) <= 1e-14
    assert stats.evaluations.tolist() == [9, 9]


def test_mixing_damps_but_keeps_the_fixed_point() -> None:
    T = LinearMap(0.9)
    found, stats = AndersonSolver(tolerance=1e-12, mixing=0.5).solve(T, start(1))
    assert stats.converged.all()
    assert relative_error(found, T.fixed_point) <= 1e-10


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scaling_the_problem_changes_nothing(factor: float, dtype: torch.dtype) -> None:
    T, y0 = LinearMap(0.5, 0.95), start(2)
    T.matrices, T.constants = T.matrices.to(dtype), T.constants.to(dtype)
    solver = AndersonSolver(tolerance=1e-5)
    plain, stats = solver.solve(T, y0.to(dtype))
    scaled, scaled_stats = solver.solve(lambda y: factor * T(y / factor), factor * y0.to(dtype))
    assert torch.equal(scaled_stats.evaluations, stats.evaluations)
    assert relative_error(scaled / factor, plain) <= 1e-4  # both lie within tolerance / (1 - 0.95) of the fixed point


def test_trace_holds_every_residual_until_the_sample_stops() -> None:
    T = LinearMap(0.01, 0.9)
    y0 = start(2)
    _, stats = AndersonSolver().solve(T, y0)
    first = (T(y0) - y0).flatten(1).norm(dim=1) / T(y0).flatten(1).norm(dim=1)
    torch.testing.assert_close(stats.trace[0], first, rtol=1e-14, atol=0)
    for sample, count in enumerate(stats.evaluations.tolist()):
        assert torch.isfinite(stats.trace[:count, sample]).all()
        assert torch.isnan(stats.trace[count:, sample]).all()
        assert stats.trace[count - 1, sample] == stats.residual[sample]


def test_zero_fixed_point_does_not_divide_by_zero() -> None:
    found, stats = AndersonSolver().solve(lambda y: 0.5 * y, torch.zeros(1, *SHAPE))
    assert stats.converged.all()
    assert not found.any()


def test_start_at_the_fixed_point_takes_one_evaluation() -> None:
    T = LinearMap(0.9, 0.5)
    _, stats = AndersonSolver(tolerance=1e-10).solve(T, T.fixed_point)
    assert stats.evaluations.tolist() == [1, 1]


@pytest.mark.parametrize("ridge", [0.0, 1e-8])
def test_singular_system_ends_without_convergence_and_without_nan(ridge: float) -> None:
    """T(y) = y + c has no fixed point; all residuals are equal, so that the Gram matrix has rank one."""
    found, stats = AndersonSolver(max_evaluations=30, ridge=ridge).solve(lambda y: y + 1.0, start(2))
    assert stats.outcome.tolist() == [Outcome.MAX_EVALUATIONS] * 2
    assert stats.evaluations.tolist() == [30, 30]
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("ridge", [0.0, 1e-8])
def test_exhausted_krylov_space_is_survived(ridge: float) -> None:
    """Residuals of a map of rank one repeat each other; the solution is still reached."""
    direction = torch.nn.functional.normalize(torch.randn(SIZE, dtype=torch.float64), dim=0)
    T = LinearMap(0.9)
    T.matrices = 0.9 * torch.outer(direction, direction)[None]
    found, stats = AndersonSolver(tolerance=1e-14, ridge=ridge).solve(T, start(1))
    assert stats.converged.all()
    assert relative_error(found, T.fixed_point) <= 1e-12


def test_anderson_finds_a_repelling_fixed_point_of_a_linear_map() -> None:
    found, stats = AndersonSolver(tolerance=1e-12).solve(lambda y: -2 * y + 1, start(1))
    assert stats.converged.all()
    torch.testing.assert_close(found, torch.full_like(found, 1 / 3), rtol=1e-11, atol=0)


def test_non_contractive_map_ends_as_not_converged_with_the_best_iterate() -> None:
    def T(y: Tensor) -> Tensor:
        return 3 * y + 1  # repels, damped or not

    y0 = start(1)
    found, stats = PicardSolver(max_evaluations=50).solve(T, y0)
    assert stats.outcome.tolist() == [Outcome.MAX_EVALUATIONS]
    assert stats.residual == stats.trace.min()
    assert torch.isfinite(found).all()


def test_overflow_is_seen_when_it_happens() -> None:
    found, stats = PicardSolver(max_evaluations=50).solve(lambda y: y**3 + 10, 10 * torch.ones(1, *SHAPE))
    assert stats.outcome.tolist() == [Outcome.NON_FINITE]
    assert int(stats.evaluations) < 10
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nan_ends_its_own_sample_at_the_step_where_it_appears(step: int, value: float) -> None:
    T, y0 = LinearMap(0.9, 0.95, 0.9), start(3)
    solver = AndersonSolver(tolerance=1e-10)
    expected, healthy = solver.solve(T, y0)
    found, stats = solver.solve(spoiled(T, sample=1, step=step, value=value), y0)
    assert stats.outcome.tolist() == [Outcome.CONVERGED, Outcome.NON_FINITE, Outcome.CONVERGED]
    assert stats.evaluations.tolist() == [healthy.evaluations[0], step, healthy.evaluations[2]]
    assert relative_error(found[[0, 2]], expected[[0, 2]]) <= 1e-12
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("solver", [AndersonSolver, PicardSolver])
def test_runaway_sample_goes_on_from_its_best_iterate(solver: type[AndersonSolver]) -> None:
    T, y0 = LinearMap(0.9), start(1)
    method = solver(tolerance=1e-10, max_evaluations=300)
    found, stats = method.solve(spoiled(T, sample=0, step=6, value=1e9), y0)
    assert stats.converged.all()
    assert stats.trace[5, 0] > 10 * stats.trace[4, 0]
    assert stats.trace[6, 0] < 2 * stats.trace[4, 0]
    assert relative_error(found, T.fixed_point) <= 1e-8


def test_sample_that_keeps_running_away_is_damped() -> None:
    """Eigenvalue -1.3: plain steps diverge, half steps contract by 0.15."""
    fixed_point = start(1)
    near = fixed_point + 1e-3 * torch.randn_like(fixed_point)
    found, stats = PicardSolver(tolerance=1e-10).solve(lambda y: fixed_point - 1.3 * (y - fixed_point), near)
    assert stats.converged.all()
    assert relative_error(found, fixed_point) <= 1e-9


@pytest.mark.parametrize("mixing", [1.0, 0.4])
def test_sample_that_stalls_without_memory_is_damped_and_no_other(mixing: float) -> None:
    """Eigenvalues -1.02, whose residual grows for hundreds of steps before it counts as running away, and 0.5."""
    fixed_point, eigenvalue = start(2), torch.tensor([-1.02, 0.5], dtype=torch.float64).view(2, 1, 1, 1)
    near = fixed_point + 1e-3 * torch.randn_like(fixed_point)

    def T(y: Tensor) -> Tensor:
        return fixed_point + eigenvalue * (y - fixed_point)

    found, stats = PicardSolver(tolerance=1e-10, max_evaluations=120, mixing=mixing).solve(T, near)
    assert stats.converged.all()
    assert relative_error(found, fixed_point) <= 1e-9
    steps = stats.trace[1:, 1] / stats.trace[:-1, 1]
    assert torch.allclose(steps[steps.isfinite()], torch.tensor(1 - mixing / 2, dtype=torch.float64), rtol=1e-3)


def test_weights_minimise_the_combined_residual() -> None:
    residuals = torch.randn(1, 4, 9, dtype=torch.float64)
    gram = (residuals @ residuals.transpose(1, 2)).numpy()
    weights, singular = anderson_weights(gram, np.ones((1, 4), dtype=bool), newest=np.array([3]), ridge=0.0)
    differences = (residuals[0, :3] - residuals[0, 3]).T
    free = torch.linalg.lstsq(differences, -residuals[0, 3][:, None]).solution[:, 0]
    expected = torch.cat([free, 1 - free.sum()[None]])
    assert not singular.any()
    assert relative_error(torch.from_numpy(weights[0]), expected) <= 1e-12


def test_weights_leave_empty_slots_out() -> None:
    residuals = torch.randn(1, 4, 9, dtype=torch.float64)
    gram = (residuals @ residuals.transpose(1, 2)).numpy()
    filled = np.array([[True, False, True, False]])
    weights, _ = anderson_weights(gram, filled, newest=np.array([2]), ridge=1e-8)
    smaller, _ = anderson_weights(gram[:, ::2, ::2], filled[:, ::2], newest=np.array([1]), ridge=1e-8)
    assert not weights[0, 1::2].any()
    np.testing.assert_allclose(weights[:, ::2], smaller, rtol=1e-14)


def test_weights_of_a_singular_system_fall_back_to_the_newest() -> None:
    weights, singular = anderson_weights(
        np.ones((1, 3, 3)), np.ones((1, 3), dtype=bool), newest=np.array([1]), ridge=0.0
    )
    assert singular.all()
    assert weights.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    "options",
    [
        {"tolerance": 0.0},
        {"tolerance": -1e-5},
        {"max_evaluations": 0},
        {"mixing": 0.0},
        {"mixing": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("solver", [AndersonSolver, PicardSolver])
def test_impossible_settings_are_refused(solver: type[AndersonSolver | PicardSolver], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        solver(**options)


@pytest.mark.parametrize("options", [{"history_size": 0}, {"ridge": -1e-8}], ids=str)
def test_an_impossible_history_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        AndersonSolver(**options)
