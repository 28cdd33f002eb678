"""The solver of the published MCNet experiments, forwards (`PublishedSolver`) and, by a hook, backwards."""

from collections.abc import Callable

import torch
from torch import Tensor

from mcnet_lightning.equilibrium import DouglasRachfordMap
from mcnet_lightning.equilibrium.published import ADMMMap, PublishedSolver

MAX_EVALUATIONS, MAX_PRODUCTS = 200, 80
LONGEST, SETTLED = 1000, 40  # evaluations without cap, and how many in a row have to be accurate
NEVER = 1e-30  # a tolerance


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


@torch.no_grad()
def evaluations_until(splitting: DouglasRachfordMap, is_accurate: Callable[[Tensor], bool]) -> int:
    """After how many evaluations x is accurate and stays so; LONGEST if it never is."""
    admm, w = ADMMMap(splitting), splitting.prior_image
    accurate: list[bool] = []

    def watched(pair: Tensor) -> Tensor:
        value = admm(pair)
        accurate.append(is_accurate(value.chunk(2, dim=1)[0]))
        if all(accurate[-SETTLED:]) and len(accurate) >= SETTLED:
            raise StopIteration
        return value

    try:
        PublishedSolver(NEVER, LONGEST).iterate(watched, torch.cat([w, torch.zeros_like(w)], dim=1))
    except StopIteration:
        return len(accurate) - SETTLED + 1
    return LONGEST
