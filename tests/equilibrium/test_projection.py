"""The projection onto the measurement ball: what defines it, its derivative, and its refusals."""

import math

import pytest
import torch
from references import HiddenBasis, dense_matrix, norms, relative_error, uniform
from scipy.optimize import brentq
from skimage.data import camera
from torch import Tensor
from torch.autograd import gradcheck

from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample, BlurDownsample, Mask, MeasurementOperator

KERNEL = torch.tensor([[1.0, 2.0, 1.0], [2.0, 5.0, 3.0], [1.0, 2.0, 1.0]]) / 18
CHECKERS = (torch.arange(9 * 12) % 2).view(9, 12)
OPERATORS = {
    "x2-truncated": (BicubicDownsample(2), (9, 14)),
    "x3-symmetric": (BicubicDownsample(3, "symmetric"), (13, 9)),
    "x4-replicate": (BicubicDownsample(4, "replicate"), (8, 12)),
    "blur": (BlurDownsample(KERNEL, 2), (8, 12)),
    "mask": (Mask(CHECKERS), (9, 12)),
    "no basis": (HiddenBasis(BicubicDownsample(2)), (9, 14)),
}
each_operator = pytest.mark.parametrize(("A", "size"), OPERATORS.values(), ids=OPERATORS.keys())
each_share = pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])  # epsilon relative to ||A q - b||


def problem(A: MeasurementOperator, size: tuple[int, int], batch: int = 3) -> tuple[Tensor, Tensor]:
    """q, and b measured from another image."""
    return uniform(batch, 2, *size), A(uniform(batch, 2, *size))


def radius(q: Tensor, b: Tensor, A: MeasurementOperator, share: float | Tensor) -> Tensor:
    return share * norms(A(q) - b)


@each_operator
def test_zero_radius_meets_the_measurement_exactly(A: MeasurementOperator, size: tuple[int, int]) -> None:
    q, b = problem(A, size)
    assert norms(A(project_measurement_ball(q, b, A)) - b).max() <= 1e-12


@each_operator
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_positive_radius_is_met_with_equality(A: MeasurementOperator, size: tuple[int, int], share: float) -> None:
    q, b = problem(A, size)
    epsilon = radius(q, b, A, share)
    distance = norms(A(project_measurement_ball(q, b, A, epsilon)) - b)
    assert ((distance - epsilon).abs() / epsilon).max() <= 1e-12


@each_operator
@each_share
def test_idempotent(A: MeasurementOperator, size: tuple[int, int], share: float) -> None:
    q, b = problem(A, size)
    epsilon = radius(q, b, A, share)
    once = project_measurement_ball(q, b, A, epsilon)
    assert relative_error(project_measurement_ball(once, b, A, epsilon), once) <= 1e-12


@each_operator
@each_share
def test_non_expansive(A: MeasurementOperator, size: tuple[int, int], share: float) -> None:
    p, b = problem(A, size)
    epsilon = radius(p, b, A, share)
    for distance in (1e-3, 1.0, 100.0):  # both on one side, one inside and one outside, far apart
        q = p + distance * torch.randn_like(p)
        moved = norms(project_measurement_ball(p, b, A, epsilon) - project_measurement_ball(q, b, A, epsilon))
        assert (moved <= norms(p - q) * (1 + 1e-12)).all()


@each_operator
@each_share
def test_optimal_among_all_consistent_images(A: MeasurementOperator, size: tuple[int, int], share: float) -> None:
    """Against the optimality conditions x + mu A^T (A x - b) = q, solved densely in image space with SciPy's root."""
    q, b = uniform(1, 1, *size), A(uniform(1, 1, *size))
    epsilon = float(radius(q, b, A, share))
    M, y, start = dense_matrix(A, 1, *size), b.flatten(), q.flatten()
    eye = torch.eye(M.shape[1], dtype=torch.float64)

    def shrunk(mu: float) -> Tensor:
        return torch.linalg.solve(eye + mu * M.T @ M, start + mu * M.T @ y)

    if share:
        mu = brentq(lambda m: float((M @ shrunk(m) - y).norm()) - epsilon, 0, 1e4, xtol=1e-14, rtol=1e-14)
        expected = shrunk(mu)
    else:
        expected = start - torch.linalg.pinv(M, rtol=1e-10) @ (M @ start - y)
    found = project_measurement_ball(q, b, A, epsilon)
    assert relative_error(found.flatten(), expected) <= 1e-11  # the reference loses digits at mu = 1e2


@each_operator
def test_images_inside_their_ball_stay_bit_for_bit(A: MeasurementOperator, size: tuple[int, int]) -> None:
    q, b = problem(A, size)
    epsilon = radius(q, b, A, torch.tensor([1.001, 0.5, 3.0]))
    x = project_measurement_ball(q, b, A, epsilon)
    assert torch.equal(x[[0, 2]], q[[0, 2]])
    assert not torch.equal(x[1], q[1])


@each_operator
def test_each_sample_has_its_own_radius(A: MeasurementOperator, size: tuple[int, int]) -> None:
    q, b = problem(A, size, batch=4)
    epsilon = radius(q, b, A, torch.tensor([0.0, 0.1, 0.9, 2.0]))
    together = project_measurement_ball(q, b, A, epsilon)
    alone = [project_measurement_ball(q[[i]], b[[i]], A, float(epsilon[i])) for i in range(4)]
    assert relative_error(together, torch.cat(alone)) <= 1e-12


def test_conjugate_gradients_equal_the_closed_form() -> None:
    A = BicubicDownsample(2, "symmetric")
    q, b = problem(A, (9, 13), batch=4)
    epsilon = radius(q, b, A, torch.tensor([0.0, 0.1, 0.9, 2.0]))
    closed = project_measurement_ball(q, b, A, epsilon)
    assert relative_error(project_measurement_ball(q, b, HiddenBasis(A), epsilon), closed) <= 1e-12


def test_float32_holds_the_measurement_of_a_large_image() -> None:
    A = BicubicDownsample(2)
    truth = torch.from_numpy(camera()).float()[None, None] / 255  # 512 x 512
    q, b = truth + 0.1 * torch.randn_like(truth), A(truth)
    x = project_measurement_ball(q, b, A)
    assert x.dtype == torch.float32
    assert norms(A(x.double()) - b.double()) <= 5e-5


def test_autocast_does_not_reach_the_projection() -> None:
    A = BicubicDownsample(2)
    q, b = (tensor.float() for tensor in problem(A, (8, 8)))
    expected = project_measurement_ball(q, b, A, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = project_measurement_ball(q, b, A, 0.1)
    assert torch.equal(found, expected)


@pytest.mark.filterwarnings("ignore:.*not within epsilon")  # as must be
def test_unreachable_measurement_gives_the_nearest_reachable_one() -> None:
    """A kernel that vanishes at the highest frequency cannot produce every b; the answer is finite and closest."""
    A = BlurDownsample(torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16, 1)
    q, b = uniform(1, 1, 6, 6), uniform(1, 1, 6, 6)
    M = dense_matrix(A, 1, 6, 6)
    expected = q.flatten() - torch.linalg.pinv(M, rtol=1e-6) @ (M @ q.flatten() - b.flatten())
    for epsilon in (0.0, 1e-3):
        assert relative_error(project_measurement_ball(q, b, A, epsilon).flatten(), expected) <= 1e-9


@pytest.mark.filterwarnings("ignore:.*NON_FINITE")  # of that sample
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_nan_stays_in_its_sample(epsilon: float) -> None:
    A = BicubicDownsample(2)
    q, b = problem(A, (8, 8))
    expected = project_measurement_ball(q, b, A, epsilon)
    b[1, 0, 2, 3] = torch.nan
    x = project_measurement_ball(q, b, A, epsilon)
    assert torch.isnan(x[1]).any()
    assert relative_error(x[[0, 2]], expected[[0, 2]]) <= 1e-14


SHARES = [(0.0, 0.0), (0.3, 0.9), (0.5, 2.0), (0.0, 0.5)]


@pytest.mark.parametrize(
    ("hidden", "shares"),
    [
        *((False, shares) for shares in SHARES),
        (True, (0.5, 2.0)),
        *(pytest.param(True, shares, marks=pytest.mark.slow) for shares in SHARES if shares != (0.5, 2.0)),
    ],
)
def test_derivative_in_image_measurement_and_radius(hidden: bool, shares: tuple[float, float]) -> None:
    A: MeasurementOperator = BicubicDownsample(2)
    q, b = uniform(2, 1, 4, 6), uniform(2, 1, 2, 3)
    epsilon = radius(q, b, A, torch.tensor(shares))
    operator = HiddenBasis(A) if hidden else A
    q.requires_grad_()
    b.requires_grad_()
    if min(shares) > 0:  # at zero the radius lies on its own bound: no two-sided difference
        epsilon.requires_grad_()
    assert gradcheck(lambda q, b, e: project_measurement_ball(q, b, operator, e), (q, b, epsilon), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivative_stays_finite_where_nothing_is_left_to_correct(dtype: torch.dtype) -> None:
    """Zero residuals, zero radii and inactive samples, side by side."""
    A = BicubicDownsample(2)
    q = torch.rand(6, 1, 8, 8, dtype=dtype)
    b = A(q)
    b[3:] += torch.rand_like(b[3:])
    epsilon = torch.tensor([0.0, 1e-3, 0.1, 0.0, 1e-3, 100.0], dtype=dtype)
    leaves = [tensor.requires_grad_() for tensor in (q, b, epsilon)]
    gradients = torch.autograd.grad(project_measurement_ball(q, b, A, epsilon).square().sum(), leaves)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivative_stays_finite_on_the_sphere(dtype: torch.dtype) -> None:
    """A projected image lies on the boundary to rounding, on one side or the other."""
    A = BicubicDownsample(2)
    q, b = torch.rand(400, 1, 8, 8, dtype=dtype), torch.rand(400, 1, 4, 4, dtype=dtype)
    once = project_measurement_ball(q, b, A, 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(project_measurement_ball(once, b, A, 0.5).sum(), once)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("q", "b", "epsilon", "message"),
    [
        ((1, 1, 8, 8), (1, 4, 4), 0.0, r"\(1, 1, 4, 4\).*\(1, 4, 4\)"),
        ((1, 1, 8, 8), (1, 1, 4, 5), 0.0, r"\(1, 1, 4, 4\).*\(1, 1, 4, 5\)"),
        ((2, 1, 8, 8), (1, 1, 4, 4), 0.0, r"\(2, 1, 4, 4\)"),
        ((1, 3, 8, 8), (1, 1, 4, 4), 0.0, r"\(1, 3, 4, 4\)"),
        ((1, 1, 8, 8), (1, 1, 4, 4), -1.0, r"epsilon=-1"),
        ((2, 1, 8, 8), (2, 1, 4, 4), torch.tensor([0.1, -0.1]), r"at least 0"),
        ((1, 1, 8, 8), (1, 1, 4, 4), math.nan, r"finite"),
        ((1, 1, 8, 8), (1, 1, 4, 4), math.inf, r"finite"),
        ((2, 1, 8, 8), (2, 1, 4, 4), torch.zeros(3), r"one per sample"),
        ((2, 1, 8, 8), (2, 1, 4, 4), torch.zeros(2, 1), r"one per sample"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    q: tuple[int, ...], b: tuple[int, ...], epsilon: float | Tensor, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        project_measurement_ball(uniform(*q), uniform(*b), BicubicDownsample(2), epsilon)
