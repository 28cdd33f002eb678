"""Matrix-free conjugate gradients against dense solves."""

from typing import Any

import torch
from references import relative_error, uniform
from torch import Tensor

from mcnet_lightning.operators.conjugate_gradient import conjugate_gradient

SIZE = 8


def spread_spectra(*conditions: float) -> Tensor:
    """One symmetric positive definite matrix per sample, with the given condition numbers."""
    bases, _ = torch.linalg.qr(torch.randn(len(conditions), SIZE, SIZE, dtype=torch.float64))
    spectra = torch.stack([torch.logspace(0, -float(torch.tensor(c).log10()), SIZE).double() for c in conditions])
    return bases @ torch.diag_embed(spectra) @ bases.transpose(1, 2)


def solve(matrices: Tensor, rhs: Tensor, tolerance: float = 1e-14, **options: Any) -> Tensor:
    return conjugate_gradient(lambda z: (matrices @ z.unsqueeze(2)).squeeze(2), rhs, tolerance, **options)


def test_solves_positive_definite_systems() -> None:
    matrices, rhs = spread_spectra(3, 10, 100), uniform(3, SIZE)
    expected = torch.linalg.solve(matrices, rhs)
    assert relative_error(solve(matrices, rhs), expected) <= 1e-12  # condition 100 times rounding


def test_no_sample_depends_on_its_batch_mates() -> None:
    matrices, rhs = spread_spectra(1.5, 1000), uniform(2, SIZE)
    together = solve(matrices, rhs, 1e-3)
    alone = torch.cat([solve(matrices[i : i + 1], rhs[i : i + 1], 1e-3) for i in range(2)])
    assert relative_error(together, alone) <= 1e-13


def test_zero_right_side_gives_zero() -> None:
    assert not solve(spread_spectra(10), torch.zeros(1, SIZE, dtype=torch.float64)).any()


def test_consistent_singular_system_gives_the_least_norm_solution() -> None:
    basis = spread_spectra(10)[:, :, :4]
    matrix = basis @ basis.transpose(1, 2)
    rhs = (matrix @ uniform(1, SIZE, 1)).squeeze(2)
    expected = (torch.linalg.pinv(matrix, rtol=1e-12) @ rhs.unsqueeze(2)).squeeze(2)
    assert relative_error(solve(matrix, rhs, 1e-12), expected) <= 1e-9


def test_null_matrix_gives_zero_and_no_nan() -> None:
    assert not solve(torch.zeros(1, SIZE, SIZE, dtype=torch.float64), uniform(1, SIZE)).any()


def test_iteration_cap_is_kept() -> None:
    products = []
    matrices, rhs = spread_spectra(1e6), uniform(1, SIZE)

    def apply(z: Tensor) -> Tensor:
        products.append(z)
        return (matrices @ z.unsqueeze(2)).squeeze(2)

    conjugate_gradient(apply, rhs, 1e-14, max_iterations=3)
    assert len(products) == 3
