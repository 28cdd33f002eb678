"""Consistency that cannot fail silently: measurements out of reach, operators of low rank, kernels that erase, and 200
random matrices, each by closed form, by the Krylov method and by SciPy.
"""

import math

import numpy as np
import pytest
import torch
from references import HiddenBasis, dense_matrix, norms, relative_error, tiny_layer, uniform
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from skimage.data import camera
from torch import Tensor

from mcnet_lightning.equilibrium import MeasurementBall, Outcome, Reached, project_measurement_ball
from mcnet_lightning.errors import ConfigError, ConvergenceError
from mcnet_lightning.operators import (
    BicubicDownsample,
    BlurDownsample,
    DenseOperator,
    DiagonalGramOperator,
    MeasurementOperator,
)
from mcnet_lightning.operators.blur import gaussian_kernel

LOW_RANK = DenseOperator(torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]), (1, 2, 2))


class Plain(MeasurementOperator):
    """A matrix, or one for each sample, of which only products are known."""

    name = "plain"

    image_shape: tuple[int, ...]

    def __init__(self, matrix: Tensor, image_shape: tuple[int, ...]) -> None:
        self.matrix, self.image_shape, self.applications = matrix, image_shape, 0

    def measurement_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (image_shape[0], self.matrix.shape[-2])

    def __call__(self, image: Tensor) -> Tensor:
        self.applications += 1
        return (self.matrix @ image.flatten(1).unsqueeze(2)).squeeze(2)

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        return (self.matrix.mT @ measurement.unsqueeze(2)).view(len(measurement), *self.image_shape)

    def select(self, index: Tensor) -> MeasurementOperator:
        return self if self.matrix.ndim == 2 else type(self)(self.matrix[index], self.image_shape)


class Closed(Plain, DiagonalGramOperator):
    """The same with the eigenbasis that a user would write: squares of singular values."""

    def __init__(self, matrix: Tensor, image_shape: tuple[int, ...]) -> None:
        super().__init__(matrix, image_shape)
        self.basis, singular, _ = torch.linalg.svd(matrix)
        self.eigenvalues = torch.nn.functional.pad(singular**2, (0, matrix.shape[-2] - singular.shape[-1]))

    def to_gram_basis(self, measurement: Tensor, image_size: tuple[int, int]) -> Tensor:
        return (self.basis.mT @ measurement.unsqueeze(2)).squeeze(2)

    def from_gram_basis(self, coefficients: Tensor, image_size: tuple[int, int]) -> Tensor:
        return (self.basis @ coefficients.unsqueeze(2)).squeeze(2)

    def gram_eigenvalues(self, image_size: tuple[int, int], like: Tensor) -> Tensor:
        return self.eigenvalues


def reached_by(q: Tensor, b: Tensor, A: MeasurementOperator, epsilon: float | Tensor) -> tuple[Tensor, Reached]:
    found: list[Reached] = []
    x = project_measurement_ball(q, b, A, epsilon, record=found.append)
    return x, found[0]


# --- out of reach


@pytest.mark.parametrize("taped", [False, True])
@pytest.mark.parametrize("hidden", [False, True], ids=["closed form", "Krylov"])
def test_layer_says_that_no_image_is_so_near_and_what_epsilon_is(hidden: bool, taped: bool) -> None:
    """Rank-deficient A, b out of reach, epsilon = 1e-3."""
    matrix = LOW_RANK.tables["matrix"]
    A = Plain(matrix, (1, 2, 2)) if hidden else LOW_RANK
    b, w = torch.tensor([[1.0, 0, 0.5], [0.7, 0.7, 0.1]], dtype=torch.float64), uniform(2, 1, 2, 2)
    with torch.set_grad_enabled(taped):
        result = tiny_layer()(w, b, A, 1e-3)
    assert result.stats.outcome.tolist() == [Outcome.INCONSISTENT, Outcome.CONVERGED]
    assert torch.isfinite(result.estimate).all()
    torch.testing.assert_close(result.stats.distance[0], torch.tensor(0.5**0.5, dtype=torch.float64))
    torch.testing.assert_close(result.stats.attainable[0], torch.tensor(0.5**0.5, dtype=torch.float64))
    with pytest.raises(ConvergenceError, match=r"INCONSISTENT.*raise epsilon; the smallest is 0\.707107"):
        result.stats.raise_if_failed()
    assert tiny_layer()(w, b, A, 0.7072).stats.converged.all()


def test_training_through_a_ball_out_of_reach_stays_finite() -> None:
    w = uniform(1, 1, 2, 2).requires_grad_()
    layer = tiny_layer()
    result = layer(w, torch.tensor([[1.0, 0, 0.5]], dtype=torch.float64), LOW_RANK, 1e-3)
    result.estimate.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in [w, *layer.parameters()] if p.grad is not None)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_a_missed_ball_is_a_warning_for_those_who_do_not_ask(epsilon: float) -> None:
    with pytest.warns(UserWarning, match=r"1 of 1 .*INCONSISTENT.*the smallest is 0\.707107"):
        project_measurement_ball(uniform(1, 1, 2, 2), torch.tensor([[1.0, 0, 0.5]]).double(), LOW_RANK, epsilon)


# --- tomography by products


def toy_tomography(size: int = 24, views: int = 12) -> Tensor:
    """Parallel rays through a square of pixels, by linear interpolation along detectors, (views size, size size)."""
    centre = (size - 1) / 2
    rows, columns = torch.meshgrid(torch.arange(size) - centre, torch.arange(size) - centre, indexing="ij")
    matrix = torch.zeros(views, size + 1, size * size, dtype=torch.float64)
    for view in range(views):
        angle = torch.tensor(torch.pi * view / views)
        place = (columns * angle.cos() + rows * angle.sin() + centre).clamp(0, size - 1).flatten().double()
        low = place.floor().long()
        matrix[view, low, torch.arange(size * size)] += 1 - (place - low)
        matrix[view, low + 1, torch.arange(size * size)] += place - low
    return matrix[:, :size].reshape(views * size, size * size)


@pytest.mark.parametrize("noise", [0.0, 0.01], ids=["clean", "1 % noise"])
def test_toy_tomography_in_float32_is_met_or_named(noise: float) -> None:
    matrix = toy_tomography()
    truth = torch.from_numpy(camera()[::20, ::20][:24, :24].copy()).double()[None, None] / 255
    exact = Plain(matrix, (1, 24, 24))
    b = exact(truth) * (1 + noise * torch.randn(1, len(matrix), dtype=torch.float64))
    A, q = Plain(matrix.float(), (1, 24, 24)), truth.float() + 0.05 * torch.randn(1, 1, 24, 24)
    x, reached = reached_by(q, b.float(), A, 0.0)
    least = (torch.linalg.lstsq(matrix, b[0], driver="gelsd").solution @ matrix.T - b[0]).norm()
    distance = norms(exact(x.double()) - b)
    if noise:
        assert reached.outcome.tolist() == [Outcome.INCONSISTENT]
        assert abs(float(reached.attainable) - float(least)) <= 1e-3 * float(least)
        assert float(distance) <= 1.001 * float(least)
        assert relative_error(x.double(), _nearest(matrix, q.double(), b)) <= 0.02
    else:
        assert not reached.missed
        assert float(distance) <= 1e-6 * float(b.norm())


def _nearest(matrix: Tensor, q: Tensor, b: Tensor) -> Tensor:
    correction = torch.linalg.pinv(matrix, rtol=64 * 2.0**-23) @ (matrix @ q.flatten() - b[0])
    return q - correction.view_as(q)


def test_epsilon_above_zero_costs_no_more_than_twice_epsilon_zero() -> None:
    """Applications of A over eight evaluations, one Krylov space for every shift."""
    matrix = toy_tomography(16, 8)
    truth = uniform(1, 1, 16, 16)
    counts = []
    for share in (0.0, 0.02):
        A = Plain(matrix, (1, 16, 16))  # has its own `select`, so that no matrix is made of it on the way
        b = A(truth)
        ball = MeasurementBall(b, A, share * float(b.norm()))
        A.applications = 0
        for step in range(8):
            ball.project(truth + 0.3 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(step)).double())
        counts.append(A.applications)
    assert counts[1] <= 2 * counts[0]


# --- kernels that erase


def test_gaussian_deblurring_in_float32_says_what_it_cannot_reach() -> None:
    """8-bit b, epsilon = 0: noise at frequencies that the kernel erases must not be blown up."""
    truth = torch.from_numpy(camera()[100:228, 200:328].copy()).float()[None, None] / 255
    A = BlurDownsample(gaussian_kernel(1.6), 1)
    b = (A(truth.double()) * 255).round().float() / 255
    q = truth + 0.02 * torch.randn_like(truth)
    before = float(norms(A(q) - b))
    x, reached = reached_by(q, b, A, 0.0)
    distance = float(norms(A(x.double()) - b.double()))
    assert reached.outcome.tolist() == [Outcome.INCONSISTENT]
    assert distance <= before
    assert abs(distance - float(reached.attainable)) <= 1e-3 * distance
    assert float((x - truth).square().mean().sqrt()) < 0.2
    enough, reached = reached_by(q, b, A, 1.01 * distance)
    assert not reached.missed
    assert float(norms(A(enough.double()) - b.double())) <= 1.0101 * distance


def test_an_operator_may_state_its_own_rank_threshold() -> None:
    class Cautious(Closed):
        def rank_tolerance(self, dtype: torch.dtype) -> float:
            return 1e-3

    matrix = torch.diag(torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64))
    q, b = uniform(1, 1, 1, 3), uniform(1, 3)
    assert reached_by(q, b, Closed(matrix, (1, 1, 3)), 0.0)[1].outcome.tolist() == [Outcome.CONVERGED]
    x, reached = reached_by(q, b, Cautious(matrix, (1, 1, 3)), 0.0)
    assert reached.outcome.tolist() == [Outcome.INCONSISTENT]
    assert x.flatten()[2] == q.flatten()[2]


def test_noise_eigenvalues_of_a_gram_matrix_are_not_believed() -> None:
    """eigh(A A^T) of a matrix of low rank has eigenvalues of 1e-17; dividing by them would fill the image."""
    matrix = LOW_RANK.tables["matrix"]

    class ByGram(Closed):
        def __init__(self) -> None:
            super().__init__(matrix, (1, 2, 2))
            values, self.basis = torch.linalg.eigh(matrix @ matrix.T)
            self.eigenvalues = values.clamp_min(1e-17)

    q, b = uniform(1, 1, 2, 2), torch.tensor([[1.0, 0, 0.5]], dtype=torch.float64)
    x, reached = reached_by(q, b, ByGram(), 0.0)
    expected = q.flatten() - torch.linalg.pinv(matrix) @ (matrix @ q.flatten() - b[0])
    assert relative_error(x.flatten(), expected) <= 1e-12
    assert reached.outcome.tolist() == [Outcome.INCONSISTENT]


# --- 200 random matrices


def random_matrix(kind: int, rows: int, columns: int) -> Tensor:
    """Wide, tall, of half rank, of condition 1e8, and in between."""
    matrix = torch.randn(rows, columns, dtype=torch.float64)
    few = min(rows, columns)
    if kind == 2:
        rank = max(1, few // 2)
        return torch.randn(rows, rank, dtype=torch.float64) @ torch.randn(rank, columns, dtype=torch.float64)
    if kind > 2:
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        smallest = -8.0 if kind == 3 else -2 - 6 * float(torch.rand(()))
        return left @ (torch.logspace(0, smallest, few, dtype=torch.float64)[:, None] * right)
    return matrix


def scipy_projection(matrix: Tensor, q: Tensor, b: Tensor, epsilon: float) -> tuple[Tensor, float]:
    """The projection by singular values and a root of the secular equation in log mu, and the least distance."""
    left, singular, right = np.linalg.svd(matrix.numpy())
    few = len(singular)
    seen = np.zeros(len(b))
    seen[:few] = np.where(singular > 1e-13 * singular[0], singular, 0.0)
    residual = left.T @ (matrix.numpy() @ q.numpy() - b.numpy())
    least = float(np.linalg.norm(residual[seen == 0]))
    if np.linalg.norm(residual) <= epsilon:
        return q, least
    inverse = np.divide(1, seen, where=seen > 0, out=np.zeros_like(seen))
    if epsilon > least:

        def excess(log_mu: float) -> float:
            return float(np.linalg.norm(residual / (1 + math.exp(log_mu) * seen**2))) - epsilon

        high = next(h for h in range(0, 120, 4) if excess(h) < 0)
        inverse = seen / (math.exp(-brentq(excess, -60, high, xtol=1e-13, rtol=1e-14)) + seen**2)
    return q - torch.from_numpy(right.T[:, :few] @ (inverse * residual)[:few]), least


@pytest.mark.parametrize("case", [*range(60), *(pytest.param(k, marks=pytest.mark.slow) for k in range(60, 200))])
def test_random_matrices_by_three_methods_agree_or_all_say_no(case: int) -> None:
    torch.manual_seed(case)
    kind, channels, batch = case % 5, 1 + (case % 7 == 0), 1 + 2 * (case % 3 == 0)
    shape = (channels, *torch.randint(2, 5, (2,)).tolist())
    columns = channels * shape[1] * shape[2]
    rows = int(torch.randint(1, 2 * columns + 1 if kind == 1 else columns + 1, ()))
    count = batch if case % 6 == 0 else 1
    matrices = torch.stack([random_matrix(kind, rows, columns) for _ in range(count)])
    matrix = matrices if count > 1 else matrices[0]
    q, exact = uniform(batch, *shape), Plain(matrix, shape)
    for b in (exact(uniform(batch, *shape)), uniform(batch, rows)):
        for share in (0.0, 1e-3, 0.3):
            epsilon = share * norms(exact(q) - b)
            answers = [
                scipy_projection(matrices[i % count], q[i].flatten(), b[i], float(epsilon[i])) for i in range(batch)
            ]
            for operator in (Closed(matrix, shape), DenseOperator(matrix, shape), Plain(matrix, shape)):
                x, reached = reached_by(q, b, operator, epsilon)
                distance = norms(exact(x) - b)
                for i, (expected, least) in enumerate(answers):
                    assert relative_error(x[i].flatten(), expected) <= 1e-6
                    possible = least <= float(epsilon[i]) * (1 + 1e-9) + 1e-11
                    outcome = Outcome.CONVERGED if possible else Outcome.INCONSISTENT
                    assert reached.outcome[i] == outcome, type(operator)
                    rounding = 1e-14 * float(x[i].norm())  # ||A|| is about 1
                    if possible:
                        assert float(distance[i]) <= float(epsilon[i]) * (1 + 1e-6) + 1e-9 + rounding
                    else:
                        assert abs(float(reached.attainable[i]) - least) <= 1e-6 * max(least, 1.0)


# --- derivatives


@pytest.mark.parametrize("hidden", [False, True], ids=["closed form", "Krylov"])
def test_second_derivatives_through_a_positive_radius_are_refused(hidden: bool) -> None:
    A: MeasurementOperator = BicubicDownsample(2)
    A = HiddenBasis(A) if hidden else A
    q, b = uniform(1, 1, 4, 6).requires_grad_(), A(uniform(1, 1, 4, 6))
    x = project_measurement_ball(q, b, A, 0.3 * float(norms(A(q.detach()) - b)))
    (gradient,) = torch.autograd.grad(x.square().sum(), q, create_graph=True)
    with pytest.raises(ConfigError, match="differentiable once"):
        torch.autograd.grad(gradient.sum(), q)


@pytest.mark.parametrize("hidden", [False, True], ids=["closed form", "Krylov"])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_linear_derivative_is_the_dense_one(hidden: bool, share: float) -> None:
    A: MeasurementOperator = BicubicDownsample(2)
    A = HiddenBasis(A) if hidden else A
    q, b = uniform(1, 1, 4, 6), A(uniform(1, 1, 4, 6))
    ball = MeasurementBall(b, A, share * float(norms(A(q) - b)))
    dense = torch.autograd.functional.jacobian(ball.project, q).view(24, 24)
    derivative = ball.derivative(q)
    assert relative_error(dense_matrix(lambda v: torch.cat([derivative(u[None]) for u in v]), 1, 4, 6), dense) <= 1e-9
    assert relative_error(dense.T, dense) <= 1e-9


def test_blur_agrees_with_scipy_before_anything_is_said_of_it() -> None:
    image = uniform(1, 1, 16, 16)
    blurred = gaussian_filter(image[0, 0].numpy(), 1.6, mode="wrap", truncate=5 / 1.6)
    assert relative_error(BlurDownsample(gaussian_kernel(1.6), 1)(image)[0, 0], torch.from_numpy(blurred)) <= 1e-12


# --- operators that do not keep the contract, and preconditioners


class Preconditioned(Plain):
    """With the identity: conjugate gradients as they are."""

    def precondition(self, measurement: Tensor, image_size: tuple[int, int], shift: Tensor) -> Tensor:
        return measurement


class Scaled(Plain):
    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        return 0.9 * super().adjoint(measurement)


class ScaledPreconditioned(Scaled, Preconditioned):
    pass


@pytest.mark.parametrize("kind", [Scaled, ScaledPreconditioned])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_scaled_adjoint_is_never_a_success(kind: type[Plain], share: float) -> None:
    matrix = torch.randn(8, 16, dtype=torch.float64)
    A, q = kind(matrix, (1, 4, 4)), uniform(3, 1, 4, 4)
    b = A(uniform(3, 1, 4, 4))
    ball = MeasurementBall(b, A, share * norms(A(q) - b))
    for _ in range(3):  # also when a matrix would pay
        _, reached = ball.settle(ball.project(q))
        assert (reached.outcome == Outcome.WRONG_ADJOINT).all()


def test_an_adjoint_of_nan_ends_its_own_sample() -> None:
    class Broken(Plain):
        def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
            image = super().adjoint(measurement).clone()
            image[1] = torch.nan
            return image

    matrix, q = torch.randn(5, 12, dtype=torch.float64), uniform(3, 1, 3, 4)
    b = Plain(matrix, (1, 3, 4))(uniform(3, 1, 3, 4))
    x, reached = reached_by(q, b, Broken(matrix, (1, 3, 4)), 0.0)
    assert reached.outcome.tolist() == [Outcome.CONVERGED, Outcome.NON_FINITE, Outcome.CONVERGED]
    assert relative_error(x[[0, 2]], reached_by(q, b, Plain(matrix, (1, 3, 4)), 0.0)[0][[0, 2]]) <= 1e-12


@pytest.mark.parametrize("epsilon", [0.0, 1e-6, 1e-2, 0.1])
def test_preconditioned_projections_are_those_without(epsilon: float) -> None:
    """Singular values down to 1e-3: residuals of conjugate gradients rise before they fall."""
    left, _, right = torch.linalg.svd(torch.randn(14, 16, dtype=torch.float64))
    matrix = left @ (torch.logspace(0, -3, 14, dtype=torch.float64)[:, None] * right[:14])
    q, b = uniform(3, 1, 4, 4), Plain(matrix, (1, 4, 4))(uniform(3, 1, 4, 4))
    x, reached = reached_by(q, b, Preconditioned(matrix, (1, 4, 4)), epsilon)
    assert not reached.missed
    assert relative_error(x, reached_by(q, b, Plain(matrix, (1, 4, 4)), epsilon)[0]) <= 1e-9


def test_preconditioned_epsilon_costs_no_more_than_twice_epsilon_zero() -> None:
    matrix = toy_tomography(16, 8)
    counts = []
    for epsilon in (0.0, 0.1):
        A = Preconditioned(matrix, (1, 16, 16))
        q, b = uniform(1, 1, 16, 16), A(uniform(1, 1, 16, 16))
        A.applications = 0
        reached_by(q, b, A, epsilon)
        counts.append(A.applications)
    assert counts[1] <= 2 * counts[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_that_are_left_out_do_not_move_the_radius(dtype: torch.dtype) -> None:
    truth = torch.from_numpy(camera()[100:132, 200:232].copy()).to(dtype)[None, None] / 255
    A = BlurDownsample(gaussian_kernel(1.6), 1)
    b, q = (A(truth) * 255).round() / 255, truth + 0.02 * torch.randn_like(truth)
    epsilon = 1.1 * float(reached_by(q, b, A, 0.0)[1].distance)
    assert float(norms(A(reached_by(q, b, A, epsilon)[0]) - b)) == pytest.approx(epsilon, rel=1e-3)


@pytest.mark.parametrize("count", [64, 65, 150])
def test_many_small_true_eigenvalues_are_believed_in_float32(count: int) -> None:
    singular = torch.ones(200)
    singular[:count] = 1e-3
    q, truth = torch.rand(1, 1, 10, 20), torch.rand(1, 1, 10, 20)
    A = Closed(torch.diag(singular), (1, 10, 20))
    A.basis, A.eigenvalues = torch.eye(200), singular**2
    x, reached = reached_by(q, A(truth), A, 0.0)
    assert not reached.missed
    assert relative_error(x, truth) <= 1e-3


def test_a_matrix_made_on_the_way_keeps_the_operators_own_rank_threshold() -> None:
    class Cautious(Plain):
        select = MeasurementOperator.select

        def rank_tolerance(self, dtype: torch.dtype) -> float:
            return 1e-4

    left, _, right = torch.linalg.svd(torch.randn(8, 9, dtype=torch.float64))
    matrix = left @ (torch.logspace(0, -3, 8, dtype=torch.float64)[:, None] * right[:8])
    q, b = uniform(1, 1, 3, 3), uniform(1, 8)
    ball = MeasurementBall(b, Cautious(matrix, (1, 3, 3)))
    first = ball.project(q)
    for _ in range(4):
        assert relative_error(ball.project(q), first) <= 1e-9
