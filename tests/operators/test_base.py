"""The contract that every operator keeps: an exact adjoint, and an orthonormal eigenbasis of A A^T."""

import pytest
import torch
from references import dense_matrix, relative_error, uniform

from mcnet_lightning.operators import BicubicDownsample, BlurDownsample, DiagonalGramOperator, Mask

ROUNDING = 1e-13  # float64 sums over some thousand terms
KERNEL = torch.tensor([[0.1, 0.0, 0.2, 0.1, 0.1], [0.0, 0.5, 1.0, 0.4, 0.0], [0.3, 0.1, 0.2, 0.0, 0.1]]) / 3.1
CASES = [
    *(
        pytest.param(BicubicDownsample(scale, boundary), size, id=f"x{scale}-{boundary}-{size[0]}x{size[1]}")
        for scale in (2, 3, 4)
        for boundary in ("truncated", "symmetric", "replicate")
        for size in ((12, 24), (13, 19))  # 13 and 19 are odd and multiples of no scale
    ),
    pytest.param(Mask((torch.arange(7 * 11) % 3 > 0).view(7, 11).float()), (7, 11), id="mask"),
    *(pytest.param(BlurDownsample(KERNEL, scale), (4 * scale, 3 * scale), id=f"blur-x{scale}") for scale in (1, 2, 3)),
]
each_operator = pytest.mark.parametrize(("operator", "size"), CASES)


def unit_measurements(operator: DiagonalGramOperator, size: tuple[int, int]) -> torch.Tensor:
    height, width = operator.measurement_size(size)
    return torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)


@each_operator
def test_adjoint_identity(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    x = uniform(2, 3, *size) - 0.5
    y = uniform(2, 3, *operator.measurement_size(size)) - 0.5
    left, right = (operator(x) * y).sum(), (x * operator.adjoint(y, size)).sum()
    assert abs(left - right) <= 1e-10 * operator(x).norm() * y.norm()


@each_operator
def test_adjoint_is_the_transposed_matrix(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    forward = dense_matrix(operator, 1, *size)
    adjoint = dense_matrix(lambda y: operator.adjoint(y, size), 1, *operator.measurement_size(size))
    torch.testing.assert_close(adjoint, forward.T, rtol=0, atol=ROUNDING)


@each_operator
def test_gram_basis_diagonalises_the_dense_gram_matrix(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    A = dense_matrix(operator, 1, *size)
    basis = operator.to_gram_basis(unit_measurements(operator, size), size).flatten(1).T  # U^*
    eigenvalues = operator.gram_eigenvalues(size, A).flatten().to(basis.dtype)
    rebuilt = basis.conj().T @ (eigenvalues[:, None] * basis)
    assert relative_error(rebuilt, (A @ A.T).to(basis.dtype)) <= ROUNDING


@each_operator
def test_gram_basis_is_orthonormal_on_what_can_be_measured(
    operator: DiagonalGramOperator, size: tuple[int, int]
) -> None:
    y = operator(uniform(2, 2, *size))
    coefficients = operator.to_gram_basis(y, size)
    assert abs(coefficients.norm() / y.norm() - 1) <= ROUNDING
    assert relative_error(operator.from_gram_basis(coefficients, size), y) <= ROUNDING


@each_operator
def test_synthesis_is_the_adjoint_of_what_the_basis_gives(
    operator: DiagonalGramOperator, size: tuple[int, int]
) -> None:
    coefficients = operator.to_gram_basis(operator(uniform(2, 2, *size)), size)
    expected = operator.adjoint(operator.from_gram_basis(coefficients, size), size)
    assert relative_error(operator.synthesise(coefficients, size), expected) <= ROUNDING


@each_operator
def test_pseudo_inverse_is_that_of_the_dense_matrix(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    y = uniform(1, 1, *operator.measurement_size(size))
    expected = torch.linalg.pinv(dense_matrix(operator, 1, *size)) @ y.flatten()
    assert relative_error(operator.pseudo_inverse(y, size).flatten(), expected) <= 10 * ROUNDING


@each_operator
def test_gram_is_forward_after_adjoint(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    A = dense_matrix(operator, 1, *size)
    y = operator(uniform(1, 1, *size))
    assert relative_error(operator.gram(y, size).flatten(), A @ A.T @ y.flatten()) <= ROUNDING


@each_operator
def test_derivative_of_the_forward_map_is_the_adjoint(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    x = uniform(1, 2, *size).requires_grad_()
    y = uniform(1, 2, *operator.measurement_size(size))
    (gradient,) = torch.autograd.grad(operator(x), x, y)
    assert relative_error(gradient, operator.adjoint(y, size)) <= ROUNDING


@each_operator
def test_dtype_is_kept_and_float32_agrees_with_float64(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    x = uniform(1, 1, *size)
    y = operator(x)
    for single, double in (
        (operator(x.float()), y),
        (operator.adjoint(y.float(), size), operator.adjoint(y, size)),
        (operator.to_gram_basis(y.float(), size), operator.to_gram_basis(y, size)),
        (operator.gram_eigenvalues(size, y.float()), operator.gram_eigenvalues(size, y)),
    ):
        assert single.dtype == (torch.complex64 if double.is_complex() else torch.float32)
        assert relative_error(single.to(double.dtype), double) <= 1e-6  # some units in the last place of float32


@each_operator
def test_sizes_round_trip(operator: DiagonalGramOperator, size: tuple[int, int]) -> None:
    measured = operator.measurement_size(size)
    assert operator.measurement_size(operator.image_size(measured)) == measured
    assert operator.adjoint(uniform(1, 1, *measured)).shape[-2:] == operator.image_size(measured)
