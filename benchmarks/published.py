"""The solver of the published MCNet experiments, forwards (`PublishedSolver`) and, by a hook, backwards."""

import torch
from torch import Tensor

from mcnet_lightning.equilibrium import DouglasRachfordMap
from mcnet_lightning.equilibrium.published import ADMMMap, PublishedSolver

MAX_EVALUATIONS, MAX_PRODUCTS = 200, 80


def published_fixed_point(
    splitting: DouglasRachfordMap, tolerance: float, max_evaluations: int = MAX_EVALUATIONS
) -> tuple[Tensor, Tensor]:
    """x, with its implicit gradient where gradients are on, and y = x - lambda."""
    admm, w = ADMMMap(splitting), splitting.prior_image
    forward, backward = PublishedSolver(tolerance, max_evaluations), PublishedSolver(tolerance, MAX_PRODUCTS)
    pair = admm(forward.iterate(admm, torch.cat([w, torch.zeros_like(w)], dim=1))[0])
    if torch.is_grad_enabled():
        leaf = pair.detach().requires_grad_()
        applied = admm(leaf)

        def adjoint(gradient: Tensor) -> Tensor:
            def equation(v: Tensor) -> Tensor:
                return torch.autograd.grad(applied, leaf, v, retain_graph=True)[0] + gradient

            return backward.iterate(equation, gradient)[0]

        pair.register_hook(adjoint)
    estimate, dual = pair.chunk(2, dim=1)
    return estimate, (estimate - dual).detach()
