"""Fixed points y = T(y) of batched maps: Anderson acceleration and damped Picard iteration.

Every sample is solved as if it were alone: its own residual, history, restarts and end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.splitting import FixedPointMap
from mcnet_lightning.equilibrium.stats import Outcome, SolveStats
from mcnet_lightning.errors import ConfigError

RESTART_GROWTH = 10.0  # a residual this many times the best so far empties the history
DAMPED_AFTER = 3  # restarts after which a sample is left to damped Picard iteration
DAMPING = 0.5
LARGEST_COEFFICIENT = 1e8  # beyond it the small system counts as singular


@dataclass
class AndersonSolver:
    """Anderson acceleration (type II) with a scale-free ridge.

    Minimises ||sum_i a_i g_i|| over sum_i a_i = 1, g_i = T(y_i) - y_i the last `history_size` residuals, and steps to
    sum_i a_i (T(y_i) - (1 - mixing) g_i). The Gram matrix is normalised to unit diagonal before `ridge` is added, so
    that the regularisation does not depend on the size of the residuals (Walker & Ni, SIAM J. Numer. Anal. 2011; an
    absolute ridge switches the acceleration off near convergence).

    tolerance:       a sample stops at ||T(y) - y||_2 <= tolerance ||T(y)||_2.
    max_evaluations: evaluations of T per sample at most; then its outcome is MAX_EVALUATIONS.
    """

    tolerance: float = 1e-5
    max_evaluations: int = 100
    history_size: int = 10
    mixing: float = 1.0
    ridge: float = 1e-8

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.max_evaluations < 1 or self.history_size < 1 or self.ridge < 0:
            raise ConfigError(
                f"{self}: tolerance > 0, max_evaluations >= 1, history_size >= 1 and ridge >= 0 are needed"
            )
        if not 0 < self.mixing <= 1:
            raise ConfigError(f"mixing={self.mixing} is outside (0, 1]")

    @torch.no_grad()
    def solve(
        self, fixed_point_map: FixedPointMap | Callable[[Tensor], Tensor], start: Tensor
    ) -> tuple[Tensor, SolveStats]:
        """The fixed point from `start` (B, ...) and its stats.

        Returns T(y) of the first iterate within tolerance, else of the iterate with the smallest residual; NaN and Inf
        end a sample at the evaluation where they appear. Maps with `select` are evaluated on unfinished samples only.
        """
        run = _Run(start, self.history_size)
        whole = fixed_point_map if hasattr(fixed_point_map, "select") else _WholeBatchMap(fixed_point_map, start)
        current: Callable[[Tensor], Tensor] = whole
        for _ in range(self.max_evaluations):
            value = current(run.state.view(-1, *start.shape[1:])).flatten(1)
            if run.observe(value, self.tolerance):
                if len(run.active) == 0:
                    break
                current = whole.select(run.active)
            run.advance(self.mixing, self.ridge)
        return run.result(start)


@dataclass
class PicardSolver(AndersonSolver):
    """y <- y + mixing (T(y) - y): Anderson without memory."""

    max_evaluations: int = 500
    history_size: int = 1


class _Run:
    """The state of one solve; rows of every buffer but `best`, `stats` belong to the samples in `active`."""

    def __init__(self, start: Tensor, history_size: int) -> None:
        batch, device = len(start), start.device
        flat = start.flatten(1)
        self.active = torch.arange(batch, device=device)
        self.state = flat
        self.step = 0
        # history, one slot per past evaluation
        self.values = flat.new_zeros(batch, history_size, flat.shape[1])
        self.residuals = torch.zeros_like(self.values)
        self.gram = torch.zeros(batch, history_size, history_size, dtype=torch.float64, device=device)
        self.filled = torch.zeros(batch, history_size, dtype=torch.bool, device=device)
        self.restarts = torch.zeros(batch, dtype=torch.long, device=device)
        # results, one row per sample of the batch
        self.best = flat.clone()
        self.best_residual = torch.full((batch,), torch.inf, dtype=torch.float64, device=device)
        self.evaluations = torch.zeros(batch, dtype=torch.long, device=device)
        self.outcome = torch.full((batch,), int(Outcome.MAX_EVALUATIONS), device=device)
        self.trace: list[Tensor] = []

    def observe(self, value: Tensor, tolerance: float) -> bool:
        """Takes T(state) of the active samples; retires those that are done. True if any were."""
        gap = value - self.state
        norm, size = (tensor.norm(dim=1, dtype=torch.float64) for tensor in (gap, value))
        residual = norm / size.clamp_min(torch.finfo(value.dtype).tiny)
        finite = torch.isfinite(residual)
        self.evaluations[self.active] += 1
        row = torch.full_like(self.best_residual, torch.nan)
        row[self.active] = residual
        self.trace.append(row)

        previous = self.best_residual[self.active]
        better = finite & (residual < previous)
        chosen = self.active[better]
        self.best[chosen] = value[better]
        self.best_residual[chosen] = residual[better]
        done = finite & (residual <= tolerance)
        self.outcome[self.active[done]] = int(Outcome.CONVERGED)
        self.outcome[self.active[~finite]] = int(Outcome.NON_FINITE)

        slot = self.step % self.values.shape[1]
        self.values[:, slot], self.residuals[:, slot] = value, gap
        self.filled[:, slot] = True
        row_products = torch.bmm(self.residuals, gap.unsqueeze(2)).squeeze(2).double()
        self.gram[:, slot, :] = row_products
        self.gram[:, :, slot] = row_products
        self.step += 1
        self._restart(finite & (residual > RESTART_GROWTH * previous))
        keep = finite & ~done
        retired = not bool(keep.all())
        if retired:
            self._keep(keep)
        return retired

    def advance(self, mixing: float, ridge: float) -> None:
        """Moves the active samples to the next state."""
        slot = (self.step - 1) % self.values.shape[1]
        weights, singular = anderson_weights(self.gram, self.filled, slot, ridge)
        if bool(singular.any()):
            self.filled[singular] = False
            self.filled[singular, slot] = True
            self.restarts[singular] += 1
        weights = weights.to(self.values.dtype).unsqueeze(1)
        state = torch.bmm(weights, self.values).squeeze(1)
        if mixing < 1:
            state = state - (1 - mixing) * torch.bmm(weights, self.residuals).squeeze(1)
        restarted = ~self.filled.any(dim=1)
        state = torch.where(restarted[:, None], self.best[self.active], state)
        damped = self.restarts >= DAMPED_AFTER
        if bool(damped.any()):
            picard = self.values[:, slot] - (1 - DAMPING) * self.residuals[:, slot]
            state = torch.where((damped & ~restarted)[:, None], picard, state)
        self.state = state

    def result(self, start: Tensor) -> tuple[Tensor, SolveStats]:
        trace = torch.stack(self.trace)
        residual = torch.where(torch.isinf(self.best_residual), torch.nan, self.best_residual)
        stats = SolveStats(self.evaluations.cpu(), residual.cpu(), self.outcome.cpu(), trace.cpu())
        return self.best.view_as(start), stats

    def _restart(self, which: Tensor) -> None:
        """Empties the history of samples that run away; they go on from their best iterate."""
        self.filled[which] = False
        self.restarts[which] += 1

    def _keep(self, keep: Tensor) -> None:
        for name in ("active", "state", "values", "residuals", "gram", "filled", "restarts"):
            setattr(self, name, getattr(self, name)[keep])


def anderson_weights(gram: Tensor, filled: Tensor, newest: int, ridge: float) -> tuple[Tensor, Tensor]:
    """Mixing weights a (B, m) that minimise ||sum_i a_i g_i||^2 with sum_i a_i = 1, from the Gram matrix <g_i, g_j>.

    gram: (B, m, m) float64; filled: (B, m) bool, the slots in use. Where the system is singular the weights fall back
    to the newest residual alone; the second result (B,) says where.
    """
    size = torch.diagonal(gram, dim1=1, dim2=2).clamp_min(0).sqrt()
    usable = filled & (size > 0)
    inverse = torch.where(usable, 1 / size.where(usable, 1.0), 0.0)
    normalised = gram * inverse[:, :, None] * inverse[:, None, :]
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    system = normalised + identity * torch.where(usable, ridge, 1.0)[:, :, None]
    # in units of |g_newest|, so that the right side is neither huge nor tiny
    right = inverse * size[:, newest].clamp_min(torch.finfo(torch.float64).tiny)[:, None]
    solution, info = torch.linalg.solve_ex(system, right.unsqueeze(2))
    weights = solution.squeeze(2) * right
    total = weights.sum(dim=1, keepdim=True)
    weights = weights / total
    empty = ~filled.any(dim=1)
    sound = (info == 0) & torch.isfinite(weights).all(dim=1) & (weights.abs().sum(dim=1) < LARGEST_COEFFICIENT)
    fallback = torch.zeros_like(weights)
    fallback[:, newest] = 1.0
    return torch.where(sound[:, None], weights, fallback), ~sound & ~empty


class _WholeBatchMap:
    """Gives `select` to a plain function: evaluates the whole batch and keeps the rows asked for."""

    def __init__(self, function: Callable[[Tensor], Tensor], start: Tensor) -> None:
        self.function = function
        self.rest = start.clone()

    def __call__(self, state: Tensor) -> Tensor:
        return self.function(state)

    def select(self, index: Tensor) -> Callable[[Tensor], Tensor]:
        def evaluate(state: Tensor) -> Tensor:
            self.rest[index] = state
            return self.function(self.rest)[index]

        return evaluate
