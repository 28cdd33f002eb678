"""The solvers that are compared. Each one finds the fixed point of the map that it is given, by its own code.

A scheme is a function (problem, tolerance) -> (x, y): the estimate, with its implicit gradient where gradients are
enabled, and the state that it was projected from. Forward tolerance and caps are the same for all; backwards the others
use the same tolerance again. Ours is the loosest of 0.03, 0.01, 0.003, ... that keeps the error of the gradient
within TARGET, and so is that of `torchdeq_broyden_tuned`; none does it for torchdeq's Anderson and deepinv within the
cap.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from problems import Problem
from published import MAX_EVALUATIONS, MAX_PRODUCTS, published_fixed_point
from torch import Tensor

from mcnet_lightning import GMRES, AndersonSolver

Scheme = Callable[[Problem, float], tuple[Tensor, Tensor]]

OURS, OURS_FLOAT32, OURS_FLOAT32_FORWARDS = "ours", "ours_float32", "ours_float32_forwards"
ALL_OURS = (OURS, OURS_FLOAT32, OURS_FLOAT32_FORWARDS)
PUBLISHED, PUBLISHED_ACCURATE = "published_settings", "published_settings_accurate"
TARGET = 0.03  # relative error of dL/dtheta
OURS_BACKWARD, BROYDEN_BACKWARD = 1e-2, 3e-3
TOLERANCES = (1e-5, 7e-6, 5e-6, 3e-6, 2e-6, 1e-6)  # of the published settings where they have to be accurate
LONGEST = 1000  # evaluations
DEEPINV_RIDGE = 1e-4  # its default backwards; its default forwards, 0.1, is no acceleration at all


def ours(
    problem: Problem, tolerance: float, half_evaluations: bool | None = None, half_products: bool | None = None
) -> tuple[Tensor, Tensor]:
    """The library as it is: relative ridge, GMRES backwards, bfloat16 convolutions where that is faster."""
    layer = problem.layer
    layer.solver = AndersonSolver(tolerance, MAX_EVALUATIONS, half_evaluations=half_evaluations)
    layer.backward_solver = GMRES(OURS_BACKWARD, MAX_PRODUCTS, half_products=half_products)
    result = layer(problem.prior_image, problem.measurement, problem.operator, problem.epsilon)
    return result.estimate, result.state


def published_settings(
    problem: Problem, tolerance: float, max_evaluations: int = MAX_EVALUATIONS
) -> tuple[Tensor, Tensor]:
    return published_fixed_point(problem.map(), tolerance, max_evaluations)


def published_where_accurate(problems: Sequence[Problem], psnrs: Sequence[float], within: float) -> Scheme:
    """The published settings without cap, at the loosest tolerance that brings each of `problems` as near to its fixed
    point's PSNR as `within`.
    """

    def accurate(tolerance: float) -> bool:
        scheme = partial(published_settings, max_evaluations=LONGEST)
        estimates = (scheme(problem, tolerance)[0] for problem in problems)
        pairs = zip(problems, estimates, psnrs, strict=True)
        return all(abs(problem.psnr(estimate) - psnr) <= within for problem, estimate, psnr in pairs)

    with torch.no_grad():
        found = next(filter(accurate, TOLERANCES), TOLERANCES[-1])
    print(f"{PUBLISHED_ACCURATE}: tolerance {found:g}", flush=True)
    return lambda problem, tolerance: published_settings(problem, found, LONGEST)


def torchdeq(solver: str, backward: float | None = None) -> Scheme:
    """torchdeq's `get_deq` with implicit differentiation by hook (one evaluation less than its default)."""
    from torchdeq import get_deq

    def scheme(problem: Problem, tolerance: float) -> tuple[Tensor, Tensor]:
        deq = get_deq(
            core="indexing",
            f_solver=solver,
            b_solver=solver,
            f_max_iter=MAX_EVALUATIONS,
            b_max_iter=MAX_PRODUCTS,
            f_tol=tolerance,
            b_tol=backward or tolerance,
            f_stop_mode="rel",
            b_stop_mode="rel",
            hook_ift=True,
        ).train(torch.is_grad_enabled())
        splitting = problem.map()
        states, _ = deq(splitting, problem.prior_image)
        return splitting.estimate(states[-1]), states[-1].detach()

    return scheme


def deepinv(kind: str) -> Scheme:
    """deepinv's BaseOptim, with an iterator that applies the map, and its DEQ backward pass."""
    warnings.filterwarnings("ignore", module="deepinv")
    from deepinv.optim import AndersonAccelerationConfig, BaseOptim, DEQConfig
    from deepinv.optim.optim_iterators import OptimIterator

    class Iterator(OptimIterator):  # type: ignore[misc]  # of a package without types
        def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
            super().__init__(has_cost=False)
            self.function = function

        def forward(self, iterate: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
            return {"est": (self.function(iterate["est"][0]),), "cost": None}

    accelerated = kind == "anderson"

    def scheme(problem: Problem, tolerance: float) -> tuple[Tensor, Tensor]:
        splitting = problem.map()
        model = BaseOptim(
            Iterator(splitting),
            max_iter=MAX_EVALUATIONS,
            thres_conv=tolerance,
            early_stop=True,
            trainable_params=[],
            anderson_acceleration=AndersonAccelerationConfig(5, 1.0, DEEPINV_RIDGE) if accelerated else False,
            DEQ=DEQConfig(
                anderson_acceleration_backward=accelerated,
                eps_backward=DEEPINV_RIDGE,
                max_iter_backward=MAX_PRODUCTS,
            )
            if torch.is_grad_enabled()
            else None,
        )
        state = model(problem.measurement, None, init=problem.prior_image)
        return splitting.estimate(state), state.detach()

    return scheme


TRAINING_ONLY = ("torchdeq_broyden_tuned", OURS_FLOAT32_FORWARDS)  # forwards they are others of these
INFERENCE_ONLY = (PUBLISHED_ACCURATE,)  # its tolerance depends on the images
# name -> package that it needs, and what builds it
SCHEMES: dict[str, tuple[str, Callable[[], Scheme]]] = {
    OURS: ("mcnet_lightning", lambda: ours),
    OURS_FLOAT32: ("mcnet_lightning", lambda: partial(ours, half_evaluations=False, half_products=False)),
    OURS_FLOAT32_FORWARDS: ("mcnet_lightning", lambda: partial(ours, half_evaluations=False)),
    PUBLISHED: ("mcnet_lightning", lambda: published_settings),
    "torchdeq_anderson": ("torchdeq", lambda: torchdeq("anderson")),
    "torchdeq_broyden": ("torchdeq", lambda: torchdeq("broyden")),
    "torchdeq_broyden_tuned": ("torchdeq", lambda: torchdeq("broyden", BROYDEN_BACKWARD)),
    "deepinv_anderson": ("deepinv", lambda: deepinv("anderson")),
    "deepinv_plain": ("deepinv", lambda: deepinv("plain")),
}


def load_schemes() -> tuple[dict[str, Scheme], dict[str, str]]:
    """The schemes that can run, and for each of the others the reason why not."""
    missing = {name: f"{package} is not installed" for name, (package, _) in SCHEMES.items() if not find_spec(package)}
    return {name: build() for name, (_, build) in SCHEMES.items() if name not in missing}, missing
