"""Operators with a preconditioner: conjugate gradients, one system per shift, each from the last one's solution."""

from functools import partial

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.gram import (
    NEWTON_STEPS,
    SMALL_STEP,
    Correction,
    GramByProducts,
    inner,
    norm,
    per_sample,
)
from mcnet_lightning.operators.conjugate_gradient import Ended, conjugate_gradient

ROUGH = 1e-3  # relative residual of inner systems, and relative step of mu from which they are solved exactly
FOUND = 1e-3  # relative error of a radius that was found
STATIONARY = {torch.float32: 1e-3, torch.float64: 1e-6}  # ||A^T r|| / (||A|| ||r||) of a residual out of reach


class ConjugateGradientGram(GramByProducts):
    """A A^T by products and something near its inverse."""

    def correct(self, residual: Tensor, radius: Tensor, slack: Tensor) -> Correction:
        length, back = norm(residual), norm(self.to_image(residual))
        tiny = torch.finfo(back.dtype).tiny
        self.norm = max(self.norm, float((back / length.clamp_min(tiny)).nan_to_num(0.0, posinf=0.0).max()))
        inside = (radius > 0) & (length <= radius)
        curved, multiplier = self._on_the_sphere(residual, radius, (radius > 0) & ~inside, back.square() / length)
        inside |= (radius > 0) & (curved == 0) & (length <= radius + slack)  # on the sphere, to rounding
        flat = ~inside & (curved == 0)
        lost = (radius > 0) & flat
        shift = curved.masked_fill(inside, torch.inf)
        attainable = torch.full_like(length, torch.nan)
        if bool(flat.any()):
            nearest = self._solve(residual, torch.zeros_like(shift), None)
            multiplier = nearest.where(per_sample(flat, nearest) > 0, multiplier)
            left = residual - self.operator(self.to_image(nearest))
            distance = norm(left)
            # out of reach only where A^T sees nothing of it any more; else the iteration has ended early
            seen = norm(self.to_image(left)) > STATIONARY[residual.dtype] * self.norm * distance
            self.ended_early |= bool((lost & (distance <= radius)).any())
            attainable = distance.where(flat & ~seen & (distance > radius + slack), attainable)
        multiplier = multiplier.masked_fill(per_sample(inside, multiplier) > 0, 0.0)
        return Correction(self.to_image(multiplier), multiplier, shift, attainable)

    def _on_the_sphere(self, residual: Tensor, radius: Tensor, outside: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """t > 0 with t ||z|| = radius and z, by Newton's method on 1/phi; t = 0 where it is not found. Inner systems
        are solved roughly until the root is near.
        """
        length, near = norm(residual), False
        mu = ((length - radius) / radius * length / slope).where(outside, 1.0)
        z, p = torch.zeros_like(residual), None
        if not bool(outside.any()):
            return torch.zeros_like(mu), z
        rough = ROUGH * float((radius / length)[outside].min())  # an error of the radius, too
        for _ in range(NEWTON_STEPS):
            t = 1 / mu
            z = self._solve(residual, t, z, None if near else rough)
            p = self._solve(z, t, p, ROUGH)
            size = norm(z)
            slope = t.square() * (size - t * inner(z, p) / size)
            step = ((t * size - radius) / radius * t * size / slope).where(outside & (slope > 0), 0.0)
            mu = torch.maximum(mu + step, mu / 2)
            if near and bool((step.abs() <= SMALL_STEP * mu).all()):
                break
            near = near or bool((step.abs() <= ROUGH * mu).all())
        found = outside & ((norm(z) / mu - radius).abs() <= FOUND * radius)
        return (1 / mu).where(found, 0.0), z

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        return self.to_image(self.inverse(measurement, torch.zeros(len(measurement), device=measurement.device)))

    def inverse(self, coefficients: Tensor, shift: Tensor) -> Tensor:
        solution = self._solve(coefficients, shift.where(torch.isfinite(shift), 1.0), None)
        return solution.masked_fill(per_sample(torch.isinf(shift), solution) > 0, 0.0)

    def _solve(self, rhs: Tensor, shift: Tensor, start: Tensor | None, tolerance: float | None = None) -> Tensor:
        """(t I + A A^T)^{-1} rhs."""
        operator, ended = self.operator, list[Tensor]()
        solution = conjugate_gradient(
            partial(operator.gram, image_size=self.size),
            rhs,
            tolerance or 256 * operator.resolution(rhs.dtype),
            shift,
            precondition=partial(operator.precondition, image_size=self.size, shift=shift),
            start=start,
            record=ended.append,
        )
        self.wrong_adjoint |= bool((ended[0] == int(Ended.NEGATIVE_CURVATURE)).any())
        return solution
