"""Operators with a preconditioner: conjugate gradients, one system per shift, each from the last one's solution."""

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.gram import NEWTON_STEPS, SMALL_STEP, Correction, Gram, inner, norm, per_sample
from mcnet_lightning.operators.base import MeasurementOperator, Size
from mcnet_lightning.operators.conjugate_gradient import Ended, conjugate_gradient


class ConjugateGradientGram(Gram):
    """A A^T by products and something near its inverse."""

    def __init__(self, operator: MeasurementOperator, size: Size) -> None:
        self.operator, self.size = operator, size

    def correct(self, residual: Tensor, radius: Tensor, slack: Tensor) -> Correction:
        length = norm(residual)
        back = norm(self.spread(residual))
        self.norm = max(self.norm, float((back / length.clamp_min(torch.finfo(back.dtype).tiny)).nan_to_num(0.0).max()))
        inside = (radius > 0) & (length <= radius)
        outside = (radius > 0) & ~inside
        shift = torch.zeros_like(radius)
        multiplier = self._solve(residual, shift, None)
        attainable = norm(residual - self.operator(self.spread(multiplier)))
        attainable = attainable.where(attainable > radius + slack, torch.nan)
        outside &= torch.isnan(attainable)
        if bool(outside.any()):
            slope = back.square() / length
            mu = ((length - radius) / radius * length / slope).where(outside, 1.0)
            z, p = residual * 0, None
            for _ in range(NEWTON_STEPS):
                t = 1 / mu
                z = self._solve(residual, t, z)
                p = self._solve(z, t, p)
                size = norm(z)
                slope = t.square() * (size - t * inner(z, p) / size)
                step = ((t * size - radius) / radius * t * size / slope).where(outside & (slope > 0), 0.0)
                mu = torch.maximum(mu + step, mu / 2)
                if bool((step.abs() <= SMALL_STEP * mu).all()):
                    break
            shift = (1 / mu).where(outside, shift)
            multiplier = z.where(per_sample(outside, z) > 0, multiplier)
        shift = shift.masked_fill(inside, torch.inf)
        multiplier = multiplier.masked_fill(per_sample(inside, multiplier) > 0, 0.0)
        return Correction(self.spread(multiplier), multiplier, shift, attainable)

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        return self.spread(self.inverse(measurement, torch.zeros(len(measurement), device=measurement.device)))

    def to_coordinates(self, measurement: Tensor) -> Tensor:
        return measurement

    def from_coordinates(self, coefficients: Tensor) -> Tensor:
        return coefficients

    def spread(self, coefficients: Tensor) -> Tensor:
        return self.operator.adjoint(coefficients, self.size)

    def inverse(self, coefficients: Tensor, shift: Tensor) -> Tensor:
        solution = self._solve(coefficients, shift.where(torch.isfinite(shift), 1.0), None)
        return solution.masked_fill(per_sample(torch.isinf(shift), solution) > 0, 0.0)

    def _solve(self, rhs: Tensor, shift: Tensor, start: Tensor | None) -> Tensor:
        """(t I + A A^T)^{-1} rhs."""
        weight, operator, size = per_sample(shift, rhs), self.operator, self.size
        ended: list[Tensor] = []
        solution = conjugate_gradient(
            lambda z: operator.gram(z, size) + weight * z,
            rhs,
            256 * operator.resolution(rhs.dtype),
            precondition=lambda z: _given(operator.precondition(z, size, shift), z),
            start=start,
            record=ended.append,
        )
        self.wrong_adjoint |= bool((ended[0] == int(Ended.NEGATIVE_CURVATURE)).any())
        return solution


def _given(preconditioned: Tensor | None, plain: Tensor) -> Tensor:
    return plain if preconditioned is None else preconditioned
