"""Exact Euclidean projection onto the measurement ball { x : ||b - A x||_2 <= epsilon }.

With the residual r = A q - b the projection is q - A^T (t I + A A^T)^{-1} r, where t = 0 for epsilon = 0 and otherwise
1/t = mu solves the secular equation ||(I + mu A A^T)^{-1} r|| = epsilon. In an eigenbasis of A A^T all of it is
elementwise; operators without one fall back to conjugate gradients.
"""

from copy import copy
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, MeasurementOperator, Size, is_measured
from mcnet_lightning.operators.conjugate_gradient import conjugate_gradient
from mcnet_lightning.precision import full_precision

NEWTON_STEPS = 60
SMALL_STEP = 1e-9


def project_measurement_ball(
    q: Tensor,
    b: Tensor,
    A: MeasurementOperator,
    epsilon: float | Tensor = 0.0,
) -> Tensor:
    """argmin_x ||x - q||_2 subject to ||b - A x||_2 <= epsilon, for each sample.

    Args:
        q: images (B, C, H, W).
        b: measurements (B, C, h, w), of the size that A gives to q.
        A: the operator.
        epsilon: radius >= 0 in the units of b, one for all samples or one per sample (B,); the norm runs over all
            channels and pixels of a sample and is not divided by their number.

    Returns:
        (B, C, H, W). Differentiable once in q, b and epsilon, through the implicit derivative of mu.

    Raises:
        ConfigError: if shapes do not belong together or epsilon is negative.
    """
    return MeasurementBall(b, A, epsilon).project(q)


class MeasurementBall:
    """The set { x : ||b - A x||_2 <= epsilon }, one per sample, prepared for many projections."""

    def __init__(self, measurement: Tensor, operator: MeasurementOperator, epsilon: float | Tensor = 0.0) -> None:
        if measurement.ndim != 4:
            raise ConfigError(f"a measurement has four dimensions (B, C, h, w), got shape {tuple(measurement.shape)}")
        radius = torch.as_tensor(epsilon, dtype=measurement.dtype, device=measurement.device)
        if radius.ndim > 1 or (radius.ndim == 1 and len(radius) != len(measurement)):
            raise ConfigError(f"epsilon is one number or one per sample, got shape {tuple(radius.shape)}")
        if bool((radius < 0).any()) or not bool(torch.isfinite(radius).all()):
            raise ConfigError(f"epsilon={epsilon} must be finite and at least 0")
        self.measurement = measurement
        self.operator = operator
        self.radius = radius.expand(len(measurement))
        self.is_affine = not bool((radius > 0).any())  # all of them { x : A x = b }
        self._prepared: tuple[object, _Gram] | None = None  # for images of a kind

    def select(self, index: Tensor) -> "MeasurementBall":
        """The balls of some samples."""
        chosen = copy(self)
        chosen.measurement, chosen.radius = self.measurement[index], self.radius[index]
        return chosen

    def project(self, image: Tensor) -> Tensor:
        """The projection of images (B, C, H, W); never under autocast or in TF32, which would destroy its exactness."""
        with full_precision(image.device):
            gram = self._gram(image)
            # not in the basis, where b is so large at low frequencies that float32 would lose a digit
            residual = self.operator(image) - self.measurement
            if self.is_affine:
                return image - gram.pseudo_inverse(residual)
            coefficients = gram.to_basis(residual)
            shift = self._shift(coefficients.detach(), coefficients, gram)
            correction = gram.spread(gram.shifted_solve(coefficients, shift))
            # samples already inside their ball have an infinite shift and are left exactly as they are
            inside = torch.isinf(shift).view(-1, 1, 1, 1)
            return image - correction.masked_fill(inside, 0.0)

    def tangent(self, vector: Tensor) -> Tensor:
        """v - A^+ A v, (B, C, H, W): the derivative of the projection, everywhere the same, where the set is affine."""
        return vector - self._gram(vector).pseudo_inverse(self.operator(vector))

    def _gram(self, image: Tensor) -> "_Gram":
        kind = (image.shape[1:], image.dtype, image.device)
        if self._prepared is None or self._prepared[0] != kind or len(image) != len(self.measurement):
            self._prepared = (kind, self._prepare(image))
        return self._prepared[1]

    def _prepare(self, image: Tensor) -> "_Gram":
        size = (image.shape[-2], image.shape[-1])
        expected = (*image.shape[:2], *self.operator.measurement_size(size))
        if tuple(self.measurement.shape) != expected:
            raise ConfigError(
                f"{self.operator.name} maps images {tuple(image.shape)} to measurements {expected}, "
                f"but the measurement is {tuple(self.measurement.shape)}"
            )
        if isinstance(self.operator, DiagonalGramOperator):
            return _DiagonalGram(self.operator, size, image)
        return _IterativeGram(self.operator, size)

    def _shift(self, fixed: Tensor, residual: Tensor, gram: "_Gram") -> Tensor:
        """t = 1/mu per sample, float64: 0 for epsilon = 0, inf inside the ball; carries the implicit derivative."""
        radius = self.radius.double()
        shift = torch.zeros_like(radius)
        positive = radius > 0
        if not bool(positive.any()):
            return shift
        shift = shift.masked_fill(positive, torch.inf)  # inside, until found outside
        with torch.no_grad():
            rows = (positive & ~(_norm(fixed) <= radius)).nonzero().squeeze(1)  # NaN is outside
        if len(rows) == 0:
            return shift
        mu = _secular_root(fixed[rows], radius[rows].detach(), gram)
        outside = mu != 0  # zero on the sphere itself, to rounding: 1/mu would have no derivative
        rows, mu = rows[outside], mu[outside]
        if torch.is_grad_enabled() and (residual.requires_grad or radius.requires_grad):
            # one Newton step on the tape from the root is the implicit derivative: no unrolled iteration
            _, slope = gram.secular(fixed[rows], mu)
            taped, _ = gram.secular(residual[rows], mu)
            gap = taped - radius[rows]
            mu = mu - (gap - gap.detach()) / slope
        return shift.index_put((rows,), 1 / mu)


def _secular_root(residual: Tensor, radius: Tensor, gram: "_Gram") -> Tensor:
    """mu > 0 with ||(I + mu A A^T)^{-1} r|| = epsilon: Newton on 1/phi, monotone from 0, 3 to 5 steps to rounding.

    Convergence is quadratic: a step of a share SMALL_STEP of mu was the last that mattered. Steps back are rounding.
    """
    with torch.no_grad():
        mu, moving = torch.zeros_like(radius), torch.ones_like(radius, dtype=torch.bool)
        for _ in range(NEWTON_STEPS):
            phi, slope = gram.secular(residual, mu)
            step = (phi - radius) / radius * phi / -slope
            mu = torch.where(moving, (mu + step).clamp_min(0), mu)
            moving &= ~(step <= SMALL_STEP * mu)
            if not bool(moving.any()):
                break
        return mu


class _Gram:
    """A A^T in the coordinates in which a projection works."""

    def to_basis(self, measurement: Tensor) -> Tensor:
        raise NotImplementedError

    def spread(self, coefficients: Tensor) -> Tensor:
        """A^T z, of z in these coordinates."""
        raise NotImplementedError

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        """A^+ y, of y as it is measured."""
        raise NotImplementedError

    def shifted_solve(self, residual: Tensor, shift: Tensor) -> Tensor:
        """(t I + A A^T)^{-1} r, the pseudo-inverse at t = 0, zero at t = inf."""
        raise NotImplementedError

    def secular(self, residual: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        """phi(mu) = ||(I + mu A A^T)^{-1} r|| and its derivative (not taped), float64 (B,)."""
        raise NotImplementedError


class _DiagonalGram(_Gram):
    def __init__(self, operator: DiagonalGramOperator, size: Size, like: Tensor) -> None:
        self.operator, self.size = operator, size
        self.eigenvalues = operator.gram_eigenvalues(size, like)
        self.measured = is_measured(self.eigenvalues)

    def to_basis(self, measurement: Tensor) -> Tensor:
        return self.operator.to_gram_basis(measurement, self.size)

    def spread(self, coefficients: Tensor) -> Tensor:
        return self.operator.synthesise(coefficients, self.size)

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        return self.operator.pseudo_inverse(measurement, self.size)

    def shifted_solve(self, residual: Tensor, shift: Tensor) -> Tensor:
        shift = shift.to(self.eigenvalues.dtype).view(-1, 1, 1, 1)
        return residual * self.measured / (self.eigenvalues.where(self.measured, 1.0) + shift)

    def secular(self, residual: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        energy = (residual * residual.conj()).real if residual.is_complex() else residual.square()
        energy = energy.double().sum(dim=1)
        damping = 1 / (1 + mu.view(-1, 1, 1) * self.eigenvalues.double())
        phi = (energy * damping.square()).flatten(1).sum(1).sqrt()
        with torch.no_grad():
            slope = -(energy * damping**3 * self.eigenvalues.double()).flatten(1).sum(1) / phi
        return phi, slope


class _IterativeGram(_Gram):
    def __init__(self, operator: MeasurementOperator, size: Size) -> None:
        self.operator, self.size = operator, size

    def to_basis(self, measurement: Tensor) -> Tensor:
        return measurement

    def spread(self, coefficients: Tensor) -> Tensor:
        return self.operator.adjoint(coefficients, self.size)

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        return self.spread(self.shifted_solve(measurement, measurement.new_zeros(len(measurement))))

    def shifted_solve(self, residual: Tensor, shift: Tensor) -> Tensor:
        finite = torch.where(torch.isinf(shift), 1.0, shift)  # the caller drops those samples
        return _ShiftedSolve.apply(residual, finite.to(residual.dtype), self.operator, self.size)

    def secular(self, residual: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        start = (mu == 0).view(-1, 1, 1, 1)
        shift = 1 / mu.where(mu > 0, 1.0)
        scaled = _ShiftedSolve.apply(residual, shift.to(residual.dtype), self.operator, self.size)
        damped = torch.where(start, residual, scaled * shift.to(residual.dtype).view(-1, 1, 1, 1))
        phi = damped.double().square().flatten(1).sum(1).sqrt()
        with torch.no_grad():
            image = self.operator.gram(damped, self.size)
            again = _ShiftedSolve.apply(image, shift.to(residual.dtype), self.operator, self.size)
            again = torch.where(start, image, again * shift.to(residual.dtype).view(-1, 1, 1, 1))
            slope = -(damped.double() * again.double()).flatten(1).sum(1) / phi
        return phi, slope


class _ShiftedSolve(torch.autograd.Function):
    """z = (t I + A A^T)^{-1} r by conjugate gradients; the derivative is one more solve, dz = M^{-1} (dr - z dt)."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, shift: Tensor, operator: MeasurementOperator, size: Size) -> Tensor:
        ctx.operator, ctx.size = operator, size
        solution = _ShiftedSolve.solve(residual, shift, operator, size)
        ctx.save_for_backward(shift, solution)
        return solution

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        shift, solution = ctx.saved_tensors
        adjoint = _ShiftedSolve.apply(gradient, shift, ctx.operator, ctx.size)  # on the tape, for J v out of J^T v
        return adjoint, -(adjoint * solution).flatten(1).sum(1), None, None

    @staticmethod
    def solve(rhs: Tensor, shift: Tensor, operator: MeasurementOperator, size: Size) -> Tensor:
        weight = shift.view(-1, 1, 1, 1)
        tolerance = 1e-14 if rhs.dtype == torch.float64 else 1e-7
        with torch.no_grad():
            return conjugate_gradient(lambda z: operator.gram(z, size) + weight * z, rhs, tolerance)


def _norm(residual: Tensor) -> Tensor:
    return residual.abs().double().square().flatten(1).sum(1).sqrt()
