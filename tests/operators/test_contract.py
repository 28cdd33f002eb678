"""The contract of measurement operators, over every operator, own and foreign: any shape of measurement, operators that
differ per sample, eigenvalues of the named shapes, and a check that tells who keeps it.
"""

from pathlib import Path

import pytest
import torch
from operator_zoo import FOREIGN, OWN, BadTranspose, Coils, Make, Radon, Shifted, SquareRoot, Subsampled
from references import relative_error, uniform
from torch import Tensor

from mcnet_lightning.equilibrium import MeasurementBall, Outcome, Reached, project_measurement_ball
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import (
    BicubicDownsample,
    DenseGram,
    DenseOperator,
    DiagonalGramOperator,
    Mask,
    MeasurementOperator,
    check_adjoint,
    dense_gram,
)
from mcnet_lightning.operators.base import Shape
from mcnet_lightning.operators.cache import CONSTANTS

each_operator = pytest.mark.parametrize(("make", "shape"), [*OWN, *FOREIGN])
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
each_batch = pytest.mark.parametrize("batch", [1, 3])


def rounding(dtype: torch.dtype, operator: MeasurementOperator) -> float:
    return 1e-4 if torch.float32 in (dtype, operator.precision) else 1e-10


@each_operator
@each_batch
@each_dtype
def test_adjoint_shape_and_linearity(make: Make, shape: Shape, batch: int, dtype: torch.dtype) -> None:
    A = make(batch)
    assert check_adjoint(A, (batch, *shape), dtype) <= rounding(dtype, A)


@each_operator
@each_batch
@each_dtype
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_projection_lands_on_its_ball_and_stays(
    make: Make, shape: Shape, batch: int, dtype: torch.dtype, share: float
) -> None:
    A = make(batch)
    tolerance = rounding(dtype, A)
    q, b = (uniform(batch, *shape).to(dtype) for _ in range(2))
    b = A(b)
    epsilon = share * (A(q) - b).flatten(1).norm(dim=1)
    reached: list[Reached] = []
    x = project_measurement_ball(q, b, A, epsilon, record=reached.append)
    assert not reached[0].missed
    assert ((A(x) - b).flatten(1).norm(dim=1) - epsilon).abs().max() <= tolerance * float(b.norm())
    again = project_measurement_ball(x, b, A, epsilon)
    assert relative_error(again, x) <= tolerance
    # nearest: what was taken away is in the range of A^T
    moved = (q - x).double()
    kernel = moved - MeasurementBall(torch.zeros_like(b).double(), A).tangent(moved)
    assert relative_error(kernel, moved) <= 50 * tolerance


@each_operator
def test_no_sample_depends_on_its_batch_mates(make: Make, shape: Shape) -> None:
    A = make(3)
    q, b = uniform(3, *shape), A(uniform(3, *shape))
    epsilon = torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64) * (A(q) - b).flatten(1).norm(dim=1)
    together = project_measurement_ball(q, b, A, epsilon)
    for i in range(3):
        index = torch.tensor([i])
        alone = project_measurement_ball(q[index], b[index], A.select(index), epsilon[index])
        assert relative_error(together[index], alone) <= rounding(torch.float64, A)


def test_measurements_of_any_shape_train_through_their_derivative() -> None:
    """Coils and sinograms: implicit derivative against finite differences."""
    for A, shape in ((Coils(2, (2, 2)), (2, 2, 2)), (Radon(3), (1, 3, 3))):
        q, b = uniform(2, *shape).requires_grad_(), A(uniform(2, *shape)).requires_grad_()
        epsilon = (0.4 * (A(q) - b).flatten(1).norm(dim=1)).detach().requires_grad_()
        assert torch.autograd.gradcheck(
            lambda q, b, e, A=A: project_measurement_ball(q, b, A, e), (q, b, epsilon), atol=1e-6, rtol=1e-5
        )


def test_complex_measurements_are_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"complex.*two channels"):
        MeasurementBall(torch.zeros(1, 1, 4, 4, dtype=torch.complex128), BicubicDownsample(2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ConfigError, match=r"float32 or float64"):
        MeasurementBall(torch.zeros(1, 1, 4, 4, dtype=dtype), BicubicDownsample(2))


class ShapedEigenvalues(Subsampled):
    """A mask whose eigenvalues come in a shape of the test's choice."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(torch.ones(3, 4))
        self.shape = shape

    def gram_eigenvalues(self, image_size: tuple[int, int], like: Tensor) -> Tensor:
        return torch.ones(self.shape, dtype=like.dtype)


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 2, 3, 4)])
def test_eigenvalues_of_the_named_shapes_give_the_radius(shape: tuple[int, ...]) -> None:
    A = ShapedEigenvalues(shape)
    q, b = uniform(5, 2, 3, 4), uniform(5, 2, 3, 4)
    x = project_measurement_ball(q, b, A, 0.25)
    torch.testing.assert_close((A(x) - b).flatten(1).norm(dim=1), torch.full((5,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (3, 4), (1, 2, 3, 4), (4,), (1, 5, 2, 3, 4)])
def test_eigenvalues_of_any_other_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"gram_eigenvalues has shape .* it must be \(2, 3, 4\)"):
        project_measurement_ball(uniform(5, 2, 3, 4), uniform(5, 2, 3, 4), ShapedEigenvalues(shape), 0.25)


def test_operators_that_differ_per_sample_without_select_are_refused() -> None:
    class Varying(ShapedEigenvalues):
        def gram_eigenvalues(self, image_size: tuple[int, int], like: Tensor) -> Tensor:
            return torch.arange(1.0, 6.0, dtype=like.dtype).view(5, 1, 1, 1).expand(5, 2, 3, 4)

    with pytest.raises(ConfigError, match=r"override select"):
        project_measurement_ball(uniform(5, 2, 3, 4), uniform(5, 2, 3, 4), Varying(()), 0.1)


def test_masks_may_differ_from_sample_to_sample() -> None:
    masks = (torch.rand(3, 1, 6, 5) > 0.4).double()
    q, truth = uniform(3, 2, 6, 5), uniform(3, 2, 6, 5)
    x = project_measurement_ball(q, truth, Mask(masks))  # what b holds elsewhere is ignored
    torch.testing.assert_close(x, truth * masks + q * (1 - masks))
    assert torch.equal(Mask(masks).select(torch.tensor([2])).mask, masks[2:])


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (BadTranspose(), r"not the transpose, <A x, y> = .*relative"),
        (Shifted(), r"A is not linear"),
        (SquareRoot(), r"not linear|NaN"),
    ],
    ids=["up-sampling", "offset", "square root"],
)
def test_operators_that_are_none_are_refused_with_the_figure(operator: MeasurementOperator, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_adjoint(operator, (1, 8, 8))


def test_wrong_shapes_are_refused_by_the_check() -> None:
    class Misnamed(Radon):
        def measurement_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
            return (image_shape[0], 7)

    with pytest.raises(ConfigError, match=r"measurement_shape says \(1, 7\)"):
        check_adjoint(Misnamed(4), (1, 4, 4))


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_a_wrong_adjoint_is_an_outcome(epsilon: float) -> None:
    A = BadTranspose()
    q, b = uniform(2, 1, 8, 8), A(uniform(2, 1, 8, 8))
    reached: list[Reached] = []
    project_measurement_ball(q, b, A, epsilon, record=reached.append)
    assert (reached[0].outcome == Outcome.WRONG_ADJOINT).all()
    with pytest.warns(UserWarning, match="adjoint is not the transpose"):
        project_measurement_ball(q, b, A, epsilon)


def test_dense_gram_gives_the_closed_form_of_any_operator_and_is_kept(tmp_path: Path) -> None:
    A = Radon(8)
    closed = dense_gram(A, (1, 8, 8), tmp_path)
    assert isinstance(closed, DenseGram)
    assert isinstance(closed, DiagonalGramOperator)
    q, b = uniform(2, 1, 8, 8), A(uniform(2, 1, 8, 8))
    for epsilon in (0.0, 0.4):
        expected = project_measurement_ball(q, b, A, epsilon)
        assert relative_error(project_measurement_ball(q, b, closed, epsilon), expected) <= 1e-9
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    assert torch.equal(dense_gram(Radon(8), (1, 8, 8), tmp_path).tables["basis"], closed.tables["basis"])
    assert kept.stat().st_mtime_ns == written
    content = bytearray(kept.read_bytes())
    content[-100] ^= 64
    for damaged in (bytes(content), bytes(content[:-9])):
        kept.write_bytes(damaged)
        CONSTANTS.groups.clear()
        assert torch.equal(dense_gram(Radon(8), (1, 8, 8), tmp_path).tables["basis"], closed.tables["basis"])


def test_dense_operators_per_sample() -> None:
    matrices = torch.randn(3, 5, 12, dtype=torch.float64)
    A = DenseOperator(matrices, (2, 2, 3))
    q, b = uniform(3, 2, 2, 3), A(uniform(3, 2, 2, 3))
    x = project_measurement_ball(q, b, A)
    expected = q.flatten(1) - torch.stack(
        [torch.linalg.pinv(M) @ (M @ y - z) for M, y, z in zip(matrices, q.flatten(1), b, strict=True)]
    )
    assert relative_error(x.flatten(1), expected) <= 1e-12


def test_a_solve_that_costs_more_than_a_matrix_goes_on_with_one() -> None:
    """And gives the same images."""
    A = Radon(6)
    q, b = uniform(4, 1, 6, 6), A(uniform(4, 1, 6, 6))
    ball, fresh = MeasurementBall(b, A, 0.2), [MeasurementBall(b, A, 0.2).project(q + i) for i in range(12)]
    A.applications = 0
    for i, expected in enumerate(fresh):
        assert relative_error(ball.project(q + i), expected) <= 1e-9
    assert A.applications < 2 * A(q)[0].numel() + 2 * 12 + 30
