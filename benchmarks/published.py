"""The solver of the published MCNet experiments, by its settings and in our words: what there is to be faster than.

The state is ADMM's pair z = (x, lambda), two images; Anderson acceleration with five past steps, relaxation 0.9 and an
absolute ridge of 1e-4; one residual for the whole batch; the same solver for the adjoint equation. At the fixed point
x - lambda is the fixed point y of the Douglas-Rachford map, and x is the same image.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mcnet_lightning.equilibrium import DouglasRachfordMap

HISTORY, MIXING, RIDGE = 5, 0.9, 1e-4
MAX_EVALUATIONS, MAX_PRODUCTS = 200, 80


class ADMMMap:
    """(x, lambda) -> (x', lambda'): u = R(x + lambda), x' = X(u - lambda), lambda' = lambda + x' - u.

    X is the proximal step and projection of the Douglas-Rachford map, R its denoiser: no mathematics of its own.
    """

    def __init__(self, splitting: DouglasRachfordMap) -> None:
        self.splitting = splitting

    def __call__(self, pair: Tensor) -> Tensor:
        estimate, dual = pair.chunk(2, dim=1)
        denoised = self.splitting.denoise(estimate + dual)
        estimate = self.splitting.estimate(denoised - dual)
        return torch.cat([estimate, dual + estimate - denoised], dim=1)


def published_fixed_point(splitting: DouglasRachfordMap, tolerance: float) -> tuple[Tensor, Tensor]:
    """x, with its implicit gradient where gradients are on, and y = x - lambda."""
    admm, w = ADMMMap(splitting), splitting.prior_image
    solved = _anderson(admm, torch.cat([w, torch.zeros_like(w)], dim=1), tolerance, MAX_EVALUATIONS)
    pair = admm(solved)
    if torch.is_grad_enabled():
        leaf = pair.detach().requires_grad_()
        applied = admm(leaf)

        def adjoint(gradient: Tensor) -> Tensor:
            def equation(v: Tensor) -> Tensor:
                return torch.autograd.grad(applied, leaf, v, retain_graph=True)[0] + gradient

            return _anderson(equation, gradient, tolerance, MAX_PRODUCTS)

        pair.register_hook(adjoint)
    estimate, dual = pair.chunk(2, dim=1)
    return estimate, (estimate - dual).detach()


@torch.no_grad()
def _anderson(function: Callable[[Tensor], Tensor], start: Tensor, tolerance: float, cap: int) -> Tensor:
    batch = len(start)
    states = start.new_zeros(batch, HISTORY, start[0].numel())
    values = torch.zeros_like(states)

    def visit(slot: int, state: Tensor) -> float:
        states[:, slot] = state
        values[:, slot] = function(state.view_as(start)).flatten(1)
        return float((values[:, slot] - state).norm() / (1e-5 + values[:, slot].norm()))

    visit(0, start.flatten(1))
    visit(1, values[:, 0])
    slot = 1
    for step in range(2, cap):
        filled = min(step, HISTORY)
        gaps = values[:, :filled] - states[:, :filled]
        gram = gaps @ gaps.transpose(1, 2) + RIDGE * torch.eye(filled, dtype=gaps.dtype)
        weights = torch.linalg.solve(gram, gaps.new_ones(batch, filled, 1)).transpose(1, 2)
        weights = weights / weights.sum(dim=2, keepdim=True)
        mixed = MIXING * (weights @ values[:, :filled]) + (1 - MIXING) * (weights @ states[:, :filled])
        slot = step % HISTORY
        if visit(slot, mixed.squeeze(1)) < tolerance:
            break
    return states[:, slot].view_as(start)
