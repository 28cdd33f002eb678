"""Gradients through a fixed point y* = T(y*) without unrolling the iteration that found it.

Given g = dL/dy*, the adjoint equation v = (dT/dy)^T v + g is solved with vector-Jacobian products of one recorded
application of T; then dL/dp = v^T dT/dp for everything T depends on. Memory does not grow with the iterations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcnet_lightning.equilibrium.fixed_point import AndersonSolver
from mcnet_lightning.equilibrium.stats import Outcome, SolveStats, direct_stats
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.precision import half_pays

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
    linearise = getattr(fixed_point_map, "linearised", None) if half and state.dtype == torch.float32 else None
    with torch.enable_grad():
        leaf = state.detach().requires_grad_()
        linearised = linearise and linearise(leaf, torch.bfloat16)
        applied, vjp = linearised or (fixed_point_map(leaf), None)
    return _ImplicitGradient.apply(applied, leaf, vjp, solver, record)


class _ImplicitGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, applied: Tensor, leaf: Tensor, vjp: Vjp | None, solver: AdjointSolver, record: Any) -> Tensor:
        ctx.save_for_backward(applied, leaf)
        ctx.vjp, ctx.solver, ctx.record = vjp, solver, record
        return leaf.detach().clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        applied, leaf = ctx.saved_tensors

        def taped_vjp(vector: Tensor) -> Tensor:
            return torch.autograd.grad(applied, leaf, vector, retain_graph=True)[0]

        adjoint, stats = ctx.solver.solve_adjoint(ctx.vjp or taped_vjp, gradient)
        if ctx.record is not None:
            ctx.record(stats)
        return adjoint, None, None, None, None  # autograd carries v on through `applied` to weights, w, b and beta


@dataclass
class GMRES:
    """Full GMRES (Saad & Schultz 1986), one Krylov space per sample.

    tolerance:    a sample stops at ||v - J^T v - g|| <= tolerance ||g||; later products do not change it.
    max_products: vector-Jacobian products at most; the memory is that many gradients.
    """

    tolerance: float = 1e-2
    max_products: int = 40
    half_products: bool | None = None

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.max_products < 1:
            raise ConfigError(f"{self}: tolerance > 0 and max_products >= 1 are needed")

    @torch.no_grad()
    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        batch = len(gradient)
        right = gradient.flatten(1)
        size = right.norm(dim=1, dtype=torch.float64)
        basis = right.new_empty(batch, self.max_products + 1, right.shape[1])
        basis[:, 0] = right / size.clamp_min(torch.finfo(right.dtype).tiny).to(right.dtype)[:, None]
        hessenberg = torch.zeros(
            batch, self.max_products + 1, self.max_products, dtype=torch.float64, device=right.device
        )
        coefficients = torch.zeros(batch, self.max_products, dtype=torch.float64, device=right.device)
        residual = torch.where(size > 0, 1.0, 0.0).double()
        outcome = torch.where(size > 0, int(Outcome.MAX_EVALUATIONS), int(Outcome.CONVERGED))
        outcome = outcome.where(torch.isfinite(size), int(Outcome.NON_FINITE))
        products = torch.zeros(batch, dtype=torch.long, device=right.device)
        trace = []
        for k in range(self.max_products):
            active = outcome == int(Outcome.MAX_EVALUATIONS)
            if not bool(active.any()):
                break
            direction = basis[:, k]
            image = direction - vjp(direction.view_as(gradient)).flatten(1)
            for _ in range(2):  # classical Gram-Schmidt, twice is enough (Giraud et al. 2005)
                overlap = torch.bmm(basis[:, : k + 1], image.unsqueeze(2))
                image = torch.baddbmm(image[:, None], overlap.mT, basis[:, : k + 1], alpha=-1).squeeze(1)
                hessenberg[:, : k + 1, k] += overlap.squeeze(2)
            length = image.norm(dim=1).double()
            hessenberg[:, k + 1, k] = length
            basis[:, k + 1] = image / length.clamp_min(torch.finfo(right.dtype).tiny).to(right.dtype)[:, None]
            products += active
            finite = torch.isfinite(hessenberg[:, : k + 2, : k + 1]).flatten(1).all(dim=1)
            outcome = outcome.masked_fill(active & ~finite, int(Outcome.NON_FINITE))
            active &= finite
            solution, new_residual = _least_squares(hessenberg[:, : k + 2, : k + 1].where(finite[:, None, None], 0.0))
            found = coefficients[:, : k + 1]
            found.copy_(torch.where(active[:, None], solution * size[:, None], found))
            residual = torch.where(active, new_residual, residual)
            trace.append(torch.where(active, new_residual, torch.nan))
            outcome = outcome.masked_fill(active & (new_residual <= self.tolerance), int(Outcome.CONVERGED))
        used = len(trace)
        vector = torch.bmm(coefficients[:, :used].to(right.dtype).unsqueeze(1), basis[:, :used]).view_as(gradient)
        history = torch.stack(trace) if trace else residual[None]
        return vector, SolveStats(products.cpu(), residual.cpu(), outcome.cpu(), history.cpu())


def _least_squares(hessenberg: Tensor) -> tuple[Tensor, Tensor]:
    """min ||e_1 - H y|| for a batch of (k + 1) x k Hessenberg matrices: y and the residual norm."""
    unit = torch.zeros(*hessenberg.shape[:2], 1, dtype=hessenberg.dtype, device=hessenberg.device)
    unit[:, 0] = 1.0
    q, r = torch.linalg.qr(hessenberg)
    projected = q.transpose(1, 2) @ unit
    diagonal = torch.diagonal(r, dim1=1, dim2=2)
    safe = r + torch.diag_embed(torch.where(diagonal == 0, 1.0, 0.0))
    solution = torch.linalg.solve_triangular(safe, projected, upper=True)
    return solution.squeeze(2), (unit - hessenberg @ solution).flatten(1).norm(dim=1)


@dataclass
class AdjointAnderson:
    """The adjoint equation by the forward pass' Anderson solver, started from g."""

    tolerance: float = 1e-2
    max_products: int = 60
    history_size: int = 20
    ridge: float = 1e-10
    half_products: bool | None = None

    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        solver = AndersonSolver(self.tolerance, self.max_products, self.history_size, ridge=self.ridge)
        return solver.solve(lambda v: vjp(v) + gradient, gradient)


@dataclass
class Neumann:
    """v = sum_{i <= terms} (J^T)^i g: the series cut off. Error on the published layer: 58 % at 10, 4 % at 80 terms."""

    terms: int = 10
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
    """v = g: no product at all (Fung et al., AAAI 2022). Error of the gradient on the published layer: 95 %."""

    half_products: bool | None = None

    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        return gradient, direct_stats(len(gradient), 0)


@dataclass
class Unrolled:
    """Backpropagation through taped Picard steps from the start: for comparison; memory grows with every step."""

    max_evaluations: int = 50

    def __post_init__(self) -> None:
        if self.max_evaluations < 1:
            raise ConfigError(f"{self}: max_evaluations >= 1 are needed")

    def unroll(self, fixed_point_map: Callable[[Tensor], Tensor], start: Tensor) -> tuple[Tensor, SolveStats]:
        state = start
        for _ in range(self.max_evaluations):
            state = fixed_point_map(state)
        return state, direct_stats(len(start), self.max_evaluations)
