"""Gradients through a fixed point y* = T(y*) without unrolling the iteration that found it.

Given g = dL/dy*, the adjoint equation v = (dT/dy)^T v + g is solved with vector-Jacobian products of one recorded
application of T; then dL/dp = v^T dT/dp for everything T depends on. Memory does not grow with the iterations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.fixed_point import AndersonSolver, Count, Positive
from mcnet_lightning.equilibrium.mixed_precision import LinearisableMap
from mcnet_lightning.equilibrium.parts import Array
from mcnet_lightning.equilibrium.precision import full_precision, half_pays
from mcnet_lightning.equilibrium.stats import Outcome, SolveStats, direct_stats
from mcnet_lightning.errors import ConfigError

Vjp = Callable[[Tensor], Tensor]


class AdjointSolver(Protocol):
    """Solves v = J^T v + g per sample, given v -> J^T v and g = (B, ...).

    half_products: whether the backward pass of a float32 layer may compute its convolutions in bfloat16 (activations,
    equation and projection stay in full precision); None: where it is faster.
    """

    half_products: bool | None

    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]: ...


def implicit_fixed_point(
    fixed_point_map: Callable[[Tensor], Tensor],
    state: Tensor,
    solver: AdjointSolver,
    record: Callable[[SolveStats], None] | None = None,
) -> Tensor:
    """The fixed point `state` with its implicit gradient in all that T depends on.

    `state` is the solver's result, without tape. `record` receives the stats of the backward solve when it happens.
    Differentiable once.
    """
    half = half_pays(state.device) if solver.half_products is None else solver.half_products
    with torch.enable_grad():
        leaf = state.detach().requires_grad_()
        linearised = None
        if half and state.dtype == torch.float32 and isinstance(fixed_point_map, LinearisableMap):
            linearised = fixed_point_map.linearise(leaf, torch.bfloat16)
        applied, _, vjp = linearised or (fixed_point_map(leaf), None, None)
    return _ImplicitGradient.apply(applied, leaf, vjp, solver, record)


class _ImplicitGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, applied: Tensor, leaf: Tensor, vjp: Vjp | None, solver: AdjointSolver, record: Any) -> Tensor:
        ctx.save_for_backward(applied, leaf)
        ctx.vjp, ctx.solver, ctx.record = vjp, solver, record
        return leaf.detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        applied, leaf = ctx.saved_tensors

        def taped_vjp(vector: Tensor) -> Tensor:
            return torch.autograd.grad(applied, leaf, vector, retain_graph=True)[0]

        with torch.no_grad(), full_precision(gradient.device):
            adjoint, stats = ctx.solver.solve_adjoint(ctx.vjp or taped_vjp, gradient)
        if ctx.record is not None:
            ctx.record(stats)
        if torch.is_grad_enabled():  # create_graph=True
            adjoint = _Once.apply(adjoint, applied)
        return adjoint, None, None, None, None  # autograd carries v on through `applied` to weights, w, b and beta


class _Once(torch.autograd.Function):
    """v, which depends on everything that T does, in a way that nobody has differentiated."""

    @staticmethod
    def forward(ctx: Any, adjoint: Tensor, applied: Tensor) -> Tensor:
        return adjoint.clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError(
            "the implicit gradient of a fixed point is once_differentiable; for second derivatives take "
            "backward=unrolled, which keeps every step on the tape"
        )


@dataclass
class GMRES:
    """Full GMRES (Saad & Schultz 1986), one Krylov space per sample.

    tolerance:    a sample stops at ||v - J^T v - g|| <= tolerance ||g||; later products do not change it.
    max_products: vector-Jacobian products at most; the memory is that many gradients.
    half_products: bfloat16 convolutions in the backward pass; null: where that is faster.
    """

    tolerance: Positive = 1e-2
    max_products: Count = 40
    half_products: bool | None = None

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.max_products < 1:
            raise ConfigError(f"{self}: tolerance > 0 and max_products >= 1 are needed")

    @torch.no_grad()
    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        batch = len(gradient)
        right = gradient.flatten(1)
        tiny = torch.finfo(right.dtype).tiny
        length = torch.linalg.vector_norm(right, dim=1, keepdim=True)
        size = length.squeeze(1).cpu().double().numpy()
        basis = right.new_empty(batch, self.max_products + 1, right.shape[1])
        basis[:, 0] = right / length.clamp_min(tiny)
        small = _SmallLeastSquares(batch, self.max_products)
        products = np.zeros(batch, dtype=int)
        active = np.isfinite(size) & (size > 0)
        trace: list[Array] = []
        for k in range(self.max_products):
            if not active.any():
                break
            direction, known = basis[:, k], basis[:, : k + 1]
            image = (direction - vjp(direction.view_as(gradient)).flatten(1)).unsqueeze(1)
            # classical Gram-Schmidt, twice is enough (Giraud et al. 2005)
            overlap = torch.bmm(image, known.mT)
            image = torch.baddbmm(image, overlap, known, alpha=-1)
            again = torch.bmm(image, known.mT)
            image = torch.baddbmm(image, again, known, alpha=-1).squeeze(1)
            length = torch.linalg.vector_norm(image, dim=1, keepdim=True)
            torch.div(image, length.clamp_min(tiny), out=basis[:, k + 1])
            column = torch.cat([(overlap + again).squeeze(1), length], dim=1)
            trace.append(np.where(active, small.add(column.cpu().double().numpy()), np.nan))
            products += active
            active = trace[-1] > self.tolerance  # NaN is not
        history = np.stack([np.where(size > 0, 1.0, 0.0), *trace])
        used = np.isfinite(history[1:]).sum(axis=0)
        residual = history[used, np.arange(batch)]
        outcome = np.where(residual <= self.tolerance, int(Outcome.CONVERGED), int(Outcome.MAX_EVALUATIONS))
        outcome[(used < products) | ~np.isfinite(size)] = int(Outcome.NON_FINITE)
        coefficients = torch.from_numpy(small.solve(used, len(trace)) * size[:, None]).to(right.dtype).to(right.device)
        vector = torch.bmm(coefficients.unsqueeze(1), basis[:, : len(trace)]).view_as(gradient)
        found = (products, residual, outcome, history[1:] if trace else history)
        return vector, SolveStats(*map(torch.from_numpy, found))


class _SmallLeastSquares:
    """min ||e_1 - H_k y||, column by column of a batch of Hessenberg matrices H_k, by Givens rotations (Saad & Schultz
    1986, section 3.2).
    """

    def __init__(self, batch: int, most: int) -> None:
        self.triangle = np.zeros((batch, most, most))
        self.rotation = np.tile(np.eye(most + 1), (batch, 1, 1))  # Q, all rotations so far: Q H is the triangle

    def add(self, column: Array) -> Array:
        """The next column of H, (B, k + 2); returns the norm of what is left, NaN where the column is not finite."""
        k = column.shape[1] - 2
        rotation = self.rotation[:, : k + 2, : k + 2]
        with np.errstate(invalid="ignore", over="ignore"):
            turned = (rotation @ column[:, :, None])[:, :, 0]
            length = np.hypot(turned[:, k], turned[:, k + 1])
            safe = np.where(length == 0, 1.0, length)
            cosine, sine = np.where(length == 0, 1.0, turned[:, k] / safe), turned[:, k + 1] / safe
            rotation[:, k:] = np.array([[cosine, sine], [-sine, cosine]]).transpose(2, 0, 1) @ rotation[:, k:]
        self.triangle[:, :k, k], self.triangle[:, k, k] = turned[:, :k], safe
        return np.where(np.isfinite(column).all(axis=1), np.abs(rotation[:, k + 1, 0]), np.nan)

    def solve(self, used: Array, steps: int) -> Array:
        """y, (B, steps), of each after its first `used` columns; zero beyond."""
        valid = np.arange(steps) < used[:, None]
        both = valid[:, :, None] & valid[:, None, :]
        triangle = np.where(both, self.triangle[:, :steps, :steps], np.eye(steps))
        solution: Array = np.linalg.solve(triangle, np.where(valid, self.rotation[:, :steps, 0], 0.0)[:, :, None])
        return solution[:, :, 0]


@dataclass
class AdjointAnderson:
    """The adjoint equation by the forward pass' Anderson solver, started from g.

    tolerance:     relative residual of the adjoint equation.
    max_products:  vector-Jacobian products at most.
    history_size:  past residuals that are combined.
    ridge:         regulariser of the normalised Gram matrix.
    half_products: bfloat16 convolutions in the backward pass; null: where that is faster.
    """

    tolerance: Positive = 1e-2
    max_products: Count = 60
    history_size: Count = 20
    ridge: Annotated[float, {"minimum": 0.0}] = 1e-10
    half_products: bool | None = None

    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        solver = AndersonSolver(self.tolerance, self.max_products, self.history_size, ridge=self.ridge)
        return solver.solve(lambda v: vjp(v) + gradient, gradient)


@dataclass
class Neumann:
    """v = sum_{i <= terms} (J^T)^i g: the series cut off. Error on the published layer: 58 % at 10, 4 % at 80 terms.

    terms: of the series after the identity.
    half_products: bfloat16 convolutions in the backward pass; null: where that is faster.
    """

    terms: Count = 10
    half_products: bool | None = None

    def __post_init__(self) -> None:
        if self.terms < 0:
            raise ConfigError(f"{self}: terms >= 0 are needed")

    @torch.no_grad()
    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        term = total = gradient
        for _ in range(self.terms):
            term = vjp(term)
            total = total + term
        return total, direct_stats(len(gradient), self.terms)


@dataclass
class JacobianFree:
    """v = g: no product at all (Fung et al., AAAI 2022). Error of the gradient on the published layer: 95 %.

    half_products: bfloat16 convolutions in the backward pass; null: where that is faster.
    """

    half_products: bool | None = None

    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        return gradient, direct_stats(len(gradient), 0)


@dataclass
class Unrolled:
    """Backpropagation through taped Picard steps from the start: for comparison; memory grows with every step.

    max_evaluations: taped Picard steps.
    """

    max_evaluations: Count = 50

    def __post_init__(self) -> None:
        if self.max_evaluations < 1:
            raise ConfigError(f"{self}: max_evaluations >= 1 are needed")

    def unroll(self, fixed_point_map: Callable[[Tensor], Tensor], start: Tensor) -> tuple[Tensor, SolveStats]:
        state = start
        for _ in range(self.max_evaluations):
            state = fixed_point_map(state)
        return state, direct_stats(len(start), self.max_evaluations)
