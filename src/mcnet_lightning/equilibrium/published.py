"""The solver of the published MCNet experiments, by its settings and in our words: what there is to be faster than.

The state is ADMM's pair z = (x, lambda), two images; Anderson acceleration with five past steps, relaxation 0.9 and an
absolute ridge of 1e-4; one residual for the whole batch. At the fixed point x - lambda is the fixed point y of the
Douglas-Rachford map, and x is the same image.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.fixed_point import AndersonSolver
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap
from mcnet_lightning.equilibrium.stats import Outcome, SolveStats
from mcnet_lightning.errors import ConfigError


class ADMMMap:
    """(x, lambda) -> (x', lambda'): u = R(x + lambda), x' = X(u - lambda), lambda' = lambda + x' - u.

    X is the proximal step and projection of the Douglas-Rachford map, R its denoiser: no mathematics of its own.
    """

    def __init__(self, splitting: DouglasRachfordMap) -> None:
        self.splitting = splitting

    def __call__(self, pair: Tensor) -> Tensor:
        estimate, dual = pair.chunk(2, dim=1)
        denoised = self.splitting.denoised(estimate + dual)
        estimate = self.splitting.estimate(denoised - dual)
        return torch.cat([estimate, dual + estimate - denoised], dim=1)


@dataclass
class PublishedSolver(AndersonSolver):
    """The published settings, for comparison: the ridge is absolute, so that it outgrows the Gram matrix of small
    residuals and the acceleration fades. All samples of a batch go on until their common residual is small.

    tolerance: stop at a relative residual of the pair (x, lambda) below this
    """

    max_evaluations: Annotated[int, {"minimum": 3}] = 200
    history_size: int = field(default=5, init=False)
    mixing: float = field(default=0.9, init=False)
    ridge: float = field(default=1e-4, init=False)
    half_evaluations: bool | None = field(default=False, init=False)

    @torch.no_grad()
    def solve(self, fixed_point_map: Any, start: Tensor) -> tuple[Tensor, SolveStats]:
        """The fixed point y of a `DouglasRachfordMap` from w, by way of the pair (w, 0). Raises ConfigError for other
        maps: the pair cannot be made from them.
        """
        if not isinstance(fixed_point_map, DouglasRachfordMap):
            raise ConfigError("solver=published solves MCNet's own map only; use solver=anderson for others")
        admm, batch = ADMMMap(fixed_point_map), len(start)
        pair, residuals = self.iterate(admm, torch.cat([start, torch.zeros_like(start)], dim=1))
        estimate, dual = admm(pair).chunk(2, dim=1)
        trace = torch.tensor(residuals, dtype=torch.float64)[:, None].expand(-1, batch)
        outcome = Outcome.CONVERGED if residuals[-1] < self.tolerance else Outcome.MAX_EVALUATIONS
        counts, outcomes = torch.full((batch,), len(residuals)), torch.full((batch,), int(outcome))
        return estimate - dual, SolveStats(counts, trace[-1].clone(), outcomes, trace.clone())

    @torch.no_grad()
    def iterate(self, function: Callable[[Tensor], Tensor], start: Tensor) -> tuple[Tensor, list[float]]:
        """The last state of the iteration for z = function(z), and the residual of every evaluation."""
        batch = len(start)
        states = start.new_zeros(batch, self.history_size, start[0].numel())
        values = torch.zeros_like(states)
        residuals = list[float]()

        def visit(slot: int, state: Tensor) -> None:
            states[:, slot] = state
            values[:, slot] = function(state.view_as(start)).flatten(1)
            residuals.append(float((values[:, slot] - state).norm() / (1e-5 + values[:, slot].norm())))

        visit(0, start.flatten(1))
        visit(1 % self.history_size, values[:, 0])
        slot = 1 % self.history_size
        for step in range(2, self.max_evaluations):
            filled = min(step, self.history_size)
            gaps = values[:, :filled] - states[:, :filled]
            gram = gaps @ gaps.transpose(1, 2) + self.ridge * torch.eye(filled, dtype=gaps.dtype, device=gaps.device)
            weights = torch.linalg.solve(gram, gaps.new_ones(batch, filled, 1)).transpose(1, 2)
            weights = weights / weights.sum(dim=2, keepdim=True)
            mixed = self.mixing * (weights @ values[:, :filled]) + (1 - self.mixing) * (weights @ states[:, :filled])
            slot = step % self.history_size
            visit(slot, mixed.squeeze(1))
            if residuals[-1] < self.tolerance:
                break
        return states[:, slot].view_as(start), residuals
