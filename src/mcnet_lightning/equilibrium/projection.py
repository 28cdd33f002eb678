"""Exact Euclidean projection onto the measurement ball { x : ||b - A x||_2 <= epsilon }, and what it reached.

With the residual r = A q - b the projection is q - A^T (t I + A A^T)^{-1} r, where t = 0 for epsilon = 0 and otherwise
1/t = mu solves the secular equation ||(I + mu A A^T)^{-1} r|| = epsilon. In an eigenbasis of A A^T all of it is
elementwise (gram.py); operators without one are projected by a Krylov method (krylov.py).
"""

import warnings
from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.among_images import ImageSpaceGram
from mcnet_lightning.equilibrium.derivative import Projection, Weight, rounding
from mcnet_lightning.equilibrium.gram import DiagonalGram, Gram, inner, norm, per_sample, widened
from mcnet_lightning.equilibrium.krylov import KrylovGram
from mcnet_lightning.equilibrium.precision import full_precision
from mcnet_lightning.equilibrium.preconditioned import ConjugateGradientGram
from mcnet_lightning.equilibrium.stats import Outcome, Reached
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, MeasurementOperator
from mcnet_lightning.operators.dense import dense_operator

REPEATS = 3  # projections of a projection, where rounding left it outside
MATRIX_ROWS, MATRIX_SIZE = 1024, 2**24  # small enough to be written down once a solve has cost more
ADJOINT_TOLERANCE = 1e-3  # relative; of a transpose that is one, rounding leaves less


def project_measurement_ball(
    q: Tensor,
    b: Tensor,
    A: MeasurementOperator,
    epsilon: float | Tensor = 0.0,
    record: Callable[[Reached], None] | None = None,
) -> Tensor:
    """argmin_x ||x - q||_2 subject to ||b - A x||_2 <= epsilon, for each sample.

    Args:
        q: images (B, C, H, W), float32 or float64.
        b: measurements (B, ...), of the shape that A gives to q.
        A: the operator.
        epsilon: radius >= 0 in the units of b, one for all samples or one per sample (B,); the norm runs over all
            but the batch and is not divided by anything.
        record: receives what was reached: distances, and for balls that no image can meet the smallest epsilon. By
            default a sample that misses its ball is a warning.

    Returns:
        (B, C, H, W). Where the ball cannot be reached: the image nearest to q among those nearest to it.
        Differentiable once in q, b and epsilon, through the implicit derivative of mu.

    Raises:
        ConfigError: if shapes do not belong together or epsilon is negative.
    """
    ball = MeasurementBall(b, A, epsilon)
    estimate, reached = ball.reach(q)
    if record is not None:
        record(reached)
    elif reached.missed:
        warnings.warn(f"project_measurement_ball: {reached.sentence()}", stacklevel=2)
    return estimate


class MeasurementBall:
    """The set { x : ||b - A x||_2 <= epsilon }, one per sample, prepared for many projections."""

    def __init__(self, measurement: Tensor, operator: MeasurementOperator, epsilon: float | Tensor = 0.0) -> None:
        if measurement.dtype not in (torch.float32, torch.float64):
            raise ConfigError(
                f"a measurement is of float32 or float64, got {str(measurement.dtype).removeprefix('torch.')}: "
                + (
                    "give real and imaginary part as two channels (torch.view_as_real)"
                    if measurement.is_complex()
                    else "less precision cannot hold A x = b; convert it with .float()"
                )
            )
        if measurement.ndim < 2:
            raise ConfigError(f"a measurement has a batch dimension first (B, ...), got {tuple(measurement.shape)}")
        radius = torch.as_tensor(epsilon, dtype=measurement.dtype, device=measurement.device)
        if radius.ndim > 1 or (radius.ndim == 1 and len(radius) != len(measurement)):
            raise ConfigError(f"epsilon is one number or one per sample, got shape {tuple(radius.shape)}")
        if bool((radius < 0).any()) or not bool(torch.isfinite(radius).all()):
            raise ConfigError(f"epsilon={epsilon} must be finite and at least 0")
        self.measurement = operator.measured(measurement)
        self.operator = operator
        self.radius = radius.expand(len(measurement))
        self.is_affine = not bool((radius > 0).any())  # all of them { x : A x = b }
        self._prepared: tuple[object, Gram] | None = None  # for images of a kind

    def select(self, index: Tensor) -> "MeasurementBall":
        """The balls of some samples."""
        chosen = copy(self)
        chosen.measurement, chosen.radius = self.measurement[index], self.radius[index]
        chosen.operator = self.operator.select(index)
        if chosen.operator is not self.operator:
            chosen._prepared = None
        return chosen

    def project(self, image: Tensor) -> Tensor:
        """The projection of images (B, C, H, W); never under autocast or in TF32, which would destroy its exactness."""
        with full_precision(image.device):
            gram = self._gram(image)
            if self.is_affine and isinstance(gram, DiagonalGram):
                # not in the basis, where b is so large at low frequencies that float32 would lose a digit
                return image - gram.pseudo_inverse(self.operator(image) - self.measurement)
            projected: Tensor = Projection.apply(image, self.measurement, self.radius, gram)
            return projected

    def reach(self, image: Tensor) -> tuple[Tensor, Reached]:
        """The projection, and how near it came, of which a sample that misses its ball is no warning."""
        return self.settle(self.project(image))

    def tangent(self, vector: Tensor) -> Tensor:
        """v - A^+ A v, (B, C, H, W): the derivative of the projection, everywhere the same, where the set is affine."""
        return vector - self._gram(vector).pseudo_inverse(self.operator(vector))

    @torch.no_grad()
    def derivative(self, image: Tensor) -> Callable[[Tensor], Tensor]:
        """v -> P'(q) v at q = `image`, without tape: symmetric, as P is the gradient of a convex function."""
        if self.is_affine:
            return torch.no_grad()(self.tangent)
        with full_precision(image.device):
            gram = self._gram(image)
            residual = self.operator(image) - self.measurement
            found = gram.correct(residual, widened(self.radius), rounding(image, self.measurement, gram))
            weight = Weight(gram, found.multiplier, found.shift)

        @torch.no_grad()
        def product(vector: Tensor) -> Tensor:
            weighed = weight(gram.to_coordinates(self.operator(vector)))
            return vector - gram.to_image(weighed)

        return product

    def settle(self, estimate: Tensor) -> tuple[Tensor, Reached]:
        """A projected image and how near it came; projected again where rounding left it outside its ball."""
        with full_precision(estimate.device):
            distance, off = self._distance(estimate)
            for _ in range(REPEATS):
                if not bool(off.any()):
                    break
                again = self.project(estimate)
                nearer, still = self._distance(again)
                better = off & (nearer < distance)
                if not bool(better.any()):
                    break
                estimate = again.where(per_sample(better, again) > 0, estimate)
                distance, off = nearer.where(better, distance), still.where(better, off)
            return estimate, self._judge(estimate, distance, off)

    @torch.no_grad()
    def _judge(self, estimate: Tensor, distance: Tensor, off: Tensor) -> Reached:
        gram = self._gram(estimate)
        outcome = torch.full_like(distance, int(Outcome.CONVERGED), dtype=torch.int64)
        attainable = torch.full_like(distance, torch.nan)
        if bool(off.any()):
            residual = self.operator(estimate) - self.measurement
            found = gram.correct(residual, widened(self.radius), rounding(estimate, self.measurement, gram))
            attainable = found.attainable.where(off, torch.nan)
            outcome = outcome.masked_fill(off, int(Outcome.INEXACT))
            outcome = outcome.masked_fill(off & ~torch.isnan(attainable), int(Outcome.INCONSISTENT))
        if bool(off.any()) or (isinstance(gram, ConjugateGradientGram) and not gram.checked):
            gram.checked = True
            gram.wrong_adjoint |= self._catches_adjoint(estimate)
        if gram.ended_early:
            unsure = (outcome == int(Outcome.CONVERGED)) & (self.radius > 0)
            outcome = outcome.masked_fill(unsure, int(Outcome.INEXACT))
        if gram.wrong_adjoint:
            outcome = torch.full_like(outcome, int(Outcome.WRONG_ADJOINT))
            attainable = torch.full_like(attainable, torch.nan)
        outcome = outcome.masked_fill(~torch.isfinite(distance), int(Outcome.NON_FINITE))
        return Reached(distance.cpu().double(), attainable.cpu().double(), outcome.cpu())

    def _catches_adjoint(self, like: Tensor) -> bool:
        """Whether <A A^T y, y> is not ||A^T y||^2 for some y."""
        generator = torch.Generator().manual_seed(0)
        y = self.operator.measured(torch.randn(self.measurement.shape, generator=generator).to(self.measurement))
        back = self.operator.adjoint(y, (like.shape[-2], like.shape[-1]))
        energy, product = norm(back).square(), inner(self.operator(back), y)
        return bool(((product - energy).abs() > ADJOINT_TOLERANCE * energy).any())

    @torch.no_grad()
    def _distance(self, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """||A x - b|| (B,), and whether that is above epsilon by more than rounding."""
        gram = self._gram(estimate)
        distance = norm(self.operator(estimate) - self.measurement)
        return distance, ~(distance <= widened(self.radius) + rounding(estimate, self.measurement, gram))

    def _gram(self, image: Tensor) -> Gram:
        kind = (image.shape[1:], image.dtype, image.device)
        if self._prepared is None or self._prepared[0] != kind or len(image) != len(self.measurement):
            self._prepared = (kind, self._prepare(image))
        gram = self._prepared[1]
        if isinstance(gram, KrylovGram) and gram.applications * len(image) > self._worth_a_matrix(image, gram):
            with torch.no_grad():
                matrix = dense_operator(self.operator, tuple(image.shape[1:]))
                gram = DiagonalGram(matrix, gram.size, self.measurement)
            self._prepared = (kind, gram)
        return gram

    def _worth_a_matrix(self, image: Tensor, gram: Gram) -> float:
        """Applications of A after which a matrix, which takes as many as there are measured values, would have paid:
        never of operators that differ per sample, lie on other devices, or whose adjoint, its rows, is none.
        """
        rows, columns = self.measurement[0].numel(), image[0].numel()
        varies = type(self.operator).select is not MeasurementOperator.select
        large = rows > MATRIX_ROWS or rows * columns > MATRIX_SIZE
        return float("inf") if varies or large or gram.wrong_adjoint or image.device.type != "cpu" else rows

    def _prepare(self, image: Tensor) -> Gram:
        expected = tuple(self.operator.measurement_shape(tuple(image.shape)))
        if tuple(self.measurement.shape) not in (expected, (len(image), *expected)):
            raise ConfigError(
                f"{self.operator.name} maps images {tuple(image.shape)} to measurements {expected}, "
                f"but the measurement is {tuple(self.measurement.shape)}"
            )
        if image.dtype != self.measurement.dtype:
            raise ConfigError(f"the image is {image.dtype} and its measurement {self.measurement.dtype}; convert one")
        size = (image.shape[-2], image.shape[-1])
        with torch.no_grad():
            if isinstance(self.operator, DiagonalGramOperator):
                return DiagonalGram(self.operator, size, self.measurement)
        if self.operator.tall and self.is_affine:
            return ImageSpaceGram(self.operator, size)
        if type(self.operator).precondition is not MeasurementOperator.precondition:
            return ConjugateGradientGram(self.operator, size)
        return KrylovGram(self.operator, size)
