"""Sparse differences under an exact constraint, the optimisation that TV, wavelet sparsity and TV-TV have in common:

    min_x  ||D x||_1 + beta ||D (x - w)||_1   subject to   ||b - A x||_2 <= epsilon

by the primal-dual method of Chambolle & Pock (JMIV 2011) with over-relaxation (Condat, JOTA 2013) and this package's
exact projection. D is the anisotropic gradient (forward differences, none across the border) unless a subclass says
otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mcnet_lightning.equilibrium import MeasurementBall, Outcome, SolveStats
from mcnet_lightning.equilibrium.precision import doubled
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods.base import Given, Made, Method

CHECK_EVERY = 20  # steps between two looks at the gap


@dataclass
class SparseDifferences(Method):
    """The solver.

    prior_weight: beta.
    tolerance:    a sample stops when its optimality gap, relative to the objective, is at most this. The gap adds the
                  duality gap of the pair (x, y) and ||N D^T y||_2 ||x - w||_2, N the projection onto the directions
                  that A does not see: what the pair would have to gain before x moves that far.
    max_steps:    primal-dual steps at most.
    step_ratio:   primal step over dual step; it moves the speed, not the result.
    """

    prior_weight: float = 0.0
    tolerance: float = 1e-3
    max_steps: int = 3000
    step_ratio: float = 0.01
    relaxation: float = 1.9
    norm_squared: ClassVar[float] = 8.0  # a bound of ||D||^2; of the gradient in two dimensions

    def __post_init__(self) -> None:
        if self.prior_weight < 0 or self.tolerance <= 0 or self.max_steps < 1 or self.step_ratio <= 0:
            raise ConfigError(f"{self}: prior_weight >= 0, tolerance > 0, max_steps >= 1, step_ratio > 0 are needed")
        if not 1 <= self.relaxation < 2:
            raise ConfigError(f"relaxation={self.relaxation} is outside [1, 2)")

    def run(self, given: Given) -> Made:
        return self.solve(given.start, given.ball)

    @torch.no_grad()
    def solve(self, prior_image: Tensor, ball: MeasurementBall) -> tuple[Tensor, SolveStats]:
        """The minimiser for w = `prior_image` (B, C, H, W), consistent to rounding, and its stats: steps, relative gap,
        and where the ball cannot be reached, that.

        Batches end together, when the last sample is done.
        """
        tau = (self.step_ratio / self.norm_squared) ** 0.5
        sigma = 1 / (self.norm_squared * tau)
        target = self.differences(prior_image)
        dual_step = self._dual_step(target, sigma)
        x = ball.project(prior_image)
        y = torch.zeros_like(target)
        steps, gaps = 0, []
        gap = torch.full((len(x),), torch.inf, dtype=torch.float64)
        while steps < self.max_steps and bool((gap > self.tolerance).any()):
            for _ in range(min(CHECK_EVERY, self.max_steps - steps)):
                new_x = ball.project(x - tau * self.adjoint(y))
                new_y = dual_step(torch.add(y, self.differences(2 * new_x - x), alpha=sigma))
                feasible, dual = new_x, new_y
                x, y = x.lerp(new_x, self.relaxation), y.lerp(new_y, self.relaxation)
                steps += 1
            gap = self.gap(feasible, dual, prior_image, ball)
            gaps.append(gap)
        done = gap <= self.tolerance
        outcome = torch.where(done, int(Outcome.CONVERGED), int(Outcome.MAX_EVALUATIONS))
        stats = SolveStats(torch.full((len(x),), steps), gap, outcome, torch.stack(gaps))
        settled, reached = ball.settle(feasible)
        return settled, stats.at(reached)

    def objective(self, image: Tensor, prior_image: Tensor) -> Tensor:
        """||D x||_1 + beta ||D (x - w)||_1 per sample, float64."""
        change, target = doubled(self.differences(image)), doubled(self.differences(prior_image))
        return (change.abs() + self.prior_weight * (change - target).abs()).flatten(1).sum(1)

    def gap(self, image: Tensor, dual: Tensor, prior_image: Tensor, ball: MeasurementBall) -> Tensor:
        """The relative optimality gap of a feasible x and a dual y (2 differences per pixel), per sample, float64."""
        objective = self.objective(image, prior_image)
        change, target, y = (doubled(each) for each in (self.differences(image), self.differences(prior_image), dual))
        conjugate = torch.maximum(-self.prior_weight * target.abs(), y * target - target.abs())
        duality = objective + (conjugate - y * change).flatten(1).sum(1)
        pull = self.adjoint(dual)
        # the step that the constraint would still allow: zero at the solution
        free = doubled(image - ball.project(image - pull)).flatten(1).norm(dim=1)
        moved = doubled(image - prior_image).flatten(1).norm(dim=1)
        return ((duality.abs() + free * moved) / objective.clamp_min(torch.finfo(torch.float64).tiny)).cpu()

    def _dual_step(self, target: Tensor, sigma: float) -> Callable[[Tensor], Tensor]:
        """v -> argmin_y h*(y) + (y - v)^2 / (2 sigma), elementwise, for h(u) = |u| + beta |u - c|, c = `target`.

        h has the slopes -1 - beta, +-(1 - beta) and 1 + beta, so that y follows v between the first two of them and,
        sigma |c| further on, between the last two.
        """
        sign = torch.where(target < 0, -1.0, 1.0).to(target.dtype)
        middle, shift = (1 - self.prior_weight) * sign, sigma * target
        steep = torch.full_like(sign, 1 + self.prior_weight)
        below, above = torch.where(sign > 0, -steep, middle), torch.where(sign > 0, middle, steep)
        rest_below, rest_above = torch.where(sign > 0, middle, -steep), torch.where(sign > 0, steep, middle)

        def step(v: Tensor) -> Tensor:
            return v.clamp(below, above) + (v - shift).clamp(rest_below, rest_above) - middle

        return step

    def differences(self, image: Tensor) -> Tensor:
        """D x, (B, K, H, W)."""
        return gradient(image)

    def adjoint(self, differences: Tensor) -> Tensor:
        """D^T p."""
        return gradient_adjoint(differences)


def gradient(image: Tensor) -> Tensor:
    """Forward differences D x, (B, C, H, W) -> (B, 2 C, H, W), the vertical ones first; zero at the far border."""
    batch, channels, height, width = image.shape
    differences = image.new_zeros(batch, 2 * channels, height, width)
    vertical, horizontal = differences.chunk(2, dim=1)
    vertical[..., :-1, :] = image[..., 1:, :] - image[..., :-1, :]
    horizontal[..., :-1] = image[..., 1:] - image[..., :-1]
    return differences


def gradient_adjoint(differences: Tensor) -> Tensor:
    """D^T p, (B, 2 C, H, W) -> (B, C, H, W)."""
    vertical, horizontal = differences.chunk(2, dim=1)
    image = torch.zeros_like(vertical)
    image[..., 1:, :] += vertical[..., :-1, :]
    image[..., :-1, :] -= vertical[..., :-1, :]
    image[..., 1:] += horizontal[..., :-1]
    image[..., :-1] -= horizontal[..., :-1]
    return image
